/** A clock that goes when the test says so. */
import type { BrokerClock } from '../../src/testing/broker/broker-clock.js'

interface Timer {
  readonly due: number
  readonly fire: () => void
}

export class ManualClock implements BrokerClock {
  #now = 1_700_000_000_000
  readonly #timers = new Set<Timer>()

  /** Timers that wait. */
  get pending(): number {
    return this.#timers.size
  }

  wallNow(): number {
    return this.#now
  }

  setTimer(delayMs: number, fire: () => void): { cancel(): void } {
    const timer = { due: this.#now + delayMs, fire }
    this.#timers.add(timer)
    return { cancel: () => this.#timers.delete(timer) }
  }

  /** Lets time pass, firing what becomes due in its order. */
  advance(ms: number): void {
    const end = this.#now + ms
    for (;;) {
      const [next] = [...this.#timers].toSorted((a, b) => a.due - b.due)
      if (next === undefined || next.due > end) break
      this.#timers.delete(next)
      this.#now = next.due
      next.fire()
    }
    this.#now = end
  }
}
