/** The ways to send: what each gives back, in what order, and what a bad record does to the good ones beside it. */
import { setImmediate as turn } from 'node:timers/promises'
import { describe, expect, test } from 'vitest'
import type { KafkaError } from '../../src/errors.js'
import {
  json,
  roundRobin,
  string,
  type Headers,
  type Payload,
  type ProducerInterceptor,
  type RecordMetadata,
} from '../../src/index.js'
import { arena, batches, failure, requests, stored, turnsUntil } from './arena.js'

describe('acks', () => {
  test('all: the promise tells where the record is', async () => {
    const { cluster, producer } = await arena()
    const sent = await producer().send({
      topic: 'orders',
      key: 'k',
      value: 'größer',
      timestamp: 5,
      headers: { h: '1' },
    })
    expect(sent).toEqual({
      topic: 'orders',
      partition: 0,
      offset: 0n,
      timestamp: 5,
      serializedKeySize: 1,
      serializedValueSize: 8,
    })
    expect(cluster.records('orders')).toMatchObject([
      {
        key: Buffer.from('k'),
        value: Buffer.from('größer'),
        timestamp: 5,
        headers: [['h', Buffer.from('1')]],
      },
    ])
    expect(batches(cluster)).toEqual(['0/0 NONE'])
  })

  test('1: without idempotence, as it says in the log', async () => {
    const { cluster, log, producer } = await arena()
    expect(await producer({ acks: 1 }).send({ topic: 'orders', value: 'v' })).toMatchObject({ offset: 0n })
    expect(batches(cluster)).toEqual(['-1/-1 NONE'])
    expect(requests(cluster, 'InitProducerId')).toEqual([])
    expect(log).toContain('info: idempotence is turned off because acks is 1')
  })

  test('0: settled when the bytes are on their way, with offset -1', async () => {
    const { cluster, producer } = await arena()
    const sent = await producer({ acks: 0 }).send({ topic: 'orders', value: 'v', timestamp: 5 })
    expect(sent).toMatchObject({ partition: 0, offset: -1n, timestamp: 5, serializedValueSize: 1 })
    await turnsUntil(() => stored(cluster).length === 1)
  })

  test('0: a broker that refuses the records closes the connection, and what comes later goes over a new one', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ acks: 0 })
    const lost: unknown[] = []
    orders.on('disconnect', (broker) => lost.push(broker.error?.code))
    cluster.fail({ api: 'Produce' }, { error: 'NOT_LEADER_OR_FOLLOWER' })
    // Whether its bytes are gone before the connection is, is chance.
    orders.send({ topic: 'orders', value: 'lost' }, () => {})
    await turnsUntil(() => lost.length === 1)
    await orders.send({ topic: 'orders', value: 'kept' })
    await turnsUntil(() => stored(cluster).length === 1)
    expect(stored(cluster)).toEqual(['kept'])
    expect(lost).toEqual(['NETWORK_EXCEPTION'])
  })

  test("the broker's time is told where the topic stamps records itself", async () => {
    const { producer } = await arena({
      topics: { orders: { partitions: 1, messageTimestampType: 'LogAppendTime' } },
    })
    const before = Date.now()
    const { timestamp } = await producer().send({ topic: 'orders', value: 'v', timestamp: 5 })
    expect(timestamp).toBeGreaterThanOrEqual(before)
  })
})

describe('callbacks', () => {
  test('are called once, later, in order, and send returns nothing', async () => {
    const { producer } = await arena()
    const orders = producer()
    const heard: unknown[] = []
    let isInside = true
    for (const value of ['a', 'b', 'c']) {
      const result: unknown = orders.send({ topic: 'orders', value }, (error, { offset }) =>
        heard.push(isInside || error || offset),
      )
      expect(result).toBeUndefined()
    }
    isInside = false
    await orders.flush()
    expect(heard).toEqual([0n, 1n, 2n])
  })

  test('are not called during send even where the record is refused at once', async () => {
    const { producer } = await arena()
    const heard: [KafkaError | null, RecordMetadata][] = []
    producer().send({ topic: 'no such/topic', value: 'v', timestamp: 7 }, (...told) => heard.push(told))
    expect(heard).toEqual([])
    await Promise.resolve()
    expect(heard).toMatchObject([
      [{ code: 'INVALID_TOPIC_EXCEPTION' }, { partition: -1, offset: -1n, timestamp: 7 }],
    ])
  })

  test('that throw are logged, and hurt no other record', async () => {
    const { cluster, log, producer } = await arena()
    const orders = producer({ lingerMs: 1 })
    const fail = (): never => {
      throw new Error('bad callback')
    }
    orders.send({ topic: 'orders', value: 'a' }, fail)
    const b = orders.send({ topic: 'orders', value: 'b' })
    orders.send({ topic: '', value: 'refused' }, fail)
    expect(await b).toMatchObject({ offset: 1n })
    await orders.send({ topic: 'orders', value: 'c' })
    expect(stored(cluster)).toEqual(['a', 'b', 'c'])
    expect(log.filter((line) => line.startsWith('error'))).toEqual(['error: a delivery callback threw'])
  })

  test('may send again', async () => {
    const { cluster, producer } = await arena()
    const orders = producer()
    const second = new Promise<RecordMetadata>((resolve, reject) => {
      orders.send({ topic: 'orders', value: 'a' }, () => {
        orders.send({ topic: 'orders', value: 'b' }).then(resolve, reject)
      })
    })
    expect(await second).toMatchObject({ offset: 1n })
    expect(stored(cluster)).toEqual(['a', 'b'])
  })
})

