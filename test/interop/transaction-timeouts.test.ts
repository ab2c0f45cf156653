/**
 * Classic transactions whose producer is cut off from Kafka until the coordinator has aborted them for their length. The
 * coordinator raises the epoch with that abort, and from then on fences the producer by every request under the old one;
 * the Java client ends in the same states with the same errors. Only where nothing was part of the transaction yet does
 * the coordinator have nothing to abort, and the producer goes on.
 */
import { Producer, type KafkaError, type Logger } from 'kafka-producer'
import { expect, test } from 'vitest'
import { describeKafka } from '../kafka/cluster.js'
import { FaultProxy } from '../kafka/proxy.js'

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

const COMMITTED = 'fulfilled'
const FENCED = { name: 'ProducerFencedError', code: 'PRODUCER_FENCED', fatal: true, abortable: false }
const OLD_EPOCH = {
  name: 'ProducerFencedError',
  code: 'INVALID_PRODUCER_EPOCH',
  fatal: false,
  abortable: true,
}
const ABORTED = {
  name: 'TransactionAbortedError',
  code: 'TRANSACTION_ABORTED',
  fatal: false,
  abortable: true,
}

type Outcome = typeof COMMITTED | Pick<KafkaError, 'name' | 'code' | 'fatal' | 'abortable'>

interface CutOff {
  readonly title: string
  /** A record is part of the transaction, and acknowledged, when the connection is cut. */
  readonly isBegun: boolean
  /** A record is sent while there is no connection. */
  readonly sendsMeanwhile: boolean
  /** What is called first when the connection is back; where a commit says so, an abort follows. */
  readonly end: 'commit' | 'abort'
  readonly expected: Readonly<Record<string, Outcome>>
}

const cutOffs: readonly CutOff[] = [
  {
    title: 'begun, then committed',
    isBegun: true,
    sendsMeanwhile: false,
    end: 'commit',
    expected: { commit: FENCED },
  },
  {
    title: 'begun, then aborted',
    isBegun: true,
    sendsMeanwhile: false,
    end: 'abort',
    expected: { abort: FENCED },
  },
  {
    title: 'begun, with a record meanwhile, then committed',
    isBegun: true,
    sendsMeanwhile: true,
    end: 'commit',
    expected: { meanwhile: OLD_EPOCH, commit: OLD_EPOCH, abort: FENCED },
  },
  {
    title: 'begun, with a record meanwhile, then aborted',
    isBegun: true,
    sendsMeanwhile: true,
    end: 'abort',
    expected: { meanwhile: ABORTED, abort: FENCED },
  },
  {
    title: 'with nothing but a record meanwhile, then committed',
    isBegun: false,
    sendsMeanwhile: true,
    end: 'commit',
    expected: { meanwhile: COMMITTED, commit: COMMITTED },
  },
]

async function outcome(promise: Promise<unknown>): Promise<Outcome> {
  return promise.then<Outcome, Outcome>(
    () => COMMITTED,
    ({ name, code, fatal, abortable }: KafkaError) => ({ name, code, fatal, abortable }),
  )
}

/** What the application does when the connection is back; records that were sent meanwhile settle by then. */
async function endTransaction(producer: Producer, end: CutOff['end']): Promise<Record<string, Outcome>> {
  const abort = async () => ({ abort: await outcome(producer.abortTransaction()) })
  if (end === 'abort') return abort()
  const commit = await outcome(producer.commitTransaction())
  return { commit, ...(commit !== COMMITTED && commit.abortable ? await abort() : {}) }
}

describeKafka(
  'cut off for too long in a classic transaction',
  { brokers: 1, version: '3.9.1', own: true },
  (kafka) => {
    const markersOf = async (topic: string): Promise<(string | null)[]> =>
      (await kafka().dumpLog(topic, 0, { markers: true })).map(({ marker }) => marker)

    test('a producer is fenced where there was something to abort, and a new one goes on', async () => {
      const routes = kafka().describe().proxy
      const proxy = await FaultProxy.start(routes)
      const runs = await Promise.all(
        cutOffs.map(async (cutOff, index) => {
          const topic = await kafka().createTopic(`cut-off-${index}`, 1)
          const config = {
            bootstrapServers: proxy.bootstrapServers,
            transactionalId: topic,
            transactionTimeoutMs: 3000,
            logger: silent,
          }
          const producer = new Producer(config)
          // Connections, metadata and the coordinator are known by the time of the cut.
          await producer.initTransactions()
          await producer.transaction((tx) => tx.send({ topic, value: 'first' }))
          return { cutOff, topic, config, producer }
        }),
      )
      for (const { producer } of runs) producer.beginTransaction()
      const begun = runs.filter(({ cutOff }) => cutOff.isBegun)
      await Promise.all(begun.map(({ producer, topic }) => producer.send({ topic, value: 'begun' })))

      await proxy.close()
      const meanwhile = runs.map(async ({ producer, topic, cutOff }) =>
        cutOff.sendsMeanwhile
          ? { meanwhile: await outcome(producer.send({ topic, value: 'meanwhile' })) }
          : {},
      )
      for (const { topic } of begun) {
        const markers = () => markersOf(topic)
        await expect.poll(markers, { timeout: 60_000 }).toEqual([null, 'COMMIT', null, 'ABORT'])
      }

      await using healed = await FaultProxy.start(routes)
      await Promise.all(
        runs.map(async ({ producer, cutOff: { end, title, expected } }, index) => {
          const ended = await endTransaction(producer, end)
          expect({ ...(await meanwhile[index]), ...ended }, title).toEqual(expected)
          await producer.close()
        }),
      )
      for (const { topic, config, cutOff } of runs) {
        await using next = new Producer({ ...config, bootstrapServers: healed.bootstrapServers })
        await next.initTransactions()
        await next.transaction((tx) => tx.send({ topic, value: 'next' }))
        const seen = await kafka().consume(topic, 'read_committed')
        const visible = cutOff.isBegun ? ['first', 'next'] : ['first', 'meanwhile', 'next']
        expect(seen.map(({ value }) => String(value))).toEqual(visible)
      }
    })
  },
)
