/**
 * Code of the application that runs in the midst of a `send` and sends itself: a partitioner, a getter, a codec, a
 * logger. Every record keeps its own bytes, and every outcome goes to the record that it is about.
 */
import { gzipSync } from 'node:zlib'
import { describe, expect, test } from 'vitest'
import type { Producer, RecordMetadata } from '../../src/index.js'
import { arena, frozenArena, stored } from './arena.js'

/** Sends by promise and by callback in turn, and keeps which outcome belongs to which value. */
class Sends {
  readonly #outcomes: Promise<readonly [value: string, metadata: RecordMetadata]>[] = []
  readonly #producer: Producer
  #count = 0

  constructor(producer: Producer) {
    this.#producer = producer
  }

  send(value: string): void {
    const record = { topic: 'orders', value }
    if (this.#count++ % 2 === 0) {
      this.#outcomes.push(this.#producer.send(record).then((metadata) => [value, metadata]))
    } else {
      const told = new Promise<RecordMetadata>((resolve, reject) => {
        this.#producer.send(record, (error, metadata) => (error === null ? resolve(metadata) : reject(error)))
      })
      this.#outcomes.push(told.then((metadata) => [value, metadata]))
    }
  }

  /** The values at the offsets that their senders were told, in the order of the log. */
  async stored(): Promise<string[]> {
    let outcomes: (readonly [string, RecordMetadata])[] = []
    // What is acknowledged may have sent more meanwhile.
    while (outcomes.length < this.#outcomes.length) outcomes = await Promise.all(this.#outcomes)
    return outcomes.toSorted(([, a], [, b]) => Number(a.offset - b.offset)).map(([value]) => value)
  }
}

const long = (name: string): string => name.padEnd(150, '.')

describe('a codec that sends', () => {
  test('gets no outcome of another record', async () => {
    const { cluster, producer } = await arena()
    let audits = 0
    const orders = producer({
      batchSize: 200,
      compressionType: 'gzip',
      codecs: {
        gzip: {
          compress(bytes) {
            if (audits < 5) sends.send(`audit ${audits++}`)
            return gzipSync(bytes)
          },
        },
      },
    })
    const sends = new Sends(orders)
    await orders.partitionsFor('orders')
    for (let i = 0; i < 10; i++) sends.send(long(String(i)))
    await orders.flush()
    expect(await sends.stored()).toEqual(stored(cluster))
    expect(stored(cluster)).toHaveLength(15)
  })

  test('nor does a record that waited for room, or a flush from before', async () => {
    const { cluster, producer } = await arena()
    let audits = 0
    const orders = producer({
      batchSize: 1000,
      bufferMemory: 3000,
      maxRequestSize: 3000,
      lingerMs: 100,
      compressionType: 'gzip',
      codecs: {
        gzip: {
          compress(bytes) {
            if (audits < 3) sends.send(`audit ${audits++}`)
            return gzipSync(bytes)
          },
        },
      },
    })
    const sends = new Sends(orders)
    await orders.partitionsFor('orders')
    for (let i = 0; i < 17; i++) sends.send(long(String(i)))
    expect(orders.metrics().waitingRecords).toBe(2)
    await orders.flush()
    expect(await sends.stored()).toEqual(stored(cluster))
    expect(stored(cluster)).toHaveLength(20)
  })
})

test('a logger that sends when a batch cannot be compressed gets no outcome of another record', async () => {
  const { cluster, producer } = await arena()
  let reports = 0
  const ignore = (): void => {}
  const orders = producer({
    batchSize: 200,
    compressionType: 'gzip',
    codecs: {
      gzip: {
        compress() {
          throw new Error('no codec today')
        },
      },
    },
    logger: {
      debug: ignore,
      info: ignore,
      warn: ignore,
      error: () => {
        while (reports < 5) sends.send(`report ${reports++}`)
      },
    },
  })
  const sends = new Sends(orders)
  await orders.partitionsFor('orders')
  for (let i = 0; i < 10; i++) sends.send(long(String(i)))
  await orders.flush()
  expect(await sends.stored()).toEqual(stored(cluster))
  expect(stored(cluster)).toHaveLength(15)
})

describe('records keep their own keys and headers', () => {
  const topics = { orders: { partitions: 1 }, audit: { partitions: 1 } }

  test.each(['the same producer', 'another producer'])(
    'when a partitioner sends through %s',
    async (which) => {
      const { cluster, producer } = await arena({ topics })
      const other = producer()
      const orders: Producer<string, string> = producer<string, string>({
        partitioner: ({ key, topic }) => {
          if (topic === 'audit') return 0
          const audit = which === 'another producer' ? other : orders
          void audit.send({ topic: 'audit', key: `AUDIT-${key}`, value: 'x', headers: { of: 'audit' } })
          return 0
        },
      })
      for (const one of [other, orders]) await one.partitionsFor('audit')
      await orders.partitionsFor('orders')
      const keys = ['o', 'a key beyond ASCII: \u00e9', 'k'.repeat(3000)]
      for (const key of keys)
        await orders.send({ topic: 'orders', key, value: 'v', headers: { of: 'orders' } })
      await Promise.all([orders.flush(), other.flush()])
      const kept = (topic: string): string[][] =>
        cluster.records(topic).map(({ headers, key }) => [String(key), String(headers[0]![1])])
      expect(kept('orders')).toEqual(keys.map((key) => [key, 'orders']))
      expect(kept('audit')).toEqual(keys.map((key) => [`AUDIT-${key}`, 'audit']))
    },
  )

  test('when a getter among the headers sends', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ lingerMs: 20 })
    await orders.partitionsFor('orders')
    const headers = {
      first: 'outer',
      get second() {
        void orders.send({
          topic: 'orders',
          key: 'inner',
          value: 'inner',
          headers: { a: 'inner', b: 'i'.repeat(2000) },
        })
        return 'outer'
      },
      third: 'outer',
    }
    await orders.send({ topic: 'orders', key: 'outer', value: 'outer', headers })
    await orders.flush()
    const shown = cluster
      .records('orders')
      .map((record) => [record.key, record.value, ...record.headers.map(([, value]) => value)].map(String))
    expect(shown).toEqual([
      ['inner', 'inner', 'inner', 'i'.repeat(2000)],
      ['outer', 'outer', 'outer', 'outer', 'outer'],
    ])
  })
})

