/**
 * For how long nothing has gone either way. By the wall clock: a machine that slept, or a frozen Lambda, has no other;
 * should it jump, an idle connection is lost early.
 */
import type { Clock, Timer } from '../../time/clock.js'

export interface IdlenessParts {
  readonly clock: Clock
  /** Negative: no limit. */
  readonly maxIdleMs: number
  /** Something is in flight, and will move. */
  readonly isBusy: () => boolean
  /** The limit has passed; called once, after `watch`. */
  readonly onIdle: () => void
}

export class Idleness {
  readonly #parts: IdlenessParts
  #lastUsed = 0
  #timer: Timer | undefined

  constructor(parts: IdlenessParts) {
    this.#parts = parts
  }

  /** Bytes go either way. */
  touch(): void {
    this.#lastUsed = this.#parts.clock.wallNow()
  }

  /** The limit has passed. */
  get isOver(): boolean {
    const { clock, maxIdleMs, isBusy } = this.#parts
    if (maxIdleMs < 0 || clock.wallNow() - this.#lastUsed < maxIdleMs) return false
    return !isBusy()
  }

  /** Keeps a timer, which does not keep the process alive. */
  watch(): void {
    const { clock, maxIdleMs, isBusy, onIdle } = this.#parts
    if (maxIdleMs < 0) return
    const idleMs = Math.max(0, clock.wallNow() - this.#lastUsed)
    const wait = isBusy() ? maxIdleMs : Math.max(1, maxIdleMs - idleMs)
    const check = (): void => {
      if (this.isOver) onIdle()
      else this.watch()
    }
    this.#timer = clock.setTimer(wait, check, { background: true })
  }

  stop(): void {
    this.#timer?.cancel()
  }
}
