/** connect, partitionsFor, flush and close, in good times and in bad ones. */
import { describe, expect, test } from 'vitest'
import type { KafkaError, RecordMetadata } from '../../src/index.js'
import { arena, failure, frozenArena, requests, stored, turnsUntil } from './arena.js'

/** Sends so many, and collects how each ended. */
function sendMany(
  producer: { send(record: { topic: string; value: string }): Promise<RecordMetadata> },
  count: number,
): { ended: (string | bigint)[] } {
  const ended: (string | bigint)[] = []
  for (let i = 0; i < count; i++) {
    producer.send({ topic: 'orders', value: String(i) }).then(
      ({ offset }) => ended.push(offset),
      (error: KafkaError) => ended.push(error.code),
    )
  }
  return { ended }
}

describe('connect', () => {
  test('fails at start-up rather than with the first record, and says what each server answered', async () => {
    const { clock, cluster, producer } = await frozenArena({ brokers: 2 })
    await cluster.close()
    const orders = producer({ maxBlockMs: 10_000, reconnectBackoffMs: 50, reconnectBackoffMaxMs: 1000 })
    const error = failure(orders.connect())
    await clock.advance(9_999)
    await clock.advance(2_000)
    expect(await error).toMatchObject({ name: 'TimeoutError', retriable: true })
    expect((await error).message).toMatch(
      /10000 ms \(maxBlockMs\).*broker-1:9092.*ECONNREFUSED.*broker-2:9092.*ECONNREFUSED/,
    )
  })

  test('opens a connection that the first record then uses', async () => {
    const { cluster, producer } = await arena()
    const orders = producer()
    await orders.connect()
    await orders.connect()
    await orders.send({ topic: 'orders', value: 'v' })
    expect(requests(cluster, 'ApiVersions')).toHaveLength(1)
  })

  test('goes on when a server comes up within maxBlockMs', async () => {
    const { clock, cluster, producer } = await frozenArena()
    await cluster.stopBroker(1)
    const connected = producer({ reconnectBackoffMs: 50, reconnectBackoffMaxMs: 50 }).connect()
    await clock.advance(5_000)
    await cluster.startBroker(1)
    await clock.advance(1_000)
    await connected
    expect(cluster.connectionCount(1)).toBe(1)
  })
})

describe('partitionsFor', () => {
  test('names partitions and their leaders', async () => {
    const { cluster, producer } = await arena({ brokers: 2, topics: { orders: { partitions: 3 } } })
    cluster.moveLeader('orders', 1, -1)
    const partitions = await producer().partitionsFor('orders')
    expect(partitions).toMatchObject([
      {
        topic: 'orders',
        partition: 0,
        leader: { id: cluster.describePartition('orders', 0).leader, port: 9092 },
      },
      { topic: 'orders', partition: 1, leader: null },
      { topic: 'orders', partition: 2, leaderEpoch: 0 },
    ])
  })

  test('fails with the refusal, or after maxBlockMs with what was said', async () => {
    const { clock, cluster, producer } = await frozenArena({ autoCreateTopics: false })
    const orders = producer({ maxBlockMs: 2_000 })
    cluster.fail({ api: 'Metadata' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
    expect(await failure(orders.partitionsFor('secret'))).toMatchObject({ name: 'AuthorizationError' })
    const missing = failure(orders.partitionsFor('missing'))
    await clock.advance(2_001)
    expect(await missing).toMatchObject({ name: 'TimeoutError' })
    expect((await missing).message).toContain('UNKNOWN_TOPIC_OR_PARTITION')
  })
})

describe('flush', () => {
  test('makes lingering batches due, and waits for what was sent before it', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ lingerMs: 60_000 })
    const { ended } = sendMany(orders, 3)
    await clock.advance(100)
    expect(stored(cluster)).toEqual([])
    await orders.flush()
    await clock.advance(0)
    expect(ended).toEqual([0n, 1n, 2n])
    const later = sendMany(orders, 1)
    await clock.advance(1000)
    expect(later.ended).toEqual([])
  })

  test('is over when records have failed, and does not fail itself', async () => {
    const { cluster, producer } = await arena()
    cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
    const orders = producer()
    const { ended } = sendMany(orders, 3)
    await orders.flush()
    await turnsUntil(() => ended.length === 3)
    expect(ended).toEqual(['INVALID_RECORD', 'INVALID_RECORD', 'INVALID_RECORD'])
  })

  test('waits for records that wait for metadata, and gives them no linger', async () => {
    const { clock, cluster, producer } = await frozenArena()
    cluster.fail({ api: 'Metadata' }, { delayMs: 500 })
    const orders = producer({ lingerMs: 60_000 })
    const { ended } = sendMany(orders, 2)
    const flushed = orders.flush()
    await clock.advance(499)
    expect(ended).toEqual([])
    await clock.advance(1)
    await flushed
    expect(ended).toEqual([0n, 1n])
  })

  test('ends in time when no broker ever answers', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ deliveryTimeoutMs: 40_000, requestTimeoutMs: 5_000 })
    await orders.partitionsFor('orders')
    cluster.pauseBroker(1)
    const { ended } = sendMany(orders, 3)
    let isFlushed = false
    void orders.flush().then(() => (isFlushed = true))
    await clock.advance(39_999)
    expect(isFlushed).toBe(false)
    await clock.advance(1)
    expect(isFlushed).toBe(true)
    expect(ended).toEqual(['TIMEOUT', 'TIMEOUT', 'TIMEOUT'])
  })
})

