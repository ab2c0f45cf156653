/**
 * Transactions on Apache Kafka, where they are of the second kind (KIP-890, transaction.version 2), and on one that knows
 * the classic ones only. Kafka's own consumer and the dump of its log are the witnesses.
 */
import { fork } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Kafka, logLevel, type Consumer } from 'kafkajs'
import {
  AuthorizationError,
  KafkaError,
  Producer,
  ProducerFencedError,
  TransactionAbortedError,
  type ConsumerGroupMetadata,
  type Logger,
  type ProducerConfig,
  type RecordMetadata,
} from 'kafka-producer'
import { expect, test } from 'vitest'
import { describeKafka, type KafkaOptions, type RealKafka } from '../kafka/cluster.js'
import { FaultProxy } from '../kafka/proxy.js'
import { seededRandom } from '../kafka/random.js'

const TOPICS = 3
const PARTITIONS = 6
const PRODUCERS = 4
const TRANSACTIONS = 1000
/** With transactions of the second kind, and without. */
const MODERN = '4.2.0'
const CLASSIC = '3.9.1'
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** A transaction, and what became of it. */
interface Transaction {
  readonly producer: number
  readonly isCommitted: boolean
  /** What was acknowledged. */
  readonly records: readonly (RecordMetadata & { readonly key: string; readonly value: string })[]
}

/** Transactions one after the other, a third of them aborted, half of these before anything was acknowledged. */
async function runTransactions(
  config: ProducerConfig,
  topics: readonly string[],
  producer: number,
  count: number,
): Promise<Transaction[]> {
  const random = seededRandom(producer + 1)
  const below = (limit: number): number => Math.floor(random() * limit)
  const done: Transaction[] = []
  await using client = new Producer(config)
  await client.initTransactions()
  for (let number = 0; number < count; number++) {
    const isCommitted = random() >= 1 / 3
    const isAwaited = isCommitted || random() < 0.5
    client.beginTransaction()
    const sent = Array.from({ length: 1 + below(20) }, async (_, i) => {
      const record = { key: `${producer}-${below(30)}`, value: `${producer}-${number}-${i}` }
      const metadata = await client.send({ topic: topics[below(TOPICS)]!, ...record })
      return { ...metadata, ...record }
    })
    const settled = Promise.allSettled(sent)
    if (isAwaited) await settled
    await (isCommitted ? client.commitTransaction() : client.abortTransaction())
    const records = (await settled).flatMap((one) => (one.status === 'fulfilled' ? [one.value] : []))
    expect(records.length).toBeGreaterThanOrEqual(isAwaited ? sent.length : 0)
    done.push({ producer, isCommitted, records })
  }
  return done
}

const at = ({ topic, partition }: { readonly topic: string; readonly partition: number }): string =>
  `${topic}-${partition}`

const located = ({ offset, value, ...where }: RecordMetadata & { readonly value: string }): string =>
  `${at(where)}@${offset} ${value}`

/** Everything the topics hold, as `located` says it. */
async function read(
  kafka: RealKafka,
  topics: string | readonly string[],
  isolation: 'read_committed' | 'read_uncommitted',
): Promise<string[]> {
  const records = await kafka.consume(topics, isolation)
  return records.map(({ offset, value, ...where }) => `${at(where)}@${offset} ${value?.toString()}`)
}

async function refusal(promise: Promise<unknown>): Promise<KafkaError> {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(KafkaError)
  return error as KafkaError
}

/** What stands in the log of a partition between two markers of a producer, and the marker at its end. */
interface Stretch {
  readonly records: number
  readonly marker: 'COMMIT' | 'ABORT'
}

type Stretches = Record<string, Stretch[]>

function expectedStretches(transactions: readonly Transaction[]): Stretches {
  const expected: Stretches = {}
  for (const { producer, isCommitted, records } of transactions) {
    const counts = new Map<string, number>()
    for (const record of records) counts.set(at(record), (counts.get(at(record)) ?? 0) + 1)
    for (const [where, count] of counts) {
      const stretch: Stretch = { records: count, marker: isCommitted ? 'COMMIT' : 'ABORT' }
      ;(expected[`${where} of producer ${producer}`] ??= []).push(stretch)
    }
  }
  return expected
}

