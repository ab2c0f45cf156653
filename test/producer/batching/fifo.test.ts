import fc from 'fast-check'
import { expect, test } from 'vitest'
import { Fifo } from '../../../src/producer/batching/fifo.js'

test('what goes in comes out, first in first out', () => {
  fc.assert(
    fc.property(fc.array(fc.integer({ min: -1, max: 5 })), (steps) => {
      const fifo = new Fifo<number>()
      const model: number[] = []
      for (const one of steps) {
        if (one >= 0) {
          fifo.push(one)
          model.push(one)
        }
        const [out, expected] = one < 0 ? [fifo.shift(), model.shift()] : []
        expect(out).toBe(expected)
        expect(fifo.length).toBe(model.length)
        expect(fifo.first).toBe(model[0])
      }
    }),
  )
})

test('a line that is never empty gives up the memory of those who left', () => {
  const fifo = new Fifo<number>()
  for (let i = 0; i < 100; i++) fifo.push(i)
  for (let i = 100; i < 10_000; i++) {
    fifo.push(i)
    expect(fifo.shift()).toBe(i - 100)
  }
  expect(fifo.length).toBe(100)
  expect(fifo.first).toBe(9900)
})
