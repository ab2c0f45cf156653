/** Sequences, epochs and producer ids under faults: nothing lost, nothing twice, nothing out of order. */
import { describe, expect, test } from 'vitest'
import { Producer, type KafkaError } from '../../src/index.js'
import { seamsKey } from '../../src/producer/seams.js'
import type { Produce } from '../../src/protocol/apis.js'
import type { RequestOf } from '../../src/protocol/schema.js'
import { MemorySocket } from '../../src/testing/broker/memory-socket.js'
import { metadata, ScriptedBroker, type Script } from '../network/scripted-broker.js'
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

describe('a connection that breaks', () => {
  test.each([
    ['before the broker has the request', 'close'],
    ['after the append, before the answer', { cutAfterBytes: 0 }],
    ['inside the answer', { cutAfterBytes: 7 }],
  ] as const)('%s, with five requests in flight: exactly what was sent, in order', async (_, action) => {
    for (let nth = 1; nth <= 5; nth++) {
      const { cluster, producer } = await arena()
      const orders = producer({ batchSize: 80 })
      await orders.send({ topic: 'orders', value: '0' })
      cluster.fail({ api: 'Produce', nth }, action)
      const sent = Array.from({ length: 12 }, (_, i) =>
        orders.send({ topic: 'orders', value: String(i + 1) }),
      )
      const offsets = (await Promise.all(sent)).map(({ offset }) => offset)
      expect(offsets).toEqual(sent.map((_, i) => BigInt(i + 1)))
      expect(stored(cluster)).toEqual(Array.from({ length: 13 }, (_, i) => String(i)))
      expect(new Set(cluster.records('orders').map(({ epoch }) => epoch))).toEqual(new Set([0]))
    }
  })
})

test('records wait for a producer id that comes late, and lose neither their order nor their linger', async () => {
  const { clock, cluster, producer } = await frozenArena()
  cluster.fail({ api: 'InitProducerId' }, { delayMs: 9_000 })
  const orders = producer()
  const sent = ['a', 'b', 'c'].map((value) => orders.send({ topic: 'orders', value }))
  await clock.advance(8_999)
  expect(batches(cluster)).toEqual([])
  await clock.advance(10)
  expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual([0n, 1n, 2n])
})

