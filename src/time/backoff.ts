/**
 * Exponential back-off with jitter (KIP-580): pauses double from `initialMs` up to `maxMs`, and each is moved by up to
 * 20 % either way, so that clients which failed together do not come back together.
 */

const FACTOR = 2
const JITTER = 0.2

/** The pauses between repetitions of one thing; holds no state of its own. */
export class Backoff {
  readonly #initialMs: number
  readonly #maxMs: number
  readonly #random: () => number

  /** Where `maxMs` is below `initialMs`, every pause is about `maxMs`. `random` gives numbers from 0 to below 1. */
  constructor(initialMs: number, maxMs: number, random: () => number = Math.random) {
    this.#initialMs = initialMs
    this.#maxMs = maxMs
    this.#random = random
  }

  /** The pause after `attempts` earlier ones, in milliseconds; never above `maxMs`. */
  delay(attempts: number): number {
    const term = Math.min(this.#initialMs * FACTOR ** Math.min(attempts, 64), this.#maxMs)
    return Math.min(term * (1 + JITTER * (2 * this.#random() - 1)), this.#maxMs)
  }
}
