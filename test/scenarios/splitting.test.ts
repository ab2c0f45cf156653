/** Batches that a broker refuses as a whole: too large, or with bad records in them. */
import { describe, expect, test } from 'vitest'
import type { KafkaError, RecordMetadata } from '../../src/index.js'
import { arena, batches, failure, frozenArena, stored, turnsUntil } from './arena.js'

const small = { topics: { orders: { partitions: 1, maxMessageBytes: 300 } } }

describe('MESSAGE_TOO_LARGE', () => {
  test('the batch is halved until it fits; every record arrives once, in order, with its own offset', async () => {
    const { cluster, producer } = await arena(small)
    const orders = producer({ lingerMs: 1 })
    const values = Array.from({ length: 20 }, (_, i) => `${i}`.padStart(60, '.'))
    const sent = await Promise.all(values.map((value) => orders.send({ topic: 'orders', value })))
    expect(stored(cluster)).toEqual(values)
    expect(sent.map(({ offset }) => offset)).toEqual(values.map((_, i) => BigInt(i)))
    expect(orders.metrics()).toMatchObject({ recordErrorTotal: 0, batchSplitTotal: 7 })
    // Halves share the sequences of the whole: 0 to 19, no epoch is spent.
    expect(batches(cluster).filter((one) => one.endsWith('NONE'))).toEqual(
      [0, 2, 5, 7, 10, 12, 15, 17].map((sequence) => `0/${sequence} NONE`),
    )
  })

  test('with more in flight behind it: order is kept', async () => {
    const { cluster, producer } = await arena(small)
    const orders = producer({ batchSize: 500 })
    const values = Array.from({ length: 60 }, (_, i) => `${i}`.padStart(60, '.'))
    await Promise.all(values.map((value) => orders.send({ topic: 'orders', value })))
    expect(stored(cluster)).toEqual(values)
  })

  test('one record that is too large fails alone, by name; the others of its batch arrive', async () => {
    const { cluster, producer } = await arena(small)
    const orders = producer({ lingerMs: 1 })
    const values = ['a', 'b', 'x'.repeat(300), 'c', 'd']
    const outcomes = values.map((value) => orders.send({ topic: 'orders', value }))
    const error = await failure<KafkaError>(outcomes[2]!)
    expect(error).toMatchObject({
      name: 'RecordTooLargeError',
      code: 'MESSAGE_TOO_LARGE',
      mayHaveBeenWritten: false,
    })
    expect(error.message).toContain('1 record(s) for orders-0')
    const others = await Promise.allSettled(outcomes)
    expect(others.map(({ status }) => status)).toEqual([
      'fulfilled',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    expect(stored(cluster)).toEqual(['a', 'b', 'c', 'd'])
    await orders.send({ topic: 'orders', value: 'e' })
    expect(stored(cluster)).toEqual(['a', 'b', 'c', 'd', 'e'])
  })

  test('without idempotence batches are split too', async () => {
    const { cluster, producer } = await arena(small)
    const orders = producer({ lingerMs: 1, acks: 1 })
    const values = Array.from({ length: 8 }, (_, i) => `${i}`.padStart(60, '.'))
    await Promise.all(values.map((value) => orders.send({ topic: 'orders', value })))
    expect(stored(cluster)).toEqual(values)
  })
})

describe('a split is no attempt (KIP-126)', () => {
  test('halves have all retries before them, however often the whole was split', async () => {
    const { cluster, producer } = await arena({ topics: { orders: { partitions: 1, maxMessageBytes: 150 } } })
    const orders = producer({ lingerMs: 1, retries: 3 })
    // The whole has spent its retries when it turns out to be too large, and its first record needs as many again.
    const refusal = { error: 'NOT_ENOUGH_REPLICAS' }
    cluster.fail({ api: 'Produce', nth: 1, times: 3 }, refusal)
    cluster.fail({ api: 'Produce', nth: 8, times: 3 }, refusal)
    const values = Array.from({ length: 16 }, (_, i) => `${i}`.padStart(60, '.'))
    await Promise.all(values.map((value) => orders.send({ topic: 'orders', value })))
    expect(stored(cluster)).toEqual(values)
    const refused = Array.from({ length: 3 }, () => '0/0 NOT_ENOUGH_REPLICAS')
    const tooLarge = Array.from({ length: 4 }, () => '0/0 MESSAGE_TOO_LARGE')
    expect(batches(cluster).slice(0, 11)).toEqual([...refused, ...tooLarge, ...refused, '0/0 NONE'])
  })

  test('and costs no back-off, nor does the gap that a record leaves which is too large by itself', async () => {
    const { clock, cluster, producer } = await frozenArena(small)
    const orders = producer({ lingerMs: 1, batchSize: 100_000, retryBackoffMs: 100, retryBackoffMaxMs: 1000 })
    const values = Array.from({ length: 48 }, (_, i) => `${i}`.padStart(i % 4 === 3 ? 300 : 10, '.'))
    const ended = Promise.allSettled(values.map((value) => orders.send({ topic: 'orders', value })))
    await clock.advance(1)
    const begun = clock.now()
    await turnsUntil(() => stored(cluster).length === 36)
    expect(stored(cluster)).toEqual(values.filter((value) => value.length < 300))
    expect(clock.now()).toBe(begun)
    expect((await ended).filter(({ status }) => status === 'rejected')).toHaveLength(12)
  })

  test('records that are refused for the gaps of others spend none of their retries', async () => {
    const { cluster, producer } = await arena(small)
    const orders = producer({ batchSize: 80, retries: 1 })
    await orders.send({ topic: 'orders', value: 'first' })
    // Too large, and all behind it are refused for the gap; begun anew, another one is refused, and what is behind it again.
    cluster.fail({ api: 'Produce', nth: 7 }, { error: 'POLICY_VIOLATION' })
    const values = ['x'.repeat(300), 'a', 'refused', 'b', 'c'].map((value) => value.padEnd(15))
    const outcomes = await Promise.allSettled(values.map((value) => orders.send({ topic: 'orders', value })))
    expect(outcomes.map(({ status }) => status)).toEqual([
      'rejected',
      'fulfilled',
      'rejected',
      'fulfilled',
      'fulfilled',
    ])
    expect(stored(cluster).map((value) => value?.trim())).toEqual(['first', 'a', 'b', 'c'])
  })

  test('a broker that finds a gap before sequence 0 is asked again with back-off', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ retryBackoffMs: 100, retryBackoffMaxMs: 1000 })
    cluster.fail({ api: 'Produce', times: Infinity }, { error: 'OUT_OF_ORDER_SEQUENCE_NUMBER' })
    const sent = failure<KafkaError>(orders.send({ topic: 'orders', value: 'v' }))
    await clock.advance(10_000)
    const tries = batches(cluster).length
    expect(tries).toBeGreaterThan(5)
    expect(tries).toBeLessThan(20)
    await clock.advance(200_000)
    expect(await sent).toMatchObject({ name: 'TimeoutError' })
  })
})

