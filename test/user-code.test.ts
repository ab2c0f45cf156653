import { afterEach, expect, test, vi } from 'vitest'
import { ConnectionError } from '../src/errors.js'
import type { Logger } from '../src/logger.js'
import { ask, guardedLogger, tell, watch } from '../src/user-code.js'
import { ManualClock } from './network/manual-clock.js'

const slip = new Error('a slip of the application')

afterEach(() => {
  vi.restoreAllMocks()
})

/** A turn of the event loop, in which every promise that can settles. */
const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve))

test('what a told function throws, at once or later, is reported', async () => {
  const reported: unknown[] = []
  tell(
    () => {
      throw slip
    },
    (error) => reported.push(error),
  )
  expect(reported).toEqual([slip])
  tell(
    () => Promise.reject(slip),
    (error) => reported.push(error),
  )
  await turn()
  expect(reported).toEqual([slip, slip])
})

test('a result that is no promise is left alone, even where its then would begin something', () => {
  const then = vi.fn<() => void>()
  // oxlint-disable-next-line unicorn/no-thenable
  watch({ then }, () => {})
  expect(then).not.toHaveBeenCalled()
})

test('a function is asked within its time, and afresh the next time', async () => {
  const clock = new ManualClock()
  const limit = { clock, timeoutMs: 100, option: 'requestTimeoutMs' }
  const calls: ((token: string) => void)[] = []
  const token = (): Promise<string> => new Promise((resolve) => void calls.push(resolve))

  const [late] = await Promise.all([
    ask('the token function', token, limit).catch((error: unknown) => error),
    clock.advance(100),
  ])
  expect(late).toEqual(
    new ConnectionError('the token function did not settle within 100 ms (requestTimeoutMs)'),
  )
  const second = ask('the token function', token, limit)
  calls[0]!('of the first call')
  calls[1]!('of the second call')
  expect(await second).toBe('of the second call')
  expect(clock.timers).toBe(0)
})

test('what an asked function throws, at once or later, is what ask rejects with', async () => {
  const clock = new ManualClock()
  const limit = { clock, timeoutMs: 100, option: 'requestTimeoutMs' }
  const throwing = (): never => {
    throw slip
  }
  await expect(ask('it', throwing, limit)).rejects.toBe(slip)
  await expect(ask('it', () => Promise.reject(slip), limit)).rejects.toBe(slip)
  expect(clock.timers).toBe(0)
})

test('a logger that throws or rejects hurts nobody, and stderr tells it once', async () => {
  const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
  const failing = {
    debug: () => Promise.reject(slip),
    info: () => Promise.reject(slip),
    warn: () => {
      throw slip
    },
    get error(): Logger['error'] {
      throw slip
    },
  }
  const logger = guardedLogger(failing)
  logger.debug('one')
  logger.info('two')
  logger.warn('three')
  logger.error('four')
  await turn()
  expect(write.mock.calls).toEqual([
    [
      'kafka-producer ERROR the logger failed, and this is reported once {"error":"Error: a slip of the application"}\n',
    ],
  ])
})

test('a guarded logger hands message and fields on as a method', () => {
  const lines: unknown[] = []
  class Own {
    readonly #lines = lines
    debug(): void {}
    info(): void {}
    warn(...line: unknown[]): void {
      this.#lines.push(line)
    }
    error(): void {}
  }
  guardedLogger(new Own()).warn('slow', { ms: 5 })
  expect(lines).toEqual([['slow', { ms: 5 }]])
})
