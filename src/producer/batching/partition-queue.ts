/**
 * The batches of one partition that wait to be sent, in the order of their records, and all that decides when the first
 * of them may go. Only the queue changes that, and each change ends with `#reconsider`, so that the schedule never has it
 * in the wrong place; see drain-schedule.ts.
 */
import type { CompressedRecords } from '../../records/record-batch.js'
import type { Deadline } from '../../time/deadline-queue.js'
import type { Place } from './hold.js'
import { PartitionSequences, type ProducerIdAndEpoch, type SequencesView } from './partition-sequences.js'
import { ProducerBatch, type BatchStart } from './producer-batch.js'

export const NO_LEADER = -1

export type QueuedBatch = ProducerBatch<PartitionQueue>

/** What the queues of a producer have in common. */
export interface QueueParts {
  /** Something changed that decides what the queue waits for. */
  readonly reconsider: (queue: PartitionQueue) => void
  /** Compresses the batch and calls `done`, at once or later; null where batches go as they are. */
  readonly compress: ((batch: QueuedBatch, done: (bytes: CompressedRecords | null) => void) => void) | null
  /** The batch's memory may be free now. */
  readonly release: (batch: QueuedBatch) => void
}

/** Where the schedule has put the queue: notes of the schedule's, which nothing else writes. */
export interface Standing {
  place: Place
  /** The broker whose candidate it is. */
  nodeId: number
  /** Its entry among those that wait for time. */
  deadline: Deadline<PartitionQueue> | null
}

export class PartitionQueue {
  readonly topic: string
  readonly partition: number
  readonly standing: Standing = { place: 'idle', nodeId: NO_LEADER, deadline: null }
  readonly #parts: QueueParts
  readonly #sequences = new PartitionSequences()
  #leader = NO_LEADER
  /** The last one that metadata told of; -1 before. */
  #leaderEpoch = -1
  #requestsInFlight = 0
  #inFlightNodeId = NO_LEADER
  #nextOrdinal = 0
  #usualCount = 0
  #head: QueuedBatch | null = null
  #tail: QueuedBatch | null = null
  #length = 0

  constructor(topic: string, partition: number, parts: QueueParts) {
    this.topic = topic
    this.partition = partition
    this.#parts = parts
  }

  get sequences(): SequencesView {
    return this.#sequences
  }

  /** The broker that leads the partition. */
  get leader(): number {
    return this.#leader
  }

  /** Requests with a batch of this partition whose response is outstanding. */
  get requestsInFlight(): number {
    return this.#requestsInFlight
  }

  /** The broker that the last of them went to. */
  get inFlightNodeId(): number {
    return this.#inFlightNodeId
  }

  /** The batch that goes next. */
  get head(): QueuedBatch | null {
    return this.#head
  }

  /** The batch that was added last. */
  get newest(): QueuedBatch | null {
    return this.#tail
  }

  get length(): number {
    return this.#length
  }

  /** The batch that may still take records, or null. */
  get open(): QueuedBatch | null {
    const tail = this.#tail
    return tail === null || tail.isClosed ? null : tail
  }

