/**
 * What `flush` waits for. Everything that is pending belongs to the generation in which it was sent; `flush` closes the
 * present generation and waits until it and all older ones are empty, at the same price however much is pending.
 */
import { queueMicrotask } from '../../time/event-loop.js'
export class Generation {
  readonly number: number
  /** Batches, and records that wait to get into one. */
  pending = 0
  next: Generation | null = null
  readonly waiters: (() => void)[] = []

  constructor(number: number) {
    this.number = number
  }
}

export class FlushGenerations {
  #oldest = new Generation(0)
  #current = this.#oldest

  get current(): Generation {
    return this.#current
  }

  get isEmpty(): boolean {
    return this.#oldest === this.#current && this.#current.pending === 0
  }

  enter(generation: Generation): void {
    generation.pending++
  }

  leave(generation: Generation): void {
    generation.pending--
    this.#retire()
  }

  /** Resolves when everything that is pending now has ended. */
  flush(): Promise<void> {
    if (this.isEmpty) return Promise.resolve()
    const closing = this.#current
    this.#current = closing.next = new Generation(closing.number + 1)
    return new Promise((resolve) => {
      closing.waiters.push(resolve)
      this.#retire()
    })
  }

  #retire(): void {
    while (this.#oldest.pending === 0 && this.#oldest.next !== null) {
      // Behind the promises of the last batch, which are settled by microtasks.
      for (const resolve of this.#oldest.waiters) queueMicrotask(resolve)
      this.#oldest = this.#oldest.next
    }
  }
}
