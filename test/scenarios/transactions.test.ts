/**
 * Transactions as an application sees them, in both protocols: what is visible afterwards, what may be called when, and
 * what becomes of the rest when something fails.
 */
import { describe, expect, onTestFinished, test } from 'vitest'
import {
  ProducerClosedError,
  ProducerFencedError,
  type KafkaError,
  type Producer,
  type RecordMetadata,
  type Transaction,
} from '../../src/index.js'
import { transactionStates } from '../../src/producer/transactions/transaction-states.js'
import type { TestCluster, TransactionVersion } from '../../src/testing/index.js'
import { arena, failure, frozenArena, requests, turnsUntil, type Arena, type FrozenArena } from './arena.js'

const topics = { orders: { partitions: 3 }, audit: { partitions: 1 } }
const transactional = { transactionalId: 'checkout' }
/** So that seconds are no thousands of attempts. */
const slow = { retryBackoffMs: 100, retryBackoffMaxMs: 100 }

const protocols: readonly (readonly [string, TransactionVersion])[] = [
  ['classic transactions', 1],
  ['transactions v2', 2],
]

function committed(cluster: TestCluster, topic = 'orders'): string[] {
  return cluster
    .records(topic, { isolation: 'read_committed' })
    .map(({ value }) => String(value))
    .sort()
}

function all(cluster: TestCluster, topic = 'orders'): string[] {
  return cluster
    .records(topic)
    .map(({ value }) => String(value))
    .sort()
}

/** A promise's outcome as soon as it has one. */
function outcomeOf<T>(promise: Promise<T>): { value?: T; error?: KafkaError } {
  const outcome: { value?: T; error?: KafkaError } = {}
  promise.then(
    (value) => (outcome.value = value),
    (error: KafkaError) => (outcome.error = error),
  )
  return outcome
}

