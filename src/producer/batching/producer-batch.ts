/**
 * One batch on its way to a partition: its bytes, who waits for it, and what happened to it so far. It is completed
 * exactly once, and its buffer is free only when nobody can touch the bytes any more (`isReleasable`).
 */
import type { KafkaError } from '../../errors.js'
import type { DeliveryCallback, RecordMetadata, TopicPartition } from '../../record.js'
import {
  RecordBatchBuilder,
  type CompressedRecords,
  type ProducerState,
  type RecordCursor,
} from '../../records/record-batch.js'
import { BATCH_HEADER_SIZE } from '../../records/record-bytes.js'
import { watch } from '../../user-code.js'
import type { Deadline } from '../../time/deadline-queue.js'
import type { Generation } from './flush-generations.js'
import { NO_SEQUENCE, type SequencedBatch } from './partition-sequences.js'
import { markHandled, OwnPromise, RecordPromises, SETTLED_PROMISE } from './record-promises.js'

/** Who waits for a record: its callback, or its promise. */
type Waiter = DeliveryCallback | Promise<RecordMetadata>

/** What happens around each record's completion; one object of the producer's. */
export interface CompletionObserver {
  /** A callback of the application threw. */
  callbackThrew(error: unknown): void
  /** `isTold` where a callback of the application was told; a promise may be one that is not awaited. */
  recordFailed(error: KafkaError, metadata: RecordMetadata, isTold: boolean): void
}

/** What is known of a batch when it begins. */
export interface BatchStart {
  readonly generation: Generation
  readonly createdMs: number
  readonly deadlineMs: number
  readonly limit: number
  readonly lingerUntilMs: number
  readonly lingerRound: number
}

/** The place of a batch in the order of its partition's records; see `ordinal`. */
export interface BatchOrder {
  readonly ordinal: number
  readonly span: number
}

export class ProducerBatch<Queue extends TopicPartition = TopicPartition> implements SequencedBatch {
  readonly queue: Queue
  readonly records: RecordBatchBuilder
  readonly createdMs: number
  /** Batches of a partition in the order of their records. The halves of a split batch share its [ordinal, + span). */
  readonly ordinal: number
  readonly span: number
  /** When its records have waited for `deliveryTimeoutMs`. */
  /** That of the record that was sent first. */
  deadlineMs: number

  /** Takes no more records from this many bytes on. */
  readonly limit: number
  /** When it has waited for more records long enough, unless its linger round is over before. */
  lingerUntilMs: number
  readonly lingerRound: number
  /** No more records may be added. */
  isClosed = false
  /** Its records are settled. */
  isDone = false
  /** A request with it is unanswered. */
  isInFlight = false
  /** It stands in its partition's queue. */
  isQueued = false
  /** Its buffer went back to the pool, or was left to the codec that reads it. */
  isReleased = false
  /** Requests made with it. */
  attempts = 0
  /** How many of these count for `retries` and lengthen the back-off: one refused for the gap of another does not. */
  failures = 0
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
  /** Which of its partition's logs it was last sent to; see PartitionSequences. */
  log = -1

  /** Its places in the accumulator's lists. */
  expiry: Deadline<ProducerBatch<Queue>> | null = null
  next: ProducerBatch<Queue> | null = null
  generation: Generation

  #holds = 0
  #encoded: Uint8Array | null = null
  /** One for each record; made for as many as the batch will probably hold. */
  #waiters: Waiter[] = []
  #promises: RecordPromises | null = null

  constructor(queue: Queue, buffer: Buffer, start: BatchStart, order: BatchOrder, expectedRecords: number) {
    this.queue = queue
    this.#waiters.length = expectedRecords
    this.records = new RecordBatchBuilder(buffer)
    this.generation = start.generation
    this.createdMs = start.createdMs
    this.deadlineMs = start.deadlineMs
    this.limit = start.limit
    this.lingerUntilMs = start.lingerUntilMs
    this.lingerRound = start.lingerRound
    this.ordinal = order.ordinal
    this.span = order.span
  }

  get recordCount(): number {
    return this.records.recordCount
  }

  /** A part of a batch that was too large. */
  get isPart(): boolean {
    return this.span < 1
  }

  get hasSequence(): boolean {
    return this.baseSequence !== NO_SEQUENCE
  }

  /** Bytes on the wire; those of the open batch before compression. */
  get wireSize(): number {
    return this.compressed === null ? this.records.size : BATCH_HEADER_SIZE + this.compressed.bytes.length
  }

  /** Who waits for the record that was just appended to `records`: the callback, or else a promise, which is returned. */
  join(callback: DeliveryCallback): undefined
  join(callback: DeliveryCallback | null): Promise<RecordMetadata> | undefined
  join(callback: DeliveryCallback | null): Promise<RecordMetadata> | undefined {
    if (callback !== null) {
      this.#waiters[this.recordCount - 1] = callback
      return undefined
    }
    this.#promises ??= new RecordPromises()
    const promise = this.#promises.add()
    this.#waiters[this.recordCount - 1] = promise
    return promise
  }

  /** From the first drain on the sequence belongs to this batch: retries keep it. Only an epoch bump changes it. */
  setProducerState(state: ProducerState): void {
    this.producerId = state.producerId
    this.producerEpoch = state.producerEpoch
    this.baseSequence = state.baseSequence
    this.#encoded = null
  }

