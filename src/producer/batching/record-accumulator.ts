/**
 * Batches per partition, from the first record to the moment their buffer is free again. It knows no timer and no
 * socket: what is due at a time is asked for, and what can be sent to a broker is the schedule's to say.
 */
import { RecordTooLargeError } from '../../errors.js'
import type { Clock } from '../../time/clock.js'
import type { DeliveryCallback, RecordMetadata } from '../../record.js'
import type { RecordDraft } from '../../records/record-draft.js'
import type { BatchCompression } from './batch-compression.js'
import { BufferPool } from './buffer-pool.js'
import { DeadlineQueue } from '../../time/deadline-queue.js'
import type { DrainGate } from '../sending/drain-gate.js'
import type { DrainSchedule } from './drain-schedule.js'
import { FlushGenerations, type Generation } from './flush-generations.js'
import type { NextTurn } from '../sending/next-turn.js'
import type { PartitionQueue, QueuedBatch, QueueParts } from './partition-queue.js'
import { TopicQueues, type TopicState } from './topic-queues.js'

/** A batch has no room for another record below this. */
const SMALLEST_RECORD = 7

/** Load is measured again when the last measurement is this old, as the sticky choice moves far more often. */
const LOAD_STATS_MAX_AGE_MS = 5

/** In place of a partition: the sticky choice. */
export const STICKY = -1

/** `bufferMemory` is spent. */
export const NO_ROOM = Symbol('no room')

/** What counts of a record that had to wait before it could be appended. */
export interface Waited {
  readonly sentAtMs: number
  /** The flush that waits for it, if there is one. */
  readonly generation: Generation
}

/** The options that matter here; see config.ts. */
export interface AccumulatorConfig {
  readonly batchSize: number
  readonly bufferMemory: number
  readonly maxRequestSize: number
  readonly lingerMs: number
  readonly deliveryTimeoutMs: number
  readonly partitionerAdaptivePartitioningEnable: boolean
  readonly partitionerAvailabilityTimeoutMs: number
}

export interface AccumulatorParts {
  readonly config: AccumulatorConfig
  readonly clock: Pick<Clock, 'now'>
  readonly schedule: DrainSchedule
  readonly gate: DrainGate
  readonly turn: NextTurn
  /** Null where batches go as they are. */
  readonly compression: BatchCompression | null
  /** The dice of the sticky choice. */
  readonly random: () => number
}

export class RecordAccumulator {
  readonly pool: BufferPool
  readonly flushes = new FlushGenerations()
  readonly #parts: AccumulatorParts
  readonly #queueParts: QueueParts
  /** The bytes of a full batch. */
  readonly #batchLimit: number
  readonly #topics = new Map<string, TopicQueues>()
  /** Every batch that is not done, by the end of its delivery timeout. */
  readonly #incomplete = new DeadlineQueue<QueuedBatch>()
  /** Since when a broker has something to send and does not take it. */
  readonly #stalledSinceMs = new Map<number, number>()
  /** Batches that records filled, and that the codec was not asked to compress yet. */
  #sealed: QueuedBatch[] = []
  readonly #loadMeasuredAt = new WeakMap<TopicQueues, number>()
  #roomListener: () => void = () => {}

  constructor(parts: AccumulatorParts) {
    this.#parts = parts
    const { config, schedule, compression } = parts
    this.#batchLimit = Math.min(config.batchSize, config.maxRequestSize, config.bufferMemory)
    this.pool = new BufferPool(config.bufferMemory, this.#batchLimit)
    this.#queueParts = {
      reconsider: (queue) => schedule.reconsider(queue),
      compress: compression === null ? null : (batch, done) => compression.start(batch, done),
      release: (batch) => this.release(batch),
    }
  }

  /** From here on `listener` is called when the memory of a batch was freed. */
  onRoom(listener: () => void): void {
    this.#roomListener = listener
  }

  /** Batches that are not settled. */
  get incompleteCount(): number {
    return this.#incomplete.size
  }

  get incomplete(): QueuedBatch[] {
    return this.#incomplete.all
  }

  /** The end of the next delivery timeout. */
  get nextDeadline(): number {
    return this.#incomplete.nextAt
  }

  get topicNames(): Iterable<string> {
    return this.#topics.keys()
  }