describe('a batch that is given up', () => {
  test('with its fate unknown: what was in flight settles first, then a new epoch begins at 0', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const pauses = {
      retryBackoffMs: 100,
      retryBackoffMaxMs: 100,
      reconnectBackoffMs: 100,
      reconnectBackoffMaxMs: 100,
    }
    const orders = producer({ ...pauses, requestTimeoutMs: 5_000, deliveryTimeoutMs: 5_000 })
    await orders.send({ topic: 'orders', value: 'a' })
    cluster.fail({ api: 'Produce' }, 'close')
    const b = failure<KafkaError>(orders.send({ topic: 'orders', value: 'b' }))
    await turnsUntil(() => requests(cluster, 'Produce').length === 2)
    await cluster.stopBroker(1)
    await clock.advance(5_000)
    expect(await b).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: true })
    await cluster.startBroker(1)
    const c = orders.send({ topic: 'orders', value: 'c' })
    await clock.advance(3_000)
    await c
    expect(stored(cluster)).toEqual(['a', 'c'])
    expect(cluster.records('orders').map(({ epoch, sequence }) => `${epoch}/${sequence}`)).toEqual([
      '0/0',
      '1/0',
    ])
  })

  test('as refused, with four more behind it: those are refused for the gap, renumbered, and come in order', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ batchSize: 70 })
    await orders.send({ topic: 'orders', value: '0' })
    cluster.fail({ api: 'Produce' }, { error: 'POLICY_VIOLATION' })
    const outcomes = await Promise.allSettled(
      ['1', '2', '3', '4', '5'].map((value) => orders.send({ topic: 'orders', value })),
    )
    expect(outcomes.map(({ status }) => status)).toEqual([
      'rejected',
      ...Array.from({ length: 4 }, () => 'fulfilled'),
    ])
    expect(stored(cluster)).toEqual(['0', '2', '3', '4', '5'])
    expect(cluster.records('orders').map(({ epoch, sequence }) => `${epoch}/${sequence}`)).toEqual(['0/0', '1/0', '1/1', '1/2', '1/3']) // prettier-ignore
  })

  test('and that fills its gap late, from a stalled connection: records behind it failed as possibly written', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ batchSize: 70, requestTimeoutMs: 1_000, retries: 1 })
    await orders.send({ topic: 'orders', value: '0' })
    // The broker is stuck with 1 and reads no further from this connection: all five are sent again over another one.
    cluster.fail({ api: 'Produce' }, { delayMs: 30_000 })
    // There 1 and 2 are stored, 3 is refused for the last time, 4 is behind a gap, and neither 4 nor 5 gets into the next epoch.
    const undo = [4, 6, 7].map((nth) =>
      cluster.fail({ api: 'Produce', nth }, { error: 'NOT_ENOUGH_REPLICAS' }),
    )
    const outcomes = Promise.allSettled(
      ['1', '2', '3', '4', '5'].map((value) => orders.send({ topic: 'orders', value })),
    )
    await clock.advance(10_000)
    const maybeWritten = { reason: { code: 'NOT_ENOUGH_REPLICAS', mayHaveBeenWritten: true } }
    const stored12 = [{ status: 'fulfilled' }, { status: 'fulfilled' }]
    expect(await outcomes).toMatchObject([...stored12, maybeWritten, maybeWritten, maybeWritten])
    expect(stored(cluster)).toEqual(['0', '1', '2'])
    expect(batches(cluster).slice(4)).toEqual([
      '0/3 NOT_ENOUGH_REPLICAS',
      '0/4 OUT_OF_ORDER_SEQUENCE_NUMBER',
      '1/0 NOT_ENOUGH_REPLICAS',
      '2/0 NOT_ENOUGH_REPLICAS',
    ])
    for (const remove of undo) remove()
    await clock.advance(30_000)
    expect(stored(cluster)).toEqual(['0', '1', '2', '3', '4', '5'])
  })

  test('leaves other partitions at their epoch', async () => {
    const { cluster, producer } = await arena({ topics: { orders: { partitions: 2 } } })
    const orders = producer()
    const send = (partition: number) => orders.send({ topic: 'orders', value: 'v', partition })
    await send(0)
    await send(1)
    cluster.fail({ api: 'Produce' }, { error: 'POLICY_VIOLATION' })
    await failure(send(0))
    await send(0)
    await send(1)
    expect(cluster.records('orders').map(({ partition, epoch }) => [partition, epoch])).toEqual([[0, 0], [0, 1], [1, 0], [1, 0]]) // prettier-ignore
  })
})

test('an idempotent producer asks for one producer id, however many partitions and brokers there are', async () => {
  const { cluster, producer } = await arena({ brokers: 3, topics: { orders: { partitions: 9 } } })
  const orders = producer()
  await Promise.all(
    Array.from({ length: 90 }, (_, i) => orders.send({ topic: 'orders', value: 'v', partition: i % 9 })),
  )
  expect(requests(cluster, 'InitProducerId')).toHaveLength(1)
  expect(new Set(cluster.records('orders').map(({ producerId }) => producerId)).size).toBe(1)
})

interface Sent {
  readonly id: bigint
  readonly epoch: number
  readonly sequence: number
}

