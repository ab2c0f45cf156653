import { describe, expect, test } from 'vitest'
import { Backoff } from '../../src/time/backoff.js'

describe('the back-off', () => {
  test('doubles from the first pause up to the longest', () => {
    const backoff = new Backoff(100, 1000, () => 0.5)
    expect([0, 1, 2, 3, 4, 1000].map((attempts) => backoff.delay(attempts))).toEqual([
      100, 200, 400, 800, 1000, 1000,
    ])
  })

  test('moves each pause by up to 20 % either way, and never beyond the longest', () => {
    expect(new Backoff(100, 1000, () => 0).delay(1)).toBeCloseTo(160)
    expect(new Backoff(100, 1000, () => 0.999_999).delay(1)).toBeCloseTo(240, 2)
    expect(new Backoff(100, 1000, () => 0.999_999).delay(9)).toBe(1000)
    expect(new Backoff(100, 1000, () => 0).delay(9)).toBeCloseTo(800)
  })

  test('keeps to the longest pause where that is the shorter one', () => {
    expect(new Backoff(500, 50, () => 0.5).delay(0)).toBe(50)
  })

  test('does not wait at all when told so', () => {
    expect(new Backoff(0, 0).delay(3)).toBe(0)
  })

  test('draws its own jitter when none is given', () => {
    const delays = Array.from({ length: 50 }, () => new Backoff(100, 1000).delay(0))
    expect(Math.min(...delays)).toBeGreaterThanOrEqual(80)
    expect(Math.max(...delays)).toBeLessThanOrEqual(120)
    expect(new Set(delays).size).toBeGreaterThan(1)
  })
})
