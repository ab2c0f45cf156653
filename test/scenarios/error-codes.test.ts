/**
 * Every row of src/protocol/reactions.ts that an idempotent producer can meet, and codes that nobody knows, answered by
 * a broker: what the producer sends next, under which epoch and sequence, whether it asks for metadata, and what the
 * application is told.
 */
import { describe, expect, test } from 'vitest'
import type { KafkaError } from '../../src/errors.js'
import type { RecordMetadata } from '../../src/record.js'
import type { TestCluster } from '../../src/testing/index.js'
import { errorByCode, errorByName } from '../../src/protocol/error-codes.js'
import {
  initProducerIdReactions,
  metadataReactions,
  produceReactions,
  type ProduceReaction,
} from '../../src/protocol/reactions.js'
import { arena, batches, failure, frozenArena, requests, turnsUntil } from './arena.js'

/** Codes that Kafka 4.2 does not answer to the request, with what the rules make of them; two that nobody has. */
const byRule: readonly (readonly [code: string | number, reaction: ProduceReaction])[] = [
  ['OFFSET_OUT_OF_RANGE', 'fail'],
  ['NOT_CONTROLLER', 'retry'],
  ['COORDINATOR_NOT_AVAILABLE', 'refresh'],
  [999, 'fail'],
  [-2, 'fail'],
]

const nameOf = (code: string | number): string => (typeof code === 'string' ? code : errorByCode(code).name)
const errnoOf = (code: string | number): number =>
  typeof code === 'number' ? code : errorByName(code)!.errno

/** The class of the error that a record fails with; BrokerError where it is none of these. */
const classes: Readonly<Record<string, string>> = {
  REQUEST_TIMED_OUT: 'TimeoutError',
  MESSAGE_TOO_LARGE: 'RecordTooLargeError',
  RECORD_LIST_TOO_LARGE: 'RecordTooLargeError',
  TOPIC_AUTHORIZATION_FAILED: 'AuthorizationError',
  CLUSTER_AUTHORIZATION_FAILED: 'AuthorizationError',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'AuthorizationError',
  UNSUPPORTED_VERSION: 'UnsupportedVersionError',
  OUT_OF_ORDER_SEQUENCE_NUMBER: 'OutOfOrderSequenceError',
  PRODUCER_FENCED: 'ProducerFencedError',
}

/** Nobody can tell from these answers whether the records are in the log. */
const open = new Set([
  'UNKNOWN_SERVER_ERROR',
  'REQUEST_TIMED_OUT',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
  'UNKNOWN(999)',
  'UNKNOWN(-2)',
])

function told(code: string | number, flags: { retriable?: boolean; fatal?: boolean } = {}): object {
  const name = nameOf(code)
  return {
    name: classes[name] ?? 'BrokerError',
    code: name,
    errno: errnoOf(code),
    retriable: flags.retriable ?? false,
    fatal: flags.fatal ?? false,
    mayHaveBeenWritten: open.has(name),
  }
}

const produceRows = [...Object.entries(produceReactions), ...byRule].filter(([code]) => code !== 'NONE')

interface Run {
  readonly code: string | number
  readonly cluster: TestCluster
  readonly send: (value: string) => Promise<RecordMetadata>
  /** The record whose request was answered with the code. */
  readonly second: Promise<RecordMetadata>
  /** What `batches` says of the first two requests. */
  readonly begin: readonly string[]
  readonly fatal: readonly KafkaError[]
}

async function expectSameBatchAgain({ cluster, send, second, begin }: Run): Promise<void> {
  expect(await second).toMatchObject({ offset: 1n })
  await send('three')
  expect(batches(cluster)).toEqual([...begin, '0/1 NONE', '0/2 NONE'])
}

async function expectFailureAndNewEpoch({ code, cluster, send, second, begin }: Run): Promise<void> {
  const error = await failure(second)
  expect(error).toMatchObject(told(code))
  expect(error.message).toContain(`${nameOf(code)} (${errnoOf(code)})`)
  expect(error.message).toContain('orders-0')
  expect(await send('three')).toMatchObject({ offset: 1n })
  expect(batches(cluster)).toEqual([...begin, '1/0 NONE'])
}

