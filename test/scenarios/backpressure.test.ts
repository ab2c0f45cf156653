/** bufferMemory, maxBlockMs and the bound on what waits: memory stays bounded however carelessly send is called. */
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from 'vitest'
import type { KafkaError } from '../../src/index.js'
import { arena, failure, frozenArena, stored, turnsUntil } from './arena.js'

const small = { batchSize: 1000, bufferMemory: 4000, maxRequestSize: 4000 }

describe('when bufferMemory is spent', () => {
  test('records wait for room, first come first served, and all of them arrive in order', async () => {
    const { cluster, producer } = await arena()
    const orders = producer({ ...small, bufferMemory: 10_000 })
    await orders.partitionsFor('orders')
    const values = Array.from({ length: 30 }, (_, i) => `${i}`.padStart(400, '.'))
    const sent = values.map((value) => orders.send({ topic: 'orders', value }))
    expect(orders.metrics().waitingRecords).toBe(10)
    await Promise.all(sent)
    expect(stored(cluster)).toEqual(values)
    expect(orders.metrics()).toMatchObject({ waitingRecords: 0, bufferAvailableBytes: 10_000 })
  })

  test('a smaller record that would fit does not overtake those that wait', async () => {
    const { cluster, producer } = await arena()
    const orders = producer(small)
    await orders.partitionsFor('orders')
    // Three batches of 1000 are taken: the fourth record needs more than is left, the fifth does not.
    const values = [700, 700, 700, 1500, 10].map((size, i) => `${i}`.padEnd(size, '.'))
    const sent = values.map((value) => orders.send({ topic: 'orders', value }))
    expect(orders.metrics().waitingRecords).toBe(2)
    await Promise.all(sent)
    expect(stored(cluster)).toEqual(values)
  })

  test('no batch lingers while a record of another topic waits for its memory', async () => {
    const topics = { orders: { partitions: 1 }, clicks: { partitions: 1 } }
    const { clock, cluster, producer } = await frozenArena({ topics })
    const orders = producer({ ...small, lingerMs: 100_000, maxBlockMs: 5_000 })
    await orders.partitionsFor('orders')
    // Four batches of 1000 bytes would fit; a record of a topic without metadata waits for that first, and then for room.
    for (let i = 0; i < 4; i++) orders.send({ topic: 'orders', value: `${i}`.padEnd(700, '.') }, () => {})
    orders.send({ topic: 'clicks', value: 'c'.repeat(700) }, () => {})
    await clock.advance(4_000)
    expect(stored(cluster)).toHaveLength(4)
    expect(orders.metrics().waitingRecords).toBe(0)
    await clock.advance(100_000)
    expect(stored(cluster, 'clicks')).toHaveLength(1)
  })

  test('a record waits for maxBlockMs at most', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer({ ...small, maxBlockMs: 3_000 })
    await orders.partitionsFor('orders')
    cluster.pauseBroker(1)
    for (let i = 0; i < 4; i++) orders.send({ topic: 'orders', value: 'x'.repeat(900) }, () => {})
    const start = clock.now()
    let error: KafkaError | null = null
    let endedAt = 0
    orders.send({ topic: 'orders', value: 'x'.repeat(900) }, (why) => {
      error = why
      endedAt = clock.now()
    })
    await clock.advance(10_000)
    expect(endedAt - start).toBe(3_000)
    expect(error).toMatchObject({ name: 'BufferExhaustedError', retriable: true, mayHaveBeenWritten: false })
    expect(error!).toMatchObject({ message: expect.stringContaining('4000 bytes (bufferMemory)') as string })
  })

  test('what waits is bounded by another bufferMemory: beyond it a send fails at once', async () => {
    const { clock, cluster, producer } = await frozenArena()
    const orders = producer(small)
    await orders.partitionsFor('orders')
    cluster.pauseBroker(1)
    const codes: string[] = []
    for (let i = 0; i < 200; i++) {
      orders.send({ topic: 'orders', value: 'x'.repeat(300) }, (error) => codes.push(error?.code ?? 'sent'))
    }
    await turnsUntil(() => codes.length > 0)
    const { waitingRecords, bufferAvailableBytes } = orders.metrics()
    expect(bufferAvailableBytes).toBe(0)
    // 300 bytes and what is around them, and 256 more for each.
    expect(waitingRecords).toBe(Math.floor(4000 / (300 + 86 + 256)))
    expect(codes).toEqual(Array.from({ length: 200 - 12 - waitingRecords }, () => 'BUFFER_EXHAUSTED'))
    cluster.resumeBroker(1)
    await clock.advance(0)
    await turnsUntil(() => codes.length === 200)
    expect(codes.filter((code) => code === 'sent')).toHaveLength(12 + waitingRecords)
  })

  test('lingering batches are sent to make room', async () => {
    const { clock, producer } = await frozenArena()
    const orders = producer({ ...small, lingerMs: 60_000, maxBlockMs: 1_000, batchSize: 1500 })
    await orders.partitionsFor('orders')
    const sent = Array.from({ length: 4 }, () => orders.send({ topic: 'orders', value: 'x'.repeat(1000) }))
    expect(orders.metrics().waitingRecords).toBe(2)
    await turnsUntil(() => orders.metrics().waitingRecords === 0)
    const flushed = orders.flush()
    await clock.advance(100)
    await flushed
    await Promise.all(sent)
  })

  test('whoever awaits each send never meets it', async () => {
    const { producer } = await arena()
    const orders = producer(small)
    for (let i = 0; i < 50; i++) await orders.send({ topic: 'orders', value: 'x'.repeat(900) })
    expect(orders.metrics()).toMatchObject({ recordErrorTotal: 0, recordSendTotal: 50 })
  })
})

