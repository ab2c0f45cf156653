/** A clock whose timers stop at a fault barrier: what they throw is not thrown at the event loop. */
import type { FaultBarrier } from '../fault-barrier.js'
import type { Clock, Timer, TimerOptions } from './clock.js'

export class GuardedClock implements Clock {
  readonly #clock: Clock
  readonly #barrier: FaultBarrier

  constructor(clock: Clock, barrier: FaultBarrier) {
    this.#clock = clock
    this.#barrier = barrier
  }

  now(): number {
    return this.#clock.now()
  }

  wallNow(): number {
    return this.#clock.wallNow()
  }

  setTimer(delayMs: number, fire: () => void, options?: TimerOptions): Timer {
    return this.#clock.setTimer(delayMs, this.#barrier.guard(fire), options)
  }
}