/** What follows each reaction, and how many records fail. */
const afterwards: Readonly<Record<ProduceReaction, readonly [(run: Run) => Promise<void>, failed: number]>> =
  {
    success: [
      async ({ cluster, send, second, begin }) => {
        // The answer is forged: the broker does not have it. What counts is that the sequence went on.
        expect(await second).toMatchObject({ offset: -1n })
        await send('three')
        expect(batches(cluster).slice(0, 3)).toEqual([...begin, '0/2 OUT_OF_ORDER_SEQUENCE_NUMBER'])
      },
      0,
    ],
    retry: [expectSameBatchAgain, 0],
    refresh: [expectSameBatchAgain, 0],
    // Without a log start offset, as here, the answer only says that the partition is moving.
    'unknown-producer': [expectSameBatchAgain, 0],
    'out-of-order': [
      async ({ cluster, send, second, begin }) => {
        expect(await second).toMatchObject({ offset: 1n })
        await send('three')
        expect(batches(cluster)).toEqual([...begin, '1/0 NONE', '1/1 NONE'])
      },
      0,
    ],
    split: [expectFailureAndNewEpoch, 1],
    fail: [expectFailureAndNewEpoch, 1],
    fenced: [expectFailureAndNewEpoch, 1],
    fatal: [
      async ({ code, cluster, send, second, begin, fatal }) => {
        const error = await failure(second)
        expect(error).toMatchObject(told(code, { fatal: true }))
        expect(fatal).toEqual([error])
        expect(await failure(send('three'))).toBe(error)
        expect(batches(cluster)).toEqual(begin)
      },
      2,
    ],
  }

describe('Produce, answered to the second of three records', () => {
  test.each(produceRows)('%s: %s', async (code, reaction) => {
    const { cluster, producer } = await arena()
    const orders = producer()
    const fatal: KafkaError[] = []
    const failed: KafkaError[] = []
    orders.on('fatal', (error) => fatal.push(error)).on('deliveryError', (error) => failed.push(error))
    const send = (value: string) => orders.send({ topic: 'orders', value })
    await send('one')
    const metadataBefore = requests(cluster, 'Metadata').length
    const isAsked = (): boolean => requests(cluster, 'Metadata').length > metadataBefore
    cluster.fail({ api: 'Produce' }, { error: code })
    const second = send('two')
    const [follow, failures] = afterwards[reaction]
    await follow({ code, cluster, send, second, begin: ['0/0 NONE', `0/1 ${nameOf(code)}`], fatal })
    if (reaction === 'refresh') await turnsUntil(isAsked, 'metadata is asked for')
    expect(isAsked()).toBe(reaction === 'refresh')
    expect(failed).toHaveLength(failures)
  })
})

const retried = produceRows.filter(([, reaction]) =>
  ['retry', 'refresh', 'out-of-order', 'unknown-producer'].includes(reaction),
)

describe('Produce, answered for ever', () => {
  test.each(retried)('%s ends with deliveryTimeoutMs and says so', async (code) => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ retryBackoffMs: 100, retryBackoffMaxMs: 1000, deliveryTimeoutMs: 30_000 })
    cluster.fail({ api: 'Produce', times: Infinity }, { error: code })
    const error = failure<KafkaError>(orders.send({ topic: 'orders', value: 'one' }))
    await clock.advance(29_999)
    expect(orders.metrics().recordErrorTotal).toBe(0)
    await clock.advance(1)
    expect(await error).toMatchObject({
      name: 'TimeoutError',
      code: 'TIMEOUT',
      retriable: true,
      fatal: false,
      mayHaveBeenWritten: open.has(nameOf(code)),
      cause: { code: nameOf(code) },
    })
    expect((await error).message).toContain(`${nameOf(code)} (${errnoOf(code)})`)
    // 100, 200, 400, 800 and then about one in a second.
    expect(requests(cluster, 'Produce').length).toBeGreaterThan(25)
    expect(requests(cluster, 'Produce').length).toBeLessThan(40)
  })

  test.each(retried)('%s without retries fails with the code itself', async (code) => {
    const { cluster, producer } = await arena()
    cluster.fail({ api: 'Produce' }, { error: code })
    const error = await failure(producer({ retries: 0 }).send({ topic: 'orders', value: 'one' }))
    expect(error).toMatchObject(told(code, { retriable: errorByCode(errnoOf(code)).retriable }))
    expect(requests(cluster, 'Produce')).toHaveLength(1)
  })
})

const initRows = [
  ...Object.entries(initProducerIdReactions),
  ...([
    ['NOT_CONTROLLER', 'retry'],
    ['GROUP_ID_NOT_FOUND', 'fatal'],
    [999, 'fatal'],
    [-2, 'fatal'],
  ] as const),
].filter(([code]) => code !== 'NONE')

const initRowsOf = (reaction: string) => initRows.filter((row) => row[1] === reaction)

test('EndTxn in a wrong state names transactionTimeoutMs, which may have ended the transaction', async () => {
  const { cluster, producer } = await arena()
  const orders = producer({ transactionalId: 'mover' })
  await orders.initTransactions()
  cluster.fail({ api: 'EndTxn' }, { error: 'INVALID_TXN_STATE' })
  orders.beginTransaction()
  await orders.send({ topic: 'orders', value: 'one' })
  const error = await failure(orders.commitTransaction())
  expect(error.message).toMatch(/INVALID_TXN_STATE.*longer than transactionTimeoutMs/)
})

