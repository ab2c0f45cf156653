/** deliveryTimeoutMs, requestTimeoutMs and maxBlockMs mean what they say, whichever state the cluster is in. */
import { describe, expect, test } from 'vitest'
import type { KafkaError } from '../../src/index.js'
import { batches, failure, frozenArena, requests, stored, type FrozenArena } from './arena.js'

const pauses = {
  retryBackoffMs: 100,
  retryBackoffMaxMs: 1000,
  reconnectBackoffMs: 50,
  reconnectBackoffMaxMs: 1000,
  requestTimeoutMs: 5_000,
  deliveryTimeoutMs: 20_000,
}

interface State {
  readonly name: string
  /** Brings the cluster into the state; a record was delivered before. */
  readonly hurt: (cluster: FrozenArena['cluster']) => void | Promise<void>
  readonly mayHaveBeenWritten: boolean
  readonly says: RegExp
}

const states: readonly State[] = [
  {
    name: 'all brokers are gone',
    hurt: (cluster) => cluster.stopBroker(1),
    mayHaveBeenWritten: false,
    says: /never sent; .*broker-1:9092.*ECONNREFUSED/,
  },
  {
    name: 'connected, and silent',
    hurt: (cluster) => cluster.pauseBroker(1),
    mayHaveBeenWritten: true,
    says: /sent 1 time/,
  },
  {
    name: 'answers get lost',
    hurt: (cluster) => void cluster.fail({ api: 'Produce', times: Infinity }, 'drop-answer'),
    mayHaveBeenWritten: true,
    says: /sent \d+ time\(s\); .*(did not answer|has not answered)/,
  },
  {
    name: 'flapping: every connection breaks with the first Produce request',
    hurt: (cluster) => void cluster.fail({ api: 'Produce', times: Infinity }, 'close'),
    mayHaveBeenWritten: true,
    says: /sent \d+ time/,
  },
  {
    name: 'leaderless',
    hurt: (cluster) => void cluster.moveLeader('orders', 0, -1),
    mayHaveBeenWritten: false,
    says: /NOT_LEADER_OR_FOLLOWER|no leader/,
  },
]

describe('deliveryTimeoutMs', () => {
  test.each(states)('holds to the millisecond: $name', async ({ hurt, mayHaveBeenWritten, says }) => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer(pauses)
    await orders.send({ topic: 'orders', value: 'before' })
    await hurt(cluster)
    const outcomes: KafkaError[] = []
    const start = clock.now()
    let endedAt = 0
    orders.send({ topic: 'orders', value: 'v' }, (error) => {
      outcomes.push(error!)
      endedAt = clock.now()
    })
    await clock.advance(60_000)
    expect(endedAt - start).toBe(20_000)
    expect(outcomes).toHaveLength(1)
    expect(outcomes[0]).toMatchObject({
      name: 'TimeoutError',
      code: 'TIMEOUT',
      retriable: true,
      mayHaveBeenWritten,
    })
    expect(outcomes[0]!.message).toContain('20000 ms (deliveryTimeoutMs)')
    expect(outcomes[0]!.message).toMatch(says)
  })

  test('includes the wait for metadata, where maxBlockMs does not end it first', async () => {
    const { clock, cluster, producer } = await frozenArena()
    await cluster.stopBroker(1)
    const outcomes: number[] = []
    const start = clock.now()
    const record = { topic: 'orders', value: 'v' }
    producer({ ...pauses, maxBlockMs: 60_000 }).send(record, () => outcomes.push(clock.now() - start))
    producer({ ...pauses, maxBlockMs: 3_000 }).send(record, () => outcomes.push(clock.now() - start))
    await clock.advance(60_000)
    expect(outcomes).toEqual([3_000, 20_000])
  })

  test('is that of the send, not of the batch: time waited for metadata counts', async () => {
    const { clock, cluster, producer } = await frozenArena()
    cluster.fail({ api: 'Metadata' }, { delayMs: 4_000 })
    cluster.fail({ api: 'Produce', times: Infinity }, { error: 'NOT_ENOUGH_REPLICAS' })
    const start = clock.now()
    let endedAt = 0
    producer(pauses).send({ topic: 'orders', value: 'v' }, () => (endedAt = clock.now()))
    await clock.advance(60_000)
    expect(endedAt - start).toBe(20_000)
  })

  test('min ISR lost for good: the message tells the operator what to look at', async () => {
    const { clock, cluster, producer } = await frozenArena({
      brokers: 3,
      topics: { orders: { partitions: 1, minInsyncReplicas: 2 } },
    })
    cluster.setIsr('orders', 0, [cluster.describePartition('orders', 0).leader])
    const error = failure<KafkaError>(producer(pauses).send({ topic: 'orders', value: 'v' }))
    await clock.advance(20_000)
    expect(await error).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: false, cause: { code: 'NOT_ENOUGH_REPLICAS' } }) // prettier-ignore
    expect((await error).message).toMatch(/orders-0 .*min\.insync\.replicas/)
  })
})

describe('requestTimeoutMs', () => {
  test('ends the connection, and the records go over the next one, once', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer(pauses)
    const lost: (string | undefined)[] = []
    orders.on('disconnect', ({ error }) => lost.push(error?.message))
    await orders.send({ topic: 'orders', value: 'a' })
    cluster.fail({ api: 'Produce' }, 'drop-answer')
    const sent = [orders.send({ topic: 'orders', value: 'b' })]
    await clock.advance(1_000)
    sent.push(orders.send({ topic: 'orders', value: 'c' }))
    await clock.advance(3_999)
    expect(lost).toEqual([])
    await clock.advance(1)
    expect(lost).toEqual([expect.stringContaining('within 5000 ms (requestTimeoutMs)')])
    await clock.advance(1_000)
    expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual([1n, 2n])
    expect(stored(cluster)).toEqual(['a', 'b', 'c'])
    expect(requests(cluster, 'ApiVersions')).toHaveLength(2)
  })
})

test('a batch that expires on the wire: its late answer is no news, and what comes after it is delivered once', async () => {
  const { clock, cluster, producer } = await frozenArena()
  const orders = producer({
    ...pauses,
    retryBackoffMs: 1000,
    requestTimeoutMs: 20_000,
    deliveryTimeoutMs: 20_000,
  })
  await orders.send({ topic: 'orders', value: 'a' })
  cluster.fail({ api: 'Produce' }, { error: 'NOT_ENOUGH_REPLICAS' })
  cluster.fail({ api: 'Produce', nth: 2 }, { delayMs: 19_500 })
  const b = failure<KafkaError>(orders.send({ topic: 'orders', value: 'b' }))
  await clock.advance(10_000)
  // It was answered with an error first; the retry is appended, and the answer comes too late.
  const c = orders.send({ topic: 'orders', value: 'c' })
  await clock.advance(10_000)
  expect(await b).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: true })
  await clock.advance(500)
  await c
  expect(stored(cluster)).toEqual(['a', 'b', 'c'])
  expect(new Set(batches(cluster))).toContain('0/2 NONE')
})