/** From the brokers' files; checks on the way that every offset is accounted for, and that a marker takes one. */
async function storedStretches(
  kafka: RealKafka,
  topics: readonly string[],
  producerAt: ReadonlyMap<string, number>,
): Promise<Stretches> {
  const found: Stretches = {}
  for (const topic of topics) {
    const open = new Map<string, { producer: number | undefined; records: number }>()
    const next = new Map<number, number>()
    for (const batch of await kafka.dumpLog(topic, undefined, { markers: true })) {
      const { partition, baseOffset, lastOffset, count, producerId, marker } = batch
      expect(batch).toMatchObject({
        baseOffset: next.get(partition) ?? 0,
        isTransactional: true,
        isvalid: true,
      })
      expect(lastOffset - baseOffset + 1).toBe(count)
      next.set(partition, lastOffset + 1)
      const where = at({ topic, partition })
      const id = `${where} ${producerId}`
      if (!batch.isControl) {
        const { producer = producerAt.get(`${where}@${baseOffset}`), records = 0 } = open.get(id) ?? {}
        open.set(id, { producer, records: records + count })
        continue
      }
      expect(count).toBe(1)
      const stretch = open.get(id)
      open.delete(id)
      // Classic transactions announce a partition before they write to it: an abort may come in between.
      const isEmptyAllowed = kafka.version === CLASSIC && marker === 'ABORT'
      expect(stretch !== undefined || isEmptyAllowed).toBe(true)
      if (stretch === undefined) continue
      const { producer, records } = stretch
      ;(found[`${where} of producer ${producer}`] ??= []).push({ records, marker: marker! })
    }
    expect([...open.keys()]).toEqual([])
  }
  return found
}

const versions: readonly {
  readonly kind: string
  readonly options: KafkaOptions
  /** How it goes on when the coordinator has ended the transaction; returns the values of later transactions. */
  readonly afterTimeout: (producer: Producer, topic: string) => Promise<string[]>
}[] = [
  {
    kind: 'transactions v2',
    options: { brokers: 1, version: MODERN },
    afterTimeout: async (producer, topic) => {
      await producer.abortTransaction()
      await producer.transaction((tx) => tx.send({ topic, value: 'recovered' }))
      return ['recovered']
    },
  },
  {
    kind: 'classic transactions',
    options: { brokers: 1, version: CLASSIC },
    // Whether another producer fenced it cannot be told.
    afterTimeout: async (producer) => {
      const abort = await refusal(producer.abortTransaction())
      expect(abort).toBeInstanceOf(ProducerFencedError)
      expect(abort.fatal).toBe(true)
      expect(abort.message).toMatch(/transactionTimeoutMs; this producer must be closed/)
      return []
    },
  },
]

