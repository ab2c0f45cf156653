/**
 * Things in the order of the time at which they are due, those of one time in the order in which they came: a binary
 * heap, so that adding and removing costs a few comparisons, however many there are and in whatever order they come.
 */
export interface Deadline<T> {
  readonly item: T
  readonly at: number
  /** The number of the things that were added before. */
  readonly order: number
  /** Its place in the heap. */
  index: number
}

export class DeadlineQueue<T> {
  /** The children of `i`, at 2i + 1 and 2i + 2, are due after it. */
  readonly #heap: Deadline<T>[] = []
  #added = 0

  get size(): number {
    return this.#heap.length
  }

  /** When the first thing is due, Infinity when there is none. */
  get nextAt(): number {
    return this.#heap[0]?.at ?? Infinity
  }

  get first(): T | undefined {
    return this.#heap[0]?.item
  }

  add(item: T, at: number): Deadline<T> {
    const entry: Deadline<T> = { item, at, order: this.#added++, index: this.#heap.length }
    this.#heap.push(entry)
    this.#rise(entry)
    return entry
  }

  remove(entry: Deadline<T>): void {
    const last = this.#heap.pop()
    if (last === undefined || last === entry) return
    last.index = entry.index
    this.#heap[last.index] = last
    this.#rise(last)
    this.#sink(last)
  }

  /** Takes out the first thing if it is due at `now`. */
  takeDue(now: number): T | undefined {
    const first = this.#heap[0]
    if (first === undefined || first.at > now) return undefined
    this.remove(first)
    return first.item
  }

  /** Everything, in order, as it is now. */
  get all(): T[] {
    return this.#heap.toSorted((a, b) => (isBefore(a, b) ? -1 : 1)).map(({ item }) => item)
  }

  #rise(entry: Deadline<T>): void {
    while (entry.index > 0) {
      const parent = this.#heap[(entry.index - 1) >>> 1]!
      if (!isBefore(entry, parent)) return
      this.#swap(entry, parent)
    }
  }

  #sink(entry: Deadline<T>): void {
    for (;;) {
      const left = this.#heap[2 * entry.index + 1]
      const right = this.#heap[2 * entry.index + 2]
      if (left === undefined) return
      const child = right !== undefined && isBefore(right, left) ? right : left
      if (!isBefore(child, entry)) return
      this.#swap(entry, child)
    }
  }

  #swap(a: Deadline<T>, b: Deadline<T>): void {
    const { index } = a
    a.index = b.index
    b.index = index
    this.#heap[a.index] = a
    this.#heap[b.index] = b
  }
}

function isBefore<T>(a: Deadline<T>, b: Deadline<T>): boolean {
  return a.at < b.at || (a.at === b.at && a.order < b.order)
}
