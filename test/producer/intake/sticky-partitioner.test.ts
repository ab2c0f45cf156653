import { expect, test } from 'vitest'
import { StickyPartitioner, type StickyTopic } from '../../../src/producer/intake/sticky-partitioner.js'

function topicOf(partitionCount: number): StickyTopic {
  return { partitionCount, availablePartitions: Array.from({ length: partitionCount }, (_, index) => index) }
}

/** A seeded generator of numbers in [0, 1): the tests are the same on every run. */
function seeded(seed: number): () => number {
  let state = seed >>> 0
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
}

/** Bytes per partition after sending records of sizes that `size` gives, every batch ready. */
function spread(
  partitioner: StickyPartitioner,
  topic: StickyTopic,
  records: number,
  size: () => number,
): number[] {
  const sent = Array.from({ length: topic.partitionCount }, () => 0)
  for (let i = 0; i < records; i++) {
    const partition = partitioner.partition(topic)
    const bytes = size()
    sent[partition]! += bytes
    partitioner.appended(bytes, true, topic)
  }
  return sent
}

test.each([
  [7, 1],
  [7, 2],
  [2, 3],
  [100, 4],
])(
  'the bytes of a million mixed records on %i equal partitions come out within 5 %%',
  (partitionCount, seed) => {
    const random = seeded(seed)
    const sizes = [20, 100, 100, 100, 100, 300, 1000, 5000]
    const partitioner = new StickyPartitioner(16_384, random)
    const sent = spread(partitioner, topicOf(partitionCount), 1_000_000, () => {
      return sizes[Math.floor(random() * sizes.length)]!
    })
    const fair = sent.reduce((sum, bytes) => sum + bytes, 0) / partitionCount
    for (const bytes of sent) expect(Math.abs(bytes - fair) / fair).toBeLessThan(0.05)
  },
)

test('two producers do not go through the partitions in step', () => {
  const topic = topicOf(50)
  const one = new StickyPartitioner(1, () => 0.1)
  const other = new StickyPartitioner(1, () => 0.6)
  const pathOf = (partitioner: StickyPartitioner) =>
    Array.from({ length: 20 }, () => {
      partitioner.appended(1, true, topic)
      return partitioner.partition(topic)
    })
  const [path, otherPath] = [pathOf(one), pathOf(other)]
  expect(path.filter((partition, index) => partition === otherPath[index])).toEqual([])
})

test('records stay on a partition until a batch is full', () => {
  const topic = topicOf(10)
  const partitioner = new StickyPartitioner(100, () => 0)
  const first = partitioner.partition(topic)
  partitioner.appended(99, true, topic)
  expect(partitioner.partition(topic)).toBe(first)
  partitioner.appended(1, true, topic)
  expect(partitioner.partition(topic)).not.toBe(first)
})

test('while a batch still fills the move waits, but not beyond twice the bytes', () => {
  const topic = topicOf(10)
  const partitioner = new StickyPartitioner(100, () => 0)
  const first = partitioner.partition(topic)
  partitioner.appended(199, false, topic)
  expect(partitioner.partition(topic)).toBe(first)
  partitioner.appended(1, false, topic)
  expect(partitioner.partition(topic)).not.toBe(first)
})

test('a move that was put off is made up for once the batch is ready', () => {
  const topic = topicOf(10)
  const partitioner = new StickyPartitioner(100, () => 0)
  const first = partitioner.partition(topic)
  partitioner.appended(150, false, topic)
  partitioner.appended(0, true, topic)
  expect(partitioner.partition(topic)).not.toBe(first)
})

test('the bytes are counted anew on each partition', () => {
  const topic = topicOf(10)
  const partitioner = new StickyPartitioner(100, () => 0)
  partitioner.partition(topic)
  partitioner.appended(150, true, topic)
  const second = partitioner.partition(topic)
  partitioner.appended(99, true, topic)
  expect(partitioner.partition(topic)).toBe(second)
})

