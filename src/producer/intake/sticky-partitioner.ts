/**
 * Where a topic's records without a key go (KIP-794). The choice stays with one partition until about a batch's worth
 * of bytes went there, so that batches fill, and then moves on; partitions whose batches queue up are chosen less
 * often. Called for every record: nothing here allocates except a change of load stats.
 */

/** What the choice depends on. */
export interface StickyTopic {
  readonly partitionCount: number
  /** The partitions that have a leader. */
  readonly availablePartitions: readonly number[]
}

/** The golden ratio's fraction: its multiples, modulo 1, fill the unit interval more evenly than any other number's. */
const GOLDEN = 0.618_033_988_749_894_9

/** The sticky choice of one topic. */
export class StickyPartitioner {
  readonly #stickyBatchSize: number
  /** The present draw in [0, 1). */
  #draw: number
  /** The current partition; -1 until the first record. */
  #partition = -1
  #producedBytes = 0
  /** Running sums of the weights of `#partitionIds`; only the first `#length` entries count, none when it is 0. */
  #sums: Int32Array | number[] = []
  #partitionIds: ArrayLike<number> = []
  #length = 0

  /** `stickyBatchSize` is in bytes, at least 1; `random` is uniform over [0, 1). */
  constructor(stickyBatchSize: number, random: () => number = Math.random) {
    this.#stickyBatchSize = stickyBatchSize
    this.#draw = random()
  }

  /** The partition for the next record. */
  partition(topic: StickyTopic): number {
    // A topic that was deleted and created again may have fewer partitions.
    if (this.#partition < 0 || this.#partition >= topic.partitionCount) this.#move(topic)
    return this.#partition
  }

  /**
   * Counts bytes that were appended to the current partition, and moves on once these are a batch's worth.
   * `batchIsReady`: every batch that waits for this partition is full, or none waits. While one still fills, a move
   * would leave it half empty: with a long linger, 12 KB go out when their time is up, 4 KB more reach the batch size,
   * and the move leaves these 4 KB as a batch. So the move waits for a full batch, or for twice the bytes: batches of
   * keyed records could put it off for ever.
   */
  appended(bytes: number, batchIsReady: boolean, topic: StickyTopic): void {
    this.#producedBytes += bytes
    if (this.#producedBytes < this.#stickyBatchSize) return
    if (batchIsReady || this.#producedBytes >= 2 * this.#stickyBatchSize) this.#move(topic)
  }

  /**
   * Weighs the partitions by how many batches queue for each: a queue of q against the longest of m gives the weight
   * m + 1 - q. `queueSizes` and `partitionIds` hold the partitions that have a leader and whose broker drains; the
   * first `length` entries count, out of `allCount` partitions of the topic. With all partitions in and all queues
   * equal there is nothing to weigh. Both arrays stay in use, the sizes overwritten, until the next call.
   */
  updateLoadStats(
    queueSizes: Int32Array | number[],
    partitionIds: ArrayLike<number>,
    length: number,
    allCount: number,
  ): void {
    this.clearLoadStats()
    if (length < 1 || allCount < 2) return
    let longest = queueSizes[0]!
    let allEqual = true
    for (let i = 1; i < length; i++) {
      const size = queueSizes[i]!
      if (size !== queueSizes[0]) allEqual = false
      if (size > longest) longest = size
    }
    if (allEqual && length === allCount) return
    let sum = 0
    for (let i = 0; i < length; i++) {
      sum += longest + 1 - queueSizes[i]!
      queueSizes[i] = sum
    }
    this.#sums = queueSizes
    this.#partitionIds = partitionIds
    this.#length = length
  }

  /** Back to all available partitions being equally likely. */
  clearLoadStats(): void {
    this.#length = 0
  }

  #move(topic: StickyTopic): void {
    this.#producedBytes = 0
    // Independent draws would be uneven for long: of n draws over p partitions, a share is off by about sqrt(p / n).
    // Steps of the golden ratio from a random start keep every share within a few draws, whatever the weights, and
    // producers that start together still do not go round in step.
    this.#draw = (this.#draw + GOLDEN) % 1
    this.#partition = this.#weighted(topic.partitionCount)
    if (this.#partition >= 0) return
    const available = topic.availablePartitions.length
    this.#partition =
      available > 0
        ? topic.availablePartitions[Math.floor(this.#draw * available)]!
        : Math.floor(this.#draw * topic.partitionCount)
  }

  /** The partition whose weight the draw falls on; -1 without stats, or when they tell of partitions that are gone. */
  #weighted(partitionCount: number): number {
    if (this.#length === 0) return -1
    const at = Math.floor(this.#draw * this.#sums[this.#length - 1]!)
    // The first running sum above the draw.
    let low = 0
    let high = this.#length - 1
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#sums[middle]! > at) high = middle
      else low = middle + 1
    }
    const partition = this.#partitionIds[low]!
    return partition < partitionCount ? partition : -1
  }
}
