/**
 * What holds a partition back beside leaders, time and codecs: the order of its batches, and the transaction that they
 * belong to. A gate says why, so that the schedule knows what to wait for, and it says when that may have changed.
 */
import type { GateHold } from '../batching/hold.js'
import type { PartitionQueue, QueuedBatch } from '../batching/partition-queue.js'

export interface DrainGate {
  /** Why the first batch of a partition may not go now, or null. Changes nothing. */
  hold(queue: PartitionQueue, batch: QueuedBatch): GateHold | null

  /** The batch goes now, since nothing holds it: it gets its place in the partition's sequence. */
  admit(queue: PartitionQueue, batch: QueuedBatch): void

  /** A batch was begun in the partition. */
  batchBegun(queue: PartitionQueue): void

  /** From here on `partitions` are told when a hold may have been lifted, or imposed. */
  attach(partitions: HeldPartitions): void
}

/** The partitions that a gate holds back, as it sees them. */
export interface HeldPartitions {
  /** Another answer is possible for this partition. */
  reconsider(queue: PartitionQueue): void
  /** Another answer is possible for every partition. */
  reconsiderAll(): void
}

/** Without idempotence order is kept only while one request at a time is in flight. */
export class UnsequencedGate implements DrainGate {
  readonly #isOneAtATime: boolean

  constructor(maxInFlight: number) {
    this.#isOneAtATime = maxInFlight === 1
  }

  hold(queue: PartitionQueue): GateHold | null {
    return this.#isOneAtATime && queue.requestsInFlight > 0 ? 'response' : null
  }

  admit(): void {}

  batchBegun(): void {}

  attach(): void {}
}
