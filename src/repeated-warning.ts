/**
 * A warning about something that goes on and on: one line when it begins or changes, then one every so often with how
 * many times it happened in between. No timer: while nothing happens, nothing is said.
 */
import type { Log, Logger } from './logger.js'

type Fields = Readonly<Record<string, unknown>>

export interface RepeatedWarningParts {
  readonly logger: Pick<Logger, 'warn'>
  readonly clock: { now(): number }
  /** At least this much time lies between two lines about what is already known. */
  readonly everyMs: number
}

export class RepeatedWarning {
  readonly #parts: RepeatedWarningParts
  /** What has been told of since it began. */
  readonly #kinds = new Set<string>()
  #toldAt = -Infinity
  /** Since the last line. */
  #untold = 0

  constructor(parts: RepeatedWarningParts) {
    this.#parts = parts
  }

  /** It happened; another `kind` of it is told of at once. There are to be few kinds: error codes, not messages. */
  happened(kind: string, message: string, fields: Fields): void {
    const { clock, everyMs, logger } = this.#parts
    const now = clock.now()
    if (this.#kinds.has(kind) && now - this.#toldAt < everyMs) {
      this.#untold++
      return
    }
    const repeated = this.#untold
    this.#kinds.add(kind)
    this.#toldAt = now
    this.#untold = 0
    logger.warn(message, repeated === 0 ? fields : { ...fields, repeated })
  }

  /** It is over: when it happens again, that is news. */
  over(): void {
    this.#kinds.clear()
    this.#untold = 0
  }
}

/** What user code or a broker gets wrong may go on with every record: a line of it is written this often. */
const FAULT_LOG_MS = 10_000

/** A logger for such faults: each message is written at once, and while it goes on every 10 s with a count. */
export function faultLogger(
  logger: Logger,
  clock: RepeatedWarningParts['clock'],
): Pick<Logger, 'warn' | 'error'> {
  const limited = (write: Log): Log => {
    const warnings = new Map<string, RepeatedWarning>()
    return (message, fields = {}) => {
      let warning = warnings.get(message)
      if (warning === undefined) {
        warning = new RepeatedWarning({ logger: { warn: write }, clock, everyMs: FAULT_LOG_MS })
        warnings.set(message, warning)
      }
      warning.happened(message, message, fields)
    }
  }
  return {
    warn: limited((message, fields) => logger.warn(message, fields)),
    error: limited((message, fields) => logger.error(message, fields)),
  }
}