  /**
   * The queues of a topic. They stay for the producer's life, however long nothing is sent: a partition that began again
   * at sequence 0 would be taken for a duplicate.
   */
  topic(name: string): TopicQueues {
    let topic = this.#topics.get(name)
    if (topic === undefined) {
      const { config, random } = this.#parts
      topic = new TopicQueues(name, this.#queueParts, config.batchSize, random)
      this.#topics.set(name, topic)
    }
    return topic
  }

  /** Undefined for a topic that nobody has asked for by `topic` yet. */
  knownTopic(name: string): TopicQueues | undefined {
    return this.#topics.get(name)
  }

  /**
   * Adds a record to the open batch of its partition, or to a new one, and with it who waits for the record: `callback`,
   * or without one the promise that is returned. It is one step, in which no code of the application runs. NO_ROOM says
   * that `bufferMemory` has none. Throws RecordTooLargeError for a record that no request or no memory could hold.
   * `waited` is null for a record that did not have to wait.
   */
  append(
    topic: TopicQueues,
    partition: number,
    record: RecordDraft,
    callback: DeliveryCallback | null,
    waited: Waited | null,
  ): Promise<RecordMetadata> | undefined | typeof NO_ROOM {
    const isSticky = partition === STICKY
    const queue = isSticky ? this.#stickyQueue(topic) : topic.partitions[partition]!
    let batch = queue.open
    let before = 0
    if (batch !== null) {
      before = batch.records.size
      if (!this.#tryAppend(batch, record)) {
        this.#seal(batch)
        batch = null
        before = 0
      }
    }
    const isNew = batch === null
    batch ??= this.#newBatch(queue, record, waited)
    if (batch === null) return NO_ROOM
    const promise = batch.join(callback)
    if (isNew) this.#begin(batch)
    if (batch.records.size > batch.limit - SMALLEST_RECORD) this.#seal(batch)
    if (waited !== null) this.#joinWaited(batch, waited)
    if (isSticky) topic.sticky.appended(batch.records.size - before, batch.isClosed, topic)
    return promise
  }

  /** Codecs get the batches that records filled. They may be the application's own: never in the midst of a `send`. */
  compressSealed(): void {
    if (this.#sealed.length === 0) return
    const batches = this.#sealed
    this.#sealed = []
    for (const batch of batches) if (batch.isQueued) batch.queue.close(batch)
  }

  #stickyQueue(topic: TopicQueues): PartitionQueue {
    const queue = topic.partitions[topic.sticky.partition(topic)]!
    if (queue.open !== null) return queue
    // Between two batches: a move that was put off, so as not to leave a batch half full, can be made here.
    this.measureLoad(topic, this.#parts.clock.now())
    topic.sticky.appended(0, true, topic)
    return topic.partitions[topic.sticky.partition(topic)]!
  }

  #tryAppend(batch: QueuedBatch, record: RecordDraft): boolean {
    const { limit, records } = batch
    if (records.tryAppend(Math.min(limit, records.buffer.length), record)) return true
    return (
      limit > records.buffer.length &&
      this.#grow(batch) &&
      records.tryAppend(Math.min(limit, records.buffer.length), record)
    )
  }

  #seal(batch: QueuedBatch): void {
    batch.queue.seal(batch)
    if (this.#parts.compression === null) return
    this.#sealed.push(batch)
    this.#parts.turn.request()
  }

  /** A record that had to wait is in this batch, which a later one may have begun: its partitioner may have sent that. */
  #joinWaited(batch: QueuedBatch, { sentAtMs, generation }: Waited): void {
    const deadlineMs = sentAtMs + this.#parts.config.deliveryTimeoutMs
    if (deadlineMs < batch.deadlineMs) {
      if (batch.expiry !== null) this.#incomplete.remove(batch.expiry)
      batch.deadlineMs = deadlineMs
      batch.expiry = this.#incomplete.add(batch, deadlineMs)
      this.#parts.turn.request()
    }
    this.#joinGeneration(batch, generation)
  }

