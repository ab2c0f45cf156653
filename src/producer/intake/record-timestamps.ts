/**
 * The timestamps of records that bring none. Reading the system's clock is a tenth of what a record costs, so in a
 * burst several records share one reading: up to 16 of one callback of the event loop, and only while the reading
 * before is not older than a millisecond. Who sends less often than that gets a reading for each record.
 */
import { nextTick } from '../../time/event-loop.js'
import type { Clock } from '../../time/clock.js'

const RECORDS_PER_READING = 16

export class RecordTimestamps {
  readonly #clock: Pick<Clock, 'wallNow'>
  #reading = 0
  /** Further records that the reading is good for. */
  #left = 0
  #endsWithCallback = false

  constructor(clock: Pick<Clock, 'wallNow'>) {
    this.#clock = clock
  }

  /** Milliseconds since 1970. */
  next(): number {
    if (this.#left > 0) {
      this.#left--
      return this.#reading
    }
    const now = this.#clock.wallNow()
    const age = now - this.#reading
    this.#reading = now
    if (age === 0 || age === 1) this.#share()
    return now
  }

  #share(): void {
    this.#left = RECORDS_PER_READING - 1
    if (this.#endsWithCallback) return
    this.#endsWithCallback = true
    nextTick(this.#expire)
  }

  readonly #expire = (): void => {
    this.#left = 0
    this.#endsWithCallback = false
  }
}
