/**
 * One batch on its way to a partition: its bytes, who waits for it, and what happened to it so far. It is completed
 * exactly once, and its buffer is free only when nobody can touch the bytes any more (`isReleasable`).
 */
import type { KafkaError } from '../errors.js'
import type { DeliveryCallback, RecordMetadata } from '../record.js'
import {
  BATCH_HEADER_SIZE,
  RecordBatchBuilder,
  type CompressedRecords,
  type ProducerState,
  type RecordSummary,
} from '../records/record-batch.js'
import type { Deadline } from './deadline-queue.js'
import type { Generation } from './flush-generations.js'
import type { PartitionQueue } from './partition-queue.js'

export const NO_SEQUENCE = -1

/** Settles one record: a callback, or the two functions of a promise and the promise itself. */
export type Settle = DeliveryCallback | ((metadata: RecordMetadata) => void)
export type RejectPromise = ((error: KafkaError) => void) | null
export type HandledPromise = Promise<RecordMetadata> | null

/** What happens around each record's completion; one object of the producer's. */
export interface CompletionObserver {
  /** A callback of the application threw. */
  callbackThrew(error: unknown): void
  recordFailed(error: KafkaError, metadata: RecordMetadata): void
}

export class ProducerBatch {
  readonly queue: PartitionQueue
  readonly records: RecordBatchBuilder
  readonly createdMs: number
  /** Batches of a partition in the order of their records. The halves of a split batch share its [ordinal, + span). */
  readonly ordinal: number
  readonly span: number
  /** When its records have waited for `deliveryTimeoutMs`. */
  readonly deadlineMs: number

  /** Takes no more records from this many bytes on. */
  limit = 0
  /** No more records may be added. */
  isClosed = false
  /** Its records are settled. */
  isDone = false
  /** A request with it is unanswered. */
  isOnWire = false
  /** It stands in its partition's queue. */
  isQueued = false
  /** Its buffer went back to the pool. */
  isReleased = false
  /** Requests made with it. */
  attempts = 0
  /** Not before this time again, after a failed attempt. */
  retryAtMs = 0
  /** An attempt ended without an answer, or with one that leaves the append open. */
  maybeWritten = false
  /** What the last attempt ended with; the cause when time runs out. */
  lastError: KafkaError | null = null

  /** Its records as a codec made them; null where they go as they are. */
  compressed: CompressedRecords | null = null
  /** Whether the codec has still to be asked, is at work, or is done; without compression it is done from the start. */
  compression: 'todo' | 'at-work' | 'done' = 'done'

  producerId = -1n
  producerEpoch = -1
  baseSequence = NO_SEQUENCE

  /** Its places in the accumulator's lists. */
  expiry: Deadline<ProducerBatch> | null = null
  lingering: Deadline<ProducerBatch> | null = null
  next: ProducerBatch | null = null
  generation: Generation

  #holds = 0
  #encoded: Uint8Array | null = null
  /** Three places a record: how to settle it, and for a promise its reject function and the promise. */
  readonly #settlers: (Settle | RejectPromise | HandledPromise)[] = []

  constructor(
    queue: PartitionQueue,
    buffer: Buffer,
    generation: Generation,
    times: { readonly createdMs: number; readonly deadlineMs: number },
    order: { readonly ordinal: number; readonly span: number },
  ) {
    this.queue = queue
    this.records = new RecordBatchBuilder(buffer)
    this.generation = generation
    this.createdMs = times.createdMs
    this.deadlineMs = times.deadlineMs
    this.ordinal = order.ordinal
    this.span = order.span
  }

  get recordCount(): number {
    return this.records.recordCount
  }

  get hasSequence(): boolean {
    return this.baseSequence !== NO_SEQUENCE
  }

  /** Bytes on the wire; those of the open batch before compression. */
  get wireSize(): number {
    return this.compressed === null ? this.records.size : BATCH_HEADER_SIZE + this.compressed.bytes.length
  }

  /** Joins a record that was just appended to `records` with what waits for it. */
  addSettler(settle: Settle, reject: RejectPromise, promise: HandledPromise): void {
    this.#settlers.push(settle, reject, promise)
  }

  /** From the first drain on the sequence belongs to this batch: retries keep it. Only an epoch bump changes it. */
  setProducerState(state: ProducerState): void {
    this.producerId = state.producerId
    this.producerEpoch = state.producerEpoch
    this.baseSequence = state.baseSequence
    this.#encoded = null
  }