/** A producer against one broker that answers Produce as the test says, and the batches that the broker got. */
function scripted(
  answers: (
    sent: Sent,
    nth: number,
  ) => {
    errorCode: number
    logStartOffset?: bigint
    isSilent?: boolean
    recordErrors?: readonly { batchIndex: number; batchIndexErrorMessage: string | null }[]
  },
  epochs: readonly number[] = [0],
): { producer: Producer; sent: Sent[] } {
  const sent: Sent[] = []
  let ids = 0n
  const script: Script = ({ api, body }) => {
    if (api.name === 'Metadata')
      return metadata([[1, 'one', 9092]], [{ name: 'orders', partitions: [[1, 0]] }])
    if (api.name === 'InitProducerId') {
      const producerEpoch = epochs[Math.min(Number(ids), epochs.length - 1)]!
      return { throttleTimeMs: 0, errorCode: 0, producerId: ids++, producerEpoch }
    }
    if (api.name !== 'Produce') return undefined
    const { topicData } = body as RequestOf<typeof Produce>
    const records = Buffer.from(topicData[0]!.partitionData[0]!.records!)
    const one = {
      id: records.readBigInt64BE(43),
      epoch: records.readInt16BE(51),
      sequence: records.readInt32BE(53),
    }
    sent.push(one)
    const { errorCode, logStartOffset = -1n, isSilent = false, recordErrors = [] } = answers(one, sent.length)
    const partition = {
      index: 0,
      errorCode,
      baseOffset: errorCode === 0 ? BigInt(sent.length) : -1n,
      logAppendTimeMs: -1n,
      logStartOffset,
      recordErrors,
      errorMessage: null,
      currentLeader: { leaderId: -1, leaderEpoch: -1 },
    }
    const { name, topicId } = topicData[0]!
    return {
      responses: [{ name, topicId, partitionResponses: isSilent ? [] : [partition] }],
      throttleTimeMs: 0,
      nodeEndpoints: [],
    }
  }
  const broker = new ScriptedBroker(script)
  const connect = (): MemorySocket => {
    const [client, server] = MemorySocket.pair()
    broker.serve(server)
    process.nextTick(() => client.emit('connect'))
    return client
  }
  const config = {
    bootstrapServers: 'one:9092',
    lingerMs: 0,
    retryBackoffMs: 1,
    retryBackoffMaxMs: 1,
    logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
    [seamsKey]: { connect, lookup: namesAsTheyAre },
  }
  return { producer: new Producer(config), sent }
}

describe('errors of single records', () => {
  const noKey = { batchIndexErrorMessage: 'no key' }

  test('count for the records that are there, and as often as they are', async () => {
    // A million that mean nothing around the two that do.
    const others = Array.from({ length: 1_000_000 }, (_, i) => ({
      batchIndex: i % 2 ? -i : i + 3,
      ...noKey,
    }))
    const { producer } = scripted(() => ({
      errorCode: 87,
      recordErrors: [{ batchIndex: 1, ...noKey }, ...others, { batchIndex: 1, ...noKey }],
    }))
    const failures = ['a', 'b', 'c'].map((value) => failure(producer.send({ topic: 'orders', value })))
    const innocent = {
      retriable: true,
      message: expect.stringContaining('the batch holds 1 invalid record(s)') as string,
    }
    const bad = {
      retriable: false,
      message: expect.stringContaining('record 1 of 3: INVALID_RECORD (87): no key') as string,
    }
    expect(await Promise.all(failures)).toMatchObject([innocent, bad, innocent])
    await producer.close()
  })

  test('that name none of the batch leave the error of the batch', async () => {
    const { producer } = scripted(() => ({ errorCode: 87, recordErrors: [{ batchIndex: 7, ...noKey }] }))
    const error = await failure(producer.send({ topic: 'orders', value: 'a' }))
    expect(error).toMatchObject({ code: 'INVALID_RECORD', retriable: false })
    await producer.close()
  })
})

describe('UNKNOWN_PRODUCER_ID', () => {
  test('with a log start offset: the broker forgot the producer, so a new epoch begins', async () => {
    const { producer, sent } = scripted((_, nth) => ({ errorCode: nth === 2 ? 59 : 0, logStartOffset: 100n }))
    await producer.send({ topic: 'orders', value: 'a' })
    await producer.send({ topic: 'orders', value: 'b' })
    await producer.send({ topic: 'orders', value: 'c' })
    expect(sent.map(({ epoch, sequence }) => `${epoch}/${sequence}`)).toEqual(['0/0', '0/1', '1/0', '1/1'])
    expect(await producer.close()).toBe(0)
  })

  test('without one: the same batch again', async () => {
    const { producer, sent } = scripted((_, nth) => ({ errorCode: nth === 2 ? 59 : 0 }))
    await producer.send({ topic: 'orders', value: 'a' })
    await producer.send({ topic: 'orders', value: 'b' })
    expect(sent.map(({ epoch, sequence }) => `${epoch}/${sequence}`)).toEqual(['0/0', '0/1', '0/1'])
    expect(await producer.close()).toBe(0)
  })
})