describe('close', () => {
  test('delivers what was sent, returns 0, and leaves no timer and no connection', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ lingerMs: 60_000 })
    const { ended } = sendMany(orders, 5)
    const closed = orders.close()
    await clock.advance(10)
    expect(await closed).toBe(0)
    expect(ended).toEqual([0n, 1n, 2n, 3n, 4n])
    expect([clock.timers, cluster.connectionCount(1)]).toEqual([0, 0])
  })

  test('twice is the same close, and nothing can be done afterwards', async () => {
    const { producer } = await arena()
    const orders = producer()
    await orders.send({ topic: 'orders', value: 'v' })
    const [one, two] = [orders.close(), orders.close({ timeoutMs: 5000 })]
    expect(await Promise.all([one, two])).toEqual([0, 0])
    expect(await orders.close({ timeoutMs: 0 })).toBe(0)
    const refused = { name: 'ProducerClosedError', code: 'PRODUCER_CLOSED', mayHaveBeenWritten: false }
    expect(await failure(orders.send({ topic: 'orders', value: 'v' }))).toMatchObject(refused)
    expect(await failure(orders.connect())).toMatchObject(refused)
    expect(await failure(orders.partitionsFor('orders'))).toMatchObject(refused)
    await orders.flush()
  })

  test('of a producer that was never used is over at once', async () => {
    const { clock, producer } = await frozenArena()
    expect(await producer().close()).toBe(0)
    expect(clock.timers).toBe(0)
  })

  test('counts what it had accepted, not what is sent to it while it closes', async () => {
    const { cluster, producer } = await arena()
    const orders = producer()
    cluster.fail({ api: 'Produce' }, { delayMs: 5 })
    const sent = orders.send({ topic: 'orders', value: 'in time' })
    const closed = orders.close()
    const late = failure(orders.send({ topic: 'orders', value: 'too late' }))
    expect(await late).toMatchObject({ code: 'PRODUCER_CLOSED' })
    await sent
    expect(await closed).toBe(0)
  })

  test('with timeoutMs 0 fails everything at once and counts it; what is on the wire may have been written', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer()
    const failed: KafkaError[] = []
    orders.on('deliveryError', (error) => failed.push(error))
    await orders.send({ topic: 'orders', value: 'first' })
    cluster.fail({ api: 'Produce' }, 'drop-answer')
    const { ended } = sendMany(orders, 2)
    await turnsUntil(() => requests(cluster, 'Produce').length === 2)
    orders.send({ topic: 'unknown', value: 'waits' }, () => {})
    expect(await orders.close({ timeoutMs: 0 })).toBe(3)
    expect(failed.map(({ code, mayHaveBeenWritten }) => [code, mayHaveBeenWritten])).toEqual([
      ['PRODUCER_CLOSED', false],
      ['PRODUCER_CLOSED', true],
      ['PRODUCER_CLOSED', true],
    ])
    expect(ended).toEqual(['PRODUCER_CLOSED', 'PRODUCER_CLOSED'])
    expect([clock.timers, cluster.connectionCount(1)]).toEqual([0, 0])
  })

  test('with time gives up when it is over', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ retryBackoffMs: 100, retryBackoffMaxMs: 100 })
    cluster.fail({ api: 'Produce', times: Infinity }, { error: 'NOT_ENOUGH_REPLICAS' })
    const { ended } = sendMany(orders, 2)
    let count = -1
    void orders.close({ timeoutMs: 3_000 }).then((undelivered) => (count = undelivered))
    await clock.advance(2_999)
    expect([count, ended]).toEqual([-1, []])
    await clock.advance(1)
    await turnsUntil(() => count === 2)
    expect(ended).toEqual(['PRODUCER_CLOSED', 'PRODUCER_CLOSED'])
    expect([clock.timers, cluster.connectionCount(1)]).toEqual([0, 0])
  })

  test('a second call may shorten the time of the first', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer()
    cluster.pauseBroker(1)
    sendMany(orders, 2)
    const patient = orders.close()
    await clock.advance(1000)
    expect(await orders.close({ timeoutMs: 0 })).toBe(2)
    expect(await patient).toBe(2)
  })

  test('during faults is over within deliveryTimeoutMs, and settles every record once', async () => {
    const { clock, cluster, producer } = await frozenArena()
    cluster.fail({ api: 'Produce', probability: 0.5, seed: 7 }, { cutAfterBytes: 3 })
    const orders = producer({ batchSize: 100, requestTimeoutMs: 2_000, deliveryTimeoutMs: 20_000 })
    const { ended } = sendMany(orders, 50)
    const closed = orders.close()
    await clock.advance(20_000)
    const undelivered = await closed
    expect(ended).toHaveLength(50)
    expect(ended.filter((one) => typeof one === 'string')).toHaveLength(undelivered)
    const values = stored(cluster)
    expect(new Set(values).size).toBe(values.length)
    expect([clock.timers, cluster.connectionCount(1)]).toEqual([0, 0])
  })
})