describe('InitProducerId', () => {
  test.each(initRowsOf('retry'))('%s: %s', async (code) => {
    const { cluster, producer } = await arena()
    cluster.fail({ api: 'InitProducerId' }, { error: code })
    await producer().send({ topic: 'orders', value: 'one' })
    expect(requests(cluster, 'InitProducerId')).toHaveLength(2)
    expect(batches(cluster)).toEqual(['0/0 NONE'])
  })

  test.each(initRowsOf('fatal'))('%s: %s', async (code) => {
    const { cluster, producer } = await arena()
    const orders = producer()
    const fatal: KafkaError[] = []
    orders.on('fatal', (error) => fatal.push(error))
    cluster.fail({ api: 'InitProducerId' }, { error: code })
    const sent = orders.send({ topic: 'orders', value: 'one' })
    const error = await failure(sent)
    expect(error).toMatchObject({ ...told(code, { fatal: true }), mayHaveBeenWritten: false })
    const where = cluster.bootstrapServers[0]
    expect(error.message).toContain(`InitProducerId at ${where}: ${nameOf(code)} (${errnoOf(code)})`)
    expect(fatal).toEqual([error])
    expect(await failure(orders.send({ topic: 'orders', value: 'two' }))).toBe(error)
    expect(requests(cluster, 'InitProducerId')).toHaveLength(1)
    expect(batches(cluster)).toEqual([])
  })

  test('a code that is answered for ever is the cause when the delivery timeout is over', async () => {
    const { clock, cluster, producer } = await frozenArena()
    cluster.fail({ api: 'InitProducerId', times: Infinity }, { error: 'COORDINATOR_LOAD_IN_PROGRESS' })
    const orders = producer({ retryBackoffMs: 100, retryBackoffMaxMs: 1000 })
    const error = failure<KafkaError>(orders.send({ topic: 'orders', value: 'one' }))
    await clock.advance(120_000)
    expect(await error).toMatchObject({
      name: 'TimeoutError',
      mayHaveBeenWritten: false,
      cause: { code: 'COORDINATOR_LOAD_IN_PROGRESS' },
    })
    expect((await error).message).toContain('never sent')
    const asked = requests(cluster, 'InitProducerId').length
    await clock.advance(60_000)
    // One more may have been due already.
    expect(requests(cluster, 'InitProducerId').length).toBeLessThanOrEqual(asked + 1)
  })
})

const metadataRows = [
  ...Object.entries(metadataReactions),
  ...([
    ['NOT_CONTROLLER', 'retry'],
    ['GROUP_ID_NOT_FOUND', 'fail'],
    [999, 'fail'],
    [-2, 'fail'],
  ] as const),
].filter(([code]) => code !== 'NONE')

const metadataRowsOf = (...reactions: string[]) => metadataRows.filter((row) => reactions.includes(row[1]))

describe('Metadata', () => {
  test.each(metadataRowsOf('retry', 'rebootstrap'))('%s: %s', async (code) => {
    const { cluster, producer } = await arena()
    cluster.fail({ api: 'Metadata' }, { error: code })
    await producer().send({ topic: 'orders', value: 'one' })
    expect(requests(cluster, 'Metadata')).toHaveLength(2)
    expect(batches(cluster)).toEqual(['0/0 NONE'])
  })

  test.each(metadataRowsOf('fail'))('%s: %s', async (code) => {
    const { cluster, producer } = await arena()
    const orders = producer()
    cluster.fail({ api: 'Metadata' }, { error: code })
    const error = await failure(orders.send({ topic: 'orders', value: 'one' }))
    expect(error).toMatchObject({ ...told(code), mayHaveBeenWritten: false })
    expect(error.message).toContain(`orders: ${nameOf(code)} (${errnoOf(code)})`)
    expect(requests(cluster, 'Metadata')).toHaveLength(1)
    // The refusal may have been lifted since: the next record asks again.
    await orders.send({ topic: 'orders', value: 'two' })
    expect(requests(cluster, 'Metadata')).toHaveLength(2)
    expect(batches(cluster)).toEqual(['0/0 NONE'])
  })

  test.each(metadataRowsOf('retry'))(
    '%s answered for ever ends with maxBlockMs and says so',
    async (code) => {
      const { clock, cluster, producer } = await frozenArena()
      cluster.fail({ api: 'Metadata', times: Infinity }, { error: code })
      const orders = producer({ retryBackoffMs: 100, retryBackoffMaxMs: 1000, maxBlockMs: 20_000 })
      const error = failure(orders.send({ topic: 'orders', value: 'one' }))
      await clock.advance(20_000)
      expect(await error).toMatchObject({ name: 'TimeoutError', retriable: true, mayHaveBeenWritten: false })
      expect((await error).message).toMatch(/no metadata of topic orders within 20000 ms \(maxBlockMs\)/)
      expect((await error).message).toContain(`${nameOf(code)} (${errnoOf(code)})`)
    },
  )
})
