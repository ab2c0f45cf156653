/**
 * Batches per partition, from the first record to the moment their buffer is free again. It knows no timer and no
 * socket: what is due at a time, and what can be sent to a broker, is asked for.
 *
 * Nothing here looks at all partitions. A partition enters its leader's list when something happens that may make its
 * first batch sendable (it is full, its linger or back-off is over, a flush, an answer, a new leader) and is looked at
 * when that broker is drained.
 */
import { RecordTooLargeError } from '../errors.js'
import type { Clock } from '../network/clock.js'
import type { Headers, Payload } from '../record.js'
import { singleRecordSizeBound } from '../records/record-batch.js'
import type { BatchCompression } from './batch-compression.js'
import { BufferPool } from './buffer-pool.js'
import { DeadlineQueue } from './deadline-queue.js'
import { Fifo } from './fifo.js'
import { FlushGenerations, type Generation } from './flush-generations.js'
import { NO_LEADER, type Listing, type PartitionQueue } from './partition-queue.js'
import { ProducerBatch } from './producer-batch.js'
import { TopicQueues, type TopicState } from './topic-queues.js'

/** A batch has no room for another record below this. */
const SMALLEST_RECORD = 7

/** Load is measured again when the last measurement is this old, as the sticky choice moves far more often. */
const LOAD_STATS_MAX_AGE_MS = 5

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

/** Decides whether the first batch of a partition may go now, as far as order is concerned. */
export interface DrainGate {
  mayDrain(queue: PartitionQueue, batch: ProducerBatch): boolean
}

/** What one broker could be sent. */
class NodeQueue {
  readonly ready = new Fifo<Listing>()
  /** Since when it has something to send and does not take it; Infinity while it does. */
  stalledSinceMs = Infinity
}

export class RecordAccumulator {
  readonly pool: BufferPool
  readonly flushes = new FlushGenerations()
  /** Called when there may be something to send or to wait for that there was not before. */
  onChange: () => void = () => {}
  /** Called with the partition of every batch that is begun. */
  onBatch: (queue: PartitionQueue) => void = () => {}
  /** Called when memory was freed. */
  onRoom: () => void = () => {}
  readonly #config: AccumulatorConfig
  readonly #clock: Pick<Clock, 'now'>
  readonly #compression: BatchCompression | null
  /** Dice of the sticky choice. */
  readonly #random: (() => number) | undefined
  /** The bytes of a full batch. */
  readonly #batchLimit: number
  readonly #topics = new Map<string, TopicQueues>()
  readonly #nodes = new Map<number, NodeQueue>()
  /** Batches that wait for more records, by the end of their linger. */
  readonly #lingering = new DeadlineQueue<ProducerBatch>()
  /** Partitions whose first batch is to be tried again later. */
  readonly #backoffs = new DeadlineQueue<PartitionQueue>()
  /** Every batch that is not done, by the end of its delivery timeout. */
  readonly #incomplete = new DeadlineQueue<ProducerBatch>()
  readonly #leaderless = new Set<PartitionQueue>()
  readonly #loadMeasuredAt = new WeakMap<TopicQueues, number>()