describe('halves of a batch that may be in the log', () => {
  test('say so when they fail', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ lingerMs: 1 })
    cluster.fail({ api: 'Produce', nth: 1 }, 'close')
    cluster.fail({ api: 'Produce', nth: 2 }, { error: 'MESSAGE_TOO_LARGE' })
    cluster.fail({ api: 'Produce', nth: 3 }, { error: 'POLICY_VIOLATION' })
    const [a, b] = ['a', 'b'].map((value) => orders.send({ topic: 'orders', value }))
    expect(await failure<KafkaError>(a!)).toMatchObject({
      code: 'POLICY_VIOLATION',
      mayHaveBeenWritten: true,
    })
    await b
    expect(stored(cluster)).toEqual(['b'])
  })

  test('are not stored a second time: the log does not know them, but it knows the whole', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ lingerMs: 1 })
    cluster.fail({ api: 'Produce', nth: 1 }, { cutAfterBytes: 0 })
    cluster.fail({ api: 'Produce', nth: 2 }, { error: 'MESSAGE_TOO_LARGE' })
    const sent = ['a', 'b'].map((value) => failure<KafkaError>(orders.send({ topic: 'orders', value })))
    const unknown = { code: 'OUT_OF_ORDER_SEQUENCE_NUMBER', mayHaveBeenWritten: true }
    expect(await Promise.all(sent)).toMatchObject([unknown, unknown])
    await orders.send({ topic: 'orders', value: 'c' })
    expect(stored(cluster)).toEqual(['a', 'b', 'c'])
  })

  test('are sent again behind a batch that is certainly not there: then the whole is not there either', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ batchSize: 80 })
    await orders.send({ topic: 'orders', value: 'first' })
    cluster.fail({ api: 'Produce', nth: 1 }, { error: 'POLICY_VIOLATION' })
    cluster.fail({ api: 'Produce', nth: 2 }, 'close')
    cluster.fail({ api: 'Produce', nth: 3 }, { error: 'MESSAGE_TOO_LARGE' })
    const refused = failure<KafkaError>(orders.send({ topic: 'orders', value: 'x'.repeat(20) }))
    const sent = ['a', 'b'].map((value) => orders.send({ topic: 'orders', value }))
    expect(await refused).toMatchObject({ code: 'POLICY_VIOLATION' })
    await Promise.all(sent)
    expect(stored(cluster)).toEqual(['first', 'a', 'b'])
    expect(orders.metrics().batchSplitTotal).toBe(1)
  })
})

