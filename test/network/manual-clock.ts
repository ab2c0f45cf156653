/** A clock that moves only when a test says so. */
import { assertDelay, type Clock, type Timer, type TimerOptions } from '../../src/time/clock.js'

interface Waiting {
  readonly due: number
  readonly isBackground: boolean
  readonly fire: () => void
}

const WALL_START = 1_800_000_000_000

export class ManualClock implements Clock {
  readonly #waiting = new Set<Waiting>()
  #now = 1000
  #wallShift = 0

  now(): number {
    return this.#now
  }

  wallNow(): number {
    return WALL_START + this.#now + this.#wallShift
  }

  setTimer(delayMs: number, fire: () => void, options: TimerOptions = {}): Timer {
    assertDelay(delayMs)
    const timer = { due: this.#now + Math.max(0, delayMs), isBackground: options.background === true, fire }
    this.#waiting.add(timer)
    return { cancel: () => void this.#waiting.delete(timer) }
  }

  /** How many timers have yet to fire. */
  get timers(): number {
    return this.#waiting.size
  }

  /** How many of them somebody waits for. */
  get foregroundTimers(): number {
    return [...this.#waiting].filter(({ isBackground }) => !isBackground).length
  }

  /** The running time at which the next timer is due; Infinity without one. */
  get nextDue(): number {
    return Math.min(...[...this.#waiting].map(({ due }) => due))
  }

  /** The wall clock jumps; running time does not. */
  jumpWall(ms: number): void {
    this.#wallShift += ms
  }

  /** Lets time pass, fires what becomes due in order, and lets everything settle after each. */
  async advance(ms: number): Promise<void> {
    const target = this.#now + ms
    await settled()
    for (;;) {
      const next = [...this.#waiting].filter(({ due }) => due <= target).toSorted((a, b) => a.due - b.due)[0]
      if (next === undefined) break
      this.#waiting.delete(next)
      this.#now = Math.max(this.#now, next.due)
      next.fire()
      await settled()
    }
    this.#now = target
  }
}

/** Everything that could run without time passing has run: promises, ticks, in-memory sockets. */
export async function settled(): Promise<void> {
  for (let i = 0; i < 4; i++) await new Promise((resolve) => setImmediate(resolve))
}