describe('records that cannot be sent', () => {
  const anything = (value: unknown): never => value as never

  test.each([
    ['a topic with a bad name', { topic: 'a/b', value: 'v' }, 'INVALID_TOPIC_EXCEPTION', '"a/b"'],
    ['no topic', { value: 'v' }, 'INVALID_TOPIC_EXCEPTION', 'a record without a topic'],
    [
      'a list, as in kafkajs',
      { topic: 'orders', messages: [{ value: 'v' }] },
      'SERIALIZATION_FAILED',
      'call it once for each',
    ],
    ['a value that is an object', { topic: 'orders', value: {} }, 'SERIALIZATION_FAILED', 'json()'],
    ['no value', { topic: 'orders' }, 'SERIALIZATION_FAILED', 'undefined'],
    [
      'a key that is a number',
      { topic: 'orders', key: 1, value: 'v' },
      'SERIALIZATION_FAILED',
      'type number',
    ],
    ['a broken timestamp', { topic: 'orders', value: 'v', timestamp: 1.5 }, 'SERIALIZATION_FAILED', '1.5'],
    ['a negative timestamp', { topic: 'orders', value: 'v', timestamp: -1 }, 'SERIALIZATION_FAILED', '-1'],
    [
      'a partition that is no integer',
      { topic: 'orders', value: 'v', partition: 0.5 },
      'UNKNOWN_TOPIC_OR_PARTITION',
      'must be an integer from 0, not 0.5',
    ],
    [
      'a partition that is text',
      { topic: 'orders', value: 'v', partition: '0' },
      'UNKNOWN_TOPIC_OR_PARTITION',
      'must be an integer from 0, not "0"',
    ],
    ['null for a record', null, 'SERIALIZATION_FAILED', ''],
    ['no record at all', undefined, 'SERIALIZATION_FAILED', ''],
  ])('%s: rejected, nothing thrown, the records around it delivered', async (_, record, code, words) => {
    const { cluster, producer } = await arena()
    const orders = producer()
    await orders.send({ topic: 'orders', value: 'before' })
    const bad = failure<KafkaError>(orders.send(anything(record)))
    const after = orders.send({ topic: 'orders', value: 'after' })
    expect(await bad).toMatchObject({ code, mayHaveBeenWritten: false })
    expect((await bad).message).toContain(words)
    await after
    expect(stored(cluster)).toEqual(['before', 'after'])
    expect(orders.metrics().recordErrorTotal).toBe(1)
  })

  test('larger than maxRequestSize: RecordTooLargeError that names the limit', async () => {
    const { producer } = await arena()
    const error = await failure(
      producer({ maxRequestSize: 1000 }).send({ topic: 'orders', value: 'x'.repeat(1000) }),
    )
    expect(error).toMatchObject({ name: 'RecordTooLargeError', mayHaveBeenWritten: false })
    expect(error.message).toContain('maxRequestSize (1000)')
  })
})

test('the caller may reuse its buffers as soon as send has returned, also while metadata is awaited', async () => {
  const { cluster, producer } = await arena()
  const orders = producer()
  const bytes = Buffer.from('one')
  const sent = [orders.send({ topic: 'orders', key: bytes, value: bytes, headers: [['h', bytes]] })]
  bytes.write('two')
  await sent[0]
  sent.push(orders.send({ topic: 'orders', key: bytes, value: bytes, headers: [['h', bytes]] }))
  bytes.write('xxx')
  await Promise.all(sent)
  expect(
    cluster.records('orders').map(({ key, value, headers }) => [key, value, headers[0]![1]].map(String)),
  ).toEqual([
    ['one', 'one', 'one'],
    ['two', 'two', 'two'],
  ])
})