describe.each(protocols)('%s', (_, transactionVersion) => {
  const set = (): Promise<Arena> => arena({ topics, transactionVersion })
  const frozen = (): Promise<FrozenArena> => frozenArena({ topics, transactionVersion })

  async function ready({ producer }: Arena, config: object = {}): Promise<Producer> {
    const one = producer({ ...transactional, ...config })
    await one.initTransactions()
    return one
  }

  const send = (to: Producer | Transaction, partition: number, value: string): Promise<RecordMetadata> =>
    to.send({ topic: 'orders', partition, value })

  test('what is committed is visible in every partition, what is aborted in none', async () => {
    const stage = await set()
    const orders = await ready(stage)
    for (const [name, isCommitted] of [
      ['a', true],
      ['b', false],
      ['c', true],
    ] as const) {
      orders.beginTransaction()
      const sent = [0, 1, 2].map((partition) => send(orders, partition, `${name}${partition}`))
      sent.push(orders.send({ topic: 'audit', value: name }))
      await Promise.all(sent)
      await (isCommitted ? orders.commitTransaction() : orders.abortTransaction())
    }
    expect(committed(stage.cluster)).toEqual(['a0', 'a1', 'a2', 'c0', 'c1', 'c2'])
    expect(all(stage.cluster)).toHaveLength(9)
    expect(committed(stage.cluster, 'audit')).toEqual(['a', 'c'])
    expect(stage.cluster.describeLog('audit', 0).markers.map(({ type }) => type)).toEqual([
      'COMMIT',
      'ABORT',
      'COMMIT',
    ])
    expect(stage.cluster.records('orders').every((record) => record.transactional)).toBe(true)
  })

  test('commit flushes: a record that lingers is in the transaction', async () => {
    const stage = await set()
    const orders = await ready(stage, { lingerMs: 60_000 })
    orders.beginTransaction()
    const sent = send(orders, 0, 'a')
    await orders.commitTransaction()
    expect(await sent).toMatchObject({ partition: 0, offset: 0n })
    expect(committed(stage.cluster)).toEqual(['a'])
  })

  test('a transaction without records asks the coordinator nothing', async () => {
    const stage = await set()
    const orders = await ready(stage)
    const before = stage.cluster.requests.length
    orders.beginTransaction()
    await orders.commitTransaction()
    orders.beginTransaction()
    await orders.abortTransaction()
    expect(stage.cluster.requests).toHaveLength(before)
  })

  test('abort fails what was not sent, and says so', async () => {
    const stage = await set()
    const orders = await ready(stage, { lingerMs: 60_000 })
    orders.beginTransaction()
    const sent = failure(send(orders, 0, 'a'))
    await orders.abortTransaction()
    expect(await sent).toMatchObject({ name: 'TransactionAbortedError', mayHaveBeenWritten: false })
    expect(all(stage.cluster)).toEqual([])
    await orders.transaction((tx) => void send(tx, 0, 'b'))
    expect(committed(stage.cluster)).toEqual(['b'])
  })

  test('abort waits for what is on its way', async () => {
    const stage = await frozen()
    const orders = await ready(stage)
    orders.beginTransaction()
    await send(orders, 0, 'a')
    stage.cluster.fail({ api: 'Produce' }, { delayMs: 1000 })
    const sent = outcomeOf(send(orders, 0, 'b'))
    await turnsUntil(() => requests(stage.cluster, 'Produce').length === 2)
    const aborted = orders.abortTransaction()
    await stage.clock.advance(999)
    expect(requests(stage.cluster, 'EndTxn')).toHaveLength(0)
    await stage.clock.advance(1)
    await aborted
    expect(sent.value).toMatchObject({ offset: 1n })
    expect(committed(stage.cluster)).toEqual([])
  })

  test('a failed record makes the commit fail with its error, and the next transaction goes on', async () => {
    const stage = await set()
    const orders = await ready(stage)
    orders.beginTransaction()
    await send(orders, 1, 'a')
    stage.cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
    const lost = failure<KafkaError>(send(orders, 0, 'b'))
    const error = await failure<KafkaError>(orders.commitTransaction())
    expect(error).toMatchObject({ name: 'TransactionAbortedError', abortable: true, fatal: false })
    expect(error.cause).toBe(await lost)
    expect(await failure(send(orders, 0, 'c'))).toBe(error)
    expect(await failure(orders.commitTransaction())).toBe(error)
    await orders.abortTransaction()
    orders.beginTransaction()
    await send(orders, 0, 'd')
    await orders.commitTransaction()
    expect(committed(stage.cluster)).toEqual(['d'])
  })

  test('a record that never got as far as a batch makes the commit fail as well', async () => {
    const stage = await set()
    const orders = await ready(stage)
    orders.beginTransaction()
    void send(orders, 0, 'a')
    void orders.send({ topic: 'orders', value: 7 as unknown as string })
    const error = await failure<KafkaError>(orders.commitTransaction())
    expect(error.cause).toMatchObject({ name: 'SerializationError' })
    await orders.abortTransaction()
    expect(committed(stage.cluster)).toEqual([])
  })

  test('a later producer with the same id fences the earlier one', async () => {
    const stage = await set()
    const first = await ready(stage)
    first.beginTransaction()
    await send(first, 0, 'first')
    const second = await ready(stage)
    await second.transaction((tx) => send(tx, 0, 'second'))
    const fatal: KafkaError[] = []
    first.on('fatal', (error) => fatal.push(error))
    const late = failure<KafkaError>(send(first, 0, 'late'))
    expect(await late).toMatchObject({ name: 'ProducerFencedError' })
    expect(await failure(first.abortTransaction())).toMatchObject({
      name: 'ProducerFencedError',
      fatal: true,
    })
    expect(fatal).toHaveLength(1)
    expect(await failure(send(first, 0, 'x'))).toMatchObject({ name: 'ProducerFencedError', cause: fatal[0] })
    expect(committed(stage.cluster)).toEqual(['second'])
  })

  test('a fenced producer that only commits is told so, and so is every pending send', async () => {
    const stage = await set()
    const first = await ready(stage, { lingerMs: 60_000 })
    first.beginTransaction()
    await Promise.all([send(first, 0, 'first'), first.flush()])
    const second = await ready(stage)
    expect(await failure(first.commitTransaction())).toMatchObject({
      name: 'ProducerFencedError',
      fatal: true,
    })
    expect(() => first.beginTransaction()).toThrow(expect.objectContaining({ name: 'ProducerFencedError' }))
    await second.transaction((tx) => send(tx, 1, 'second'))
    expect(committed(stage.cluster)).toEqual(['second'])
  })

  test('a successor ends what its predecessor left open', async () => {
    const stage = await set()
    const first = await ready(stage)
    first.beginTransaction()
    await send(first, 0, 'left')
    await first.close({ timeoutMs: 0 })
    expect(stage.cluster.describeLog('orders', 0).markers).toEqual([])
    const second = await ready(stage)
    await second.transaction((tx) => send(tx, 0, 'new'))
    expect(committed(stage.cluster)).toEqual(['new'])
    expect(stage.cluster.describeLog('orders', 0).markers.map(({ type }) => type)).toEqual([
      'ABORT',
      'COMMIT',
    ])
  })

  test('close() aborts an open transaction after what was sent has arrived', async () => {
    const stage = await set()
    const orders = await ready(stage)
    orders.beginTransaction()
    const sent = send(orders, 0, 'a')
    expect(await orders.close()).toBe(0)
    await sent
    expect(committed(stage.cluster)).toEqual([])
    expect(stage.cluster.describeLog('orders', 0).markers.map(({ type }) => type)).toEqual(['ABORT'])
  })

  test('close() waits for a commit', async () => {
    const stage = await set()
    const orders = await ready(stage)
    orders.beginTransaction()
    void send(orders, 0, 'a')
    const done = orders.commitTransaction()
    await orders.close()
    await done
    expect(committed(stage.cluster)).toEqual(['a'])
  })

  test('a coordinator that moves is found again', async () => {
    const stage = await arena({ topics, transactionVersion, brokers: 3 })
    const orders = await ready(stage)
    for (const value of ['a', 'b', 'c']) {
      orders.beginTransaction()
      await send(orders, 0, value)
      stage.cluster.moveCoordinator('transaction', 'checkout')
      await orders.commitTransaction()
    }
    expect(committed(stage.cluster)).toEqual(['a', 'b', 'c'])
  })

  test.each(['drop-request', 'drop-answer', 'close', { cutAfterBytes: 0 }] as const)(
    'a commit whose answer is lost (%j) is asked again and counts once',
    async (action) => {
      const stage = await set()
      const orders = await ready(stage, { requestTimeoutMs: 100 })
      orders.beginTransaction()
      await send(orders, 0, 'a')
      stage.cluster.fail({ api: 'EndTxn' }, action)
      await orders.commitTransaction()
      await orders.transaction((tx) => send(tx, 0, 'b'))
      expect(committed(stage.cluster)).toEqual(['a', 'b'])
      expect(stage.cluster.describeLog('orders', 0).markers).toHaveLength(2)
    },
  )

  describe('a commit that is not answered within maxBlockMs', () => {
    test('is a TimeoutError that leaves the outcome open; the same call tells it', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { maxBlockMs: 5000 })
      orders.beginTransaction()
      await send(orders, 0, 'a')
      const undo = stage.cluster.fail(
        { api: 'EndTxn', times: Infinity },
        { error: 'COORDINATOR_LOAD_IN_PROGRESS' },
      )
      const late = failure<KafkaError>(orders.commitTransaction())
      await stage.clock.advance(5000)
      expect(await late).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: true })
      expect((await late).message).toContain('COORDINATOR_LOAD_IN_PROGRESS')
      expect((await late).message).toContain('5000 ms (maxBlockMs)')
      for (const call of ['beginTransaction', 'abortTransaction', 'initTransactions'] as const) {
        const error = await failure((async () => orders[call]())())
        expect(error).toMatchObject({ name: 'IllegalStateError' })
        expect(error.message).toContain('commitTransaction()')
      }
      expect(await failure(send(orders, 0, 'b'))).toMatchObject({ name: 'IllegalStateError' })
      undo()
      const told = orders.commitTransaction()
      await stage.clock.advance(1000)
      await told
      expect(committed(stage.cluster)).toEqual(['a'])
      orders.beginTransaction()
      const next = send(orders, 0, 'b')
      const ended = orders.commitTransaction()
      await stage.clock.advance(1000)
      await Promise.all([next, ended])
      expect(committed(stage.cluster)).toEqual(['a', 'b'])
    })

    test('still wants to be asked when it has ended meanwhile', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { maxBlockMs: 5000 })
      orders.beginTransaction()
      await send(orders, 0, 'a')
      stage.cluster.fail({ api: 'EndTxn' }, { delayMs: 7000 })
      const late = failure(orders.commitTransaction())
      await stage.clock.advance(5000)
      await late
      await stage.clock.advance(5000)
      expect(() => orders.beginTransaction()).toThrow('commitTransaction()')
      await orders.commitTransaction()
      orders.beginTransaction()
      await orders.abortTransaction()
    })
  })

  test('initTransactions that times out can be called again', async () => {
    const stage = await frozen()
    const undo = stage.cluster.fail(
      { api: 'FindCoordinator', times: Infinity },
      { error: 'COORDINATOR_NOT_AVAILABLE' },
    )
    const orders = stage.producer({ ...transactional, maxBlockMs: 3000 })
    const late = failure<KafkaError>(orders.initTransactions())
    await stage.clock.advance(3000)
    expect(await late).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: false })
    expect(() => orders.beginTransaction()).toThrow('initTransactions()')
    undo()
    const told = orders.initTransactions()
    await stage.clock.advance(1000)
    await told
    orders.beginTransaction()
    await orders.abortTransaction()
  })

  test('records of one transaction stay in order, in sequences that the next one goes on from or begins again', async () => {
    const stage = await set()
    const orders = await ready(stage, { batchSize: 200 })
    for (let t = 0; t < 3; t++) {
      orders.beginTransaction()
      for (let i = 0; i < 50; i++) void send(orders, 0, `${t}-${String(i).padStart(2, '0')}`)
      await orders.commitTransaction()
    }
    const values = stage.cluster
      .records('orders', { isolation: 'read_committed' })
      .map(({ value }) => String(value))
    expect(values).toHaveLength(150)
    expect(values).toEqual(values.toSorted())
    const epochs = new Set(stage.cluster.records('orders').map(({ epoch }) => epoch))
    expect(epochs.size).toBe(transactionVersion === 2 ? 3 : 1)
  })

  test('an abort after a record of unknown fate raises the epoch', async () => {
    const stage = await frozen()
    const orders = await ready(stage, { deliveryTimeoutMs: 3000, requestTimeoutMs: 2000 })
    orders.beginTransaction()
    await send(orders, 0, 'a')
    stage.cluster.fail({ api: 'Produce', times: Infinity }, { error: 'REQUEST_TIMED_OUT' })
    const lost = failure<KafkaError>(send(orders, 0, 'b'))
    await stage.clock.advance(3000)
    expect(await lost).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: true })
    const before = stage.cluster.describeTransaction('checkout')!.epoch
    const aborted = orders.abortTransaction()
    await stage.clock.advance(2000)
    await aborted
    expect(stage.cluster.describeTransaction('checkout')!.epoch).toBeGreaterThan(before)
    expect(committed(stage.cluster)).toEqual([])
  })

  test('an abort while the coordinator has not said whether it has begun leaves nothing open', async () => {
    const stage = await frozen()
    const orders = await ready(stage, { requestTimeoutMs: 1000 })
    const api = transactionVersion === 1 ? 'AddPartitionsToTxn' : 'Produce'
    stage.cluster.fail({ api }, 'drop-answer')
    orders.beginTransaction()
    const lost = failure<KafkaError>(send(orders, 0, 'a'))
    await turnsUntil(() => requests(stage.cluster, api).length === 1)
    const aborted = orders.abortTransaction()
    await stage.clock.advance(2000)
    await aborted
    expect(await lost).toMatchObject({ name: 'TransactionAbortedError' })
    const run = orders.transaction((tx) => send(tx, 0, 'b'))
    await stage.clock.advance(1000)
    await run
    expect(committed(stage.cluster)).toEqual(['b'])
    expect(stage.cluster.describeLog('orders', 0)).toMatchObject({
      lastStableOffset: stage.cluster.describeLog('orders', 0).endOffset,
    })
  })

  test('a commit whose answer was lost, and then refused, may have been done', async () => {
    const stage = await set()
    const orders = await ready(stage)
    orders.beginTransaction()
    await send(orders, 0, 'a')
    stage.cluster.fail({ api: 'EndTxn' }, { cutAfterBytes: 0 })
    stage.cluster.fail({ api: 'EndTxn', nth: 2 }, { error: 'PRODUCER_FENCED' })
    expect(await failure(orders.commitTransaction())).toMatchObject({
      name: 'ProducerFencedError',
      mayHaveBeenWritten: true,
    })
    expect(committed(stage.cluster)).toEqual(['a'])
  })

  test('close() with a time that is over ends a commit whose coordinator says nothing', async () => {
    const stage = await frozen()
    const orders = await ready(stage)
    orders.beginTransaction()
    const sent = send(orders, 0, 'a')
    await stage.clock.advance(10)
    await sent
    stage.cluster.fail({ api: 'EndTxn' }, 'drop-answer')
    const done = failure<KafkaError>(orders.commitTransaction())
    await turnsUntil(() => requests(stage.cluster, 'EndTxn').length === 1)
    const closed = orders.close({ timeoutMs: 500 })
    await stage.clock.advance(500)
    expect(await closed).toBe(0)
    expect(await done).toMatchObject({ name: 'ProducerClosedError', mayHaveBeenWritten: true })
  })

  test('a transaction() whose producer is closed while its function runs says so', async () => {
    const stage = await set()
    const orders = await ready(stage)
    const run = orders.transaction(async (tx) => {
      await send(tx, 0, 'a')
      await orders.close({ timeoutMs: 0 })
    })
    expect(await failure(run)).toMatchObject({ name: 'ProducerClosedError' })
    expect(committed(stage.cluster)).toEqual([])
  })

  test('a record that ends everything while the transaction is aborted ends the abort too', async () => {
    const stage = await frozen()
    const orders = await ready(stage)
    const fatal: KafkaError[] = []
    orders.on('fatal', (error) => fatal.push(error))
    orders.beginTransaction()
    const first = send(orders, 0, 'a')
    await stage.clock.advance(10)
    await first
    stage.cluster.fail({ api: 'Produce' }, { error: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED' })
    const lost = failure<KafkaError>(send(orders, 0, 'b'))
    await turnsUntil(() => requests(stage.cluster, 'Produce').length === 2)
    const aborted = failure<KafkaError>(orders.abortTransaction())
    await stage.clock.advance(10)
    expect(await aborted).toMatchObject({ code: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', fatal: true })
    expect(await lost).toMatchObject({ code: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED' })
    expect(fatal).toHaveLength(1)
  })

  test('a record that is no record does a commit under way no harm', async () => {
    const stage = await frozen()
    const orders = await ready(stage)
    orders.beginTransaction()
    await send(orders, 0, 'a')
    stage.cluster.fail({ api: 'EndTxn' }, { delayMs: 1000 })
    const done = orders.commitTransaction()
    await turnsUntil(() => requests(stage.cluster, 'EndTxn').length === 1)
    expect(await failure(orders.send(undefined as never))).toMatchObject({ name: 'IllegalStateError' })
    await stage.clock.advance(1000)
    await done
    expect(committed(stage.cluster)).toEqual(['a'])
  })

  test.each([
    ['is closed', new ProducerClosedError('another one')],
    ['is unusable', new ProducerFencedError('another one')],
  ])('a serializer whose own producer %s makes the commit fail', async (_what, thrown) => {
    const stage = await set()
    const orders = await ready(stage)
    for (const valueSerializer of [
      () => {
        throw thrown
      },
      () => Promise.reject(thrown),
    ]) {
      orders.beginTransaction()
      void send(orders, 0, 'a')
      const lost = failure<KafkaError>(orders.topic('orders', { valueSerializer }).send({ value: 'b' }))
      const error = await failure<KafkaError>(orders.commitTransaction())
      expect(error).toMatchObject({ name: 'TransactionAbortedError', cause: await lost })
      expect(await lost).toMatchObject({ name: 'SerializationError', fatal: false, cause: thrown })
      await orders.abortTransaction()
    }
    expect(committed(stage.cluster)).toEqual([])
  })

  test('every pending record of a fenced producer fails with ProducerFencedError', async () => {
    const stage = await frozen()
    const first = await ready(stage, { batchSize: 1, maxInFlightRequestsPerConnection: 1 })
    first.beginTransaction()
    await send(first, 0, 'a')
    const second = ready(stage)
    await stage.clock.advance(1000)
    await second
    stage.cluster.fail({ api: 'Produce' }, { delayMs: 1000 })
    const never = first.topic('orders', { valueSerializer: () => new Promise<string>(() => {}) })
    const lost = [send(first, 0, 'on its way'), send(first, 0, 'queued'), never.send({ value: 'waiting' })]
    const errors = lost.map((sent) => failure<KafkaError>(sent))
    await turnsUntil(() => requests(stage.cluster, 'Produce').length === 2)
    await stage.clock.advance(1000)
    for (const error of await Promise.all(errors))
      expect(error).toMatchObject({ name: 'ProducerFencedError', abortable: true, fatal: false })
    expect(await failure(first.commitTransaction())).toMatchObject({
      name: 'ProducerFencedError',
      abortable: true,
      cause: await errors[0],
    })
    expect(await failure(first.abortTransaction())).toMatchObject({
      name: 'ProducerFencedError',
      fatal: true,
    })
  })

  describe('an outcome that is asked for again', () => {
    const late = async (stage: FrozenArena, orders: Producer): Promise<void> => {
      orders.beginTransaction()
      await send(orders, 0, 'a')
      const first = failure<KafkaError>(orders.commitTransaction())
      await stage.clock.advance(5000)
      expect(await first).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: true })
    }

    test('is open when the producer was fenced meanwhile', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { maxBlockMs: 5000, requestTimeoutMs: 8000 })
      stage.cluster.fail({ api: 'EndTxn' }, 'drop-answer')
      stage.cluster.fail({ api: 'EndTxn', nth: 2 }, { error: 'PRODUCER_FENCED' })
      await late(stage, orders)
      await stage.clock.advance(10_000)
      expect(await failure(orders.commitTransaction())).toMatchObject({
        name: 'ProducerFencedError',
        mayHaveBeenWritten: true,
      })
      expect(await failure(orders.commitTransaction())).toMatchObject({ mayHaveBeenWritten: false })
      expect(committed(stage.cluster)).toEqual(['a'])
    })

    test('is told after close() as well', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { maxBlockMs: 5000 })
      stage.cluster.fail({ api: 'EndTxn' }, { delayMs: 7000 })
      await late(stage, orders)
      const closed = orders.close()
      await stage.clock.advance(3000)
      await closed
      await orders.commitTransaction()
      expect(await failure(orders.commitTransaction())).toMatchObject({ name: 'ProducerClosedError' })
    })

    test('is open after close() that did not wait for it', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { maxBlockMs: 5000 })
      stage.cluster.fail({ api: 'EndTxn' }, 'drop-answer')
      await late(stage, orders)
      const closed = orders.close({ timeoutMs: 0 })
      await stage.clock.advance(1)
      await closed
      expect(await failure(orders.commitTransaction())).toMatchObject({
        name: 'ProducerClosedError',
        mayHaveBeenWritten: true,
      })
    })
  })

  describe('close() while a commit fails aborts the transaction', () => {
    test('of commitTransaction()', async () => {
      const stage = await frozen()
      const orders = await ready(stage)
      orders.beginTransaction()
      await send(orders, 0, 'a')
      stage.cluster.fail({ api: 'EndTxn' }, { error: 'TRANSACTION_ABORTABLE' })
      const done = failure(orders.commitTransaction())
      const closed = orders.close()
      await stage.clock.advance(100)
      await closed
      expect(await done).toMatchObject({ name: 'TransactionAbortedError' })
      expect(stage.cluster.describeLog('orders', 0).markers.map(({ type }) => type)).toEqual(['ABORT'])
    })

    test('of transaction(fn)', async () => {
      const stage = await frozen()
      const orders = await ready(stage)
      stage.cluster.fail({ api: 'EndTxn' }, { error: 'TRANSACTION_ABORTABLE' })
      let closed: Promise<number> | undefined
      const done = failure(
        orders.transaction((tx) => {
          void send(tx, 0, 'a')
          closed = orders.close()
        }),
      )
      await stage.clock.advance(100)
      await closed
      expect(await done).toMatchObject({ name: 'TransactionAbortedError' })
      expect(stage.cluster.describeLog('orders', 0).markers.map(({ type }) => type)).toEqual(['ABORT'])
    })

    test('whose TimeoutError the application has already', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { ...slow, maxBlockMs: 5000 })
      orders.beginTransaction()
      await send(orders, 0, 'a')
      const undo = stage.cluster.fail(
        { api: 'EndTxn', times: Infinity },
        { error: 'COORDINATOR_LOAD_IN_PROGRESS' },
      )
      const late = failure(orders.commitTransaction())
      await stage.clock.advance(5000)
      expect(await late).toMatchObject({ name: 'TimeoutError' })
      undo()
      stage.cluster.fail({ api: 'EndTxn' }, { error: 'TRANSACTION_ABORTABLE' })
      const closed = orders.close()
      await stage.clock.advance(100)
      await closed
      expect(stage.cluster.describeLog('orders', 0).markers.map(({ type }) => type)).toEqual(['ABORT'])
      expect(await failure(orders.commitTransaction())).toMatchObject({ name: 'TransactionAbortedError' })
    })
  })

  describe('offsets of a consumer group', () => {
    const offsets = [
      { topic: 'orders', partition: 0, offset: 41n },
      { topic: 'orders', partition: 1, offset: '7', metadata: 'm', leaderEpoch: 3 },
      { topic: 'audit', partition: 0, offset: 5 },
    ]

    test('are committed with the transaction, and not without', async () => {
      const stage = await set()
      const orders = await ready(stage)
      orders.beginTransaction()
      await send(orders, 0, 'a')
      await orders.sendOffsetsToTransaction(offsets, { groupId: 'readers' })
      expect(stage.cluster.committedOffsets('readers')).toEqual([])
      await orders.commitTransaction()
      const seen = stage.cluster
        .committedOffsets('readers')
        .map((o) => [o.topic, o.partition, Number(o.offset)])
      expect(seen).toEqual([
        ['audit', 0, 5],
        ['orders', 0, 41],
        ['orders', 1, 7],
      ])
      orders.beginTransaction()
      await orders.sendOffsetsToTransaction([{ topic: 'audit', partition: 0, offset: 6 }], {
        groupId: 'readers',
      })
      await orders.abortTransaction()
      expect(stage.cluster.committedOffsets('readers')).toHaveLength(3)
      expect(stage.cluster.committedOffsets('readers').some(({ offset }) => Number(offset) === 6)).toBe(false)
    })

    test('of a member that is gone are refused, and the transaction can be aborted', async () => {
      const stage = await set()
      stage.cluster.setGroup('readers', { generationId: 5, members: [{ memberId: 'm-1' }] })
      const orders = await ready(stage)
      orders.beginTransaction()
      const stale = { groupId: 'readers', generationId: 4, memberId: 'm-1' }
      const error = await failure(orders.sendOffsetsToTransaction(offsets, stale))
      expect(error).toMatchObject({ code: 'ILLEGAL_GENERATION', abortable: true })
      expect(await failure(orders.commitTransaction())).toMatchObject({ cause: error })
      await orders.abortTransaction()
      await orders.transaction((tx) =>
        tx.sendOffsetsToTransaction(offsets, { groupId: 'readers', generationId: 5, memberId: 'm-1' }),
      )
      expect(stage.cluster.committedOffsets('readers')).toHaveLength(3)
    })

    test('that are none are refused by name, and do no harm', async () => {
      const stage = await set()
      const orders = await ready(stage)
      orders.beginTransaction()
      const group = { groupId: 'readers' }
      const refused: [unknown, unknown, RegExp][] = [
        [[{ topic: 'orders', partition: 0, offset: -1 }], group, /offset of orders-0 .* 2\^63 - 1, not -1/],
        [[{ topic: 'orders', partition: 0, offset: 1.5 }], group, /not 1.5/],
        [[{ topic: 'orders', partition: 0, offset: 'x' }], group, /not "x"/],
        [[{ topic: 'orders', partition: -1, offset: 1 }], group, /partition of topic orders/],
        [[{ topic: '', partition: 0, offset: 1 }], group, /topic must be/],
        [undefined, group, /offsets must be an iterable/],
        [[{ topic: 'orders', partition: 0, offset: 1, leaderEpoch: 1.5 }], group, /leaderEpoch of orders-0/],
        [[{ topic: 'orders', partition: 0, offset: 1, leaderEpoch: 2 ** 31 }], group, /leaderEpoch/],
        [[{ topic: 'orders', partition: 0, offset: 1, metadata: 7 }], group, /metadata of orders-0/],
        [[null], group, /each of the offsets .*not null/],
        [offsets, { groupId: 'readers', generationId: '4', memberId: 'm' }, /groupMetadata.generationId/],
        [offsets, { groupId: 'readers', generationId: 1.5, memberId: 'm' }, /groupMetadata.generationId/],
        [offsets, { groupId: 'readers', memberId: 7 }, /groupMetadata.memberId/],
        [offsets, { groupId: 'readers', groupInstanceId: 7 }, /groupMetadata.groupInstanceId/],
        [offsets, undefined, /groupMetadata.groupId/],
        [offsets, { groupId: '' }, /groupMetadata.groupId/],
        [offsets, { groupId: 'readers', generationId: 4 }, /groupMetadata.memberId/],
      ]
      for (const [given, metadata, message] of refused) {
        const error = await failure<KafkaError>(
          orders.sendOffsetsToTransaction(given as typeof offsets, metadata as typeof group),
        )
        expect(error.code).toBe('INVALID_ARGUMENT')
        expect(error.message).toMatch(message)
      }
      await orders.sendOffsetsToTransaction([], group)
      await orders.commitTransaction()
    })

    test('that nobody awaits make the commit fail, and do not end the process', async () => {
      const stage = await set()
      stage.cluster.setGroup('readers', { generationId: 5, members: [{ memberId: 'm-1' }] })
      const orders = await ready(stage)
      const unhandled: unknown[] = []
      const listener = (error: unknown): void => void unhandled.push(error)
      process.on('unhandledRejection', listener)
      onTestFinished(() => void process.off('unhandledRejection', listener))
      const stale = { groupId: 'readers', generationId: 4, memberId: 'm-1' }
      const run = orders.transaction((tx) => {
        void tx.sendOffsetsToTransaction(offsets, stale)
      })
      expect(await failure(run)).toMatchObject({ cause: { code: 'ILLEGAL_GENERATION' } })
      orders.beginTransaction()
      void orders.sendOffsetsToTransaction(offsets, stale)
      expect(await failure(orders.commitTransaction())).toMatchObject({
        cause: { code: 'ILLEGAL_GENERATION' },
      })
      await new Promise((resolve) => setImmediate(resolve))
      expect(unhandled).toEqual([])
    })

    test('that come to no end within maxBlockMs: the error quotes the coordinator of the group', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { ...slow, maxBlockMs: 3000 })
      orders.beginTransaction()
      await send(orders, 0, 'a')
      const undo = stage.cluster.fail(
        { api: 'TxnOffsetCommit', times: Infinity },
        { error: 'COORDINATOR_LOAD_IN_PROGRESS' },
      )
      const late = failure<KafkaError>(orders.sendOffsetsToTransaction(offsets, { groupId: 'readers' }))
      await stage.clock.advance(3000)
      expect(await late).toMatchObject({ name: 'TimeoutError' })
      expect((await late).message).toMatch(
        /COORDINATOR_LOAD_IN_PROGRESS .*consumer group readers|consumer group readers.*COORDINATOR_LOAD_IN_PROGRESS/,
      )
      undo()
      const done = orders.commitTransaction()
      await stage.clock.advance(1000)
      await done
      expect(stage.cluster.committedOffsets('readers')).toHaveLength(3)
    })

    test('go to a group coordinator that has moved', async () => {
      const stage = await arena({ topics, transactionVersion, brokers: 3 })
      const orders = await ready(stage)
      for (const offset of [1, 2, 3]) {
        await orders.transaction((tx) =>
          tx.sendOffsetsToTransaction([{ topic: 'orders', partition: 0, offset }], { groupId: 'readers' }),
        )
        stage.cluster.moveCoordinator('group', 'readers')
      }
      expect(Number(stage.cluster.committedOffsets('readers')[0]?.offset)).toBe(3)
    })
  })

  describe('transaction(fn)', () => {
    test('initializes, commits and returns what the function returns', async () => {
      const stage = await set()
      const orders = stage.producer(transactional)
      const offset = await orders.transaction(async (tx) => (await send(tx, 0, 'a')).offset)
      expect(offset).toBe(0n)
      expect(await orders.transaction(() => 'nothing sent')).toBe('nothing sent')
      expect(requests(stage.cluster, 'InitProducerId')).toHaveLength(1)
      expect(committed(stage.cluster)).toEqual(['a'])
    })

    test('aborts when the function throws, and throws the same', async () => {
      const stage = await set()
      const orders = stage.producer(transactional)
      const boom = new Error('boom')
      const run = orders.transaction(async (tx) => {
        await send(tx, 0, 'a')
        throw boom
      })
      expect(await failure(run)).toBe(boom)
      expect(all(stage.cluster)).toEqual(['a'])
      expect(committed(stage.cluster)).toEqual([])
      await orders.transaction((tx) => send(tx, 0, 'b'))
      expect(committed(stage.cluster)).toEqual(['b'])
    })

    test('aborts when a record failed that nobody awaited', async () => {
      const stage = await set()
      const orders = stage.producer(transactional)
      stage.cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
      const run = orders.transaction((tx) => {
        void send(tx, 0, 'a')
      })
      expect(await failure(run)).toMatchObject({
        name: 'TransactionAbortedError',
        cause: { code: 'INVALID_RECORD' },
      })
      await orders.transaction((tx) => send(tx, 0, 'b'))
      expect(committed(stage.cluster)).toEqual(['b'])
    })

    test('takes in what the producer and its handles send meanwhile', async () => {
      const stage = await set()
      const orders = stage.producer(transactional)
      const audit = orders.topic('audit')
      await failure(
        orders.transaction(async (tx) => {
          await Promise.all([
            send(orders, 0, 'by producer'),
            audit.send({ value: 'by handle' }),
            tx.topic('audit').send({ value: 'by tx handle' }),
          ])
          throw new Error('no')
        }),
      )
      expect(all(stage.cluster, 'audit')).toHaveLength(2)
      expect([...committed(stage.cluster), ...committed(stage.cluster, 'audit')]).toEqual([])
    })

    test('refuses a second one while it runs, and its tx afterwards', async () => {
      const stage = await set()
      const orders = stage.producer(transactional)
      let kept: Transaction | undefined
      await orders.transaction(async (tx) => {
        kept = tx
        expect(await failure(orders.transaction(() => 1))).toMatchObject({ name: 'IllegalStateError' })
        await send(tx, 0, 'a')
      })
      const dead = { name: 'IllegalStateError', message: expect.stringContaining('transaction() has ended') }
      expect(await failure(send(kept!, 0, 'b'))).toMatchObject(dead)
      expect(await failure(kept!.topic('orders').send({ value: 'c' }))).toMatchObject(dead)
      expect(await failure(kept!.sendOffsetsToTransaction([], { groupId: 'g' }))).toMatchObject(dead)
      orders.beginTransaction()
      expect(await failure(send(kept!, 0, 'd'))).toMatchObject(dead)
      await orders.commitTransaction()
      expect(committed(stage.cluster)).toEqual(['a'])
    })

    test('does not abort after a commit that timed out', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { maxBlockMs: 5000 })
      stage.cluster.fail({ api: 'EndTxn' }, { delayMs: 6000 })
      const run = failure(orders.transaction((tx) => send(tx, 0, 'a')))
      await stage.clock.advance(5000)
      expect(await run).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: true })
      await stage.clock.advance(2000)
      await orders.commitTransaction()
      expect(committed(stage.cluster)).toEqual(['a'])
      expect(requests(stage.cluster, 'EndTxn')).toHaveLength(1)
    })

    test('goes on after an initialization that timed out and succeeded later', async () => {
      const stage = await frozen()
      const orders = stage.producer({ ...transactional, ...slow, maxBlockMs: 3000 })
      const undo = stage.cluster.fail(
        { api: 'FindCoordinator', times: Infinity },
        { error: 'COORDINATOR_NOT_AVAILABLE' },
      )
      const late = failure(orders.transaction((tx) => send(tx, 0, 'a')))
      await stage.clock.advance(3000)
      expect(await late).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: false })
      undo()
      await stage.clock.advance(1000)
      for (const value of ['b', 'c']) await orders.transaction((tx) => send(tx, 0, value))
      expect(committed(stage.cluster)).toEqual(['b', 'c'])
    })

    test('goes on after an abort that timed out, as soon as that has succeeded', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { ...slow, maxBlockMs: 3000 })
      const undo = stage.cluster.fail(
        { api: 'EndTxn', times: Infinity },
        { error: 'COORDINATOR_LOAD_IN_PROGRESS' },
      )
      const boom = new Error('boom')
      const run = failure(
        orders.transaction(async (tx) => {
          await send(tx, 0, 'a')
          throw boom
        }),
      )
      await stage.clock.advance(3000)
      expect(await run).toBe(boom)
      const late = failure(orders.transaction((tx) => send(tx, 0, 'b')))
      await stage.clock.advance(3000)
      expect(await late).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: false })
      undo()
      await stage.clock.advance(1000)
      for (const value of ['c', 'd']) await orders.transaction((tx) => send(tx, 0, value))
      expect(committed(stage.cluster)).toEqual(['c', 'd'])
    })

    test('is refused while a commit has no outcome yet', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { maxBlockMs: 5000 })
      stage.cluster.fail({ api: 'EndTxn' }, { delayMs: 6000 })
      const run = failure(orders.transaction((tx) => send(tx, 0, 'a')))
      await stage.clock.advance(7000)
      expect(await run).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: true })
      const refused = await failure(orders.transaction((tx) => send(tx, 0, 'b')))
      expect(refused).toMatchObject({ name: 'IllegalStateError' })
      expect(refused.message).toContain('commitTransaction()')
    })

    test('says that nothing was written when a record that may have been was aborted', async () => {
      const stage = await frozen()
      const orders = await ready(stage, { ...slow, deliveryTimeoutMs: 3000, requestTimeoutMs: 2000 })
      stage.cluster.fail({ api: 'Produce', times: Infinity }, { error: 'REQUEST_TIMED_OUT' })
      let lost: KafkaError | undefined
      const run = failure<KafkaError>(
        orders.transaction(async (tx) => {
          await send(tx, 0, 'a').catch((error: KafkaError) => {
            lost = error
            throw error
          })
        }),
      )
      await stage.clock.advance(5000)
      expect(await run).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: false })
      expect(lost).toMatchObject({ mayHaveBeenWritten: true })
      expect((await run).cause).toBe(lost)
      expect(committed(stage.cluster)).toEqual([])
    })
  })

  test('a call that is not legal names the state and what is allowed', async () => {
    const stage = await set()
    const orders = stage.producer(transactional)
    const calls = {
      initTransactions: () => orders.initTransactions(),
      beginTransaction: async () => orders.beginTransaction(),
      send: () => send(orders, 0, 'a'),
      sendOffsetsToTransaction: () =>
        orders.sendOffsetsToTransaction([{ topic: 'orders', partition: 0, offset: 1 }], { groupId: 'g' }),
      commitTransaction: () => orders.commitTransaction(),
      abortTransaction: () => orders.abortTransaction(),
    }
    const expectRefused = async (state: keyof typeof transactionStates): Promise<void> => {
      const allowed: readonly string[] = transactionStates[state].calls
      for (const [name, call] of Object.entries(calls)) {
        if (allowed.includes(name)) continue
        const error = await failure(call())
        expect(error, name).toMatchObject({ name: 'IllegalStateError' })
        expect(error.message).toContain(`state ${state}`)
        for (const legal of allowed) expect(error.message).toContain(`${legal}()`)
      }
    }
    await expectRefused('UNINITIALIZED')
    await orders.initTransactions()
    await expectRefused('READY')
    orders.beginTransaction()
    await expectRefused('IN_TRANSACTION')
    await orders.commitTransaction()
  })

  test('a call that is not legal after a failure says so too', async () => {
    const stage = await set()
    const orders = await ready(stage)
    orders.beginTransaction()
    await send(orders, 0, 'a')
    stage.cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
    await failure(send(orders, 0, 'b'))
    const calls = [
      () => send(orders, 0, 'c'),
      () => orders.sendOffsetsToTransaction([], { groupId: 'g' }),
      () => orders.commitTransaction(),
      () => orders.initTransactions(),
      async () => orders.beginTransaction(),
    ]
    for (const call of calls) {
      const error = await failure(call())
      expect(error).toMatchObject({ name: 'TransactionAbortedError', cause: { code: 'INVALID_RECORD' } })
      expect(error.message).toContain('state ABORTABLE_ERROR; allowed: abortTransaction(), close()')
    }
    stage.cluster.fail({ api: 'EndTxn' }, { error: 'PRODUCER_FENCED' })
    const fatal = await failure(orders.abortTransaction())
    for (const call of calls) {
      const error = await failure(call())
      expect(error).toMatchObject({ name: 'ProducerFencedError', code: 'PRODUCER_FENCED', fatal: true })
      expect(error.cause).toBe(fatal)
      expect(error.message).toContain('state FATAL_ERROR; allowed: close()')
    }
  })
})