for (const { kind, options, afterTimeout } of versions) {
  describeKafka(kind, options, (kafka) => {
    const configOf = (name: string): ProducerConfig => ({
      bootstrapServers: kafka().bootstrapServers,
      transactionalId: kafka().topicName(name),
      logger: silent,
    })

    test(
      `${TRANSACTIONS} over ${TOPICS} topics of ${PARTITIONS} partitions, a third aborted: read_committed sees the ` +
        'committed, read_uncommitted all, and a partition has one marker for each that wrote to it',
      { timeout: 300_000 },
      async () => {
        const topics = Array.from({ length: TOPICS }, (_, i) => kafka().topicName(`many-${i}`))
        await kafka().createTopics(topics.map((name) => ({ name, partitions: PARTITIONS })))
        const runs = Array.from({ length: PRODUCERS }, (_, producer) =>
          runTransactions(configOf('many'), topics, producer, TRANSACTIONS / PRODUCERS),
        )
        const transactions = (await Promise.all(runs)).flat()
        const committed = transactions.filter(({ isCommitted }) => isCommitted)
        expect(committed.length / TRANSACTIONS).toBeCloseTo(2 / 3, 1)

        const all = transactions.flatMap(({ records }) => records)
        const visible = committed.flatMap(({ records }) => records)
        const seen = await read(kafka(), topics, 'read_committed')
        expect(seen.toSorted()).toEqual(visible.map(located).toSorted())
        const stored = await read(kafka(), topics, 'read_uncommitted')
        expect(stored.toSorted()).toEqual(all.map(located).toSorted())
        expectOrderOfKeys(all)

        const producerAt = new Map(
          transactions.flatMap(({ producer, records }) =>
            records.map((record) => [`${at(record)}@${record.offset}`, producer] as const),
          ),
        )
        const stretches = await storedStretches(kafka(), topics, producerAt)
        expect(stretches).toEqual(expectedStretches(transactions))
      },
    )

    test("a consumer group's offsets are committed with the transaction, and not if it is aborted", async () => {
      const topic = await kafka().createTopic('consumed', 3)
      const group = { groupId: kafka().topicName('group') }
      await using producer = new Producer(configOf('offsets'))
      await producer.transaction(async (tx) => {
        await tx.sendOffsetsToTransaction([{ topic, partition: 0, offset: 10 }], group)
        await tx.sendOffsetsToTransaction([{ topic, partition: 1, offset: 20n, metadata: 'noted' }], group)
      })
      expect(Object.fromEntries(await kafka().groupOffsets(group.groupId))).toEqual({
        [`${topic}-0`]: 10,
        [`${topic}-1`]: 20,
      })
      producer.beginTransaction()
      await producer.send({ topic, value: 'with them' })
      await producer.sendOffsetsToTransaction(
        [0, 1, 2].map((partition) => ({ topic, partition, offset: '99' })),
        group,
      )
      await producer.abortTransaction()
      expect(Object.fromEntries(await kafka().groupOffsets(group.groupId))).toEqual({
        [`${topic}-0`]: 10,
        [`${topic}-1`]: 20,
      })
      await producer.transaction((tx) =>
        tx.sendOffsetsToTransaction([{ topic, partition: 0, offset: 11 }], group),
      )
      expect((await kafka().groupOffsets(group.groupId)).get(`${topic}-0`)).toBe(11)
    })

    test('offsets of who is not in the group, or not any more, make the transaction abort, and it goes on', async () => {
      const topic = await kafka().createTopic('read', 1)
      const output = await kafka().createTopic('written', 1)
      const groupId = kafka().topicName('members')
      await using member = await GroupMember.join(kafka(), topic, groupId)
      const right = await member.metadata()
      const offsets = [{ topic, partition: 0, offset: 1 }]
      await using producer = new Producer(configOf('members'))
      const wrong: [ConsumerGroupMetadata, string][] = [
        [{ ...right, generationId: right.generationId! - 1 }, 'ILLEGAL_GENERATION'],
        [{ ...right, memberId: 'nobody' }, 'UNKNOWN_MEMBER_ID'],
        [{ ...right, groupInstanceId: 'nowhere' }, 'UNKNOWN_MEMBER_ID'],
      ]
      await producer.initTransactions()
      for (const [metadata, code] of wrong) {
        producer.beginTransaction()
        await producer.send({ topic: output, value: `under ${code}` })
        const error = await refusal(producer.sendOffsetsToTransaction(offsets, metadata))
        expect(error).toMatchObject({ code, abortable: true, fatal: false })
        expect(error.message).toContain(metadata.groupId)
        const commit = await refusal(producer.commitTransaction())
        expect(commit).toBeInstanceOf(TransactionAbortedError)
        expect(commit.cause).toBe(error)
        await producer.abortTransaction()
      }
      await producer.transaction(async (tx) => {
        await tx.send({ topic: output, value: 'as a member' })
        await tx.sendOffsetsToTransaction(offsets, right)
      })
      expect(await kafka().groupOffsets(groupId)).toEqual(new Map([[`${topic}-0`, 1]]))
      const visible = await kafka().consume(output, 'read_committed')
      expect(visible.map(({ value }) => String(value))).toEqual(['as a member'])
    })

    test('a second producer fences the first: all its calls and sends fail so, and nothing of it is visible', async () => {
      const topic = await kafka().createTopic('fenced', PARTITIONS)
      const config = configOf('fenced')
      const first = new Producer(config)
      const fatal: KafkaError[] = []
      first.on('fatal', (error) => fatal.push(error))
      await first.transaction((tx) => tx.send({ topic, partition: 0, value: 'before' }))
      first.beginTransaction()
      await first.send({ topic, partition: 0, value: 'zombie' })

      await using second = new Producer(config)
      await second.initTransactions()
      const pending = Array.from({ length: 60 }, (_, i) =>
        refusal(first.send({ topic, partition: i % PARTITIONS, value: `zombie-${i}` })),
      )
      for (const error of await Promise.all(pending)) {
        expect(error).toBeInstanceOf(ProducerFencedError)
      }
      const commit = await refusal(first.commitTransaction())
      expect(commit.fatal ? commit : commit.cause).toBeInstanceOf(ProducerFencedError)
      const abort = await refusal(first.abortTransaction())
      expect(abort).toBeInstanceOf(ProducerFencedError)
      expect(abort.fatal).toBe(true)
      expect(await refusal(first.send({ topic, value: 'zombie' }))).toBeInstanceOf(ProducerFencedError)
      expect(() => first.beginTransaction()).toThrow(ProducerFencedError)
      expect(fatal).toHaveLength(1)
      await first.close()

      await second.transaction((tx) => tx.send({ topic, partition: 0, value: 'after' }))
      const visible = await kafka().consume(topic, 'read_committed')
      expect(visible.map(({ value }) => String(value))).toEqual(['before', 'after'])
    })

    test('transaction() of who is fenced rejects with ProducerFencedError', async () => {
      const topic = await kafka().createTopic('fenced-within', PARTITIONS)
      const config = configOf('fenced-within')
      const first = new Producer(config)
      await using second = new Producer(config)
      const error = await refusal(
        first.transaction(async (tx) => {
          await tx.send({ topic, partition: 0, value: 'zombie' })
          await second.initTransactions()
          await tx.send({ topic, partition: 0, value: 'zombie' })
        }),
      )
      expect(error).toBeInstanceOf(ProducerFencedError)
      expect(error.fatal).toBe(true)
      await first.close()
      expect(await kafka().consume(topic, 'read_committed')).toEqual([])
    })

    test('who is fenced learns it from the commit at the latest', async () => {
      const topic = await kafka().createTopic('fenced-late', 1)
      const config = configOf('fenced-late')
      const first = new Producer(config)
      await first.initTransactions()
      first.beginTransaction()
      await first.send({ topic, value: 'zombie' })
      await using second = new Producer(config)
      await second.initTransactions()
      expect(await refusal(first.commitTransaction())).toBeInstanceOf(ProducerFencedError)
      await first.close()
      expect(await kafka().consume(topic, 'read_committed')).toEqual([])
    })

    test('a transaction that takes too long is ended by the coordinator, and the producer is told', async () => {
      const topic = await kafka().createTopic('slow', 1)
      const producer = new Producer({ ...configOf('slow'), transactionTimeoutMs: 1000, lingerMs: 0 })
      await producer.initTransactions()
      await producer.transaction((tx) => tx.send({ topic, value: 'in time' }))
      producer.beginTransaction()
      let error: KafkaError | null = null
      // The coordinator looks once a second.
      while (error === null) {
        error = await producer.send({ topic, value: 'too late' }).then(
          () => null,
          (reason: unknown) => reason as KafkaError,
        )
        await sleep(100)
      }
      expect(error).toBeInstanceOf(ProducerFencedError)
      expect(error.message).toContain('transactionTimeoutMs')
      const commit = await refusal(producer.commitTransaction())
      expect(commit).toBeInstanceOf(ProducerFencedError)
      expect(commit).toMatchObject({ abortable: true, fatal: false, cause: error })
      expect(commit.message).toContain('transactionTimeoutMs')
      const visible = ['in time', ...(await afterTimeout(producer, topic))]
      await producer.close()
      const seen = await kafka().consume(topic, 'read_committed')
      expect(seen.map(({ value }) => String(value))).toEqual(visible)
    })

    test('a commit that comes after the coordinator ended the transaction is refused', async () => {
      const topic = await kafka().createTopic('too-late', 1)
      await using producer = new Producer({ ...configOf('too-late'), transactionTimeoutMs: 1000 })
      await producer.initTransactions()
      producer.beginTransaction()
      await producer.send({ topic, value: 'too late' })
      const markers = async (): Promise<unknown> =>
        (await kafka().dumpLog(topic, undefined, { markers: true })).map(({ marker }) => marker)
      await expect.poll(markers, { timeout: 60_000 }).toEqual([null, 'ABORT'])
      const error = await refusal(producer.commitTransaction())
      expect(error.retriable).toBe(false)
      expect(await kafka().consume(topic, 'read_committed')).toEqual([])
    })

    test('when a process is killed, its successor ends what it left open: read_committed never sees it', async () => {
      const topic = await kafka().createTopic('killed', PARTITIONS)
      const config = configOf('killed')
      const words = [kafka().bootstrapServers, config.transactionalId!, topic, String(PARTITIONS)]
      const victim = fork(path.join(__dirname, 'open-transaction.mjs'), words)
      const ended = once(victim, 'exit')
      const [word] = (await Promise.race([once(victim, 'message'), ended])) as unknown[]
      expect(word).toBe('open')
      victim.kill('SIGKILL')
      expect(await ended).toEqual([null, 'SIGKILL'])

      await using successor = new Producer(config)
      await successor.initTransactions()
      await successor.transaction((tx) => tx.send({ topic, partition: 0, value: 'found' }))
      const visible = await kafka().consume(topic, 'read_committed')
      expect(visible.map(({ value }) => String(value))).toEqual(['found'])
      expect(await kafka().consume(topic)).toHaveLength(10 * PARTITIONS + 1)
      const log = await kafka().dumpLog(topic, undefined, { markers: true })
      const markers = log.flatMap(({ partition, marker }) => (marker === null ? [] : [[partition, marker]]))
      expect(markers).toEqual([
        [0, 'ABORT'],
        [0, 'COMMIT'],
        ...[1, 2, 3, 4, 5].map((partition) => [partition, 'ABORT']),
      ])
    })
  })
}