describe('records that wait for metadata', () => {
  test('keep their topic in use, however long it takes', { timeout: 60_000 }, async () => {
    const { clock, cluster, producer } = await frozenArena({ autoCreateTopics: false, topics: {} })
    const orders = producer({ metadataMaxIdleMs: 5_000, metadataMaxAgeMs: 1_000 })
    let outcome = 'open'
    orders.send({ topic: 'orders', value: 'v' }, (error) => (outcome = error?.code ?? 'sent'))
    await clock.advance(30_000)
    cluster.createTopic('orders')
    await clock.advance(5_000)
    await turnsUntil(() => outcome !== 'open')
    expect(outcome).toBe('sent')
  })

  test('are bounded too, and go on in order when it comes', async () => {
    const { clock, cluster, producer } = await frozenArena()
    cluster.fail({ api: 'Metadata' }, { delayMs: 1_000 })
    const orders = producer({ ...small, bufferMemory: 8_000 })
    const codes: string[] = []
    for (let i = 0; i < 100; i++) {
      orders.send({ topic: 'orders', value: String(i) }, (error) => codes.push(error?.code ?? 'sent'))
    }
    await clock.advance(999)
    const refused = codes.length
    expect(new Set(codes)).toEqual(new Set(['BUFFER_EXHAUSTED']))
    expect(orders.metrics().waitingRecords).toBe(100 - refused)
    await clock.advance(1)
    await turnsUntil(() => codes.length === 100)
    expect(stored(cluster)).toEqual(Array.from({ length: 100 - refused }, (_, i) => String(i)))
  })
})

describe('writable', () => {
  test('takes records at the speed of the brokers, and ends when all are acknowledged', async () => {
    const { cluster, producer } = await arena()
    const orders = producer(small)
    let waiting = 0
    const source = function* (): Generator<object> {
      for (let i = 0; i < 200; i++) {
        waiting = Math.max(waiting, orders.metrics().waitingRecords)
        yield { value: `${i}`.padStart(300, '.') }
      }
    }
    await pipeline(Readable.from(source()), orders.writable({ topic: 'orders' }))
    expect(stored(cluster)).toEqual(Array.from({ length: 200 }, (_, i) => `${i}`.padStart(300, '.')))
    expect(waiting).toBeLessThanOrEqual(1)
  })

  test('fails with the first record that fails', async () => {
    const { cluster, producer } = await arena()
    const orders = producer()
    cluster.fail({ api: 'Produce' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
    const records = Array.from({ length: 10 }, () => ({ topic: 'orders', value: 'v' }))
    const error = await failure(pipeline(Readable.from(records), orders.writable()))
    expect(error).toMatchObject({ name: 'AuthorizationError', code: 'TOPIC_AUTHORIZATION_FAILED' })
  })

  test('leaves the producer open', async () => {
    const { cluster, producer } = await arena()
    const orders = producer()
    await pipeline(Readable.from([{ topic: 'orders', value: 'a' }]), orders.writable())
    await orders.send({ topic: 'orders', value: 'b' })
    expect(stored(cluster)).toEqual(['a', 'b'])
  })
})
