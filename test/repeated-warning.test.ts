import { beforeEach, expect, test } from 'vitest'
import { faultLogger, RepeatedWarning } from '../src/repeated-warning.js'

let now: number
let lines: unknown[]
let warning: RepeatedWarning

beforeEach(() => {
  now = 0
  lines = []
  const warn = (message: string, fields: unknown): void => void lines.push([message, fields])
  warning = new RepeatedWarning({ logger: { warn }, clock: { now: () => now }, everyMs: 30_000 })
})

test('what goes on is told of when it begins, and then from time to time with a count', () => {
  for (; now < 60_000; now += 1000) warning.happened('A', 'it failed', { at: now })
  expect(lines).toEqual([
    ['it failed', { at: 0 }],
    ['it failed', { at: 30_000, repeated: 29 }],
  ])
})

test('another kind is told of at once, and two that take turns are not news each time', () => {
  for (; now < 29_000; now += 1000) warning.happened(now % 2000 === 0 ? 'A' : 'B', 'it failed', { at: now })
  expect(lines).toEqual([
    ['it failed', { at: 0 }],
    ['it failed', { at: 1000 }],
  ])
})

test('what happens again after it was over is told of at once', () => {
  warning.happened('A', 'it failed', { nth: 1 })
  warning.happened('A', 'it failed', { nth: 2 })
  warning.over()
  warning.happened('A', 'it failed', { nth: 3 })
  expect(lines).toEqual([
    ['it failed', { nth: 1 }],
    ['it failed', { nth: 3 }],
  ])
})

test('a fault of every record is a line for each message and 10 s, at its own level', () => {
  const nothing = (): void => {}
  const at = (level: string) => (message: string, fields: unknown) =>
    void lines.push([level, message, fields])
  const logger = { debug: nothing, info: nothing, warn: at('warn'), error: at('error') }
  const faults = faultLogger(logger, { now: () => now })
  for (; now < 15_000; now += 1000) {
    faults.error('a callback threw', { now })
    if (now < 2000) faults.warn('no sense', { now })
  }
  expect(lines).toEqual([
    ['error', 'a callback threw', { now: 0 }],
    ['warn', 'no sense', { now: 0 }],
    ['error', 'a callback threw', { now: 10_000, repeated: 9 }],
  ])
})