describeKafka('an upgrade to transactions v2', { brokers: 1, version: MODERN, own: true }, (kafka) => {
  const setVersion = (change: 'upgrade' | 'downgrade', level: number): Promise<string> =>
    kafka().tool('org.apache.kafka.tools.FeatureCommand', [
      ...['--bootstrap-server', kafka().bootstrapServers],
      ...[change, '--feature', `transaction.version=${level}`],
    ])

  test('while the producer goes on: it is learned from the next connection, and nothing is lost or doubled', async () => {
    await setVersion('downgrade', 1)
    const topic = await kafka().createTopic('upgrade', PARTITIONS)
    await using proxy = await FaultProxy.start(kafka().describe().proxy)
    await using producer = new Producer({
      bootstrapServers: proxy.bootstrapServers,
      transactionalId: kafka().topicName('upgrade'),
      logger: silent,
    })
    await producer.initTransactions()
    const committed: string[] = []
    let number = 0
    const run = async (count: number): Promise<void> => {
      for (const until = number + count; number < until; number++) {
        producer.beginTransaction()
        const values = Array.from({ length: PARTITIONS }, (_, partition) => `${number}-${partition}`)
        const sent = values.map((value, partition) => producer.send({ topic, partition, value }))
        await Promise.all(sent)
        if (number % 3 === 2) await producer.abortTransaction()
        else {
          await producer.commitTransaction()
          committed.push(...values)
        }
      }
    }
    await run(30)
    await setVersion('upgrade', 2)
    // It still has its connection, which told it of version 1.
    await run(30)
    const before = await epochs(kafka(), topic)
    expect(before).toEqual([0])
    proxy.plan = () => (proxy.cuts === 0 ? 'cut-after' : 'none')
    await run(30)
    expect(proxy.cuts).toBe(1)
    const after = await epochs(kafka(), topic)
    expect(after.length).toBeGreaterThan(25)
    expect(after).toEqual(after.map((_, i) => i))
    const visible = await kafka().consume(topic, 'read_committed')
    expect(visible.map(({ value }) => String(value)).toSorted()).toEqual(committed.toSorted())
  })
})