test('when the epochs of a producer id are used up, a new producer id begins', async () => {
  const { producer, sent } = scripted(
    (_, nth) => ({ errorCode: nth === 2 || nth === 4 ? 44 : 0 }),
    [32_766, 0],
  )
  await producer.send({ topic: 'orders', value: 'a' })
  await failure(producer.send({ topic: 'orders', value: 'b' }))
  await producer.send({ topic: 'orders', value: 'c' })
  await failure(producer.send({ topic: 'orders', value: 'd' }))
  await producer.send({ topic: 'orders', value: 'e' })
  expect(sent.map(({ id, epoch, sequence }) => `${id}:${epoch}/${sequence}`)).toEqual([
    '0:32766/0',
    '0:32766/1',
    '0:32767/0',
    '0:32767/1',
    '1:0/0',
  ])
  expect(await producer.close()).toBe(0)
})

test('an answer without a word on a partition is no ack: the batch is sent again', async () => {
  const { producer, sent } = scripted((_, nth) => ({ errorCode: 0, isSilent: nth === 2 }))
  await producer.send({ topic: 'orders', value: 'a' })
  expect(await producer.send({ topic: 'orders', value: 'b' })).toMatchObject({ offset: 3n })
  expect(sent.map(({ epoch, sequence }) => `${epoch}/${sequence}`)).toEqual(['0/0', '0/1', '0/1'])
  expect(await producer.close()).toBe(0)
})

describe('order without idempotence', () => {
  test('is kept through retries with one request in flight', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ enableIdempotence: false, maxInFlightRequestsPerConnection: 1, batchSize: 80 })
    cluster.fail({ api: 'Produce', probability: 0.3, seed: 3 }, { error: 'NOT_ENOUGH_REPLICAS' })
    const values = Array.from({ length: 40 }, (_, i) => String(i))
    await Promise.all(values.map((value) => orders.send({ topic: 'orders', value })))
    expect(stored(cluster)).toEqual(values)
  })

  test('a lost answer doubles a record: what idempotence is for', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ enableIdempotence: false })
    cluster.fail({ api: 'Produce' }, { cutAfterBytes: 0 })
    await orders.send({ topic: 'orders', value: 'a' })
    expect(stored(cluster)).toEqual(['a', 'a'])
  })
})

test('a buffer is not used again before its socket has let go of it, though the batch expired (KAFKA-19012)', async () => {
  const topics = { orders: { partitions: 1 }, clicks: { partitions: 1 }, views: { partitions: 1 } }
  const { clock, cluster, producer } = await frozenArena({ topics })
  const timeouts = {
    requestTimeoutMs: 20_000,
    deliveryTimeoutMs: 20_000,
    retryBackoffMs: 5_000,
    retryBackoffMaxMs: 5_000,
  }
  const one = producer({ bufferMemory: 60_000, batchSize: 20_000, ...timeouts })
  const value = (letter: string): string => letter.repeat(15_000)
  for (const topic of Object.keys(topics)) await one.send({ topic, value: value(topic[0]!) })
  cluster.fail({ api: 'Produce' }, { error: 'NOT_ENOUGH_REPLICAS' })
  const expired = failure<KafkaError>(one.send({ topic: 'orders', value: value('o') }))
  await clock.advance(4_000)
  // The broker reads nothing more: a request in front of the retry fills the way, and the retry stays in the socket.
  cluster.pauseBroker(1)
  const view = one.send({ topic: 'views', value: value('v') })
  await clock.advance(15_999)
  expect(one.metrics().requestsInFlight).toBe(2)
  await clock.advance(1)
  expect(await expired).toMatchObject({ name: 'TimeoutError', mayHaveBeenWritten: true })
  expect(one.metrics().bufferAvailableBytes).toBe(20_000)
  const click = one.send({ topic: 'clicks', value: value('c') })
  await clock.advance(1_000)
  cluster.resumeBroker(1)
  await clock.advance(100)
  await Promise.all([view, click])
  expect(cluster.records('orders')).toHaveLength(2)
  for (const topic of Object.keys(topics))
    expect(new Set(stored(cluster, topic))).toEqual(new Set([value(topic[0]!)]))
  expect(one.metrics().bufferAvailableBytes).toBe(60_000)
})