test('transactions become v2 when the cluster does, and classic again when it goes back', async () => {
  const { cluster, producer } = await arena({ topics, transactionVersion: 1, brokers: 2 })
  const orders = producer({ ...transactional, connectionsMaxIdleMs: 1 })
  const run = async (value: string): Promise<void> => {
    await orders.transaction(async (tx) => {
      await tx.send({ topic: 'orders', partition: 0, value })
    })
    for (const id of [1, 2]) {
      await cluster.stopBroker(id)
      await cluster.startBroker(id)
    }
  }
  await run('a')
  cluster.setTransactionVersion(2)
  await run('b')
  await run('c')
  await run('d')
  cluster.setTransactionVersion(1)
  await run('e')
  await run('f')
  expect(committed(cluster)).toEqual(['a', 'b', 'c', 'd', 'e', 'f'])
  const versions = requests(cluster, 'EndTxn').map(({ version }) => version)
  expect(versions).toContain(5)
  expect(versions[0]).toBe(4)
  expect(versions.at(-1)).toBe(4)
})

test('the producer gets another id when the epochs of its first are used up', async () => {
  for (const transactionVersion of [1, 2] as const) {
    const { cluster, producer } = await arena({ topics, transactionVersion, firstProducerEpoch: 32_764 })
    const orders = producer(transactional)
    const sent: string[] = []
    for (let i = 0; i < 6; i++) {
      await orders.transaction((tx) => tx.send({ topic: 'orders', partition: 0, value: `c${i}` }))
      sent.push(`c${i}`)
      cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
      await failure(orders.transaction((tx) => void tx.send({ topic: 'orders', partition: 0, value: 'x' })))
    }
    expect(committed(cluster)).toEqual(sent)
    const ids = new Set(cluster.records('orders').map(({ producerId }) => producerId))
    expect(ids.size).toBeGreaterThan(1)
  }
})

