/**
 * Records that cannot go into a batch yet. Those that lack metadata or whose serializer is still at work wait by topic;
 * those for a partition that does not exist yet wait for that alone; those for which `bufferMemory` has no room wait in one
 * line, first come first served. Nothing overtakes within a topic, but for records of other partitions than a missing one.
 * What waits is bounded too: see `admits`.
 */
import type { Clock, Timer } from '../../time/clock.js'
import type { Partitioner } from '../../partitioner.js'
import type { DeliveryCallback, Headers, Payload, TopicRecord } from '../../record.js'
import { DeadlineQueue, type Deadline } from '../../time/deadline-queue.js'
import { Fifo } from '../batching/fifo.js'
import type { Generation } from '../batching/flush-generations.js'
import type { TopicQueues } from '../batching/topic-queues.js'
import { namesMissing } from './partition-choice.js'

/** What a waiting record costs beside its bytes. */
const RECORD_OVERHEAD = 256

/** What a record waits for; the message of its timeout says so. */
export type WaitsFor = 'metadata' | 'serializer' | 'partition' | 'room'

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
  /**
   * Puts a record into a batch, or fails it; otherwise says what it has to wait for. Never called for one that is gone. It
   * may run a partitioner, which may send, flush or close.
   */
  readonly place: (record: WaitingRecord) => 'partition' | 'room' | null
  /** A record begins to wait for room. */
  readonly needsRoom: () => void
  readonly expired: (record: WaitingRecord) => void
}

export class WaitingRecords {
  readonly #parts: WaitingRecordsParts
  readonly #byTopic = new Map<TopicQueues, Fifo<WaitingRecord>>()
  /** In the order of the `send` calls. */
  readonly #forPartition = new Map<TopicQueues, Set<WaitingRecord>>()
  readonly #forRoom = new Fifo<WaitingRecord>()
  /** Topics whose line moves right now. */
  readonly #advancing = new Set<TopicQueues>()
  #isAdvancingRoom = false
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

  /** Topics for which records wait that lack metadata, bytes or a partition. */
  get topics(): Iterable<TopicQueues> {
    return new Set([...this.#byTopic.keys(), ...this.#forPartition.keys()])
  }

  /** Topics for which records wait that name a partition which does not exist yet. */
  get topicsToGrow(): Iterable<TopicQueues> {
    return this.#forPartition.keys()
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
    if (record.waitsFor === 'room' || record.waitsFor === 'partition') this.#hold(record, record.waitsFor)
    else this.#lineUp(record)
    this.#sleep()
  }

  /** Takes a record out: it is in a batch, or failed. */
  remove(record: WaitingRecord): void {
    record.isGone = true
    this.#bytes -= record.bytes
    if (record.waitsFor === 'partition') this.#forget(record)
    this.#deadlines.remove(record.deadline!)
    if (this.#deadlines.size === 0) this.#rest()
  }

  /** The topic has metadata, or its first record its bytes: what can go on does. */
  advanceTopic(topic: TopicQueues): void {
    const line = this.#byTopic.get(topic)
    // What `place` runs may come here again: the record that is being placed is still the first of its line then.
    if (line === undefined || this.#advancing.has(topic)) return
    this.#advancing.add(topic)
    for (let record = line.first; record !== undefined && this.#isDue(record); record = line.first) {
      if (!record.isGone) this.#placeOrHold(record)
      line.shift()
      topic.waiting--
    }
    this.#advancing.delete(topic)
    if (line.length === 0) this.#byTopic.delete(topic)
  }

  /** The topic has more partitions: records that name one of them go on. */
  advancePartitions(topic: TopicQueues): void {
    for (const record of [...(this.#forPartition.get(topic) ?? [])]) {
      if (record.isGone || (record.partition ?? 0) >= topic.partitionCount) continue
      this.#forget(record)
      this.#placeOrHold(record)
    }
  }

  /** Memory was freed: records that wait for it are served in the order in which they came. */
  advanceRoom(): void {
    if (this.#isAdvancingRoom) return
    this.#isAdvancingRoom = true
    for (let record = this.#forRoom.first; record !== undefined; record = this.#forRoom.first) {
      const waitsFor = record.isGone ? null : this.#parts.place(record)
      if (waitsFor === 'room') break
      if (waitsFor === 'partition') this.#hold(record, waitsFor)
      this.#forRoom.shift()
    }
    this.#isAdvancingRoom = false
  }

  #isDue({ isGone, topic, waitsFor }: WaitingRecord): boolean {
    return isGone || (waitsFor !== 'serializer' && topic.partitionCount > 0)
  }

  /**
   * Records that wait for room already go first. One that names a missing partition waits for that even then: in the line
   * for room it would overtake what waits for the same partition.
   */
  #placeOrHold(record: WaitingRecord): void {
    const isBehind = this.areWaitingForRoom && !namesMissing(record.topic, record.partition)
    const waitsFor = isBehind ? 'room' : this.#parts.place(record)
    if (waitsFor !== null) this.#hold(record, waitsFor)
  }

  #hold(record: WaitingRecord, waitsFor: 'partition' | 'room'): void {
    record.waitsFor = waitsFor
    if (waitsFor === 'room') {
      this.#forRoom.push(record)
      this.#parts.needsRoom()
      return
    }
    let records = this.#forPartition.get(record.topic)
    if (records === undefined) this.#forPartition.set(record.topic, (records = new Set()))
    records.add(record)
  }

  /** Takes a record out of those that wait for a partition. */
  #forget(record: WaitingRecord): void {
    const records = this.#forPartition.get(record.topic)
    records?.delete(record)
    if (records?.size === 0) this.#forPartition.delete(record.topic)
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