  /**
   * After an epoch bump: the log did not have it, and it is free to take a new sequence. An attempt without a response may
   * still arrive, and fill the gap together with those before it, so `maybeWritten` stays.
   */
  clearProducerState(): void {
    this.setProducerState({ producerId: -1n, producerEpoch: -1, baseSequence: NO_SEQUENCE })
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
    return this.isDone && !this.isInFlight && this.#holds === 0 && !this.isReleased
  }

  /** Settled while a codec is at work on it, which nobody waits for any more; nothing else can hold it then. */
  get isAbandonedToCodec(): boolean {
    return this.isDone && this.compression === 'at-work' && !this.isReleased
  }

  /**
   * Settles every record as delivered. `baseOffset` is -1 where it is unknown, `logAppendTimeMs` -1 where the records'
   * own timestamps hold.
   */
  succeed(baseOffset: bigint, logAppendTimeMs: number, observer: CompletionObserver): void {
    this.isDone = true
    const waiters = this.#takeWaiters()
    // What promises are settled with takes the places of the promises.
    const deliveries: (Waiter | RecordMetadata)[] = waiters
    let promised = 0
    const { topic, partition } = this.queue
    // Offsets are far below 2^53 in practice, and adding numbers is much cheaper than adding BigInts.
    const base = Number(baseOffset)
    const record = this.records.read()
    for (let i = 0; record.next(); i++) {
      const metadata: RecordMetadata = {
        topic,
        partition,
        offset: base < 0 ? -1n : BigInt(base + i),
        timestamp: logAppendTimeMs < 0 ? record.timestamp : logAppendTimeMs,
        serializedKeySize: record.keySize,
        serializedValueSize: record.valueSize,
      }
      const waiter = waiters[i]!
      if (typeof waiter === 'function') callBack(waiter, null, metadata, observer)
      else deliveries[promised++] = metadata
    }
    if (promised < deliveries.length) deliveries.length = promised
    this.#promises?.fulfil(deliveries as RecordMetadata[])
  }

  /** Settles every record as failed, each with the error that `errorOf` gives for its index. */
  fail(errorOf: (index: number) => KafkaError, observer: CompletionObserver): void {
    this.isDone = true
    const waiters = this.#takeWaiters()
    const errors: KafkaError[] = []
    const record = this.records.read()
    for (let i = 0; record.next(); i++) {
      const error = errorOf(i)
      const metadata = failedMetadata(this.queue.topic, this.queue.partition, record)
      const waiter = waiters[i]!
      let isTold = false
      if (typeof waiter === 'function') isTold = callBack(waiter, error, metadata, observer)
      else {
        markHandled(waiter)
        errors.push(error)
      }
      observer.recordFailed(error, metadata, isTold)
    }
    this.#promises?.reject(errors)
  }

  /** An empty batch for one half of these records, as if it was never sent (KIP-126). */
  half(which: 0 | 1, buffer: Buffer): ProducerBatch<Queue> {
    const { createdMs, deadlineMs, generation, lingerRound, ordinal, recordCount } = this
    const span = this.span / 2
    const start = { generation, createdMs, deadlineMs, limit: 0, lingerUntilMs: 0, lingerRound }
    const order = { ordinal: ordinal + which * span, span }
    const half = new ProducerBatch(this.queue, buffer, start, order, recordCount >>> 1)
    half.maybeWritten = this.maybeWritten
    return half
  }

  countFailure(): void {
    this.failures++
  }

  /** An attempt failed; `leavesAppendOpen` where the broker may have the records all the same. */
  attemptFailed(error: KafkaError, leavesAppendOpen: boolean): void {
    if (leavesAppendOpen) this.maybeWritten = true
    this.lastError = error
  }

  /** Moves the records into two others, the first `middle` of them into `first`; who waits for them waits for those. */
  divideInto(first: ProducerBatch<Queue>, second: ProducerBatch<Queue>, middle: number): void {
    const waiters = this.#takeWaiters()
    const moved: Promise<RecordMetadata>[] = []
    const record = this.records.read()
    for (let i = 0; record.next(); i++) {
      const target = i < middle ? first : second
      target.records.copyRecord(record)
      const waiter = waiters[i]!
      if (typeof waiter === 'function') target.join(waiter)
      else {
        const { promise, callback } = new OwnPromise()
        moved.push(promise)
        target.join((error, metadata) => {
          if (error !== null) markHandled(waiter)
          return callback(error, metadata)
        })
      }
    }
    this.#promises?.fulfil(moved)
  }

  #takeWaiters(): Waiter[] {
    const waiters = this.#waiters
    this.#waiters = []
    return waiters
  }
}

/** What is told of a record that failed: its offset is -1n. */
export function failedMetadata(
  topic: string,
  partition: number,
  record: Pick<RecordCursor, 'timestamp' | 'keySize' | 'valueSize'>,
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

/** Fails one record that is in no batch. */
export function settleFailure(
  callback: DeliveryCallback,
  error: KafkaError,
  metadata: RecordMetadata,
  observer: CompletionObserver,
): void {
  const isTold = callBack(callback, error, metadata, observer)
  observer.recordFailed(error, metadata, isTold)
}

/** False where the callback was one of ours, which settles a promise. */
function callBack(
  callback: DeliveryCallback,
  error: KafkaError | null,
  metadata: RecordMetadata,
  observer: CompletionObserver,
): boolean {
  try {
    const result: unknown = callback(error, metadata)
    if (result === SETTLED_PROMISE) return false
    // An asynchronous one may still fail; all others cost this comparison.
    if (result !== undefined) watch(result, (thrown) => observer.callbackThrew(thrown))
    return true
  } catch (thrown) {
    observer.callbackThrew(thrown)
    return true
  }
}