test('the last epoch whose answer got lost is the end, for coordinators cannot give it again', async () => {
  const { cluster, producer } = await arena({ topics, transactionVersion: 1, firstProducerEpoch: 32_765 })
  const orders = producer(transactional)
  await orders.initTransactions()
  orders.beginTransaction()
  cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
  await failure(orders.send({ topic: 'orders', partition: 0, value: 'x' }))
  cluster.fail({ api: 'InitProducerId' }, { cutAfterBytes: 0 })
  expect(await failure(orders.abortTransaction())).toMatchObject({
    code: 'UNKNOWN_SERVER_ERROR',
    fatal: true,
  })
})

test.each(['AddPartitionsToTxn', 'AddOffsetsToTxn', 'TxnOffsetCommit', 'EndTxn'] as const)(
  'classic transactions: the epoch is raised after %s was lost, so that it cannot come late into the next transaction',
  async (api) => {
    const { cluster, producer } = await arena({ topics, transactionVersion: 1 })
    const orders = producer(transactional)
    const run = (): Promise<void> =>
      orders.transaction(async (tx) => {
        await tx.send({ topic: 'orders', partition: 0, value: 'a' })
        await tx.sendOffsetsToTransaction([{ topic: 'orders', partition: 0, offset: 1 }], {
          groupId: 'readers',
        })
      })
    await run()
    expect(cluster.describeTransaction('checkout')).toMatchObject({ epoch: 0 })
    cluster.fail({ api }, { cutAfterBytes: 0 })
    await run()
    expect(cluster.describeTransaction('checkout')).toMatchObject({ epoch: 1 })
    await run()
    expect(cluster.describeTransaction('checkout')).toMatchObject({ epoch: 1 })
  },
)