test('a thousand sends to a new topic make one Metadata request each time it is asked', async () => {
  const { cluster, producer } = await arena()
  const orders = producer()
  await Promise.all(
    Array.from({ length: 1000 }, (_, i) => orders.send({ topic: 'orders', value: String(i) })),
  )
  expect(requests(cluster, 'Metadata')).toHaveLength(1)
  expect(requests(cluster, 'InitProducerId')).toHaveLength(1)
  expect(stored(cluster)).toEqual(Array.from({ length: 1000 }, (_, i) => String(i)))
})

test('a topic that does not exist yet is created by the first send', async () => {
  const { cluster, producer } = await arena({ numPartitions: 2 })
  expect(await producer().send({ topic: 'fresh', value: 'v' })).toMatchObject({ topic: 'fresh', offset: 0n })
  expect(stored(cluster, 'fresh')).toEqual(['v'])
})

describe('serializers', () => {
  test('turn keys and values into bytes, may add headers, and never see null', async () => {
    const { cluster, producer } = await arena()
    const seen: unknown[] = []
    const orders = producer<string, { id: number }>({
      keySerializer: string(),
      valueSerializer: (value, { topic, isKey, headers }) => {
        seen.push([value, topic, isKey])
        headers.push(['schema', '7'])
        return JSON.stringify(value)
      },
    })
    const given: Headers = { source: 'test' }
    await orders.send({ topic: 'orders', key: 'k', value: { id: 1 }, headers: given })
    await orders.send({ topic: 'orders', key: null, value: null })
    expect(seen).toEqual([[{ id: 1 }, 'orders', false]])
    expect(given).toEqual({ source: 'test' })
    const [first, tombstone] = cluster.records('orders')
    expect(first!.value!.toString()).toBe('{"id":1}')
    expect(first!.headers.map(([name, value]) => `${name}=${String(value)}`)).toEqual([
      'source=test',
      'schema=7',
    ])
    expect(tombstone).toMatchObject({ key: null, value: null, headers: [] })
  })

  test('that are asynchronous keep the order of the sends, however long each takes', async () => {
    const { cluster, producer } = await arena()
    const done = new Map<string, () => void>()
    const orders = producer<string, string>({
      valueSerializer: (value) => new Promise((resolve) => done.set(value, () => resolve(`${value}!`))),
    })
    const sent = ['a', 'b', 'c', 'd'].map((value) => orders.send({ topic: 'orders', value }))
    for (const value of ['d', 'b']) done.get(value)!()
    await turnsUntil(() => requests(cluster, 'Metadata').length === 1)
    expect(stored(cluster)).toEqual([])
    done.get('a')!()
    await Promise.all(sent.slice(0, 2))
    expect(stored(cluster)).toEqual(['a!', 'b!'])
    done.get('c')!()
    expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual([0n, 1n, 2n, 3n])
    expect(stored(cluster)).toEqual(['a!', 'b!', 'c!', 'd!'])
  })

  test('that throw or reject fail their record alone', async () => {
    const { cluster, producer } = await arena()
    const cause = new Error('registry is down')
    const orders = producer<string, string>({
      valueSerializer: (value) => {
        if (value === 'throws') throw cause
        if (value === 'rejects') return Promise.reject(cause)
        if (value === 'nonsense') return Promise.resolve({} as string)
        return value
      },
    })
    const bad = ['throws', 'rejects', 'nonsense'].map((value) =>
      failure(orders.send({ topic: 'orders', value })),
    )
    await orders.send({ topic: 'orders', value: 'good' })
    expect(await Promise.all(bad)).toMatchObject([
      { name: 'SerializationError', cause, message: expect.stringContaining('registry is down') as string },
      { name: 'SerializationError', cause },
      { name: 'SerializationError' },
    ])
    expect(stored(cluster)).toEqual(['good'])
  })

  test('of a topic handle are its own; without options it has those of the producer', async () => {
    const { cluster, producer } = await arena({
      topics: { orders: { partitions: 1 }, plain: { partitions: 3 } },
    })
    const one = producer<string, object>({ valueSerializer: json() })
    await one.topic('orders').send({ value: { a: 1 } })
    const plain = one.topic<string, string>('plain', { partitioner: roundRobin() })
    expect(plain.name).toBe('plain')
    const places = await Promise.all(['x', 'y', 'z'].map((value) => plain.send({ key: 'same', value })))
    expect(new Set(places.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2]))
    const heard: unknown[] = []
    plain.send({ value: 'w', partition: 2 }, (error, metadata) => heard.push(error, metadata.partition))
    await one.flush()
    expect(heard).toEqual([null, 2])
    expect(stored(cluster)).toEqual(['{"a":1}'])
    expect(new Set(stored(cluster, 'plain'))).toEqual(new Set(['w', 'x', 'y', 'z']))
  })
})

