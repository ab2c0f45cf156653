/**
 * The `bufferMemory` budget. A batch takes its buffer here and gives it back when nothing can touch the bytes any
 * more; buffers of the usual sizes (a full batch, and that times a power of two) are kept and used again.
 */
export class BufferPool {
  readonly totalBytes: number
  readonly #batchSize: number
  readonly #free = new Map<number, Buffer[]>()
  #usedBytes = 0
  #keptBytes = 0

  constructor(totalBytes: number, batchSize: number) {
    this.totalBytes = totalBytes
    this.#batchSize = batchSize
  }

  get availableBytes(): number {
    return this.totalBytes - this.#usedBytes
  }

  /** A buffer of at least `size` bytes, or null when the budget does not allow it now. */
  allocate(size: number): Buffer | null {
    const capacity = Math.max(size, this.#batchSize)
    if (this.#usedBytes + capacity > this.totalBytes) return null
    return this.#take(capacity)
  }

  /** A buffer of `size` bytes even when that exceeds the budget: for what was accepted before and only moves. */
  allocateBeyond(size: number): Buffer {
    return this.#take(size)
  }

  release(buffer: Buffer): void {
    const size = buffer.length
    this.#usedBytes -= size
    if (!this.#isUsual(size)) return
    const kept = this.#free.get(size)
    if (kept === undefined) this.#free.set(size, [buffer])
    else kept.push(buffer)
    this.#keptBytes += size
  }

  /** The buffer counts no more, and is never used again: a reader may hold it for as long as it likes. */
  drop(buffer: Buffer): void {
    this.#usedBytes -= buffer.length
  }

  #take(size: number): Buffer {
    this.#usedBytes += size
    const kept = this.#free.get(size)?.pop()
    if (kept !== undefined) {
      this.#keptBytes -= size
      return kept
    }
    this.#makeRoom()
    return Buffer.allocUnsafeSlow(size)
  }

  /** What is used and what is kept never exceed the budget together. */
  #makeRoom(): void {
    for (const [size, kept] of this.#free) {
      while (this.#usedBytes + this.#keptBytes > this.totalBytes && kept.pop() !== undefined) {
        this.#keptBytes -= size
      }
    }
  }

  #isUsual(size: number): boolean {
    const times = size / this.#batchSize
    return Number.isInteger(times) && (times & (times - 1)) === 0
  }
}
