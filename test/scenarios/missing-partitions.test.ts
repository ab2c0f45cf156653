/** A record that names a partition which the topic does not have yet waits for it, and for nothing else (KAFKA-6833). */
import { expect, test } from 'vitest'
import type { KafkaError } from '../../src/index.js'
import { failure, frozenArena, stored } from './arena.js'

test('goes on in order when the partition appears; records of other partitions do not wait', async () => {
  const { clock, cluster, producer } = await frozenArena({ topics: { orders: { partitions: 2 } } })
  const orders = producer()
  await orders.partitionsFor('orders')
  const settled: string[] = []
  const send = (value: string, partition: number): void => {
    orders.send({ topic: 'orders', value, partition }, (error) => settled.push(error?.code ?? value))
  }
  send('third 1', 2)
  send('first', 0)
  send('fourth', 3)
  send('third 2', 2)
  await clock.advance(2_000)
  expect(settled).toEqual(['first'])
  cluster.addPartitions('orders', 3)
  await clock.advance(2_000)
  expect(settled).toEqual(['first', 'third 1', 'third 2'])
  cluster.addPartitions('orders', 4)
  await clock.advance(2_000)
  expect(settled.at(-1)).toBe('fourth')
  expect(stored(cluster)).toEqual(['first', 'third 1', 'third 2', 'fourth'])
})

test('is told the number of partitions after maxBlockMs, and a flush waits for that', async () => {
  const { clock, producer } = await frozenArena({ topics: { orders: { partitions: 2 } } })
  const orders = producer({ maxBlockMs: 3_000 })
  await orders.partitionsFor('orders')
  const failed = failure<KafkaError>(orders.send({ topic: 'orders', value: 'v', partition: 7 }))
  let isFlushed = false
  const flushed = orders.flush().then(() => (isFlushed = true))
  await clock.advance(2_900)
  expect(isFlushed).toBe(false)
  await clock.advance(100)
  await flushed
  expect(await failed).toMatchObject({ name: 'TimeoutError', retriable: true, mayHaveBeenWritten: false })
  expect((await failed).message).toContain('orders has 2 partition(s), and partition 7 did not appear')
})

test('stays ahead of a later record of the same partition while room is scarce', async () => {
  const { clock, cluster, producer } = await frozenArena()
  const orders = producer({
    batchSize: 1000,
    bufferMemory: 4000,
    maxRequestSize: 4000,
    retryBackoffMaxMs: 100,
  })
  await orders.partitionsFor('orders')
  const failed: unknown[] = []
  const send = (value: string, partition: number): void => {
    orders.send({ topic: 'orders', value, partition }, (error) => error && failed.push(error.code))
  }
  send('first', 1)
  const heal = cluster.fail({ api: 'Produce', times: Infinity }, { error: 'NOT_ENOUGH_REPLICAS' })
  for (let i = 0; i < 5; i++) send(`${i}`.padEnd(900, '.'), 0)
  send('second', 1)
  await clock.advance(500)
  cluster.addPartitions('orders', 2)
  await clock.advance(2_000)
  expect(await orders.partitionsFor('orders')).toHaveLength(2)
  heal()
  await clock.advance(5_000)
  expect(failed).toEqual([])
  expect(stored(cluster).slice(-2)).toEqual(['first', 'second'])
})

test('takes its share of what may wait', async () => {
  const { clock, producer } = await frozenArena()
  const orders = producer({ batchSize: 1000, bufferMemory: 4000, maxRequestSize: 4000, maxBlockMs: 1_000 })
  await orders.partitionsFor('orders')
  const codes: string[] = []
  for (let i = 0; i < 20; i++) {
    orders.send({ topic: 'orders', value: 'v', partition: 9 }, (error) => codes.push(error?.code ?? 'sent'))
  }
  await clock.advance(0)
  expect(new Set(codes)).toEqual(new Set(['BUFFER_EXHAUSTED']))
  const refused = codes.length
  await clock.advance(1_000)
  expect(codes).toHaveLength(20)
  expect(new Set(codes.slice(refused))).toEqual(new Set(['TIMEOUT']))
})

test('waits also behind records that wait for metadata or an asynchronous serializer', async () => {
  const { clock, cluster, producer } = await frozenArena()
  const orders = producer<string, string>({ valueSerializer: (value) => Promise.resolve(value) })
  const settled: string[] = []
  for (const [value, partition] of [
    ['later', 1],
    ['now', 0],
  ] as const) {
    orders.send({ topic: 'orders', value, partition }, (error) => settled.push(error?.code ?? value))
  }
  await clock.advance(2_000)
  expect(settled).toEqual(['now'])
  cluster.addPartitions('orders', 2)
  await clock.advance(2_000)
  expect(settled).toEqual(['now', 'later'])
})

test('a partition that a partitioner returns fails its record at once, not retriable', async () => {
  const { producer } = await frozenArena()
  const orders = producer({ partitioner: () => 7 })
  await orders.partitionsFor('orders')
  expect(await failure(orders.send({ topic: 'orders', value: 'v' }))).toMatchObject({
    code: 'UNKNOWN_TOPIC_OR_PARTITION',
    retriable: false,
  })
})
