/**
 * What may be sent now without harm to the order of a partition, and under which sequence. Whose epoch it is, and so what
 * becomes of a gap, differs: an idempotent producer raises the epoch by itself, a transactional one asks its coordinator.
 */
import type { KafkaError } from '../../errors.js'
import type { DrainGate, HeldPartitions } from './drain-gate.js'
import type { GateHold } from '../batching/hold.js'
import type { PartitionQueue, QueuedBatch } from '../batching/partition-queue.js'
import type { ProducerIdAndEpoch, SequencesView } from '../batching/partition-sequences.js'

export abstract class SequenceGate implements DrainGate {
  /** Null for a producer without transactions. */
  abstract readonly transactionalId: string | null
  /** Versions of Produce above this may not be used; undefined: any. */
  abstract readonly maxProduceVersion: number | undefined
  /** Why what has not been sent is not sent any more; null while all is well. */
  abstract readonly abortReason: KafkaError | null
  /** What stands between the records and their being sent. */
  abstract readonly lastError: KafkaError | null
  /** What a partition waits for that cannot start again by itself. */
  protected abstract readonly holdOfGap: GateHold
  #identity: ProducerIdAndEpoch | null = null
  #partitions: HeldPartitions | null = null

  /** There are records to send: sees to it that there is a producer id, where that is not the application's part. */
  abstract ensureProducerId(isAwaited: boolean): void

  /** Nothing is asked of brokers any more, and no timer is left. */
  abstract close(): void

  /** The broker found a gap before this batch. True: it can be tried again; false: it fails. */
  abstract outOfOrder(batch: QueuedBatch): boolean

  /** The broker does not know the producer (any more). True: the batch can be tried again; false: it fails. */
  abstract forgotten(batch: QueuedBatch, logStartOffset: bigint): boolean

  /** Under which identity a partition with a gap starts again; null where it cannot. */
  protected abstract identityAfterGap(
    sequences: SequencesView,
    identity: ProducerIdAndEpoch,
  ): ProducerIdAndEpoch | null

  attach(partitions: HeldPartitions): void {
    this.#partitions = partitions
  }

  batchBegun(_queue: PartitionQueue): void {}

  hold(queue: PartitionQueue, batch: QueuedBatch): GateHold | null {
    const { sequences } = queue
    // What went to the old leader is answered before anything goes to the new one: it could only arrive out of order.
    if (queue.requestsInFlight > 0 && queue.inFlightNodeId !== queue.leader) return 'response'
    if (sequences.mustRestart && queue.requestsInFlight > 0) return 'response'
    // One that is tried again waits until it is the oldest of its partition: in recovery one at a time is in flight.
    if (batch.hasSequence && !sequences.mustRestart)
      return sequences.isFirstInFlight(batch) ? null : 'response'
    if (this.#identity === null) return 'producer-id'
    switch (this.#beginning(sequences, this.#identity)) {
      case 'goes-on':
        return sequences.isKnown || sequences.inFlight.length === 0 ? null : 'response'
      case 'after-gap':
        if (sequences.inFlight.length > 0 && !sequences.mustRestart) return 'response'
        return this.identityAfterGap(sequences, this.#identity) === null ? this.holdOfGap : null
      case 'new-identity':
      case 'resolved':
        return sequences.inFlight.length > 0 ? 'response' : null
    }
  }

  admit(queue: PartitionQueue, batch: QueuedBatch): void {
    const { sequences } = queue
    const identity = this.#identity
    if (identity !== null && (!batch.hasSequence || sequences.mustRestart)) {
      switch (this.#beginning(sequences, identity)) {
        case 'goes-on':
          break
        case 'after-gap':
          queue.restartSequences(this.identityAfterGap(sequences, identity) ?? identity)
          break
        case 'new-identity':
          queue.restartSequences(identity)
          break
        case 'resolved':
          queue.resolved()
          break
      }
    }
    queue.assignSequence(batch)
  }

  /** Null while there is no producer id. */
  protected get identity(): ProducerIdAndEpoch | null {
    return this.#identity
  }

  protected set identity(identity: ProducerIdAndEpoch | null) {
    this.#identity = identity
    this.#partitions?.reconsiderAll()
  }

  /** The partitions that this gate holds, or lets go, are to be looked at again. */
  protected get partitions(): HeldPartitions | null {
    return this.#partitions
  }

  /** How the partition's sequences go on with a batch that has none. */
  #beginning(
    sequences: SequencesView,
    { producerId, producerEpoch }: ProducerIdAndEpoch,
  ): 'goes-on' | 'new-identity' | 'resolved' | 'after-gap' {
    if (sequences.mustRestart) return 'after-gap'
    if (sequences.producerId !== producerId || sequences.producerEpoch < producerEpoch) return 'new-identity'
    if (!sequences.isUnresolved) return 'goes-on'
    return sequences.isContiguous ? 'resolved' : 'after-gap'
  }
}
