/** `name=value` arguments of the processes of a benchmark; the Java client reads the same form. */
export class Arguments {
  readonly #values = new Map<string, string>()

  constructor(words: readonly string[]) {
    for (const word of words) {
      const at = word.indexOf('=')
      if (at <= 0) throw new Error(`not of the form name=value: ${word}`)
      this.#values.set(word.slice(0, at), word.slice(at + 1))
    }
  }

  string(name: string, fallback: string): string {
    const value = this.#values.get(name)
    this.#values.delete(name)
    return value ?? fallback
  }

  number(name: string, fallback: number): number {
    const value = Number(this.string(name, String(fallback)))
    if (Number.isNaN(value)) throw new Error(`${name} is not a number`)
    return value
  }

  boolean(name: string, fallback: boolean): boolean {
    return this.string(name, String(fallback)) === 'true'
  }

  /** Throws when something is left that nobody asked for: a misspelt argument would measure another thing. */
  done(): void {
    for (const name of this.#values.keys()) throw new Error(`unknown argument ${name}`)
  }
}
