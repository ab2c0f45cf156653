/**
 * A topic that was deleted and created again: the sequences of its partitions go on, so that a batch which is in the new
 * log already is recognised there, whether the producer has heard of the new topic or not.
 */
import { describe, expect, test } from 'vitest'
import { Producer, type KafkaError } from '../../src/index.js'
import { seamsKey } from '../../src/producer/seams.js'
import type { Produce } from '../../src/protocol/apis.js'
import type { RequestOf } from '../../src/protocol/schema.js'
import type { TestCluster, TestClusterOptions } from '../../src/testing/index.js'
import { MemorySocket } from '../../src/testing/broker/memory-socket.js'
import { ManualClock } from '../network/manual-clock.js'
import { metadata, ScriptedBroker } from '../network/scripted-broker.js'
import {
  arena,
  batches,
  failure,
  frozenArena,
  namesAsTheyAre,
  requests,
  stored,
  turnsUntil,
} from './arena.js'

/** As brokers before 4.1 and classic transactions do: Produce names topics by name. */
const byName: TestClusterOptions = { topics: { orders: { partitions: 1 } }, versions: { Produce: [3, 12] } }

/** A partition's part of a Produce response, as far as it is always the same. */
const acknowledged = {
  index: 0,
  logAppendTimeMs: -1n,
  logStartOffset: 0n,
  recordErrors: [],
  errorMessage: null,
  currentLeader: { leaderId: -1, leaderEpoch: -1 },
}

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

const OLD = '00000000-0000-0000-0000-0000000000a1'
const NEW = '00000000-0000-0000-0000-0000000000a2'

/** A producer whose broker tells ids of its topic as the test says, and every batch sent: "id epoch/sequence". */
function idsTold(script: { tells: (nth: number) => string; knowsOld?: () => boolean }) {
  const sent: string[] = []
  let told = 0
  const broker = new ScriptedBroker(({ api, body }) => {
    if (api.name === 'InitProducerId')
      return { throttleTimeMs: 0, errorCode: 0, producerId: 7n, producerEpoch: 0 }
    if (api.name === 'Metadata')
      return metadata(
        [[1, 'one', 9092]],
        [{ name: 'orders', id: script.tells(++told), partitions: [[1, 0]] }],
      )
    if (api.name !== 'Produce') return undefined
    const { topicId, partitionData } = (body as RequestOf<typeof Produce>).topicData[0]!
    const records = Buffer.from(partitionData[0]!.records!)
    const isKnown = topicId === NEW || (script.knowsOld?.() ?? true)
    sent.push(`${topicId === NEW ? 'NEW' : 'OLD'} ${records.readInt16BE(51)}/${records.readInt32BE(53)}`)
    const outcome = isKnown ? { errorCode: 0, baseOffset: 1n } : { errorCode: 100, baseOffset: -1n }
    const partitionResponses = [{ ...acknowledged, ...outcome }]
    return { responses: [{ name: '', topicId, partitionResponses }], throttleTimeMs: 0, nodeEndpoints: [] }
  })
  const clock = new ManualClock()
  const connect = (): MemorySocket => {
    const [client, server] = MemorySocket.pair()
    broker.serve(server)
    process.nextTick(() => client.emit('connect'))
    return client
  }
  const config = {
    bootstrapServers: 'one:9092',
    lingerMs: 0,
    metadataMaxAgeMs: 1_000,
    [seamsKey]: { connect, clock, lookup: namesAsTheyAre },
  }
  return { clock, orders: new Producer(config), sent, told: () => told }
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

describe('where topics have no ids', () => {
  test.each([
    ['whose leader epochs are reliable', 9],
    ['whose leader epochs are not', 8],
  ])('under another leader, with a lower epoch, with brokers %s: soon usable again', async (_, version) => {
    const { clock, cluster, producer } = await frozenArena({
      brokers: 3,
      topics: { orders: { partitions: 1 } },
      versions: { Metadata: [0, version], Produce: [3, 9] },
    })
    const orders = producer({ retryBackoffMs: 100, retryBackoffMaxMs: 1_000, batchSize: 80 })
    for (let i = 0; i < 5; i++) cluster.moveLeader('orders', 0)
    const old = orders.send({ topic: 'orders', value: 'old' })
    await clock.advance(10)
    await old
    const before = cluster.describePartition('orders', 0)
    recreate(cluster)
    if (cluster.describePartition('orders', 0).leader === before.leader) cluster.moveLeader('orders', 0)
    const after = cluster.describePartition('orders', 0)
    expect(after.leader).not.toBe(before.leader)
    expect(after.leaderEpoch).toBeLessThan(before.leaderEpoch)
    const sent = ['a', 'b', 'c', 'd'].map((value) => orders.send({ topic: 'orders', value }))
    await clock.advance(2_000)
    await Promise.all(sent)
    expect(stored(cluster)).toEqual(['a', 'b', 'c', 'd'])
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

  test('a broker that still tells the old id changes nothing: no batch is sent under that id again', async () => {
    // The first answer is of before; from then on every other one is of a broker that is behind.
    const { clock, orders, sent, told } = idsTold({ tells: (nth) => (nth % 2 === 1 ? OLD : NEW) })
    for (const value of ['a', 'b', 'c', 'd', 'e']) {
      const one = orders.send({ topic: 'orders', value })
      await clock.advance(1_500)
      await one
    }
    expect(told()).toBeGreaterThanOrEqual(5)
    expect(sent).toEqual(['OLD 0/0', 'NEW 0/1', 'NEW 0/2', 'NEW 0/3', 'NEW 0/4'])
    const closed = orders.close()
    await clock.advance(10)
    expect(await closed).toBe(0)
  })

  test('a producer that took the old id for the newer goes on soon after the brokers agree', async () => {
    let isBehind = false
    const { clock, orders, sent } = idsTold({ tells: () => (isBehind ? OLD : NEW), knowsOld: () => false })
    const a = orders.send({ topic: 'orders', value: 'a' })
    await clock.advance(100)
    await a
    isBehind = true
    await clock.advance(1_000)
    const b = orders.send({ topic: 'orders', value: 'b' })
    await clock.advance(5_000)
    expect(sent).toContain('OLD 0/1')
    isBehind = false
    await clock.advance(2_000)
    expect(await b).toMatchObject({ offset: 1n })
    expect(sent.at(-1)).toBe('NEW 0/1')
    const closed = orders.close()
    await clock.advance(10)
    expect(await closed).toBe(0)
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
