/**
 * The batches of one partition that wait to be sent, in the order of their records, and what decides when the next one
 * may go. A batch that failed comes back to its old place.
 */
import type { Deadline } from './deadline-queue.js'
import { PartitionSequences } from './partition-sequences.js'
import type { ProducerBatch } from './producer-batch.js'

export const NO_LEADER = -1

/** A partition's entry in a broker's list; only the latest one of a partition counts. */
export interface Listing {
  readonly queue: PartitionQueue
}

export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  readonly sequences = new PartitionSequences()
  /** The broker that leads the partition. */
  leader = NO_LEADER
  /** The last one that was told of; -1 before. */
  leaderEpoch = -1
  /** Requests with a batch of this partition that are unanswered, and the broker they went to. */
  onWire = 0
  onWireBroker = NO_LEADER
  /** Its entry in its leader's list of partitions with something to send. */
  listing: Listing | null = null
  /** When its first batch may be tried again. */
  backoff: Deadline<PartitionQueue> | null = null
  /** Ordinal of the next batch. */
  nextOrdinal = 0
  /** How many records the batch held that was delivered last. */
  usualCount = 0
  #head: ProducerBatch | null = null
  #tail: ProducerBatch | null = null
  #length = 0

  constructor(topic: string, partition: number) {
    this.topic = topic
    this.partition = partition
  }

  get head(): ProducerBatch | null {
    return this.#head
  }

  get length(): number {
    return this.#length
  }

  /** The batch that was added last. */
  get newest(): ProducerBatch | null {
    return this.#tail
  }

  /** The batch that may still take records, or null. */
  get open(): ProducerBatch | null {
    const tail = this.#tail
    return tail === null || tail.isClosed ? null : tail
  }

  /** Puts a batch where its ordinal belongs: a new one at the end, one to be tried again before what is newer. */
  insert(batch: ProducerBatch): void {
    this.#length++
    batch.isQueued = true
    const tail = this.#tail
    if (tail === null) {
      this.#head = this.#tail = batch
    } else if (tail.ordinal < batch.ordinal) {
      this.#tail = tail.next = batch
    } else {
      let before: ProducerBatch | null = null
      let after = this.#head
      while (after !== null && after.ordinal < batch.ordinal) {
        before = after
        after = after.next
      }
      batch.next = after
      if (before === null) this.#head = batch
      else before.next = batch
    }
  }

  remove(batch: ProducerBatch): void {
    let before: ProducerBatch | null = null
    for (let at = this.#head; at !== batch; at = at!.next) before = at
    if (before === null) this.#head = batch.next
    else before.next = batch.next
    if (this.#tail === batch) this.#tail = before
    batch.next = null
    batch.isQueued = false
    this.#length--
  }
}