  /** A `flush` from before may be waiting for the record: then its batch belongs to that flush and does not linger. */
  #joinGeneration(batch: QueuedBatch, generation: Generation): void {
    if (generation === this.flushes.current) return
    batch.queue.endLinger(batch)
    if (batch.generation.number <= generation.number) return
    this.flushes.enter(generation)
    this.flushes.leave(batch.generation)
    batch.generation = generation
  }

  /** Weighs the topic's partitions by their queues, for the sticky choice (KIP-794). */
  measureLoad(topic: TopicQueues, now: number): void {
    if (!this.#parts.config.partitionerAdaptivePartitioningEnable) return
    if (now - (this.#loadMeasuredAt.get(topic) ?? -Infinity) < LOAD_STATS_MAX_AGE_MS) return
    this.#loadMeasuredAt.set(topic, now)
    const { availablePartitions, partitionCount, partitions } = topic
    const sizes = new Int32Array(availablePartitions.length)
    const ids = new Int32Array(availablePartitions.length)
    let length = 0
    for (const id of availablePartitions) {
      const queue = partitions[id]!
      if (this.#isUnavailable(queue.leader, now)) continue
      sizes[length] = queue.length
      ids[length++] = id
    }
    topic.sticky.updateLoadStats(sizes, ids, length, partitionCount)
  }

  #isUnavailable(nodeId: number, now: number): boolean {
    const timeout = this.#parts.config.partitionerAvailabilityTimeoutMs
    return timeout > 0 && now - (this.#stalledSinceMs.get(nodeId) ?? now) > timeout
  }

  /** No batch that was begun by now waits for more records. */
  endLinger(): void {
    this.#parts.schedule.endLinger()
  }

  /** Makes lingering batches due, and resolves when everything that is pending now has ended. */
  flush(): Promise<void> {
    const flushed = this.flushes.flush()
    this.endLinger()
    return flushed
  }

  /** Takes over a topic's metadata, undefined where there is none. */
  updateTopic(name: string, topic: TopicState | undefined): void {
    this.topic(name).update(topic)
  }

  /** The broker has something to send, and does not take it since `now`. */
  stalled(nodeId: number, now: number): void {
    if (!this.#stalledSinceMs.has(nodeId)) this.#stalledSinceMs.set(nodeId, now)
  }

  /** The broker takes what there is. */
  takesAll(nodeId: number): void {
    this.#stalledSinceMs.delete(nodeId)
  }

  /** The next batch whose delivery timeout is over; it is in no queue any more, though it may be on the wire. */
  takeExpired(now: number): QueuedBatch | undefined {
    const batch = this.#incomplete.takeDue(now)
    if (batch === undefined) return undefined
    batch.expiry = null
    batch.queue.withdraw(batch)
    return batch
  }

  /**
   * Puts two halves in the place of a batch that a broker finds too large, with the same records, times and waiters. The
   * halves of a half and so on end at single records (KAFKA-8350).
   */
  split(batch: QueuedBatch): void {
    this.#parts.compression?.wasTooLarge(batch)
    const halves = [this.#half(batch, 0), this.#half(batch, 1)] as const
    batch.divideInto(...halves, batch.recordCount >>> 1)
    batch.queue.putBackParts(batch, halves)
    this.complete(batch)
  }

  #half(batch: QueuedBatch, which: 0 | 1): QueuedBatch {
    const buffer = this.pool.allocateBeyond(batch.records.size + 10 * batch.recordCount)
    return this.#track(batch.half(which, buffer))
  }

  /** The batch is settled: nothing waits for it any more. */
  complete(batch: QueuedBatch): void {
    batch.isDone = true
    if (batch.expiry !== null) {
      this.#incomplete.remove(batch.expiry)
      batch.expiry = null
    }
    this.flushes.leave(batch.generation)
    this.release(batch)
  }

  /**
   * Frees the batch's memory if nothing can touch it any more. A codec may be the application's own and never finish:
   * what it still reads when the batch is settled is left to it.
   */
  release(batch: QueuedBatch): void {
    if (batch.isReleasable) this.pool.release(batch.records.buffer)
    else if (batch.isAbandonedToCodec) this.pool.drop(batch.records.buffer)
    else return
    batch.isReleased = true
    this.#roomListener()
  }

  #assertFits(queue: PartitionQueue, sizeBound: number): void {
    const { bufferMemory, maxRequestSize } = this.#parts.config
    const [name, limit] =
      maxRequestSize <= bufferMemory ? ['maxRequestSize', maxRequestSize] : ['bufferMemory', bufferMemory]
    if (sizeBound <= limit) return
    throw new RecordTooLargeError(
      `a record of up to ${sizeBound} bytes for topic ${queue.topic} is larger than ${name} (${limit})`,
    )
  }

  /** More room for a batch whose records compress well; false when there is none. */
  #grow(batch: QueuedBatch): boolean {
    const { records } = batch
    const buffer = this.pool.allocate(records.buffer.length * 2)
    if (buffer === null) return false
    const old = records.buffer
    records.growInto(buffer)
    this.pool.release(old)
    return true
  }

  /** A batch of its own for a record, which is in it already; null when there is no room for it. */
  #newBatch(queue: PartitionQueue, record: RecordDraft, waited: Waited | null): QueuedBatch | null {
    const { clock, compression, config, schedule } = this.#parts
    const { sizeBound } = record
    this.#assertFits(queue, sizeBound)
    const buffer = this.pool.allocate(Math.max(this.#batchLimit, sizeBound))
    if (buffer === null) return null
    const createdMs = clock.now()
    const batch = queue.newBatch(buffer, {
      generation: this.flushes.current,
      createdMs,
      deadlineMs: (waited?.sentAtMs ?? createdMs) + config.deliveryTimeoutMs,
      limit: compression?.limitFor(queue.topic, this.#batchLimit) ?? this.#batchLimit,
      lingerUntilMs: config.lingerMs === 0 ? 0 : createdMs + config.lingerMs,
      lingerRound: schedule.present.lingerRound,
    })
    batch.records.tryAppend(buffer.length, record)
    return batch
  }

  /** A batch has its first record, and takes its place. */
  #begin(batch: QueuedBatch): void {
    const { gate, turn } = this.#parts
    this.#track(batch)
    batch.queue.add(batch)
    gate.batchBegun(batch.queue)
    turn.request()
  }

  #track(batch: QueuedBatch): QueuedBatch {
    this.flushes.enter(batch.generation)
    batch.expiry = this.#incomplete.add(batch, batch.deadlineMs)
    return batch
  }
}