/** The epochs under which records of a topic were written. */
async function epochs(kafka: RealKafka, topic: string): Promise<number[]> {
  const batches = await kafka.dumpLog(topic, 0)
  const all = batches.filter(({ isControl }) => !isControl).map(({ producerEpoch }) => producerEpoch)
  return [...new Set(all)].toSorted((a, b) => a - b)
}

describeKafka('ACLs', { brokers: 1, security: { acl: true } }, (kafka) => {
  const alice = (transactionalId: string): ProducerConfig => ({
    bootstrapServers: kafka().listener('SASL_PLAINTEXT'),
    sasl: { mechanism: 'SCRAM-SHA-256', username: 'alice', password: 'alice-secret' },
    transactionalId,
    logger: silent,
  })

  test('who may not use a transactional id is told which', async () => {
    const producer = new Producer(alice('z-theirs'))
    const error = await refusal(producer.initTransactions())
    expect(error).toBeInstanceOf(AuthorizationError)
    expect(error).toMatchObject({ code: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', fatal: true })
    expect(error.message).toContain('z-theirs')
    await producer.close()
  })

  test('a denied topic or group in a transaction is named, the transaction aborts, and the next goes well', async () => {
    const [mine, theirs] = [await kafka().createTopic('a-mine', 1), await kafka().createTopic('z-theirs', 1)]
    await using producer = new Producer(alice(kafka().topicName('a-mine')))
    const topicError = await refusal(
      producer.transaction(async (tx) => {
        await tx.send({ topic: mine, value: 'with a denied topic' })
        await tx.send({ topic: theirs, value: 'denied' })
      }),
    )
    expect(topicError).toBeInstanceOf(AuthorizationError)
    expect(topicError.message).toContain(theirs)
    const groupError = await refusal(
      producer.transaction(async (tx) => {
        await tx.send({ topic: mine, value: 'with a denied group' })
        await tx.sendOffsetsToTransaction([{ topic: mine, partition: 0, offset: 1 }], { groupId: 'z-group' })
      }),
    )
    expect(groupError).toBeInstanceOf(AuthorizationError)
    expect(groupError).toMatchObject({ abortable: true, fatal: false })
    expect(groupError.message).toContain('z-group')
    await producer.transaction((tx) => tx.send({ topic: mine, value: 'allowed' }))
    const visible = await kafka().consume(mine, 'read_committed')
    expect(visible.map(({ value }) => String(value))).toEqual(['allowed'])
  })
})

/** A key has one partition, and its records stand there in the order of their sends. */
function expectOrderOfKeys(sent: readonly (RecordMetadata & { readonly key: string })[]): void {
  const last = new Map<string, { where: string; offset: bigint }>()
  for (const { key, topic, partition, offset } of sent) {
    const where = at({ topic, partition })
    const before = last.get(`${topic} ${key}`) ?? { where, offset: -1n }
    expect(where).toBe(before.where)
    expect(offset > before.offset).toBe(true)
    last.set(`${topic} ${key}`, { where, offset })
  }
}

/** A member of a consumer group, by another library. */
class GroupMember {
  readonly #consumer: Consumer
  readonly #metadata: Promise<ConsumerGroupMetadata>

  private constructor(consumer: Consumer) {
    this.#consumer = consumer
    this.#metadata = new Promise((resolve) => {
      consumer.on(consumer.events.HEARTBEAT, ({ payload: { groupId, memberId, groupGenerationId } }) =>
        resolve({ groupId, memberId, generationId: groupGenerationId }),
      )
    })
  }

  static async join(kafka: RealKafka, topic: string, groupId: string): Promise<GroupMember> {
    const client = new Kafka({ brokers: kafka.bootstrapServers.split(','), logLevel: logLevel.NOTHING })
    const consumer = client.consumer({ groupId, heartbeatInterval: 100, maxWaitTimeInMs: 100 })
    const member = new GroupMember(consumer)
    await consumer.connect()
    await consumer.subscribe({ topic })
    await consumer.run({ autoCommit: false, eachMessage: () => Promise.resolve() })
    return member
  }

  metadata(): Promise<ConsumerGroupMetadata> {
    return this.#metadata
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#consumer.disconnect()
  }
}
