/** How many more records may be looked at; whoever takes one that is not there waits for the next to come back. */
export class Permits {
  #free: number
  #wake: (() => void) | undefined

  constructor(count: number) {
    this.#free = count
  }

  async take(): Promise<void> {
    if (this.#free === 0) {
      await new Promise<void>((resolve) => {
        this.#wake = resolve
      })
    }
    this.#free--
  }

  giveBack(): void {
    this.#free++
    this.#wake?.()
    this.#wake = undefined
  }
}
