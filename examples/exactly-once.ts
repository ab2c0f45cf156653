/**
 * Reads payments, writes a receipt for each, exactly once: the receipts and the offsets of the payments are committed in
 * one transaction. Kill it at any moment and start it again: no receipt is missing, and none is written twice. Let
 * something start it again whenever it ends with code 1, too: that is its answer to whatever it cannot mend.
 *
 * The consumer is kafkajs (`npm install kafkajs`), and with it a group must have one process. Where there are several,
 * the one that takes over a partition has to wait until no transaction with offsets of it is open (KIP-447), and kafkajs
 * does not know how to ask for that. Another library will do for several processes if it says where it is in its group
 * (generation and member id), and fetches offsets with `requireStable` (OffsetFetch 7 or later, Kafka 2.5). Each process
 * needs a transactional id of its own then.
 *
 *   npm run build:examples
 *   KAFKA_BOOTSTRAP=localhost:9092 node build/examples/exactly-once.js
 *
 * KAFKA_INPUT is `payments`, KAFKA_OUTPUT `receipts` unless they say otherwise. Who reads the receipts must do so with
 * `isolation.level=read_committed`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type EachBatchPayload } from 'kafkajs'
import { Producer, TimeoutError, type ConsumerGroupMetadata } from 'kafka-producer'

const bootstrap = process.env['KAFKA_BOOTSTRAP'] ?? 'localhost:9092'
const input = process.env['KAFKA_INPUT'] ?? 'payments'
const output = process.env['KAFKA_OUTPUT'] ?? 'receipts'
const groupId = `receipts-of-${input}`

const producer = new Producer({
  bootstrapServers: bootstrap,
  // The same after every restart: should the last process be alive yet, it is fenced by this one.
  transactionalId: groupId,
})

const consumer = new Kafka({ brokers: bootstrap.split(','), logLevel: logLevel.ERROR }).consumer({
  groupId,
  // After a crash the partitions are free again when the session of the dead process is over.
  sessionTimeout: Number(process.env['SESSION_TIMEOUT_MS'] ?? 6_000),
  heartbeatInterval: 300,
  maxWaitTimeInMs: 300, // kafkajs has a heart only between its fetches
})

/** This process as a member of the group: offsets of one that lost its partitions are refused. */
let member: ConsumerGroupMetadata | undefined
consumer.on(consumer.events.GROUP_JOIN, () => {
  member = undefined
})
consumer.on(consumer.events.HEARTBEAT, ({ payload: { memberId, groupGenerationId } }) => {
  member = { groupId, memberId, generationId: groupGenerationId }
})

async function main(): Promise<void> {
  // First of all: it ends what a predecessor left open, and only then is it certain how far that one had come.
  await producer.initTransactions()
  await consumer.connect()
  await consumer.subscribe({ topic: input, fromBeginning: true })
  await consumer.run({
    autoCommit: false, // the offsets are committed by the transaction, and by nobody else
    eachBatch: async (payload) => {
      const { batch } = payload
      const group = await membership(payload)
      try {
        await producer.transaction(async (tx) => {
          for (const { key, value } of batch.messages)
            void tx.send({ topic: output, key, value: receipt(value) })
          const next = BigInt(batch.lastOffset()) + 1n
          await tx.sendOffsetsToTransaction(
            [{ topic: input, partition: batch.partition, offset: next }],
            group,
          )
        })
      } catch (error) {
        // Nobody knows whether it was committed. The next process does, when it has ended what this one leaves.
        if (error instanceof TimeoutError && error.mayHaveBeenWritten) end(error)
        // It was aborted. kafkajs brings the same payments again if the error is retriable, and crashes if not.
        throw error
      }
      console.log(`${batch.messages.length} receipts for ${input}-${batch.partition}@${batch.firstOffset()}`)
    },
  })
}

/** kafkajs tells its generation with the first heartbeat. */
async function membership(payload: EachBatchPayload): Promise<ConsumerGroupMetadata> {
  for (;;) {
    if (member !== undefined) return member
    await payload.heartbeat()
    await sleep(20)
  }
}

function receipt(payment: Buffer | null): string {
  return `received: ${payment?.toString() ?? 'nothing'}`
}

async function stop(): Promise<void> {
  await consumer.disconnect() // waits for the batch at hand
  await producer.close()
}

process.once('SIGTERM', () => void stop())
process.once('SIGINT', () => void stop())

/** Nothing helps but to end, and leave the restart to who watches over it: a new process begins where the offsets are. */
function end(error: unknown): never {
  console.error(error)
  process.exit(1)
}

// Fenced: another process took over.
producer.on('fatal', end)
// The member is not in its group any more, for example. Where kafkajs does not start again by itself, the process would do
// nothing for good.
consumer.on(consumer.events.CRASH, ({ payload: { error, restart } }) => {
  if (!restart) end(error)
})

main().catch(end)
