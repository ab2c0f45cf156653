import { expect, test } from 'vitest'
import { RecordTimestamps } from '../../../src/producer/intake/record-timestamps.js'

/** A clock that counts how often it is read. */
class CountingClock {
  now = 1_000_000
  readings = 0
  wallNow(): number {
    this.readings++
    return this.now
  }
}

function timestamps(): { clock: CountingClock; next: () => number } {
  const clock = new CountingClock()
  const all = new RecordTimestamps(clock)
  return { clock, next: () => all.next() }
}

test('records of a burst share readings of the clock', () => {
  const { clock, next } = timestamps()
  for (let i = 0; i < 1000; i++) expect(next()).toBe(clock.now)
  expect(clock.readings).toBeLessThanOrEqual(1000 / 16 + 2)
})

test('a burst sees the time go on after 16 records at most', () => {
  const { clock, next } = timestamps()
  for (let i = 0; i < 100; i++) next()
  clock.now++
  const later = Array.from({ length: 16 }, next)
  expect(later.at(-1)).toBe(clock.now)
  expect(later).toEqual(later.toSorted((a, b) => a - b))
})

test('whoever does more than a millisecond of work for each record gets a reading for each', () => {
  const { clock, next } = timestamps()
  for (let i = 0; i < 100; i++) {
    clock.now += 2
    expect(next()).toBe(clock.now)
  }
})

test('no reading is good for longer than the callback of the event loop in which it was made', async () => {
  const { clock, next } = timestamps()
  for (let i = 0; i < 5; i++) next()
  clock.now += 500
  await new Promise((resolve) => process.nextTick(resolve))
  expect(next()).toBe(clock.now)
  expect(next()).toBe(clock.now)
})

test('a clock that is set back is followed', () => {
  const { clock, next } = timestamps()
  next()
  clock.now -= 3_600_000
  expect([next(), next()]).toEqual([clock.now, clock.now])
})
