/** Pauses before another attempt, all of which end at once when there is no point in waiting any more. */
import type { Clock } from './clock.js'

export class Pauses {
  readonly #clock: Clock
  readonly #ends = new Set<() => void>()

  constructor(clock: Clock) {
    this.#clock = clock
  }

  /** Fulfilled after `delayMs`, or by `endAll`. */
  pause(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      const end = (): void => {
        this.#ends.delete(end)
        timer.cancel()
        resolve()
      }
      const timer = this.#clock.setTimer(delayMs, end)
      this.#ends.add(end)
    })
  }

  endAll(): void {
    for (const end of this.#ends) end()
  }
}
