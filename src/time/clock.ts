/**
 * The seam for time. `now()` is the time for which this process ran: when it was stopped, frozen or busy in one long
 * computation, brokers are not to blame for their silence, and no deadline comes nearer.
 */
import { clearTimeout, monotonicNow, setImmediate, setTimeout } from './event-loop.js'

/** A timer that has not fired yet. */
export interface Timer {
  /** The timer never fires after this; without effect when it already did. */
  cancel(): void
}

export interface TimerOptions {
  /**
   * Idle housekeeping: the timer does not keep the process alive, and stalls are not taken out of its delay. Default
   * false: somebody waits.
   */
  readonly background?: boolean
}

/** All time that this package sees. */
export interface Clock {
  /** Running time in milliseconds from an arbitrary start; never goes back. */
  now(): number
  /** Milliseconds since 1970, as `Date.now()`; may jump. */
  wallNow(): number
  /**
   * Calls `fire` once, `delayMs` of running time from here; sockets are read first when the process had stalled. Throws
   * RangeError for a delay that is no finite number: the due time of one timer decides when all others are looked at.
   */
  setTimer(delayMs: number, fire: () => void, options?: TimerOptions): Timer
}

/** The longest sleep while anybody waits; so much later at most a stall is noticed. */
const HEARTBEAT_MS = 1000

/** A wake-up that is later than this was not just a busy moment: the process did not run. */
const TOLERANCE_MS = 500

/** Node fires a timer at once when its delay does not fit into 31 bits. */
const MAX_DELAY_MS = 2 ** 31 - 1

interface Waiting {
  readonly due: number
  readonly fire: () => void
}

/**
 * One native timer serves all that wait, and is set for the earliest of them but never further off than a heartbeat.
 * That gives stalls a simple definition: running time cannot get further than TOLERANCE_MS beyond the next wake-up, so
 * `now()` stands still there until the wake-up comes, and the excess is lost for good. A request with 30 s to go, in a
 * process that is stopped for an hour:
 *   1. the wake-up due within a second comes an hour late; 1.5 s at most of that hour count;
 *   2. before anything that became due is fired, the event loop polls the sockets once (setImmediate runs behind the
 *      poll), so an answer or a reset that came meanwhile settles its request first;
 *   3. otherwise the request has 28.5 s left.
 * While nobody waits there is no native timer, no heartbeat and no deadline; time then simply passes.
 */
export class SystemClock implements Clock {
  readonly #monotonic: () => number
  readonly #waiting = new Set<Waiting>()
  /** Time in which the process did not run while somebody waited. */
  #lost = 0
  #native: NodeJS.Timeout | undefined
  /** The running time of the next wake-up; Infinity while nobody waits. */
  #wakeAt = Infinity

  constructor(monotonic: () => number = monotonicNow) {
    this.#monotonic = monotonic
  }

  now(): number {
    return Math.min(this.#monotonic() - this.#lost, this.#wakeAt + TOLERANCE_MS)
  }

  wallNow(): number {
    return Date.now()
  }

  setTimer(delayMs: number, fire: () => void, options: TimerOptions = {}): Timer {
    assertDelay(delayMs)
    if (options.background === true) {
      const native = setTimeout(fire, Math.min(delayMs, MAX_DELAY_MS)).unref()
      return { cancel: () => clearTimeout(native) }
    }
    const timer = { due: this.now() + delayMs, fire }
    this.#waiting.add(timer)
    if (timer.due < this.#wakeAt) this.#sleepUntil(timer.due)
    return { cancel: () => this.#cancel(timer) }
  }

  #cancel(timer: Waiting): void {
    // With others left the wake-up stays as it is: it finds nothing due, and sleeps on.
    if (this.#waiting.delete(timer) && this.#waiting.size === 0) this.#rest()
  }

  #sleepUntil(due: number): void {
    clearTimeout(this.#native)
    const now = this.now()
    this.#wakeAt = Math.min(due, now + HEARTBEAT_MS)
    this.#native = setTimeout(() => this.#wake(), Math.max(0, Math.ceil(this.#wakeAt - now)))
  }

  #wake(): void {
    if (this.#dropStall()) setImmediate(() => this.#fireDue())
    else this.#fireDue()
  }

  #fireDue(): void {
    const now = this.now()
    const due = [...this.#waiting].filter((timer) => timer.due <= now).toSorted((a, b) => a.due - b.due)
    try {
      // One that fires may cancel another of them.
      for (const timer of due) if (this.#waiting.delete(timer)) timer.fire()
    } finally {
      this.#dropStall()
      if (this.#waiting.size === 0) this.#rest()
      else this.#sleepUntil(this.#earliest())
    }
  }

  #earliest(): number {
    let earliest = Infinity
    for (const { due } of this.#waiting) earliest = Math.min(earliest, due)
    return earliest
  }

  #rest(): void {
    this.#dropStall()
    clearTimeout(this.#native)
    this.#wakeAt = Infinity
  }

  /** Takes what `now()` has held back so far out of the running time for good; true when that was anything. */
  #dropStall(): boolean {
    const excess = this.#monotonic() - this.#lost - (this.#wakeAt + TOLERANCE_MS)
    if (excess <= 0) return false
    this.#lost += excess
    return true
  }
}

/** Throws RangeError for a delay that is no finite number. */
export function assertDelay(delayMs: number): void {
  if (!Number.isFinite(delayMs)) throw new RangeError(`a timer needs a finite delay, not ${delayMs}`)
}

/** The clock of every producer of this process. */
export const systemClock: Clock = new SystemClock()
