/**
 * What may be sent now without harm to the order of a partition, and under which sequence. Whose epoch it is, and so what
 * becomes of a gap, differs: an idempotent producer raises the epoch by itself, a transactional one asks its coordinator.
 */
import type { KafkaError } from '../errors.js'
import type { PartitionQueue } from './partition-queue.js'
import type { ProducerIdAndEpoch } from './partition-sequences.js'
import type { ProducerBatch } from './producer-batch.js'
import type { DrainGate } from './record-accumulator.js'

export abstract class SequenceGate implements DrainGate {
  /** Null for a producer without transactions. */
  abstract readonly transactionalId: string | null
  /** Versions of Produce above this may not be used; undefined: any. */
  abstract readonly maxProduceVersion: number | undefined
  /** Why what has not been sent is not sent any more; null while all is well. */
  abstract readonly abortReason: KafkaError | null
  /** What stands between the records and their being sent. */
  abstract readonly lastError: KafkaError | null
  protected identity: ProducerIdAndEpoch | null = null

  /** There are records to send: sees to it that there is a producer id, where that is not the application's part. */
  abstract ensureProducerId(): void

  /** Nothing is asked of brokers any more, and no timer is left. */
  abstract close(): void

  /** The broker found a gap before this batch. True: it can be tried again; false: it fails. */
  abstract outOfOrder(batch: ProducerBatch): boolean

  /** The broker does not know the producer (any more). True: the batch can be tried again; false: it fails. */
  abstract forgotten(batch: ProducerBatch, logStartOffset: bigint): boolean

  /** Starts the partition's sequences again; false when that cannot be done, or not yet. */
  protected abstract restart(queue: PartitionQueue, identity: ProducerIdAndEpoch): boolean

  mayDrain(queue: PartitionQueue, batch: ProducerBatch): boolean {
    const { sequences } = queue
    // What went to the old leader is answered before anything goes to the new one: it could only arrive out of order.
    if (queue.onWire > 0 && queue.onWireBroker !== queue.leader) return false
    const { identity } = this
    if (sequences.mustRestart) {
      if (queue.onWire > 0 || identity === null || !this.restart(queue, identity)) return false
    }
    // One that is tried again waits until it is the oldest of its partition: in recovery one at a time is in flight.
    if (batch.hasSequence) return sequences.isFirstInFlight(batch)
    if (identity === null) return false
    const isStale =
      sequences.producerId !== identity.producerId || sequences.producerEpoch < identity.producerEpoch
    if (!isStale && !sequences.isUnresolved) return sequences.isKnown || sequences.inFlight.length === 0
    if (sequences.inFlight.length > 0) return false
    if (isStale) sequences.restart(identity)
    else if (sequences.isContiguous) sequences.isUnresolved = sequences.hasGap = false
    else return this.restart(queue, identity)
    return true
  }

  /** The batch is about to be sent: the first time it gets its place in the sequence. */
  assignSequence(batch: ProducerBatch): void {
    const { sequences } = batch.queue
    if (!batch.hasSequence) sequences.assign(batch)
    batch.log = sequences.log
  }
}
