/** Leaders move, topics grow and are made anew, brokers go: the producer follows, and loses, doubles and mixes nothing. */
import { describe, expect, test } from 'vitest'
import { AuthenticationError, type KafkaError, type SaslMechanism } from '../../src/index.js'
import { arena, batches, failure, frozenArena, requests, stored, turnsUntil } from './arena.js'

const replicated = { brokers: 3, topics: { orders: { partitions: 1 } } }

describe('a leader that moved', () => {
  test('is named by the answer (KIP-951): the retry goes there with no Metadata request between', async () => {
    const { cluster, producer } = await arena(replicated)
    // A back-off that the test would notice: nobody waits it out where there is a new leader.
    const orders = producer({ retryBackoffMs: 60_000, retryBackoffMaxMs: 60_000 })
    await orders.send({ topic: 'orders', value: 'a' })
    const old = cluster.describePartition('orders', 0).leader
    const leader = cluster.moveLeader('orders', 0)
    await orders.send({ topic: 'orders', value: 'b' })
    const [, refused, again] = requests(cluster, 'Produce')
    expect([refused, again]).toMatchObject([{ broker: old }, { broker: leader }])
    expect(batches(cluster)).toEqual(['0/0 NONE', '0/1 NOT_LEADER_OR_FOLLOWER', '0/1 NONE'])
    const between = cluster.requests.slice(
      cluster.requests.indexOf(refused!),
      cluster.requests.indexOf(again!),
    )
    // It is asked for, since other partitions may have moved too; the retry did not wait for the answer.
    expect(between.filter(({ api, broker }) => api === 'Metadata' && broker === leader)).toEqual([])
    expect(stored(cluster)).toEqual(['a', 'b'])
  })

  test('is found by metadata where brokers do not name it (Produce before version 10)', async () => {
    const { cluster, producer } = await arena({ ...replicated, versions: { Produce: [0, 9] } })
    const orders = producer()
    await orders.send({ topic: 'orders', value: 'a' })
    const metadata = requests(cluster, 'Metadata').length
    const leader = cluster.moveLeader('orders', 0)
    await orders.send({ topic: 'orders', value: 'b' })
    expect(requests(cluster, 'Produce').at(-1)).toMatchObject({ broker: leader, version: 9 })
    expect(requests(cluster, 'Metadata').length).toBeGreaterThan(metadata)
    expect(stored(cluster)).toEqual(['a', 'b'])
  })

  test('with five requests in flight: they come out in order, each once', async () => {
    const { cluster, producer } = await arena(replicated)
    const orders = producer({ batchSize: 80 })
    await orders.send({ topic: 'orders', value: '0' })
    cluster.fail({ api: 'Produce', nth: 3 }, { error: 'NOT_LEADER_OR_FOLLOWER' })
    const sent = Array.from({ length: 20 }, (_, i) => orders.send({ topic: 'orders', value: String(i + 1) }))
    await turnsUntil(() => requests(cluster, 'Produce').length > 2)
    cluster.moveLeader('orders', 0)
    expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual(sent.map((_, i) => BigInt(i + 1)))
    expect(stored(cluster)).toEqual(Array.from({ length: 21 }, (_, i) => String(i)))
  })
})

test('a broker that stops: its partitions go on elsewhere', async () => {
  const { cluster, producer } = await arena(replicated)
  const orders = producer()
  await orders.send({ topic: 'orders', value: 'a' })
  await cluster.stopBroker(cluster.describePartition('orders', 0).leader)
  await orders.send({ topic: 'orders', value: 'b' })
  expect(stored(cluster)).toEqual(['a', 'b'])
})

test('a partition without a leader: records wait until it has one', async () => {
  const { clock, cluster, producer } = await frozenArena(replicated)
  const orders = producer({ retryBackoffMs: 100, retryBackoffMaxMs: 1000 })
  await orders.send({ topic: 'orders', value: 'a' })
  cluster.moveLeader('orders', 0, -1)
  const sent = orders.send({ topic: 'orders', value: 'b' })
  await clock.advance(10_000)
  expect(stored(cluster)).toEqual(['a'])
  cluster.moveLeader('orders', 0, 2)
  await clock.advance(1_500)
  expect(await sent).toMatchObject({ offset: 1n })
})