  /** A batch to come behind all others, once it holds a record and is added. */
  newBatch(buffer: Buffer, start: BatchStart): QueuedBatch {
    const order = { ordinal: this.#nextOrdinal++, span: 1 }
    return new ProducerBatch<PartitionQueue>(this, buffer, start, order, this.#usualCount)
  }

  add(batch: QueuedBatch): void {
    if (this.#parts.compress !== null) batch.compression = 'todo'
    this.#insert(batch)
    this.#reconsider()
  }

  /** The batch waits for no more records, though it may still take some. */
  endLinger(batch: QueuedBatch): void {
    batch.lingerUntilMs = 0
    this.#reconsider()
  }

  /** No more records for this batch; it is still to be compressed, for a `send` is under way. */
  seal(batch: QueuedBatch): void {
    batch.isClosed = true
    this.#reconsider()
  }

  /** No more records for this batch; it is compressed now. */
  close(batch: QueuedBatch): void {
    if (batch.isClosed && batch.compression !== 'todo') return
    batch.isClosed = true
    this.#compress(batch)
    this.#reconsider()
  }

  /** Takes the first batch out, to be sent to the leader. */
  take(): void {
    const batch = this.#head
    if (batch === null) return
    this.close(batch)
    this.#remove(batch)
    batch.isInFlight = true
    batch.attempts++
    this.#requestsInFlight++
    this.#inFlightNodeId = this.#leader
    this.#reconsider()
  }

  /** The request with the batch was answered, or never will be. */
  requestEnded(batch: QueuedBatch): void {
    batch.isInFlight = false
    this.#requestsInFlight--
    this.#reconsider()
  }

  /** A batch comes back to its old place, to be sent again at `retryAtMs`. */
  putBack(batch: QueuedBatch, retryAtMs: number): void {
    batch.retryAtMs = retryAtMs
    this.#insert(batch)
    this.#reconsider()
  }

  /** The parts of a batch that a broker found too large take its place and its sequences. */
  putBackParts(batch: QueuedBatch, parts: readonly QueuedBatch[]): void {
    if (batch.hasSequence) this.#sequences.replace(batch, parts)
    for (const part of parts) {
      part.isClosed = true
      this.#insert(part)
      if (this.#parts.compress !== null) part.compression = 'todo'
      this.#compress(part)
    }
    this.#reconsider()
  }

  /** Takes a batch out that will not be sent, if it stands here. */
  withdraw(batch: QueuedBatch): void {
    if (!batch.isQueued) return
    batch.isClosed = true
    this.#remove(batch)
    this.#reconsider()
  }

  /** The partition may have another log from here on (see PartitionSequences), and what one log refused may go to it now. */
  forgetLog(): void {
    this.#sequences.forgetLog()
    if (this.#head !== null) this.#head.retryAtMs = 0
    this.#reconsider()
  }

  /**
   * Takes over who leads the partition. What waits to be sent again to one broker need not wait for another. Without topic
   * ids only a leader epoch that fell tells of another log.
   */
  move(leader: number, leaderEpoch: number): void {
    if (leaderEpoch !== -1) {
      if (leaderEpoch < this.#leaderEpoch) this.forgetLog()
      this.#leaderEpoch = leaderEpoch
    }
    if (leader === this.#leader) return
    this.#leader = leader
    if (this.#head !== null) this.#head.retryAtMs = 0
    this.#reconsider()
  }

  // Sequences

  /** The batch is about to be sent: the first time it gets its place in the sequence. */
  assignSequence(batch: QueuedBatch): void {
    if (!batch.hasSequence) this.#sequences.assign(batch)
    batch.log = this.#sequences.log
    this.#reconsider()
  }

  /** The broker has the batch. */
  acknowledged(batch: QueuedBatch, baseOffset: bigint): void {
    this.#usualCount = batch.recordCount
    if (batch.hasSequence) this.#sequences.acknowledge(batch, baseOffset)
    this.#reconsider()
  }

  /** The batch will not be sent again, and no broker acknowledged it: its sequences are used up. */
  abandoned(batch: QueuedBatch): void {
    if (batch.hasSequence) this.#sequences.abandon(batch)
    this.#reconsider()
  }

  /** A gap is proven: the sequences start again as soon as no response is outstanding. */
  mustRestart(): void {
    this.#sequences.mustRestart = true
    this.#reconsider()
  }

  restartSequences(identity: ProducerIdAndEpoch): void {
    this.#sequences.restart(identity)
    this.#reconsider()
  }

  /** What was given up turned out to be in the log. */
  resolved(): void {
    this.#sequences.resolve()
    this.#reconsider()
  }

  #reconsider(): void {
    this.#parts.reconsider(this)
  }

  #compress(batch: QueuedBatch): void {
    const { compress, release } = this.#parts
    if (compress === null || batch.compression !== 'todo') return
    batch.compression = 'at-work'
    batch.hold()
    compress(batch, (bytes) => {
      batch.compressed = bytes
      batch.compression = 'done'
      batch.letGo()
      if (batch.isQueued) this.#reconsider()
      release(batch)
    })
  }

  /** Puts a batch where its ordinal belongs: a new one at the end, one to be sent again before what is newer. */
  #insert(batch: QueuedBatch): void {
    this.#length++
    batch.isQueued = true
    const tail = this.#tail
    if (tail === null) {
      this.#head = this.#tail = batch
    } else if (tail.ordinal < batch.ordinal) {
      this.#tail = tail.next = batch
    } else {
      let before: QueuedBatch | null = null
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

  #remove(batch: QueuedBatch): void {
    let before: QueuedBatch | null = null
    let at = this.#head
    while (at !== null && at !== batch) {
      before = at
      at = at.next
    }
    if (before === null) this.#head = batch.next
    else before.next = batch.next
    if (this.#tail === batch) this.#tail = before
    batch.next = null
    batch.isQueued = false
    this.#length--
  }
}
