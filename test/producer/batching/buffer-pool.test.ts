import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BufferPool } from '../../../src/producer/batching/buffer-pool.js'

test('a released buffer of the usual size is used again', () => {
  const pool = new BufferPool(1000, 100)
  const first = pool.allocate(100)!
  expect(pool.availableBytes).toBe(900)
  pool.release(first)
  expect(pool.availableBytes).toBe(1000)
  expect(pool.allocate(60)).toBe(first)
})

test('no more is handed out than the budget, and what is released can be had again', () => {
  const pool = new BufferPool(250, 100)
  const [one, two] = [pool.allocate(100), pool.allocate(1)]
  expect(pool.allocate(1)).toBeNull()
  pool.release(one!)
  expect(pool.allocate(151)).toBeNull()
  pool.release(two!)
  expect(pool.allocate(250)).toHaveLength(250)
  expect(pool.availableBytes).toBe(0)
})

test('a large buffer takes the place of kept ones, and is not kept itself', () => {
  const pool = new BufferPool(300, 100)
  const kept = [pool.allocate(100)!, pool.allocate(100)!, pool.allocate(100)!]
  for (const buffer of kept) pool.release(buffer)
  const large = pool.allocate(250)!
  pool.release(large)
  const again = [pool.allocate(100)!, pool.allocate(100)!, pool.allocate(100)!]
  expect(again).not.toContain(large)
  // 50 bytes beside the large one: none of the kept ones could stay.
  expect(again.filter((buffer) => kept.includes(buffer))).toEqual([])
})

test('a dropped buffer counts no more, and is never handed out again', () => {
  const pool = new BufferPool(100, 100)
  const dropped = pool.allocate(100)!
  pool.drop(dropped)
  expect(pool.availableBytes).toBe(100)
  expect(pool.allocate(100)).not.toBe(dropped)
})

test('what was accepted before may go beyond the budget, and counts', () => {
  const pool = new BufferPool(100, 100)
  pool.allocate(100)
  const beyond = pool.allocateBeyond(70)
  expect(pool.availableBytes).toBe(-70)
  expect(pool.allocate(1)).toBeNull()
  pool.release(beyond)
  expect(pool.availableBytes).toBe(0)
})

test('no buffer is handed out twice, and the bytes in use always add up', () => {
  const step = fc.oneof(
    fc.record({ allocate: fc.constantFrom(1, 64, 65, 128, 200, 256, 500) }),
    fc.record({ release: fc.nat() }),
  )
  fc.assert(
    fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
      const pool = new BufferPool(1024, 64)
      const used: Buffer[] = []
      for (const one of steps) {
        if ('release' in one) {
          const [buffer] = used.splice(one.release % (used.length + 1), 1)
          if (buffer !== undefined) pool.release(buffer)
        }
        const wanted = 'allocate' in one ? one.allocate : Infinity
        const isRoom = pool.availableBytes >= Math.max(64, wanted)
        const buffer = wanted === Infinity ? null : pool.allocate(wanted)
        expect(buffer !== null).toBe(isRoom)
        if (buffer !== null) used.push(buffer)
        expect(new Set(used).size).toBe(used.length)
        expect(buffer?.length ?? Infinity).toBeGreaterThanOrEqual(wanted)
        expect(pool.availableBytes).toBe(1024 - used.reduce((sum, { length }) => sum + length, 0))
      }
    }),
  )
})
