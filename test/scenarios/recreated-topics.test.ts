/**
 * A topic that was deleted and created again: the sequences of its partitions go on, so that a batch which is in the new
 * log already is recognised there, whether the producer has heard of the new topic or not.
 */
import { describe, expect, test } from 'vitest'
import type { KafkaError } from '../../src/index.js'
import type { TestCluster, TestClusterOptions } from '../../src/testing/index.js'
import { arena, batches, failure, frozenArena, requests, stored, turnsUntil } from './arena.js'

/** As brokers before 4.1 and classic transactions do: Produce names topics by name. */
const byName: TestClusterOptions = { topics: { orders: { partitions: 1 } }, versions: { Produce: [3, 12] } }

function recreate(cluster: TestCluster, topic = 'orders'): void {
  cluster.deleteTopic(topic)
  cluster.createTopic(topic, { partitions: 1 })
}

/** "epoch/sequence value" of each record that is stored. */
function storedSequences(cluster: TestCluster): string[] {
  return cluster
    .records('orders')
    .map(({ epoch, sequence, value }) => `${epoch}/${sequence} ${value?.toString()}`)
}

describe('where records go by name', () => {
  test('a classic transaction stores both records: what is in the new log before its id is known is no duplicate', async () => {
    const { clock, cluster, producer } = await frozenArena({ ...byName, transactionVersion: 1 })
    const orders = producer({ transactionalId: 'orders', metadataMaxAgeMs: 400 })
    const begun = orders.initTransactions().then(() => orders.partitionsFor('orders'))
    await clock.advance(10)
    await begun
    recreate(cluster)
    orders.beginTransaction()
    const b = orders.send({ topic: 'orders', value: 'b' })
    await clock.advance(10)
    expect(await b).toMatchObject({ offset: 0n })
    const asked = requests(cluster, 'Metadata').length
    await clock.advance(900)
    expect(requests(cluster, 'Metadata').length).toBeGreaterThan(asked)
    const c = orders.send({ topic: 'orders', value: 'c' })
    const committed = orders.commitTransaction()
    await clock.advance(10)
    expect(await c).toMatchObject({ offset: 1n })
    await committed
    expect(cluster.records('orders', { isolation: 'read_committed' }).map(({ value }) => String(value))).toEqual(['b', 'c']) // prettier-ignore
  })

  test('a batch whose response is lost while the new id comes in is stored once', async () => {
    const { cluster, producer } = await arena(byName)
    const orders = producer()
    await orders.send({ topic: 'orders', value: 'a' })
    recreate(cluster)
    await orders.send({ topic: 'orders', value: 'b' })
    cluster.fail({ api: 'Produce' }, { cutAfterBytes: 0 })
    await orders.send({ topic: 'orders', value: 'c' })
    expect(storedSequences(cluster)).toEqual(['0/1 b', '0/2 c'])
  })

  test('several batches in flight while it is created again keep their order, once the new id is known', async () => {
    const { cluster, producer } = await arena(byName)
    const orders = producer({ batchSize: 80 })
    await orders.send({ topic: 'orders', value: 'old' })
    recreate(cluster)
    await orders.send({ topic: 'orders', value: '0' })
    cluster.fail({ api: 'Produce' }, { cutAfterBytes: 0 })
    const sent = Array.from({ length: 9 }, (_, i) => orders.send({ topic: 'orders', value: String(i + 1) }))
    expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual(sent.map((_, i) => BigInt(i + 1)))
    expect(stored(cluster)).toEqual(Array.from({ length: 10 }, (_, i) => String(i)))
  })
})

describe('where records go by id', () => {
  test('they go on under the old sequences, one batch first, though several were in flight', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ batchSize: 80 })
    await orders.send({ topic: 'orders', value: 'old' })
    recreate(cluster)
    // The new log takes any sequence from a producer that it does not know.
    const sent = Array.from({ length: 5 }, (_, i) => orders.send({ topic: 'orders', value: String(i) }))
    const offsets = (await Promise.all(sent)).map(({ offset }) => offset)
    expect(offsets).toEqual([0n, 1n, 2n, 3n, 4n])
    expect(storedSequences(cluster)).toEqual(['0/1 0', '0/2 1', '0/3 2', '0/4 3', '0/5 4'])
  })

  test('the first batch for the new topic goes alone, also where one for the old topic is acknowledged late', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ batchSize: 80, metadataMaxAgeMs: 1_000 })
    const send = (value: string) => orders.send({ topic: 'orders', value })
    const first = send('old')
    await clock.advance(900)
    await first
    cluster.fail({ api: 'Produce' }, { delayMs: 300 })
    const late = send('late')
    await turnsUntil(() => requests(cluster, 'Produce').length === 2)
    recreate(cluster)
    await clock.advance(250)
    // The metadata says so by now; the response of the old topic is still under way.
    cluster.fail({ api: 'Produce' }, { error: 'NOT_LEADER_OR_FOLLOWER' })
    const sent = ['1', '2', '3', '4', '5', '6'].map(send)
    await clock.advance(2_000)
    await Promise.all([late, ...sent])
    expect(stored(cluster)).toEqual(['1', '2', '3', '4', '5', '6'])
  })

  test('in the midst of a transaction v2 the missing state is a gap: it is aborted, and the next one is exact', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ transactionalId: 'orders' })
    const fatal: KafkaError[] = []
    orders.on('fatal', (error) => fatal.push(error))
    await orders.initTransactions()
    orders.beginTransaction()
    await orders.send({ topic: 'orders', value: 'a' })
    recreate(cluster)
    expect(await failure(orders.send({ topic: 'orders', value: 'b' }))).toMatchObject({
      code: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
      fatal: false,
      mayHaveBeenWritten: false,
    })
    expect(await failure(orders.commitTransaction())).toMatchObject({
      name: 'TransactionAbortedError',
      abortable: true,
      fatal: false,
    })
    const before = cluster.describeTransaction('orders')!.epoch
    await orders.abortTransaction()
    orders.beginTransaction()
    await orders.send({ topic: 'orders', value: 'c' })
    await orders.send({ topic: 'orders', value: 'd' })
    await orders.commitTransaction()
    expect(fatal).toEqual([])
    const committed = cluster.records('orders', { isolation: 'read_committed' })
    expect(committed.map(({ value, sequence }) => `${sequence} ${String(value)}`)).toEqual(['0 c', '1 d'])
    expect(committed[0]!.epoch).toBeGreaterThan(before)
    expect(batches(cluster).filter((one) => one.endsWith('OUT_OF_ORDER_SEQUENCE_NUMBER'))).toHaveLength(1)
  })

  test('between two transactions v2 nothing has to be aborted', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ transactionalId: 'orders' })
    await orders.transaction((tx) => tx.send({ topic: 'orders', value: 'a' }))
    recreate(cluster)
    await orders.transaction((tx) => tx.send({ topic: 'orders', value: 'b' }))
    expect(stored(cluster)).toEqual(['b'])
  })
})
