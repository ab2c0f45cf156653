/**
 * Things in the order of the time at which they are due. Nearly always a thing is due after all that came before it,
 * so a linked list that is searched from its end makes adding, removing and asking for the first O(1).
 */
export interface Deadline<T> {
  readonly item: T
  readonly at: number
  previous: Deadline<T> | null
  next: Deadline<T> | null
}

export class DeadlineQueue<T> {
  #first: Deadline<T> | null = null
  #last: Deadline<T> | null = null
  #size = 0

  get size(): number {
    return this.#size
  }

  /** When the first thing is due, Infinity when there is none. */
  get nextAt(): number {
    return this.#first === null ? Infinity : this.#first.at
  }

  get first(): T | undefined {
    return this.#first?.item
  }

  add(item: T, at: number): Deadline<T> {
    let previous = this.#last
    while (previous !== null && previous.at > at) previous = previous.previous
    const next = previous === null ? this.#first : previous.next
    const entry: Deadline<T> = { item, at, previous, next }
    if (previous === null) this.#first = entry
    else previous.next = entry
    if (next === null) this.#last = entry
    else next.previous = entry
    this.#size++
    return entry
  }

  remove(entry: Deadline<T>): void {
    if (entry.previous === null) this.#first = entry.next
    else entry.previous.next = entry.next
    if (entry.next === null) this.#last = entry.previous
    else entry.next.previous = entry.previous
    entry.previous = entry.next = null
    this.#size--
  }

  /** Takes out the first thing if it is due at `now`. */
  takeDue(now: number): T | undefined {
    const first = this.#first
    if (first === null || first.at > now) return undefined
    this.remove(first)
    return first.item
  }

  /** Everything, in order, as it is now. */
  get all(): T[] {
    const items: T[] = []
    for (let entry = this.#first; entry !== null; entry = entry.next) items.push(entry.item)
    return items
  }
}
