/**
 * The `bufferMemory` budget. A batch takes its buffer here and gives it back when nothing can touch the bytes any
 * more; buffers of the usual size are kept and used again.
 */
export class BufferPool {
  readonly totalBytes: number
  readonly #pooledSize: number
  readonly #free: Buffer[] = []
  #usedBytes = 0

  constructor(totalBytes: number, pooledSize: number) {
    this.totalBytes = totalBytes
    this.#pooledSize = pooledSize
  }

  get availableBytes(): number {
    return this.totalBytes - this.#usedBytes
  }

  /** A buffer of at least `size` bytes, or null when the budget does not allow it now. */
  allocate(size: number): Buffer | null {
    const capacity = Math.max(size, Math.min(this.#pooledSize, this.totalBytes))
    if (this.#usedBytes + capacity > this.totalBytes) return null
    this.#usedBytes += capacity
    if (capacity !== this.#pooledSize) {
      // An unusual size pushes kept buffers out, so that what is used and what is kept never exceed the budget.
      while (
        this.#usedBytes + this.#free.length * this.#pooledSize > this.totalBytes &&
        this.#free.length > 0
      ) {
        this.#free.pop()
      }
      return Buffer.allocUnsafeSlow(capacity)
    }
    return this.#free.pop() ?? Buffer.allocUnsafeSlow(capacity)
  }

  /** A buffer of `size` bytes even when that exceeds the budget: for what was accepted before and only moves. */
  allocateBeyond(size: number): Buffer {
    this.#usedBytes += size
    return Buffer.allocUnsafeSlow(size)
  }

  release(buffer: Buffer): void {
    this.#usedBytes -= buffer.length
    if (buffer.length === this.#pooledSize) this.#free.push(buffer)
  }
}