describe('bad records (KIP-467)', () => {
  const compacted = { topics: { orders: { partitions: 1, cleanupPolicy: 'compact' as const } } }

  test("get the broker's words, and the others of the batch an error that says that they were not written", async () => {
    const { cluster, producer } = await arena(compacted)
    const orders = producer({ lingerMs: 1 })
    const keys = ['a', null, 'b', null]
    const outcomes = keys.map((key, i) =>
      failure<KafkaError>(orders.send({ topic: 'orders', key, value: String(i) })),
    )
    const errors = await Promise.all(outcomes)
    const bad = { code: 'INVALID_RECORD', retriable: false, mayHaveBeenWritten: false }
    const innocent = { code: 'INVALID_RECORD', retriable: true, mayHaveBeenWritten: false }
    expect(errors).toMatchObject([innocent, bad, innocent, bad])
    expect(errors[1]!.message).toContain('record 1 of 4')
    expect(errors[1]!.message).toContain('a compacted topic takes no record without a key')
    expect(errors[0]!.message).toContain('2 invalid record(s), so none of it was written')
    expect(stored(cluster)).toEqual([])
    await orders.send({ topic: 'orders', key: 'a', value: 'again' })
    expect(stored(cluster)).toEqual(['again'])
    expect(batches(cluster)).toEqual(['0/0 INVALID_RECORD', '1/0 NONE'])
  })

  test('a timestamp too far ahead is refused by the index of its record', async () => {
    const { producer } = await arena()
    const orders = producer({ lingerMs: 1 })
    const good = failure<KafkaError>(orders.send({ topic: 'orders', value: 'now' }))
    const bad = failure(orders.send({ topic: 'orders', value: 'later', timestamp: Date.now() + 7_200_000 }))
    expect(await bad).toMatchObject({ code: 'INVALID_TIMESTAMP', retriable: false })
    expect(await good).toMatchObject({ code: 'INVALID_TIMESTAMP', retriable: true })
  })

  test('what was in flight behind them is sent again under a new epoch, in order', async () => {
    const { cluster, producer } = await arena(compacted)
    const orders = producer({ batchSize: 90 })
    await orders.send({ topic: 'orders', key: 'k', value: 'first' })
    const ended: (bigint | string)[] = []
    const hear = (error: KafkaError | null, { offset }: RecordMetadata) => ended.push(error?.code ?? offset)
    orders.send({ topic: 'orders', value: 'bad'.padEnd(30) }, hear)
    for (let i = 0; i < 6; i++) orders.send({ topic: 'orders', key: 'k', value: String(i).padEnd(30) }, hear)
    await orders.flush()
    await turnsUntil(() => ended.length === 7)
    expect(ended).toEqual(['INVALID_RECORD', 1n, 2n, 3n, 4n, 5n, 6n])
    expect(stored(cluster).map((value) => value?.trim())).toEqual(['first', '0', '1', '2', '3', '4', '5'])
    expect(new Set(cluster.records('orders').map(({ epoch }) => epoch))).toEqual(new Set([0, 1]))
  })
})

test('min ISR lost: retried until deliveryTimeoutMs at most, and delivered when replicas are back', async () => {
  const { cluster, producer } = await arena({
    brokers: 3,
    topics: { orders: { partitions: 1, minInsyncReplicas: 2 } },
  })
  const { leader, replicas } = cluster.describePartition('orders', 0)
  cluster.setIsr('orders', 0, [leader])
  const sent = producer().send({ topic: 'orders', value: 'v' })
  await turnsUntil(() => batches(cluster).length > 2)
  cluster.setIsr('orders', 0, replicas)
  expect(await sent).toMatchObject({ offset: 0n })
  expect(new Set(batches(cluster))).toEqual(new Set(['0/0 NOT_ENOUGH_REPLICAS', '0/0 NONE']))
})