test('after a fatal error every call fails at once with the cause, and close is over at once', async () => {
  const { cluster, producer } = await arena()
  const orders = producer()
  cluster.fail({ api: 'Produce' }, { error: 'CLUSTER_AUTHORIZATION_FAILED' })
  const fatal = await failure<KafkaError>(orders.send({ topic: 'orders', value: 'v' }))
  expect(fatal).toMatchObject({ name: 'AuthorizationError', fatal: true })
  expect(await failure(orders.send({ topic: 'orders', value: 'v' }))).toBe(fatal)
  expect(await failure(orders.connect())).toBe(fatal)
  expect(await failure(orders.partitionsFor('orders'))).toBe(fatal)
  await orders.flush()
  expect(await orders.close()).toBe(0)
})

test('close() within a delivery callback settles each record once', async () => {
  const { log, producer } = await arena()
  const orders = producer({ lingerMs: 5 })
  const ended: unknown[] = []
  let closed: Promise<number> | undefined
  orders.send({ topic: 'orders', value: 'a' }, (error) => {
    ended.push(error)
    closed = orders.close({ timeoutMs: 0 })
  })
  ended.push((await orders.send({ topic: 'orders', value: 'b' })).offset)
  expect(await closed).toBe(0)
  expect(ended).toEqual([null, 1n])
  expect(log.filter((line) => line.startsWith('error'))).toEqual([])
})
