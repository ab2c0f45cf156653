import { expect, test } from 'vitest'
import { keyHash, partitionForKey, roundRobin, sticky, type PartitionerRecord } from '../src/partitioner.js'

function record(key: string | null, topic = 'orders'): PartitionerRecord {
  const keyBytes = key === null ? null : Buffer.from(key)
  return { topic, key, value: 'v', keyBytes, valueBytes: Buffer.from('v'), headers: undefined }
}

test.each([
  // Printed by BuiltInPartitioner.partitionForKey of Kafka 4.2.0.
  [1, 0],
  [3, 0],
  [7, 1],
  [100, 78],
])('of %i partitions keyHash picks the one that the Java client picks', (partitionCount, partition) => {
  expect(keyHash()(record('order-1001'), { partitionCount, availablePartitions: [] })).toBe(partition)
  const bytes = Buffer.from('-order-1001-')
  expect(partitionForKey(bytes, 1, bytes.length - 1, partitionCount)).toBe(partition)
})

test('keyHash picks the same partition whether it has a leader or not', () => {
  expect(keyHash()(record('order-1001'), { partitionCount: 7, availablePartitions: [0, 2] })).toBe(1)
})

test('a negative hash still gives a partition', () => {
  const partition = keyHash()(record('a'), { partitionCount: 10, availablePartitions: [] })
  expect(partition).toBe((-1563381124 & 0x7fffffff) % 10)
})

test('an empty key is a key, and no key leaves the choice to the producer', () => {
  const cluster = { partitionCount: 10, availablePartitions: [0] }
  expect(keyHash()(record(''), cluster)).toBe(275646681 % 10)
  expect(keyHash()(record(null), cluster)).toBe(-1)
})

test('sticky leaves every choice to the producer', () => {
  const cluster = { partitionCount: 10, availablePartitions: [0] }
  expect(sticky()(record('a'), cluster)).toBe(-1)
  expect(sticky()(record(null), cluster)).toBe(-1)
})

test('keyHash and sticky are recognised by identity', () => {
  expect(keyHash()).toBe(keyHash())
  expect(sticky()).toBe(sticky())
})

test('roundRobin goes through the partitions that have a leader', () => {
  const next = roundRobin()
  const cluster = { partitionCount: 4, availablePartitions: [0, 3] }
  expect([1, 2, 3, 4].map(() => next(record('same'), cluster))).toEqual([0, 3, 0, 3])
})

test('roundRobin goes through all partitions when none has a leader', () => {
  const next = roundRobin()
  const cluster = { partitionCount: 3, availablePartitions: [] }
  expect([1, 2, 3, 4].map(() => next(record(null), cluster))).toEqual([0, 1, 2, 0])
})

test('roundRobin counts each topic, and each producer, on its own', () => {
  const one = roundRobin()
  const other = roundRobin()
  const cluster = { partitionCount: 3, availablePartitions: [0, 1, 2] }
  expect(one(record(null, 'a'), cluster)).toBe(0)
  expect(one(record(null, 'b'), cluster)).toBe(0)
  expect(other(record(null, 'a'), cluster)).toBe(0)
  expect(one(record(null, 'a'), cluster)).toBe(1)
})