test('a partition without a leader, while a login is refused: its records go when both have passed', async () => {
  const { clock, cluster, producer } = await frozenArena(replicated)
  let isRefused = false
  const sasl: SaslMechanism = {
    mechanism: 'TEST',
    authenticate: () =>
      isRefused ? Promise.reject(new AuthenticationError('who are you?')) : Promise.resolve(),
  }
  const orders = producer({ sasl, retryBackoffMs: 100, retryBackoffMaxMs: 1000 })
  await orders.send({ topic: 'orders', value: 'a' })
  cluster.moveLeader('orders', 0, -1)
  const sent = orders.send({ topic: 'orders', value: 'b' })
  await clock.advance(1000)
  isRefused = true
  const undo = cluster.fail({ api: 'Metadata', times: Infinity }, 'close')
  await clock.advance(5000)
  undo()
  isRefused = false
  cluster.moveLeader('orders', 0, 2)
  await clock.advance(1500)
  expect(await sent).toMatchObject({ offset: 1n })
})

test('a topic that was deleted and made anew is followed by its new id', async () => {
  const { cluster, producer } = await arena(replicated)
  const orders = producer()
  await orders.send({ topic: 'orders', value: 'a' })
  cluster.deleteTopic('orders')
  cluster.createTopic('orders', { partitions: 1 })
  await orders.send({ topic: 'orders', value: 'b' })
  await orders.send({ topic: 'orders', value: 'c' })
  expect(stored(cluster)).toEqual(['b', 'c'])
  expect(requests(cluster, 'Produce')[1]!.batches[0]!.outcome).toBe('UNKNOWN_TOPIC_ID')
})

test('a topic that is deleted for good: its records fail when their time is over, and say why', async () => {
  const { clock, cluster, producer } = await frozenArena({ ...replicated, autoCreateTopics: false })
  const orders = producer({ retryBackoffMs: 100, retryBackoffMaxMs: 1000, deliveryTimeoutMs: 30_000 })
  await orders.send({ topic: 'orders', value: 'a' })
  cluster.deleteTopic('orders')
  const error = failure<KafkaError>(orders.send({ topic: 'orders', value: 'b' }))
  await clock.advance(30_000)
  expect(await error).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: false })
  expect((await error).message).toContain('UNKNOWN_TOPIC_ID')
})

test('partitions that were added are found by age: one warning, one event, and they are used', async () => {
  const { clock, cluster, log, producer } = await frozenArena(replicated)
  const orders = producer({ metadataMaxAgeMs: 60_000 })
  const changes: unknown[] = []
  await orders.send({ topic: 'orders', value: 'a' })
  orders.on('metadata', (topics) => changes.push(...topics))
  cluster.addPartitions('orders', 3)
  await clock.advance(60_000)
  expect(changes).toEqual([{ topic: 'orders', oldPartitionCount: 1, partitionCount: 3 }])
  expect(log.filter((line) => line.startsWith('warn: a topic has more partitions'))).toHaveLength(1)
  expect(await orders.send({ topic: 'orders', value: 'b', partition: 2 })).toMatchObject({
    partition: 2,
    offset: 0n,
  })
})

describe('bootstrap', () => {
  test('goes on to the next server when one is dead', async () => {
    const { cluster, producer } = await arena(replicated)
    const [, ...alive] = cluster.bootstrapServers
    await producer({ bootstrapServers: ['nowhere:1', ...alive] }).send({ topic: 'orders', value: 'v' })
    expect(stored(cluster)).toEqual(['v'])
  })

  test('all dead: an error within maxBlockMs that says what each answered', async () => {
    const { clock, producer } = await frozenArena()
    const dead = producer({
      bootstrapServers: ['nowhere:1', 'elsewhere:2'],
      maxBlockMs: 5_000,
      reconnectBackoffMs: 50,
      reconnectBackoffMaxMs: 1000,
    })
    const error = failure(dead.send({ topic: 'orders', value: 'v' }))
    await clock.advance(5_000)
    expect(await error).toMatchObject({ name: 'TimeoutError', retriable: true, mayHaveBeenWritten: false })
    expect((await error).message).toMatch(
      /5000 ms \(maxBlockMs\): .*nowhere:1 .*ECONNREFUSED.*elsewhere:2 .*ECONNREFUSED/,
    )
  })

  test('again, from the servers of the config, when a broker asks for it (KIP-1102)', async () => {
    const { clock, cluster, producer } = await frozenArena(replicated)
    const orders = producer({ metadataMaxAgeMs: 10_000 })
    await orders.send({ topic: 'orders', value: 'a' })
    cluster.fail({ api: 'Metadata' }, { error: 'REBOOTSTRAP_REQUIRED' })
    await clock.advance(10_100)
    const sent = orders.send({ topic: 'orders', value: 'b' })
    await clock.advance(1000)
    await sent
    expect(stored(cluster)).toEqual(['a', 'b'])
  })
})