describe('partitioner', () => {
  test('of the user sees keys, values and bytes; -1 leaves it to the built-in one', async () => {
    const { producer } = await arena({ topics: { orders: { partitions: 5 } } })
    const seen: unknown[] = []
    const orders = producer<string, string>({
      partitioner: ({ key, value, keyBytes, valueBytes }, { partitionCount, availablePartitions }) => {
        seen.push([
          key,
          value,
          String(keyBytes),
          String(valueBytes),
          partitionCount,
          availablePartitions.length,
        ])
        return value === 'any' ? -1 : 3
      },
    })
    expect(await orders.send({ topic: 'orders', key: 'k', value: 'v' })).toMatchObject({ partition: 3 })
    expect((await orders.send({ topic: 'orders', value: 'any' })).partition).toBeLessThan(5)
    expect(await orders.send({ topic: 'orders', value: 'v', partition: 1 })).toMatchObject({ partition: 1 })
    expect(seen).toEqual([
      ['k', 'v', 'k', 'v', 5, 5],
      [null, 'any', 'null', 'any', 5, 5],
    ])
  })

  test('that throws, or names a partition that is not there, fails its record', async () => {
    const { producer } = await arena()
    const cause = new Error('no idea')
    const orders = producer<string, string>({
      partitioner: ({ value }) => {
        if (value === 'throws') throw cause
        return 7
      },
    })
    expect(await failure(orders.send({ topic: 'orders', value: 'throws' }))).toMatchObject({
      code: 'PARTITIONER_FAILED',
      cause,
    })
    expect(await failure(orders.send({ topic: 'orders', value: 'v' }))).toMatchObject({
      code: 'UNKNOWN_TOPIC_OR_PARTITION',
    })
  })
})

test('interceptors change records before they are serialized, and hear of every outcome', async () => {
  const { cluster, producer } = await arena()
  const heard: unknown[] = []
  const interceptor: ProducerInterceptor<Payload, Payload> = {
    onSend: (record) => ({ ...record, headers: { traced: '1' } }),
    onAcknowledgement: ({ offset }, error, headers) => heard.push([offset, error?.code, headers]),
    close: () => heard.push('closed'),
  }
  const orders = producer({ interceptors: [interceptor] })
  await orders.send({ topic: 'orders', value: 'v' })
  expect(await failure(orders.send({ topic: 'a/b', value: 'v' }))).toMatchObject({
    code: 'INVALID_TOPIC_EXCEPTION',
  })
  await orders.close()
  expect(cluster.records('orders')[0]!.headers).toEqual([['traced', Buffer.from('1')]])
  expect(heard).toEqual([[0n, undefined, { traced: '1' }], [-1n, 'INVALID_TOPIC_EXCEPTION', { traced: '1' }], 'closed']) // prettier-ignore
})

describe('events', () => {
  test('tell of connections, of new topics and of records that failed', async () => {
    const { cluster, producer } = await arena()
    const heard: unknown[] = []
    const orders = producer()
    const onConnect = () => heard.push('connect')
    orders
      .on('connect', onConnect)
      .on('disconnect', ({ error }) => heard.push(['disconnect', error?.code]))
      .on('metadata', (changes) => heard.push(...changes))
      .on('deliveryError', (error, record) => heard.push([error.code, record]))
    cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
    await failure(orders.send({ topic: 'orders', value: 'v' }))
    orders.off('connect', onConnect)
    cluster.fail({ api: 'Produce' }, 'close')
    await orders.send({ topic: 'orders', value: 'v' })
    expect(heard).toEqual([
      'connect',
      { topic: 'orders', oldPartitionCount: 0, partitionCount: 1 },
      ['INVALID_RECORD', { topic: 'orders', partition: 0 }],
      ['disconnect', 'NETWORK_EXCEPTION'],
    ])
  })

  test('whose listeners throw change nothing but the log', async () => {
    const { log, producer } = await arena()
    const orders = producer()
    const fail = (): never => {
      throw new Error('bad listener')
    }
    orders.on('connect', fail).on('metadata', fail).on('deliveryError', fail)
    await orders.send({ topic: 'orders', value: 'v' })
    expect(await failure(orders.send({ topic: '', value: 'v' }))).toMatchObject({
      code: 'INVALID_TOPIC_EXCEPTION',
    })
    await turn()
    const of = (event: string) =>
      log.filter((line) => line === `error: a listener of '${event}' threw`).length
    expect(['connect', 'metadata', 'deliveryError'].map(of)).toEqual([1, 1, 1])
  })
})
