/** Batches that a broker refuses as a whole: too large, or with bad records in them. */
import { describe, expect, test } from 'vitest'
import type { KafkaError, RecordMetadata } from '../../src/index.js'
import { arena, batches, failure, stored, turnsUntil } from './arena.js'

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
