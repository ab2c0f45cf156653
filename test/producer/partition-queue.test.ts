import fc from 'fast-check'
import { expect, test } from 'vitest'
import { PartitionQueue } from '../../src/producer/partition-queue.js'
import type { ProducerBatch } from '../../src/producer/producer-batch.js'
import { madeBatch } from './made-batch.js'

function ordinals(queue: PartitionQueue): number[] {
  const all: number[] = []
  for (let batch: ProducerBatch | null = queue.head; batch !== null; batch = batch.next)
    all.push(batch.ordinal)
  return all
}

test('batches stand in the order of their records, however they come back', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(30), { minLength: 1 }), fc.array(fc.nat()), (given, removals) => {
      const queue = new PartitionQueue('orders', 0)
      const batches = given.map((ordinal) => madeBatch(ordinal, 1, queue))
      for (const batch of batches) queue.insert(batch)
      for (const at of removals) {
        const [batch] = batches.splice(at % (batches.length + 1), 1)
        if (batch === undefined) continue
        queue.remove(batch)
        expect(batch).toMatchObject({ isQueued: false, next: null })
      }
      const left = batches.map(({ ordinal }) => ordinal).toSorted((a, b) => a - b)
      expect(ordinals(queue)).toEqual(left)
      expect(queue.length).toBe(left.length)
      expect(queue.newest?.ordinal).toBe(left.at(-1))
    }),
  )
})

test('only the newest batch takes records, and none once it is closed', () => {
  const queue = new PartitionQueue('orders', 0)
  expect(queue.open).toBeNull()
  const batch = madeBatch(0, 1, queue)
  queue.insert(batch)
  expect(queue.open).toBe(batch)
  batch.isClosed = true
  expect(queue.open).toBeNull()
})
