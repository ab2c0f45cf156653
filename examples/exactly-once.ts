/**
 * Reads payments, writes a receipt for each, exactly once: the receipts and the offsets of the payments are committed in
 * one transaction. Kill it at any moment and start it again: no receipt is missing, and none is written twice. The
 * consumer is kafkajs (`npm install kafkajs`); any other will do that says where it is in its group.
 *
 *   npm run build:examples
 *   KAFKA_BOOTSTRAP=localhost:9092 node build/examples/exactly-once.js
 *
 * KAFKA_INPUT is `payments`, KAFKA_OUTPUT `receipts` unless they say otherwise. Who reads the receipts must do so with
 * `isolation.level=read_committed`.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type EachBatchPayload } from 'kafkajs'
import { Producer, type ConsumerGroupMetadata } from 'kafka-producer'

const bootstrap = process.env['KAFKA_BOOTSTRAP'] ?? 'localhost:9092'
const input = process.env['KAFKA_INPUT'] ?? 'payments'
const output = process.env['KAFKA_OUTPUT'] ?? 'receipts'
const groupId = `receipts-of-${input}`

const producer = new Producer({
  bootstrapServers: bootstrap,
  // The same after every restart, and another one for every process that runs beside this one.
  transactionalId: `${groupId}-${process.env['INSTANCE'] ?? '0'}`,
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
      // When this throws, the transaction is aborted, and kafkajs brings the same payments again.
      await producer.transaction(async (tx) => {
        for (const { key, value } of batch.messages)
          void tx.send({ topic: output, key, value: receipt(value) })
        const next = BigInt(batch.lastOffset()) + 1n
        await tx.sendOffsetsToTransaction([{ topic: input, partition: batch.partition, offset: next }], group)
      })
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
// Fenced: another process took over. Nothing helps but to end, and leave the restart to who watches over it.
producer.on('fatal', (error) => {
  console.error(`${error.code}: ${error.message}`)
  process.exit(1)
})

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
