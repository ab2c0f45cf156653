/** Credentials that are functions: asked within a time limit, and what goes wrong told without what they returned. */
import { ConnectionError, KafkaError } from '../../errors.js'
import type { Clock } from '../../time/clock.js'

/** The value itself, or what the function returns; `what` names it in errors. */
export type ReadCredentials = <T extends string | object>(
  what: string,
  source: T | (() => T | Promise<T>),
) => Promise<T>

/**
 * Fails with ConnectionError, which is retriable, where a function fails or takes longer than `timeoutMs`: whoever
 * keeps the credentials may be away for a moment. A KafkaError of the function's own stays what it is.
 */
export function credentialsReader(clock: Clock, timeoutMs: number): ReadCredentials {
  return (what, source) => {
    if (typeof source !== 'function') return Promise.resolve(source)
    return new Promise((resolve, reject) => {
      const timer = clock.setTimer(timeoutMs, () => {
        reject(
          new ConnectionError(
            `the ${what} function did not answer within ${timeoutMs} ms (requestTimeoutMs)`,
          ),
        )
      })
      const fail = (error: unknown): void => {
        const said = error instanceof Error ? error.message : 'it threw something that is no error'
        const failure = new ConnectionError(`the ${what} function failed: ${said}`, { cause: error })
        reject(error instanceof KafkaError ? error : failure)
      }
      Promise.resolve()
        .then(source as () => unknown)
        .then((value) => resolve(value as never), fail)
        .finally(() => timer.cancel())
    })
  }
}

/** For a name or a password: as `ReadCredentials`, and refuses what is no text. */
export async function readText(
  read: ReadCredentials,
  what: string,
  source: string | (() => string | Promise<string>),
): Promise<string> {
  const text: unknown = await read(what, source)
  if (typeof text === 'string' && text !== '') return text
  throw new ConnectionError(`the ${what} function returned ${text === '' ? 'an empty string' : 'no string'}`)
}
