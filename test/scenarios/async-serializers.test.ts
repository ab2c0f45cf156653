/** Asynchronous serializers: `send` returns before they are done, and nothing that the caller does then reaches the record. */
import { describe, expect, test } from 'vitest'
import type { PartitionerRecord, Serializer } from '../../src/index.js'
import { arena, failure } from './arena.js'

/** A serializer whose records go on when the test says so. */
function held<T>(serialize: (value: T, context: Parameters<Serializer<T>>[1]) => Buffer | string): {
  serializer: Serializer<T>
  go: () => void
} {
  let go = (): void => {}
  const gate = new Promise<void>((resolve) => (go = resolve))
  return { serializer: (value, context) => gate.then(() => serialize(value, context)), go: () => go() }
}

describe('a caller that reuses its key, value and headers once send has returned', () => {
  test.each(['metadata is known', 'metadata is awaited'])(
    'changes nothing of the record (%s)',
    async (when) => {
      const { cluster, producer } = await arena({ topics: { orders: { partitions: 12 } } })
      const { serializer, go } = held<Buffer>((value) => Buffer.from(value))
      const orders = producer<Buffer, Buffer>({ valueSerializer: serializer })
      const direct = producer()
      if (when === 'metadata is known') await orders.partitionsFor('orders')
      const [key, value, bytes] = ['k1', 'v1', 'h1'].map((text) => Buffer.from(text)) as [
        Buffer,
        Buffer,
        Buffer,
      ]
      const headers: Record<string, Buffer> = { h: bytes }
      const sent = orders.send({ topic: 'orders', key, value, headers })
      for (const one of [key, value, bytes]) one.fill('x')
      headers['late'] = Buffer.from('x')
      go()
      const { partition } = await sent
      const [record] = cluster.records('orders')
      expect([record!.key, record!.value, ...record!.headers.flat()].map(String)).toEqual([
        'k1',
        'v1',
        'h',
        'h1',
      ])
      expect((await direct.send({ topic: 'orders', key: 'k1', value: 'v' })).partition).toBe(partition)
    },
  )

  test('shows a partitioner the bytes of the call, and other objects as they are', async () => {
    const { producer } = await arena()
    const seen: PartitionerRecord[] = []
    const { serializer, go } = held<{ id: number }>((value) => String(value.id))
    const orders = producer<Buffer, { id: number }>({
      valueSerializer: serializer,
      partitioner: (record) => {
        seen.push(record)
        return 0
      },
    })
    const key = Buffer.from('k1')
    const value = { id: 1 }
    const sent = orders.send({ topic: 'orders', key, value, headers: [['h', 'v']] })
    key.fill('x')
    go()
    await sent
    expect(seen).toHaveLength(1)
    expect([seen[0]!.key, seen[0]!.keyBytes, seen[0]!.valueBytes].map(String)).toEqual(['k1', 'k1', '1'])
    expect(seen[0]!.value).toBe(value)
  })
})

test('what serializers return is copied when it arrives, though the other one is not done', async () => {
  const { cluster, producer } = await arena()
  const output = Buffer.from('k1')
  const { serializer, go } = held<string>((value) => value)
  const orders = producer<string, string>({
    keySerializer: () => Promise.resolve(output),
    valueSerializer: serializer,
  })
  const sent = orders.send({ topic: 'orders', key: 'k', value: 'v' })
  await new Promise((resolve) => setImmediate(resolve))
  output.fill('x')
  go()
  await sent
  expect(String(cluster.records('orders')[0]!.key)).toBe('k1')
})

test('headers that a serializer adds until it settles are kept, behind those that were given', async () => {
  const { cluster, producer } = await arena()
  const { serializer, go } = held<string>((value, { headers }) => {
    headers.push(['late', 'b'])
    return value
  })
  const orders = producer<string, string>({
    keySerializer: (key, { headers }) => {
      headers.push(['early', 'a'])
      return key
    },
    valueSerializer: serializer,
  })
  const sent = orders.send({ topic: 'orders', key: 'k', value: 'v', headers: { given: 'g' } })
  go()
  await sent
  expect(cluster.records('orders')[0]!.headers.map((pair) => pair.map(String))).toEqual([
    ['given', 'g'],
    ['early', 'a'],
    ['late', 'b'],
  ])
})

describe('a rejection of a serializer is no unhandled one', () => {
  const rejects = (): Promise<string> => Promise.reject(new Error('no schema'))

  test('when the other serializer throws', async () => {
    const { producer } = await arena()
    const cause = new Error('at once')
    const orders = producer<string, string>({
      keySerializer: rejects,
      valueSerializer: () => {
        throw cause
      },
    })
    expect(await failure(orders.send({ topic: 'orders', key: 'k', value: 'v' }))).toMatchObject({ cause })
    await new Promise((resolve) => setImmediate(resolve))
  })

  test('when too many records wait already', async () => {
    const { producer } = await arena()
    const orders = producer<string, string>({
      valueSerializer: rejects,
      bufferMemory: 1000,
      batchSize: 1000,
      maxRequestSize: 1000,
    })
    const outcomes = await Promise.allSettled(
      Array.from({ length: 10 }, () => orders.send({ topic: 'orders', value: 'v' })),
    )
    expect(new Set(outcomes.map((one) => (one as { reason: { code: string } }).reason.code))).toEqual(
      new Set(['SERIALIZATION_FAILED', 'BUFFER_EXHAUSTED']),
    )
  })
})
