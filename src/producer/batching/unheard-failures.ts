/**
 * Failures of records that only a promise tells: whether that is awaited cannot be seen. So one warning says so, at once
 * and then at most every ten seconds, with how many there were in between.
 */
import type { KafkaError } from '../../errors.js'
import type { Logger } from '../../logger.js'
import type { Clock } from '../../time/clock.js'
import type { TopicPartition } from '../../record.js'

const INTERVAL_MS = 10_000

export class UnheardFailures {
  readonly #logger: Logger
  readonly #clock: Pick<Clock, 'now'>
  #toldAtMs = -Infinity
  /** Failures since the last warning. */
  #count = 0
  #last: { readonly error: KafkaError; readonly topic: string } | null = null

  constructor(logger: Logger, clock: Pick<Clock, 'now'>) {
    this.#logger = logger
    this.#clock = clock
  }

  failed(error: KafkaError, { topic }: TopicPartition): void {
    this.#count++
    this.#last = { error, topic }
    if (this.#clock.now() - this.#toldAtMs >= INTERVAL_MS) this.tell()
  }

  /** Tells of what was not told yet, if there is any. */
  tell(): void {
    if (this.#last === null) return
    const { error, topic } = this.#last
    this.#logger.warn(
      "records failed, and only their promises tell: listen to 'deliveryError' to learn of each",
      { topic, code: error.code, error: error.message, records: this.#count },
    )
    this.#last = null
    this.#count = 0
    this.#toldAtMs = this.#clock.now()
  }
}
