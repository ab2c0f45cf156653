/**
 * The sequence numbers of one partition (KIP-98). The broker accepts a producer's batches only without a gap, so:
 * a batch gets its sequence when it is first drained and keeps it through every retry, and once a batch is given up
 * nothing new is drained until the fate of its successors tells whether there is a gap. A proven gap is left behind
 * by starting again at 0 under a higher epoch (KIP-360), but only when nothing of the partition is on the wire.
 *
 * A sequence is never set back under its epoch, for the broker takes a sequence that it has seen for a duplicate. So a
 * topic that was deleted and created again keeps its sequences: where records go by name, some may be in the new log
 * before the producer hears of it.
 *
 * The epoch is raised for the partition alone: brokers check it partition by partition, so the others need not pause.
 */
import type { ProducerState } from '../../records/record-batch.js'

export const NO_SEQUENCE = -1

export interface ProducerIdAndEpoch {
  readonly producerId: bigint
  readonly producerEpoch: number
}

/** What sequences are given to. */
export interface SequencedBatch extends ProducerState {
  /** Batches of a partition in the order of their records. */
  readonly ordinal: number
  readonly recordCount: number
  readonly maybeWritten: boolean
  /** Which of its partition's logs it was last sent to; see PartitionSequences. */
  log: number
  setProducerState(state: ProducerState): void
  /** Proven not to be in the log, and free to take a new sequence. */
  clearProducerState(): void
}

/** The sequences as everything but their queue sees them. */
export type SequencesView = Pick<
  PartitionSequences,
  | 'producerId'
  | 'producerEpoch'
  | 'lastAckedOffset'
  | 'isUnresolved'
  | 'hasGap'
  | 'mustRestart'
  | 'isKnown'
  | 'isContiguous'
  | 'isFirstInFlight'
> & { readonly inFlight: readonly SequencedBatch[] }

const MAX_SEQUENCE = 0x7fffffff
export const MAX_EPOCH = 0x7fff

/** Sequences wrap from 2147483647 to 0. */
export function addToSequence(sequence: number, count: number): number {
  return sequence > MAX_SEQUENCE - count ? count - (MAX_SEQUENCE - sequence) - 1 : sequence + count
}

export class PartitionSequences {
  producerId = -1n
  producerEpoch = -1
  /** Log position of the last acknowledged batch; tells retention from loss when the broker forgot the producer. */
  lastAckedOffset = -1n
  /** A batch with a sequence was given up; whether the broker has it is not known. */
  isUnresolved = false
  /** A batch with a sequence was given up and is certainly not in the log; so nothing behind it is. */
  hasGap = false
  /** There is a gap: start again as soon as nothing is on the wire. */
  mustRestart = false
  /** Batches with a sequence whose request is unanswered or that wait to be sent again, in order. */
  readonly inFlight: SequencedBatch[] = []
  /** Counts the logs that the partition has had: a batch remembers the one that it was last sent to. */
  log = 0
  #isKnown = false
  #next = 0
  #lastAcked = NO_SEQUENCE
  #lastAckedOrdinal = -1

  /** The sequence that the next batch will get. */
  get next(): number {
    return this.#next
  }

  /**
   * A batch of this producer id and epoch is acknowledged in this log, so the broker refuses one that comes behind a gap.
   * Before that it takes whatever sequence comes first: were two batches on their way, it could refuse the first, as it
   * does while a topic is new, and store the second ahead of it.
   */
  get isKnown(): boolean {
    return this.#isKnown
  }

  /** Everything that was sent up to now is in the log. */
  get isContiguous(): boolean {
    return this.#next === (this.#lastAcked === NO_SEQUENCE ? 0 : addToSequence(this.#lastAcked, 1))
  }

  isFirstInFlight(batch: SequencedBatch): boolean {
    return this.inFlight[0] === batch
  }

  assign(batch: SequencedBatch): void {
    batch.setProducerState({
      producerId: this.producerId,
      producerEpoch: this.producerEpoch,
      baseSequence: this.#next,
    })
    this.#next = addToSequence(this.#next, batch.recordCount)
    this.inFlight.push(batch)
  }

  /** The partition may have another log from here on, which knows nothing of this producer; its sequences go on. */
  forgetLog(): void {
    this.log++
    this.#isKnown = false
  }

  /** The broker has the batch. */
  acknowledge(batch: SequencedBatch, baseOffset: bigint): void {
    this.#remove(batch)
    if (batch.log === this.log) this.#isKnown = true
    if (batch.ordinal <= this.#lastAckedOrdinal) return
    this.#lastAckedOrdinal = batch.ordinal
    this.#lastAcked = addToSequence(batch.baseSequence, batch.recordCount - 1)
    if (baseOffset >= 0n) this.lastAckedOffset = baseOffset + BigInt(batch.recordCount - 1)
  }

  /** The batch will not be sent again, and nobody acknowledged it: its sequences are used up. */
  abandon(batch: SequencedBatch): void {
    if (!this.#remove(batch)) return
    this.isUnresolved = true
    if (!batch.maybeWritten) this.hasGap = true
  }

  /** All that was given up turned out to be in the log. */
  resolve(): void {
    this.isUnresolved = this.hasGap = false
  }

  /** The parts of a split batch share its sequences between them, in its place. */
  replace(batch: SequencedBatch, parts: readonly SequencedBatch[]): void {
    const { producerId, producerEpoch } = batch
    let { baseSequence } = batch
    for (const part of parts) {
      part.setProducerState({ producerId, producerEpoch, baseSequence })
      baseSequence = addToSequence(baseSequence, part.recordCount)
    }
    this.inFlight.splice(this.inFlight.indexOf(batch), 1, ...parts)
  }

  /**
   * Starts at sequence 0. What was in flight is proven not to be in the log, for it came behind a gap; it gets new
   * sequences when it is drained again.
   */
  restart({ producerId, producerEpoch }: ProducerIdAndEpoch): void {
    for (const batch of this.inFlight) batch.clearProducerState()
    this.inFlight.length = 0
    this.producerId = producerId
    this.producerEpoch = producerEpoch
    this.isUnresolved = this.hasGap = this.mustRestart = false
    this.#next = 0
    this.#lastAcked = NO_SEQUENCE
    this.#isKnown = false
  }

  #remove(batch: SequencedBatch): boolean {
    const at = this.inFlight.indexOf(batch)
    if (at !== -1) this.inFlight.splice(at, 1)
    return at !== -1
  }
}