  constructor(
    config: AccumulatorConfig,
    clock: Pick<Clock, 'now'>,
    compression: BatchCompression | null,
    random?: () => number,
  ) {
    this.#config = config
    this.#random = random
    this.#compression = compression
    this.#clock = clock
    this.#batchLimit = Math.min(config.batchSize, config.maxRequestSize, config.bufferMemory)
    this.pool = new BufferPool(config.bufferMemory, this.#batchLimit)
  }

  /** Batches that are not settled. */
  get incompleteCount(): number {
    return this.#incomplete.size
  }

  get incomplete(): ProducerBatch[] {
    return this.#incomplete.all
  }

  /** The next time at which something is due by itself: a linger, a back-off or a delivery timeout. */
  get nextDeadline(): number {
    return Math.min(this.#lingering.nextAt, this.#backoffs.nextAt, this.#incomplete.nextAt)
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
      topic = new TopicQueues(name, this.#config.batchSize, this.#random)
      this.#topics.set(name, topic)
    }
    return topic
  }

  /** Undefined for a topic that nobody has asked for by `topic` yet. */
  knownTopic(name: string): TopicQueues | undefined {
    return this.#topics.get(name)
  }

  /**
   * Adds a record to the open batch of its partition, or to a new one; the caller then joins who waits for it to the
   * partition's newest batch. Returns the bytes it took, or 0 when there is no room within `bufferMemory`. Throws
   * RecordTooLargeError for a record that no request or no memory could hold. The key is the first `keySize` bytes of
   * `key`. `sentAtMs` is when a record that had to wait was sent; null for right now.
   */
  append(
    queue: PartitionQueue,
    sentAtMs: number | null,
    timestamp: number,
    key: Uint8Array | null,
    keySize: number,
    value: Payload,
    headers: Headers | undefined,
  ): number {
    const open = queue.open
    if (open !== null) {
      const { records } = open
      const before = records.size
      const limit = open.limit
      const isAdded =
        records.tryAppend(Math.min(limit, records.buffer.length), timestamp, key, keySize, value, headers) ||
        (limit > records.buffer.length &&
          this.#grow(open) &&
          records.tryAppend(Math.min(limit, records.buffer.length), timestamp, key, keySize, value, headers))
      if (isAdded) {
        if (records.size > limit - SMALLEST_RECORD) this.#close(open)
        return records.size - before
      }
      this.#close(open)
    }
    const sizeBound = singleRecordSizeBound(keySize, value, headers)
    this.#assertFits(queue, sizeBound)
    const buffer = this.pool.allocate(Math.max(this.#batchLimit, sizeBound))
    if (buffer === null) return 0
    const batch = this.#newBatch(queue, buffer, sentAtMs)
    batch.records.tryAppend(buffer.length, timestamp, key, keySize, value, headers)
    if (batch.records.size > batch.limit - SMALLEST_RECORD) this.#close(batch)
    else if (this.#config.lingerMs === 0) this.markReady(queue)
    else batch.lingering = this.#lingering.add(batch, batch.createdMs + this.#config.lingerMs)
    this.onChange()
    return batch.records.size
  }

  /**
   * A record that had to wait is in the partition's newest batch now, and a `flush` from before is waiting for it: so the
   * batch belongs to that flush and does not linger.
   */
  joinGeneration(queue: PartitionQueue, generation: Generation): void {
    const batch = queue.newest
    if (batch === null || generation === this.flushes.current) return
    if (batch.lingering !== null) this.#lingering.remove(batch.lingering)
    batch.lingering = null
    this.markReady(queue)
    if (batch.generation.number <= generation.number) return
    this.flushes.enter(generation)
    this.flushes.leave(batch.generation)
    batch.generation = generation
  }

  /** Weighs the topic's partitions by their queues, for the sticky choice (KIP-794). */
  measureLoad(topic: TopicQueues, now: number): void {
    if (!this.#config.partitionerAdaptivePartitioningEnable) return
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
    const timeout = this.#config.partitionerAvailabilityTimeoutMs
    return timeout > 0 && now - this.#node(nodeId).stalledSinceMs > timeout
  }

  /** The partition's first batch may be sendable: its broker will be asked to take it. */
  markReady(queue: PartitionQueue): void {
    if (queue.listing !== null || queue.head === null) return
    if (queue.leader === NO_LEADER) {
      this.#leaderless.add(queue)
      return
    }
    queue.listing = { queue }
    this.#node(queue.leader).ready.push(queue.listing)
    this.onChange()
  }

  /** All partitions that hold batches may be sendable: something changed that concerns every one of them. */
  markAllReady(): void {
    for (const topic of this.#topics.values()) for (const queue of topic.partitions) this.markReady(queue)
  }

  /** Makes due what is due at `now`: lingering batches and partitions in back-off. */
  advance(now: number): void {
    this.#endLinger(now)
    for (let queue = this.#backoffs.takeDue(now); queue !== undefined; queue = this.#backoffs.takeDue(now)) {
      queue.backoff = null
      this.markReady(queue)
    }
  }

  /** No batch waits for more records any longer: a flush, a close, or somebody waits for room. */
  makeLingeringDue(): void {
    this.#endLinger(Infinity)
  }

  /** Brokers that have something to send. */
  readyNodes(): number[] {
    const ids: number[] = []
    for (const [id, node] of this.#nodes) {
      // Partitions that moved to another leader leave their entry behind.
      while (node.ready.first !== undefined && isStale(node.ready.first)) node.ready.shift()
      if (node.ready.length > 0) ids.push(id)
    }
    return ids
  }

  /** The broker has something to send and cannot take it since `sinceMs`; Infinity: it takes what there is. */
  setStalled(nodeId: number, sinceMs: number): void {
    const node = this.#node(nodeId)
    node.stalledSinceMs = sinceMs === Infinity ? Infinity : Math.min(node.stalledSinceMs, sinceMs)
  }

  /** Topics with records to send to a partition that has no leader. */
  leaderlessTopics(): Set<string> {
    const topics = new Set<string>()
    for (const queue of this.#leaderless) {
      if (queue.head === null || queue.leader !== NO_LEADER) this.#leaderless.delete(queue)
      else topics.add(queue.topic)
    }
    return topics
  }

  /**
   * Takes the batches of one request to the broker: at most one for each partition, together at most `maxBytes`, but
   * always one if there is any. A partition that may not go now stays out of the list until something changes for it.
   */
  drain(nodeId: number, now: number, maxBytes: number, gate: DrainGate): ProducerBatch[] {
    const { ready } = this.#node(nodeId)
    const batches: ProducerBatch[] = []
    let bytes = 0
    for (let left = ready.length; left > 0; left--) {
      const listing = ready.first!
      const { queue } = listing
      const batch = queue.head
      const goes =
        !isStale(listing) && batch !== null && this.#isSendable(batch, now) && gate.mayDrain(queue, batch)
      if (goes && batches.length > 0 && bytes + batch.wireSize > maxBytes) break
      ready.shift()
      if (!isStale(listing)) queue.listing = null
      if (!goes) continue
      queue.remove(batch)
      this.#close(batch)
      batches.push(batch)
      bytes += batch.wireSize
      if (queue.head?.lingering === null) this.markReady(queue)
    }
    return batches
  }

  /** A batch comes back to its old place, to be tried again at `retryAtMs`. */
  reenqueue(batch: ProducerBatch, retryAtMs: number): void {
    batch.retryAtMs = retryAtMs
    batch.queue.insert(batch)
    this.markReady(batch.queue)
  }

  /**
   * Takes over a topic's metadata, undefined where there is none. A batch that waits to be tried again need not wait where
   * there is a new leader.
   */
  updateTopic(name: string, topic: TopicState | undefined): void {
    for (const queue of this.topic(name).update(topic)) {
      queue.listing = null
      if (queue.head !== null) queue.head.retryAtMs = 0
      this.markReady(queue)
    }
  }

  /** The next batch whose delivery timeout is over; it is in no queue any more, though it may be on the wire. */
  takeExpired(now: number): ProducerBatch | undefined {
    const batch = this.#incomplete.takeDue(now)
    if (batch === undefined) return undefined
    batch.expiry = null
    this.withdraw(batch)
    return batch
  }

  /** Takes a batch out of its partition's queue, if it stands there. */
  withdraw(batch: ProducerBatch): void {
    if (!batch.isQueued) return
    this.#close(batch)
    batch.queue.remove(batch)
    this.markReady(batch.queue)
  }

  /**
   * Two halves in place of a batch that a broker finds too large, with the same records, times and waiters. The halves
   * of a half and so on end at single records (KAFKA-8350).
   */
  split(batch: ProducerBatch): ProducerBatch[] {
    this.#compression?.wasTooLarge(batch)
    const { recordCount, ordinal } = batch
    const span = batch.span / 2
    const middle = recordCount >>> 1
    const parts = [0, 1].map((part) => {
      const buffer = this.pool.allocateBeyond(batch.records.size + 10 * recordCount)
      const half = this.#track(
        new ProducerBatch(batch.queue, buffer, batch.generation, batch, {
          ordinal: ordinal + part * span,
          span,
        }),
      )
      half.maybeWritten = batch.maybeWritten
      return half
    }) as [ProducerBatch, ProducerBatch]
    batch.divideInto(...parts, middle)
    for (const half of parts) {
      half.isClosed = true
      this.#compress(half)
    }
    this.complete(batch)
    return parts
  }

  /** The batch is settled: nobody waits for it any more. */
  complete(batch: ProducerBatch): void {
    batch.isDone = true
    this.#close(batch)
    if (batch.expiry !== null) {
      this.#incomplete.remove(batch.expiry)
      batch.expiry = null
    }
    this.flushes.leave(batch.generation)
    this.release(batch)
  }

  /** Frees the batch's memory if nothing can touch it any more. */
  release(batch: ProducerBatch): void {
    if (!batch.isReleasable) return
    batch.isReleased = true
    this.pool.release(batch.records.buffer)
    this.onRoom()
  }

  #assertFits(queue: PartitionQueue, sizeBound: number): void {
    const { bufferMemory, maxRequestSize } = this.#config
    const [name, limit] =
      maxRequestSize <= bufferMemory ? ['maxRequestSize', maxRequestSize] : ['bufferMemory', bufferMemory]
    if (sizeBound <= limit) return
    throw new RecordTooLargeError(
      `a record of up to ${sizeBound} bytes for topic ${queue.topic} is larger than ${name} (${limit})`,
    )
  }

  /** More room for a batch whose records compress well; false when there is none. */
  #grow(batch: ProducerBatch): boolean {
    const { records } = batch
    const buffer = this.pool.allocate(records.buffer.length * 2)
    if (buffer === null) return false
    const old = records.buffer
    records.growInto(buffer)
    this.pool.release(old)
    return true
  }

  #isSendable(batch: ProducerBatch, now: number): boolean {
    if (batch.lingering !== null) return false
    if (batch.retryAtMs <= now) return this.#isCompressed(batch)
    const { queue } = batch
    if (queue.backoff !== null) this.#backoffs.remove(queue.backoff)
    queue.backoff = this.#backoffs.add(queue, batch.retryAtMs)
    return false
  }

  /** Compressed, or going as it is. One that is about to be sent closes for that. */
  #isCompressed(batch: ProducerBatch): boolean {
    if (batch.compression === 'todo') this.#close(batch)
    return batch.compression === 'done'
  }

  #endLinger(now: number): void {
    for (
      let batch = this.#lingering.takeDue(now);
      batch !== undefined;
      batch = this.#lingering.takeDue(now)
    ) {
      batch.lingering = null
      this.markReady(batch.queue)
    }
  }

  /** No more records for this batch. */
  #close(batch: ProducerBatch): void {
    if (batch.isClosed) return
    batch.isClosed = true
    this.#compress(batch)
    if (batch.lingering !== null) this.#lingering.remove(batch.lingering)
    batch.lingering = null
    if (batch.isQueued) this.markReady(batch.queue)
  }

