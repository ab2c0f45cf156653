/**
 * Where a fault of this package itself stops. Nothing above a timer, an event handler, or a reaction to a promise that
 * is not awaited catches what they throw: Node would end the process of the application. So each of these goes through
 * the barrier of its producer, and the fault ends that producer alone: the error is fatal, with code INTERNAL_ERROR, and
 * the fault is its cause. The first fault decides; later ones are likely to follow from it.
 */
import { KafkaError } from './errors.js'

export class FaultBarrier {
  readonly #onFault: (error: KafkaError) => void
  #error: KafkaError | null = null

  /** `onFault` is called for the first fault. */
  constructor(onFault: (error: KafkaError) => void) {
    this.#onFault = onFault
  }

  /** Calls a function. Never throws. */
  run(work: () => void): void {
    try {
      work()
    } catch (fault) {
      this.#caught(fault)
    }
  }

  /** The same function, which never throws. */
  guard<A extends unknown[]>(work: (...args: A) => void): (...args: A) => void {
    return (...args) => {
      try {
        work(...args)
      } catch (fault) {
        this.#caught(fault)
      }
    }
  }

  /** Looks after a promise that is not awaited. */
  watch(promise: Promise<unknown>): void {
    promise.catch((fault: unknown) => this.#caught(fault))
  }

  /** What was thrown where only a KafkaError is expected; anything else is a fault. */
  errorOf(thrown: unknown): KafkaError {
    return thrown instanceof KafkaError ? thrown : this.#caught(thrown)
  }

  #caught(fault: unknown): KafkaError {
    if (this.#error !== null) return this.#error
    const said = fault instanceof Error ? fault.message : String(fault)
    const error = new KafkaError(`a fault in the producer itself: ${said}`, {
      code: 'INTERNAL_ERROR',
      fatal: true,
      cause: fault,
    })
    this.#error = error
    this.run(() => this.#onFault(error))
    return error
  }
}
