import fc from 'fast-check'
import { expect, test } from 'vitest'
import { DeadlineQueue, type Deadline } from '../../src/time/deadline-queue.js'

test('an empty queue is never due', () => {
  const queue = new DeadlineQueue<string>()
  expect(queue.nextAt).toBe(Infinity)
  expect(queue.first).toBeUndefined()
  expect(queue.takeDue(Infinity)).toBeUndefined()
})

test('things that are due at the same time leave in the order in which they came', () => {
  const queue = new DeadlineQueue<string>()
  queue.add('b', 5)
  queue.add('c', 5)
  queue.add('a', 1)
  queue.add('d', 5)
  expect(queue.all).toEqual(['a', 'b', 'c', 'd'])
  expect([queue.takeDue(4), queue.takeDue(4), queue.takeDue(5)]).toEqual(['a', undefined, 'b'])
})

test('adding, taking out and asking in any order is the same as in a sorted list', () => {
  const step = fc.oneof(
    fc.record({ at: fc.nat(20) }),
    fc.record({ remove: fc.nat() }),
    fc.record({ now: fc.nat(20) }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
      const queue = new DeadlineQueue<number>()
      let model: Deadline<number>[] = []
      let next = 0
      for (const one of steps) {
        if ('at' in one) {
          model.push(queue.add(next++, one.at))
          model = model.toSorted((a, b) => a.at - b.at || a.item - b.item)
        } else if ('remove' in one) {
          const [entry] = model.splice(one.remove % (model.length + 1), 1)
          if (entry !== undefined) queue.remove(entry)
        }
        const now = 'now' in one ? one.now : -1
        const due = model[0] !== undefined && model[0].at <= now ? model.shift()!.item : undefined
        expect(queue.takeDue(now)).toBe(due)
        expect(queue.all).toEqual(model.map(({ item }) => item))
        expect(queue.size).toBe(model.length)
        expect(queue.nextAt).toBe(model[0]?.at ?? Infinity)
        expect(queue.first).toBe(model[0]?.item)
      }
    }),
  )
})

test.each([
  ['ascending', (i: number) => i],
  ['descending', (i: number) => -i],
  ['in two series, the later one due first', (i: number) => (i % 2 === 0 ? i : i - 1e6)],
])('costs a few comparisons for each thing, %s', (_, atOf) => {
  let reads = 0
  /** A time that counts how often it is looked at. */
  const counted = (at: number): number => ({ valueOf: () => (reads++, at) }) as unknown as number
  const count = 4096
  const queue = new DeadlineQueue<number>()
  const entries = Array.from({ length: count }, (__, i) => queue.add(i, counted(atOf(i))))
  for (let i = 0; i < count; i += 2) queue.remove(entries[i]!)
  for (let left = queue.size; left > 0; left--) queue.takeDue(Infinity)
  expect(queue.size).toBe(0)
  // Up and down a heap of 12 levels, two times a comparison; one walk along the list would be a thousand.
  expect(reads / count).toBeLessThan(12 * 2 * 6)
})