  #compress(batch: ProducerBatch): void {
    this.#compression?.start(batch, () => {
      if (batch.isQueued) this.markReady(batch.queue)
      this.release(batch)
    })
  }

  #newBatch(queue: PartitionQueue, buffer: Buffer, sentAtMs: number | null): ProducerBatch {
    const createdMs = this.#clock.now()
    const times = { createdMs, deadlineMs: (sentAtMs ?? createdMs) + this.#config.deliveryTimeoutMs }
    const order = { ordinal: queue.nextOrdinal++, span: 1 }
    const batch = this.#track(new ProducerBatch(queue, buffer, this.flushes.current, times, order))
    batch.limit = this.#compression?.limitFor(queue.topic, this.#batchLimit) ?? this.#batchLimit
    queue.insert(batch)
    this.onBatch(queue)
    return batch
  }

  #track(batch: ProducerBatch): ProducerBatch {
    this.flushes.enter(batch.generation)
    if (this.#compression !== null) batch.compression = 'todo'
    batch.expiry = this.#incomplete.add(batch, batch.deadlineMs)
    return batch
  }

  #node(nodeId: number): NodeQueue {
    let node = this.#nodes.get(nodeId)
    if (node === undefined) {
      node = new NodeQueue()
      this.#nodes.set(nodeId, node)
    }
    return node
  }
}

/** An entry that a partition left behind when it moved to another broker, perhaps to come back later. */
function isStale(listing: Listing): boolean {
  return listing.queue.listing !== listing
}