test('a partition with a long queue gets as much less as the queue says', () => {
  // Queues of 0, 3 and 1 give the weights 4, 1 and 3.
  const partitioner = new StickyPartitioner(1, seeded(5))
  partitioner.updateLoadStats([0, 3, 1], [0, 1, 2], 3, 3)
  const sent = spread(partitioner, topicOf(3), 80_000, () => 1)
  expect(sent[0]! / 80_000).toBeCloseTo(4 / 8, 2)
  expect(sent[1]! / 80_000).toBeCloseTo(1 / 8, 2)
  expect(sent[2]! / 80_000).toBeCloseTo(3 / 8, 2)
})

test('only the first entries of the arrays count: excluded partitions get nothing', () => {
  const topic = topicOf(4)
  const partitioner = new StickyPartitioner(1, seeded(6))
  partitioner.updateLoadStats(Int32Array.of(2, 2, 9, 9), [1, 3, 0, 2], 2, 4)
  partitioner.appended(1, true, topic)
  const sent = spread(partitioner, topic, 10_000, () => 1)
  expect([sent[0], sent[2]]).toEqual([0, 0])
  expect(sent[1]! / 10_000).toBeCloseTo(0.5, 2)
})

test('a single partition that is left gets everything', () => {
  const partitioner = new StickyPartitioner(1, seeded(7))
  partitioner.updateLoadStats([5, 0], [1, 0], 1, 2)
  expect(spread(partitioner, topicOf(2), 100, () => 1)).toEqual([0, 100])
})

test('without stats, or with all queues equal, all available partitions get the same', () => {
  const partitioner = new StickyPartitioner(1, seeded(8))
  partitioner.updateLoadStats([0, 9], [0, 1], 2, 2)
  partitioner.updateLoadStats([3, 3], [0, 1], 2, 2)
  const equal = spread(partitioner, topicOf(2), 10_000, () => 1)
  expect(equal[0]! / 10_000).toBeCloseTo(0.5, 2)
  partitioner.updateLoadStats([0, 9], [0, 1], 2, 2)
  partitioner.clearLoadStats()
  const cleared = spread(partitioner, topicOf(2), 10_000, () => 1)
  expect(cleared[0]! / 10_000).toBeCloseTo(0.5, 2)
})

test('stats of no partition, or of a topic with one, count as none', () => {
  const partitioner = new StickyPartitioner(1, seeded(9))
  partitioner.updateLoadStats([4, 4], [0, 1], 0, 2)
  expect(new Set(drawn(partitioner, topicOf(2), 10))).toEqual(new Set([0, 1]))
  partitioner.updateLoadStats([4], [0], 1, 1)
  expect(new Set(drawn(partitioner, topicOf(1), 10))).toEqual(new Set([0]))
})

function drawn(partitioner: StickyPartitioner, topic: StickyTopic, count: number): number[] {
  return Array.from({ length: count }, () => {
    partitioner.appended(1, true, topic)
    return partitioner.partition(topic)
  })
}

test('partitions without a leader are left out, unless none has one', () => {
  const partitioner = new StickyPartitioner(1, seeded(10))
  const some = { partitionCount: 4, availablePartitions: [1, 2] }
  expect(new Set(drawn(partitioner, some, 50))).toEqual(new Set([1, 2]))
  const none = { partitionCount: 4, availablePartitions: [] }
  expect(new Set(drawn(partitioner, none, 50))).toEqual(new Set([0, 1, 2, 3]))
})

test('partitions that were added are used, and ones that are gone are not', () => {
  const partitioner = new StickyPartitioner(1, seeded(11))
  expect(new Set(drawn(partitioner, topicOf(2), 50))).toEqual(new Set([0, 1]))
  expect(new Set(drawn(partitioner, topicOf(4), 50))).toEqual(new Set([0, 1, 2, 3]))
  // The stats still tell of the four when the topic has only two again.
  partitioner.updateLoadStats([9, 9, 9, 0], [0, 1, 2, 3], 4, 4)
  const stuck = new StickyPartitioner(100, () => 0.99)
  expect(stuck.partition({ partitionCount: 8, availablePartitions: [7] })).toBe(7)
  expect(stuck.partition(topicOf(2))).toBeLessThan(2)
  for (const partition of drawn(partitioner, topicOf(2), 50)) expect(partition).toBeLessThan(2)
})