  /** After an epoch bump: proven not to be in the log, and free to take a new sequence. */
  clearProducerState(): void {
    this.setProducerState({ producerId: -1n, producerEpoch: -1, baseSequence: NO_SEQUENCE })
    this.maybeWritten = false
  }

  /** The bytes to send; the same ones for every retry. */
  encode(isTransactional: boolean): Uint8Array {
    this.#encoded ??= this.records.finish(this, isTransactional, this.compressed)
    return this.#encoded
  }

  /** Somebody reads the bytes from here until `letGo`: a socket, or a compressor off the main thread. */
  hold(): void {
    this.#holds++
  }

  letGo(): void {
    this.#holds--
  }

  /** Settled, answered, and let go of by all who read it: the buffer may serve another batch (KAFKA-19012). */
  get isReleasable(): boolean {
    return this.isDone && !this.isOnWire && this.#holds === 0 && !this.isReleased
  }

  /**
   * Settles every record as delivered. `baseOffset` is -1 where it is unknown, `logAppendTimeMs` -1 where the records'
   * own timestamps hold.
   */
  succeed(baseOffset: bigint, logAppendTimeMs: number, observer: CompletionObserver): void {
    this.isDone = true
    const settlers = this.#settlers
    const { topic, partition } = this.queue
    // Offsets are far below 2^53 in practice, and adding numbers is much cheaper than adding BigInts.
    const base = Number(baseOffset)
    this.records.forEachRecord((record, index) => {
      const metadata: RecordMetadata = {
        topic,
        partition,
        offset: base < 0 ? -1n : BigInt(base + index),
        timestamp: logAppendTimeMs < 0 ? record.timestamp : logAppendTimeMs,
        serializedKeySize: record.keySize,
        serializedValueSize: record.valueSize,
      }
      const settle = settlers[index * 3] as Settle
      if (settlers[index * 3 + 1] === null) callBack(settle as DeliveryCallback, null, metadata, observer)
      else (settle as (metadata: RecordMetadata) => void)(metadata)
    })
    settlers.length = 0
  }

  /** Settles every record as failed, each with the error that `errorOf` gives for its index. */
  fail(errorOf: (index: number) => KafkaError, observer: CompletionObserver): void {
    this.isDone = true
    const settlers = this.#settlers
    this.records.forEachRecord((record, index) => {
      settleFailure(
        settlers[index * 3] as Settle,
        settlers[index * 3 + 1] as RejectPromise,
        settlers[index * 3 + 2] as HandledPromise,
        errorOf(index),
        failedMetadata(this.queue.topic, this.queue.partition, record),
        observer,
      )
    })
    settlers.length = 0
  }

  /** Moves the records from `from` (inclusive) to `to` (exclusive), and who waits for them, into another batch. */
  moveRecordsTo(target: ProducerBatch, from: number, to: number): void {
    this.records.forEachRecord((record, index) => {
      if (index < from || index >= to) return
      target.records.copyRecord(this.records, record)
      target.#settlers.push(...this.#settlers.slice(index * 3, index * 3 + 3))
    })
  }
}

/** What is told of a record that failed: its offset is -1n. */
export function failedMetadata(
  topic: string,
  partition: number,
  record: Pick<RecordSummary, 'timestamp' | 'keySize' | 'valueSize'>,
): RecordMetadata {
  return {
    topic,
    partition,
    offset: -1n,
    timestamp: record.timestamp,
    serializedKeySize: record.keySize,
    serializedValueSize: record.valueSize,
  }
}

/**
 * Fails one record. A promise is marked as handled just before it is rejected, so that a `send` nobody awaits never
 * ends the process; whoever awaits it sees the error all the same.
 */
export function settleFailure(
  settle: Settle,
  reject: RejectPromise,
  promise: HandledPromise,
  error: KafkaError,
  metadata: RecordMetadata,
  observer: CompletionObserver,
): void {
  if (reject === null) callBack(settle as DeliveryCallback, error, metadata, observer)
  else {
    promise!.catch(ignore)
    reject(error)
  }
  observer.recordFailed(error, metadata)
}

function callBack(
  callback: DeliveryCallback,
  error: KafkaError | null,
  metadata: RecordMetadata,
  observer: CompletionObserver,
): void {
  try {
    callback(error, metadata)
  } catch (thrown) {
    observer.callbackThrew(thrown)
  }
}

function ignore(): void {}
