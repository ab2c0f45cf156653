/**
 * Records that cannot go into a batch yet. Those that lack metadata or whose serializer is still at work wait by topic;
 * those for which `bufferMemory` has no room wait in one line, first come first served. Nothing overtakes within a topic.
 * What waits is bounded too: see `admit`.
 */
import type { Clock, Timer } from '../../time/clock.js'
import type { Partitioner } from '../../partitioner.js'
import type { DeliveryCallback, Headers, Payload, TopicRecord } from '../../record.js'
import { DeadlineQueue, type Deadline } from '../../time/deadline-queue.js'
import { Fifo } from '../batching/fifo.js'
import type { Generation } from '../batching/flush-generations.js'
import type { TopicQueues } from '../batching/topic-queues.js'

/** What a waiting record costs beside its bytes. */
const RECORD_OVERHEAD = 256

/** What a record waits for; the message of its timeout says so. */
export type WaitsFor = 'metadata' | 'serializer' | 'room'

export interface WaitingRecord {
  readonly topic: TopicQueues
  /** The one that the record names. */
  readonly partition: number | undefined
  /** Where it goes, once that is chosen: a partitioner is asked once. */
  choice: number | null
  readonly sentAtMs: number
  readonly timestamp: number
  readonly generation: Generation
  readonly callback: DeliveryCallback
  readonly partitioner: Partitioner
  /** As they were given to `send`, for a partitioner of the user's own. */
  readonly original: Pick<TopicRecord, 'key' | 'value'>
  key: Payload
  value: Payload
  headers: Headers | undefined
  waitsFor: WaitsFor
  /** It is settled; its place in the line is skipped. */
  isGone: boolean
  bytes: number
  deadline: Deadline<WaitingRecord> | null
}

export interface WaitingRecordsParts {
  readonly clock: Clock
  readonly maxBytes: number
  /** Puts a record into a batch, or fails it; false when there is no room. Never called for one that is gone. */
  readonly place: (record: WaitingRecord) => boolean
  readonly expired: (record: WaitingRecord) => void
}

export class WaitingRecords {
  readonly #parts: WaitingRecordsParts
  readonly #byTopic = new Map<TopicQueues, Fifo<WaitingRecord>>()
  readonly #forRoom = new Fifo<WaitingRecord>()
  readonly #deadlines = new DeadlineQueue<WaitingRecord>()
  #bytes = 0
  #timer: Timer | null = null
  #timerDue = Infinity

  constructor(parts: WaitingRecordsParts) {
    this.#parts = parts
  }

  get count(): number {
    return this.#deadlines.size
  }

  get areWaitingForRoom(): boolean {
    return this.#forRoom.length > 0
  }

  /** Topics for which records wait that lack metadata or bytes. */
  get topics(): Iterable<TopicQueues> {
    return this.#byTopic.keys()
  }

  get all(): WaitingRecord[] {
    return this.#deadlines.all
  }

  /** Whether a record of so many bytes may wait: all together count at most `maxBytes`, 256 extra for each. */
  admits(bytes: number): boolean {
    return this.#bytes + bytes + RECORD_OVERHEAD <= this.#parts.maxBytes
  }

  /** Lines a record up, until `deadlineMs` at most. */
  add(record: WaitingRecord, deadlineMs: number): void {
    record.bytes += RECORD_OVERHEAD
    this.#bytes += record.bytes
    record.deadline = this.#deadlines.add(record, deadlineMs)
    if (record.waitsFor === 'room') this.#forRoom.push(record)
    else this.#lineUp(record)
    this.#sleep()
  }

  /** Takes a record out: it is in a batch, or failed. */
  remove(record: WaitingRecord): void {
    record.isGone = true
    this.#bytes -= record.bytes
    this.#deadlines.remove(record.deadline!)
    if (this.#deadlines.size === 0) this.#rest()
  }

  /** The topic has metadata, or its first record its bytes: what can go on does. */
  advanceTopic(topic: TopicQueues): void {
    const line = this.#byTopic.get(topic)
    if (line === undefined) return
    for (let record = line.first; record !== undefined; record = line.first) {
      if (!record.isGone) {
        if (record.waitsFor === 'serializer') return
        if (topic.partitionCount === 0) return
      }
      line.shift()
      topic.waiting--
      if (record.isGone) continue
      if (this.areWaitingForRoom || !this.#parts.place(record)) {
        record.waitsFor = 'room'
        this.#forRoom.push(record)
      }
    }
    this.#byTopic.delete(topic)
  }

  /** Memory was freed: those who wait for it are served in the order in which they came. */
  advanceRoom(): void {
    for (let record = this.#forRoom.first; record !== undefined; record = this.#forRoom.first) {
      if (!record.isGone && !this.#parts.place(record)) return
      this.#forRoom.shift()
    }
  }

  /** The serializer of a record is done; its bytes count from here on. */
  serialized(record: WaitingRecord, bytes: number, deadlineMs: number): void {
    record.waitsFor = 'metadata'
    record.bytes += bytes
    this.#bytes += bytes
    this.#deadlines.remove(record.deadline!)
    record.deadline = this.#deadlines.add(record, deadlineMs)
    this.#sleep()
    this.advanceTopic(record.topic)
  }

  #lineUp(record: WaitingRecord): void {
    let line = this.#byTopic.get(record.topic)
    if (line === undefined) {
      line = new Fifo()
      this.#byTopic.set(record.topic, line)
    }
    record.topic.waiting++
    line.push(record)
  }

  #sleep(): void {
    const due = this.#deadlines.nextAt
    if (due >= this.#timerDue) return
    this.#timer?.cancel()
    this.#timerDue = due
    const { clock } = this.#parts
    this.#timer = clock.setTimer(Math.max(0, due - clock.now()), () => this.#expire())
  }

  #expire(): void {
    this.#timerDue = Infinity
    const now = this.#parts.clock.now()
    const topics = new Set<TopicQueues>()
    while (this.#deadlines.nextAt <= now) {
      const record = this.#deadlines.first!
      topics.add(record.topic)
      this.remove(record)
      this.#parts.expired(record)
    }
    for (const topic of topics) this.advanceTopic(topic)
    this.advanceRoom()
    if (this.#deadlines.size > 0) this.#sleep()
  }

  #rest(): void {
    this.#timer?.cancel()
    this.#timer = null
    this.#timerDue = Infinity
  }
}
