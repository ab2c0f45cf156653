/**
 * Time that moves only when nothing else does. Whatever can run without time passing runs first (promises, ticks,
 * setImmediate, in-memory connections); then the clock jumps to the next timer and fires that one alone. So a run
 * depends on nothing but its schedule, and hours of it take milliseconds.
 */
import timers from 'node:timers'
import type { Clock } from '../../src/time/clock.js'

interface Waiting {
  readonly due: number
  readonly fire: () => void
}

const WALL_START = 1_800_000_000_000

/** More turns of the event loop than this without time passing: something goes round in circles. */
const MAX_TURNS = 1000
/** More timers than this within one wait: the same with time passing. */
const MAX_TIMERS = 20_000

const realSetImmediate = timers.setImmediate
/** The time of the run that is going on. */
let current: VirtualTime | null = null

// To know whether anything is still to run: ticks and promises are over between two immediates, so only these count. The
// package takes its own reference when it is loaded (event-loop.ts), so this module has to be loaded before it.
globalThis.setImmediate = timers.setImmediate = ((
  callback: (...args: unknown[]) => void,
  ...args: unknown[]
) =>
  current === null
    ? realSetImmediate(callback, ...args)
    : current.setImmediate(() => callback(...args))) as typeof setImmediate

export class VirtualTime {
  /** In the order in which they are due; those due at the same time in the order in which they were set. */
  readonly #waiting: Waiting[] = []
  /** What was thrown out of timers and immediates, where nobody could have caught it. */
  readonly thrown: unknown[] = []
  #now = 1000
  #immediates = 0

  setImmediate(callback: () => void): NodeJS.Immediate {
    this.#immediates++
    return realSetImmediate(() => {
      this.#immediates--
      this.#guarded(callback)
    })
  }

  get now(): number {
    return this.#now
  }

  get timers(): number {
    return this.#waiting.length
  }

  /** A clock of this time; `timers` are those that were set on it and have neither fired nor been cancelled. */
  clock(): Clock & { readonly timers: number } {
    let timers = 0
    return {
      now: () => this.#now,
      wallNow: () => WALL_START + Math.floor(this.#now),
      setTimer: (delayMs, fire) => {
        timers++
        const timer = this.setTimer(delayMs, () => {
          timers--
          fire()
        })
        return {
          cancel: () => {
            if (timer.cancel()) timers--
          },
        }
      },
      get timers() {
        return timers
      },
    }
  }

  /** `cancel` tells whether the timer was still waiting. */
  setTimer(delayMs: number, fire: () => void): { cancel(): boolean } {
    if (!(delayMs >= 0) || delayMs === Infinity) throw new RangeError(`a timer of ${delayMs} ms`)
    const timer = { due: this.#now + delayMs, fire }
    let at = this.#waiting.length
    while (at > 0 && this.#waiting[at - 1]!.due > timer.due) at--
    this.#waiting.splice(at, 0, timer)
    return {
      cancel: () => {
        const index = this.#waiting.indexOf(timer)
        if (index !== -1) this.#waiting.splice(index, 1)
        return index !== -1
      },
    }
  }

  /** One turn of the event loop, whether that leaves everything quiet or not. */
  turn(): Promise<void> {
    return new Promise((resolve) => {
      realSetImmediate(resolve)
    })
  }

  /** Everything that could run without time passing has run. */
  async quiet(): Promise<void> {
    for (let turns = 0; turns < MAX_TURNS; turns++) {
      await this.turn()
      if (this.#immediates === 0) return
    }
    throw new Error(`the event loop does not come to rest at ${this.#now} ms`)
  }

  /** Lets time pass until `isOver`, at most to the time `limit`; true when it is over. */
  async run(isOver: () => boolean, limit: number): Promise<boolean> {
    for (let fired = 0; fired < MAX_TIMERS; fired++) {
      await this.quiet()
      if (isOver()) return true
      const next = this.#waiting[0]
      if (next === undefined || next.due > limit) {
        if (limit !== Infinity) this.#now = Math.max(this.#now, limit)
        return false
      }
      this.#waiting.shift()
      this.#now = Math.max(this.#now, next.due)
      this.#guarded(next.fire)
    }
    throw new Error(`timers go on and on at ${this.#now} ms`)
  }

  /** So that a run ends by itself, and its schedule is known, whatever is thrown in it. */
  #guarded(callback: () => void): void {
    try {
      callback()
    } catch (error) {
      this.thrown.push(error)
    }
  }

  /** Lets so much time pass. */
  async pass(ms: number): Promise<void> {
    await this.run(() => false, this.#now + ms)
  }
}

/** A run in a time of its own; what is thrown where nobody could have caught it is among `time.thrown`. */
export async function inVirtualTime<T>(run: (time: VirtualTime) => Promise<T>): Promise<T> {
  const time = new VirtualTime()
  current = time
  const uncaught = (error: unknown): void => void time.thrown.push(error)
  process.on('uncaughtException', uncaught)
  try {
    return await run(time)
  } finally {
    current = null
    process.off('uncaughtException', uncaught)
  }
}
