/** Runs one thing in the next turn of the event loop, once, however often it is asked for until then. */
import type { FaultBarrier } from '../../fault-barrier.js'
import { setImmediate } from '../../time/event-loop.js'

export class NextTurn {
  #run: (() => void) | null = null
  #isRequested = false
  readonly #fire: () => void

  constructor(barrier: FaultBarrier) {
    this.#fire = barrier.guard(() => {
      this.#isRequested = false
      this.#run?.()
    })
  }

  /** What is run from here on. */
  start(run: () => void): void {
    this.#run = run
  }

  /** Nothing is run any more. */
  stop(): void {
    this.#run = null
  }

  request(): void {
    if (this.#isRequested) return
    this.#isRequested = true
    setImmediate(this.#fire)
  }
}
