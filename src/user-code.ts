/**
 * The door through which code of the application is called: loggers, listeners, callbacks, interceptors, functions for
 * secrets, tokens and TLS, codecs. None of it is trusted to return, to resolve or not to throw:
 *   - `guardedLogger`: a logger that can be called anywhere. The config holds one, so that nothing else has to think of it;
 *   - `tell`: whose result is not needed. What it throws, at once or later, goes to the report;
 *   - `watch`: the result of a call that is made in place, for hot loops and for functions that must return at once;
 *   - `ask`: whose result is needed, within a time.
 * User code may call the producer back. So state that was read before the call has to be read again after it.
 */
import { types } from 'node:util'
import { ConnectionError } from './errors.js'
import { stderrLogger, type Log, type Logger } from './logger.js'

/** Takes what user code threw, or rejected with. */
export type Report = (error: unknown) => void

/** Calls a function whose result is not needed. Never throws; what is thrown, now or later, is reported. */
export function tell(call: () => unknown, report: Report): void {
  try {
    watch(call(), report)
  } catch (error) {
    report(error)
  }
}

/**
 * Reports the rejection of a function that turned out to be asynchronous; for any other result it does nothing. Only a
 * true promise is looked after: `then` of another thing may be what starts it.
 */
export function watch(result: unknown, report: Report): void {
  if (types.isPromise(result)) result.then(undefined, report)
}

/** What a clock has to offer here. */
interface Timers {
  setTimer(delayMs: number, fire: () => void): { cancel(): void }
}

/** How long a function may take, and where that comes from, for the error: `requestTimeoutMs`. */
export interface TimeLimit {
  readonly clock: Timers
  readonly timeoutMs: number
  readonly option: string
}

/**
 * The result of a function, or what it threw. When the time is over first: a ConnectionError, which is retriable, that
 * begins with `what` ("the token function"). What the late function ends with is ignored; the next `ask` calls afresh.
 */
export function ask<T>(what: string, call: () => T | PromiseLike<T>, limit: TimeLimit): Promise<T> {
  const { clock, timeoutMs, option } = limit
  return new Promise<T>((resolve, reject) => {
    const timer = clock.setTimer(timeoutMs, () => {
      reject(new ConnectionError(`${what} did not settle within ${timeoutMs} ms (${option})`))
    })
    const called = new Promise<T>((settle) => {
      settle(call())
    })
    called.finally(() => timer.cancel()).then(resolve, reject)
  })
}

/**
 * A logger that never throws: what the given one throws or rejects with is told once on stderr, by the default logger,
 * and each event on which it fails is lost.
 */
export function guardedLogger(given: Logger): Logger {
  let hasFailed = false
  const report = (error: unknown): void => {
    if (hasFailed) return
    hasFailed = true
    try {
      stderrLogger.error('the logger failed, and this is reported once', { error })
    } catch {
      // Not even stderr can be written to: there is no other place to tell it.
    }
  }
  const level =
    (name: keyof Logger): Log =>
    (message, fields) =>
      tell(() => given[name](message, fields), report)
  return { debug: level('debug'), info: level('info'), warn: level('warn'), error: level('error') }
}
