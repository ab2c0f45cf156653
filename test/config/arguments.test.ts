import { expect, test } from 'vitest'
import { functionArgument, optionsArgument, timeArgument } from '../../src/config/arguments.js'
import { KafkaError } from '../../src/errors.js'

/** The message of the refusal; fails where there is none, or where it is not the caller's fault by its code. */
function refusal(check: () => unknown): string {
  try {
    check()
  } catch (error) {
    if (error instanceof KafkaError && error.code === 'INVALID_ARGUMENT' && !error.retriable)
      return error.message
    throw error
  }
  throw new Error('nothing was refused')
}

test.each([0, 0.5, 10_000, Number.MAX_SAFE_INTEGER, Infinity])('%s is a time', (given) => {
  expect(timeArgument('close', 'timeoutMs', given)).toBe(given)
})

test.each([
  [NaN, 'NaN'],
  [-1, '-1'],
  [-Infinity, '-Infinity'],
  ['10000', '"10000"'],
  [null, 'null'],
  [undefined, 'undefined'],
  [10n, '10n'],
  [{}, 'an object'],
])('%s is no time', (given, shown) => {
  expect(refusal(() => timeArgument('close', 'timeoutMs', given))).toBe(
    `close: timeoutMs must be a number of milliseconds from 0 on, or Infinity for no limit, not ${shown}`,
  )
})

test('a function is one, and nothing else is', () => {
  const listener = (): void => {}
  expect(functionArgument('on', 'listener', listener)).toBe(listener)
  expect(refusal(() => functionArgument('on', 'listener', 'log'))).toBe(
    'on: listener must be a function, not "log"',
  )
})

test('options are read by name, and those that are not there are undefined', () => {
  expect(optionsArgument('close', ['timeoutMs'], undefined)).toEqual({ timeoutMs: undefined })
  expect(optionsArgument('close', ['timeoutMs'], { timeoutMs: 5, other: undefined })).toEqual({
    timeoutMs: 5,
  })
})

test.each([null, 5, 'soon', [], () => {}])('%s has no options', (given) => {
  expect(refusal(() => optionsArgument('close', ['timeoutMs'], given))).toMatch(
    /^close: the argument must be an object { timeoutMs }, not /,
  )
})

test('an option that the call does not know is refused', () => {
  expect(refusal(() => optionsArgument('close', ['timeoutMs'], { timeout: 5 }))).toBe(
    'close: the option "timeout" is unknown; known: timeoutMs',
  )
})
