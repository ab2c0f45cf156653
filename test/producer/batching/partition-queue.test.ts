import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { PartitionQueue, QueuedBatch } from '../../../src/producer/batching/partition-queue.js'
import { madeBatch, madeQueue } from '../made-batch.js'

function ordinals(queue: PartitionQueue): number[] {
  const all: number[] = []
  for (let batch: QueuedBatch | null = queue.head; batch !== null; batch = batch.next) all.push(batch.ordinal)
  return all
}

test('batches stand in the order of their records, however they come back', () => {
  fc.assert(
    fc.property(fc.uniqueArray(fc.nat(30), { minLength: 1 }), fc.array(fc.nat()), (given, removals) => {
      const queue = madeQueue()
      const batches = given.map((ordinal) => madeBatch(ordinal, 1, queue))
      for (const batch of batches) queue.add(batch)
      for (const at of removals) {
        const [batch] = batches.splice(at % (batches.length + 1), 1)
        if (batch === undefined) continue
        queue.withdraw(batch)
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
  const queue = madeQueue()
  expect(queue.open).toBeNull()
  const batch = madeBatch(0, 1, queue)
  queue.add(batch)
  expect(queue.open).toBe(batch)
  queue.close(batch)
  expect(queue.open).toBeNull()
})

test('a batch that is compressed off the main thread is reconsidered when the codec is done, in its queue or out of it', () => {
  let finish: () => void = () => {}
  const released: number[] = []
  const places: (string | undefined)[] = []
  const queue = madeQueue(0, {
    compress: (_batch, done) => (finish = () => done(null)),
    release: (batch) => void released.push(batch.ordinal),
    reconsider: ({ head }) => void places.push(head?.compression),
  })
  const [kept, gone] = [madeBatch(0, 1, queue), madeBatch(1, 1, queue)]
  queue.add(kept)
  queue.close(kept)
  expect(places.at(-1)).toBe('at-work')
  finish()
  expect(places.at(-1)).toBe('done')
  queue.add(gone)
  queue.close(gone)
  queue.withdraw(gone)
  finish()
  expect(released).toEqual([0, 1])
})