test('a commit that has succeeded is told so, also when the producer is unusable right after it', async () => {
  const { cluster, producer } = await arena({ topics, transactionVersion: 1 })
  const orders = producer(transactional)
  const fatal: KafkaError[] = []
  orders.on('fatal', (error) => fatal.push(error))
  await orders.initTransactions()
  cluster.fail({ api: 'AddPartitionsToTxn' }, { cutAfterBytes: 0 })
  cluster.fail({ api: 'InitProducerId' }, { error: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED' })
  await orders.transaction((tx) => tx.send({ topic: 'orders', partition: 0, value: 'a' }))
  expect(committed(cluster)).toEqual(['a'])
  expect(fatal).toMatchObject([{ code: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', fatal: true }])
  expect(await failure(orders.transaction(() => 1))).toMatchObject({ cause: fatal[0] })
})

test('a lost request is no reason to give up with brokers that cannot raise the epoch', async () => {
  const { cluster, producer } = await arena({
    topics,
    transactionVersion: 1,
    versions: { InitProducerId: [0, 2] },
  })
  const orders = producer(transactional)
  cluster.fail({ api: 'EndTxn' }, { cutAfterBytes: 0 })
  for (const value of ['a', 'b'])
    await orders.transaction((tx) => tx.send({ topic: 'orders', partition: 0, value }))
  expect(committed(cluster)).toEqual(['a', 'b'])
})

test('without a transactional id the calls of transactions are an IllegalStateError', async () => {
  const { producer } = await arena({ topics })
  const orders = producer()
  for (const call of ['initTransactions', 'commitTransaction', 'abortTransaction'] as const) {
    expect(await failure(orders[call]())).toMatchObject({
      name: 'IllegalStateError',
      message: `${call}() needs a producer with a transactionalId`,
    })
  }
  expect(() => orders.beginTransaction()).toThrow('transactionalId')
  expect(await failure(orders.transaction(() => 1))).toMatchObject({ name: 'IllegalStateError' })
})