test('what a partitioner sent first, and what has to wait for room, is not overtaken', async () => {
  const { cluster, producer } = await arena()
  let inner: Promise<RecordMetadata> | undefined
  const orders: Producer = producer({
    batchSize: 1000,
    bufferMemory: 1000,
    maxRequestSize: 1000,
    partitioner: ({ value }) => {
      // Larger than what is left in the batch: it waits for room, and the one in whose midst it was sent fits.
      if (value === 'outer') inner = orders.send({ topic: 'orders', value: 'inner'.padEnd(250, '.') })
      return 0
    },
  })
  await orders.partitionsFor('orders')
  const sent = ['first'.padEnd(700, '.'), 'outer'].map((value) => orders.send({ topic: 'orders', value }))
  await Promise.all(sent)
  await inner
  expect(stored(cluster).map((value) => value!.slice(0, 5))).toEqual(['first', 'inner', 'outer'])
})

test('a partitioner is asked once for a record, however long that waits for room', async () => {
  const { producer } = await arena({ topics: { orders: { partitions: 2 } } })
  let asked = 0
  const orders = producer({
    batchSize: 1000,
    bufferMemory: 2000,
    maxRequestSize: 1000,
    partitioner: () => asked++ % 2,
  })
  await orders.partitionsFor('orders')
  const sent = await Promise.all(
    Array.from({ length: 4 }, () => orders.send({ topic: 'orders', value: 'x'.repeat(600) })),
  )
  expect(asked).toBe(4)
  expect(sent.map(({ partition }) => partition)).toEqual([0, 1, 0, 1])
})

test('a record that waited ends in its own time, in a batch that its partitioner has begun with a later one', async () => {
  const { clock, cluster, producer } = await frozenArena()
  const settledAt: number[] = []
  let isAsked = true
  const orders = producer({
    requestTimeoutMs: 1_000,
    deliveryTimeoutMs: 2_000,
    retryBackoffMs: 100,
    retryBackoffMaxMs: 100,
    reconnectBackoffMs: 100,
    reconnectBackoffMaxMs: 100,
    partitioner: () => {
      if (!isAsked) {
        isAsked = true
        orders.send({ topic: 'orders', value: 'later' }, () => settledAt.push(clock.now()))
      }
      return 0
    },
  })
  await orders.send({ topic: 'orders', value: 'before' })
  isAsked = false
  await cluster.stopBroker(1)
  const startedAt = clock.now()
  const slow = orders.topic('orders', {
    valueSerializer: (value: string) =>
      new Promise<string>((resolve) => {
        clock.setTimer(500, () => resolve(value))
      }),
  })
  slow.send({ value: 'first' }, () => settledAt.push(clock.now()))
  await clock.advance(3_000)
  expect(settledAt.map((at) => at - startedAt)).toEqual([2_000, 2_000])
})
