/** Credentials that are functions: asked within a time limit, and what goes wrong told without what they returned. */
import { ConnectionError, KafkaError } from '../../errors.js'
import { ask, type TimeLimit } from '../../user-code.js'

/** The value itself, or what the function returns; `what` names it in errors. */
export type ReadCredentials = <T extends string | object>(
  what: string,
  source: T | (() => T | Promise<T>),
) => Promise<T>

/**
 * Fails with ConnectionError, which is retriable, where a function fails or takes longer than its limit: the store of the
 * credentials may be away for a moment. A KafkaError of the function's own stays what it is.
 */
export function credentialsReader(limit: TimeLimit): ReadCredentials {
  return async <T extends string | object>(what: string, source: T | (() => T | Promise<T>)): Promise<T> => {
    if (typeof source !== 'function') return source
    try {
      return await ask(`the ${what} function`, source as () => T | Promise<T>, limit)
    } catch (error) {
      if (error instanceof KafkaError) throw error
      // Its message may quote what it read; the cause keeps it for those who look.
      const thrown = error instanceof Error ? error.constructor.name : 'what is no error'
      throw new ConnectionError(`the ${what} function threw ${thrown}`, { cause: error })
    }
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
