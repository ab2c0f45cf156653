import { expect, test } from 'vitest'
import { FlushGenerations } from '../../../src/producer/batching/flush-generations.js'

async function isDone(promise: Promise<void>): Promise<boolean> {
  return Promise.race([
    promise.then(() => true),
    new Promise<boolean>((resolve) => setImmediate(resolve, false)),
  ])
}

test('a flush with nothing pending is over at once', async () => {
  const flushes = new FlushGenerations()
  expect(await isDone(flushes.flush())).toBe(true)
  expect(flushes.isEmpty).toBe(true)
})

test('a flush waits for what was pending, and for nothing that came later', async () => {
  const flushes = new FlushGenerations()
  const before = flushes.current
  flushes.enter(before)
  flushes.enter(before)
  const flushed = flushes.flush()
  flushes.enter(flushes.current)
  expect(flushes.current).not.toBe(before)
  flushes.leave(before)
  expect(await isDone(flushed)).toBe(false)
  flushes.leave(before)
  expect(await isDone(flushed)).toBe(true)
  expect(flushes.isEmpty).toBe(false)
})

test('a later flush also waits for what an earlier one waits for', async () => {
  const flushes = new FlushGenerations()
  const first = flushes.current
  flushes.enter(first)
  const one = flushes.flush()
  const second = flushes.current
  flushes.enter(second)
  const two = flushes.flush()
  flushes.leave(second)
  expect([await isDone(one), await isDone(two)]).toEqual([false, false])
  flushes.leave(first)
  expect([await isDone(one), await isDone(two)]).toEqual([true, true])
})

test('two flushes in a row with nothing sent between are both over with the last record', async () => {
  const flushes = new FlushGenerations()
  const generation = flushes.current
  flushes.enter(generation)
  const both = [flushes.flush(), flushes.flush()] as const
  expect(await isDone(both[1])).toBe(false)
  flushes.leave(generation)
  expect([await isDone(both[0]), await isDone(both[1])]).toEqual([true, true])
  expect(flushes.isEmpty).toBe(true)
})
