/**
 * The way of a record from `send` into a batch: interceptors, serializers, partition, bytes. All of it happens during
 * the call unless something has to be waited for: metadata, an asynchronous serializer, room in memory.
 *
 * Hot path: `send`, `#accept` and `#append` allocate nothing for a record; its promise is made by its batch.
 */
import type { ResolvedConfig } from '../../config/config.js'
import type { KafkaError } from '../../errors.js'
import type { FaultBarrier } from '../../fault-barrier.js'
import { queueMicrotask } from '../../time/event-loop.js'
import type { Clock } from '../../time/clock.js'
import type { Cluster } from '../../network/cluster.js'
import { partitionForKey, type Partitioner } from '../../partitioner.js'
import type { DeliveryCallback, ProducerRecord, RecordMetadata, TopicRecord } from '../../record.js'
import { payloadSize } from '../../records/record-bytes.js'
import { RecordDraft } from '../../records/record-draft.js'
import { copyHeaders, copyOf } from './copies.js'
import { asKafkaError, IntakeErrors } from './intake-errors.js'
import { faultLogger } from '../../repeated-warning.js'
import { Interception } from './interception.js'
import { BY_KEY, isByKey, MISSING, namesMissing, PartitionChoice } from './partition-choice.js'
import { failedMetadata, settleFailure, type CompletionObserver } from '../batching/producer-batch.js'
import { NO_ROOM, STICKY, type RecordAccumulator, type Waited } from '../batching/record-accumulator.js'
import {
  assertCallback,
  assertPayload,
  assertRecord,
  assertTopicName,
  checkedTimestamp,
} from './record-checks.js'
import { OwnPromise } from '../batching/record-promises.js'
import { RecordTimestamps } from './record-timestamps.js'
import { Serialization, type RecordSerializers, type SerializedRecord } from './serialization.js'
import type { TopicQueues } from '../batching/topic-queues.js'
import { WaitingRecords, type WaitingRecord } from './waiting-records.js'

/** How records of a producer or of a topic handle become bytes, and where they go. */
export interface RecordTypes extends RecordSerializers {
  readonly partitioner: Partitioner
}

export interface RecordIntakeParts {
  readonly config: Pick<
    ResolvedConfig,
    'bufferMemory' | 'deliveryTimeoutMs' | 'interceptors' | 'logger' | 'maxBlockMs' | 'maxRequestSize'
  >
  readonly accumulator: RecordAccumulator
  readonly cluster: Cluster
  readonly clock: Clock
  readonly barrier: FaultBarrier
  readonly observer: CompletionObserver
  /** Why nothing can be sent any more, or null. */
  readonly refusal: () => KafkaError | null
}

/** What is known of a record when it has to wait. */
type GivenRecord = Omit<WaitingRecord, keyof Waited | 'isGone' | 'bytes' | 'deadline'>

export class RecordIntake {
  readonly waiting: WaitingRecords
  readonly #parts: RecordIntakeParts
  readonly #interception: Interception | null
  readonly #timestamps: RecordTimestamps
  readonly #partitions: PartitionChoice
  readonly #errors: IntakeErrors
  /** The record that is being appended. */
  readonly #draft = new RecordDraft()
  /** What a record waits for metadata or room at most. */
  readonly #maxWaitMs: number
  #lastTopic: TopicQueues | null = null
  #refused = 0

  constructor(parts: RecordIntakeParts) {
    this.#parts = parts
    this.#timestamps = new RecordTimestamps(parts.clock)
    this.#partitions = new PartitionChoice((topic) => parts.cluster.requestMetadataUpdate(topic))
    const { deliveryTimeoutMs, interceptors, logger, maxBlockMs } = parts.config
    this.#maxWaitMs = Math.min(deliveryTimeoutMs, maxBlockMs)
    this.#errors = new IntakeErrors({ ...parts, maxWaitMs: this.#maxWaitMs })
    this.#interception =
      interceptors.length === 0 ? null : new Interception(interceptors, faultLogger(logger, parts.clock))
    this.waiting = new WaitingRecords({
      clock: parts.clock,
      maxBytes: parts.config.bufferMemory,
      place: (record) => this.#place(record),
      needsRoom: () => parts.accumulator.endLinger(),
      expired: (record) => this.#expire(record),
    })
    parts.accumulator.onRoom(() => this.#onRoom())
  }

  /** Records that were never accepted: they failed inside `send`. */
  get refused(): number {
    return this.#refused
  }

  /**
   * Never throws: what goes wrong is told through the promise or the callback, whatever was given for that. `topic` is
   * null where the record names it. `own` says why nothing can be sent through a handle, or null.
   */
  send(
    topic: string | null,
    record: TopicRecord,
    types: RecordTypes,
    callback: DeliveryCallback | undefined,
    own?: () => KafkaError | null,
  ): Promise<RecordMetadata> | undefined {
    return this.#accept(topic, record, types, own, callback)
  }

  /** A topic's metadata came: what waited for it goes on, or fails where the topic cannot be used. */
  onMetadata(topicName: string): void {
    const { accumulator, cluster } = this.#parts
    const topic = accumulator.topic(topicName)
    const error = cluster.metadata.topicError(topicName)
    if (error?.retriable === false) {
      for (const record of this.waiting.all) if (record.topic === topic) this.#drop(record, error)
    }
    // What waits for a partition was sent before what waits in the topic's line.
    this.waiting.advancePartitions(topic)
    this.waiting.advanceTopic(topic)
  }

  /** Memory was freed. While more is wanted no batch may sit on its memory and wait for more records. */
  #onRoom(): void {
    this.waiting.advanceRoom()
    if (this.waiting.areWaitingForRoom) this.#parts.accumulator.endLinger()
  }

  /** Topics that records wait for stay in use, however long that takes, and missing partitions are asked for again. */
  keepWaitingTopics(): void {
    const { cluster } = this.#parts
    for (const topic of this.waiting.topics) cluster.metadata.use(topic.name)
    for (const topic of this.waiting.topicsToGrow) cluster.requestMetadataUpdate(topic.name)
  }

  /** Metadata cannot be had: what waits for it fails. */
  failWaitingForMetadata(error: KafkaError): void {
    for (const record of this.waiting.all) {
      if (record.topic.partitionCount === 0 || record.waitsFor === 'partition') this.#drop(record, error)
    }
  }

  /** Fails everything that waits. */
  failAll(error: KafkaError): void {
    for (const record of this.waiting.all) this.#drop(record, error)
  }

  /** Tells the interceptors that the producer has closed. */
  close(): void {
    this.#interception?.close()
  }

  /** Returns a promise if there is no callback. */
  #accept(
    givenTopic: string | null,
    given: TopicRecord,
    types: RecordTypes,
    ownRefusal: (() => KafkaError | null) | undefined,
    givenCallback: DeliveryCallback | undefined,
  ): Promise<RecordMetadata> | undefined {
    let topicName = givenTopic ?? ''
    let record = given
    let callback = typeof givenCallback === 'function' ? givenCallback : null
    // Of a record that fails, or is looked after, before a batch has it.
    let own: OwnPromise | null = null
    try {
      if (givenTopic === null && hasFields(given)) topicName = given.topic
      this.#throwIfRefused(ownRefusal)
      assertCallback(givenCallback)
      assertRecord(given)
      if (this.#interception !== null) {
        const changed = this.#interception.onSend(topicName, given)
        topicName = changed.topic
        record = changed
        callback ??= (own = new OwnPromise()).callback
        callback = this.#interception.around(callback, record.headers)
      }
      const topic = this.#lastTopic?.name === topicName ? this.#lastTopic : this.#topic(topicName)
      const timestamp =
        record.timestamp === undefined ? this.#timestamps.next() : checkedTimestamp(record.timestamp)
      let headers = record.headers ?? undefined
      let key: unknown = record.key ?? null
      let value: unknown = record.value
      if (types.keySerializer !== undefined || types.valueSerializer !== undefined) {
        const serialization = new Serialization(topicName, record, types)
        if (serialization.isPending) {
          const settled = serialization.settled()
          this.#throwIfRefused(ownRefusal)
          callback ??= (own = new OwnPromise()).callback
          this.#awaitSerializers(
            serialization.original,
            settled,
            topic,
            types,
            record.partition,
            timestamp,
            callback,
          )
          return own?.promise
        }
        key = serialization.key
        value = serialization.value
        headers = serialization.headers
      }
      assertPayload(key, topicName, 'key')
      assertPayload(value, topicName, 'value')
      const { partition } = record
      const { partitioner } = types
      let choice: number | null = null
      if (this.#isOpen(topic)) {
        choice = isByKey(partition, partitioner)
          ? BY_KEY
          : this.#partitions.of(topic, { partition, partitioner, original: record, key, value, headers })
        this.#draft.set(topicName, timestamp, key, value, headers)
        // Code of the application may have run since, which may have sent: nothing overtakes what waits by now.
        this.#throwIfRefused(ownRefusal)
        if (this.#isOpen(topic) && choice !== MISSING) {
          const promise = this.#append(topic, choice, callback, null)
          if (promise !== NO_ROOM) return promise ?? own?.promise
        }
      } else this.#throwIfRefused(ownRefusal)
      callback ??= (own = new OwnPromise()).callback
      const original = record
      const waiting = { topic, partition, partitioner, timestamp, callback, original, key, value, headers }
      const isFirst = topic.partitionCount > 0 && topic.waiting === 0
      const waitsFor = !isFirst ? 'metadata' : namesMissing(topic, partition) ? 'partition' : 'room'
      this.#wait({ ...waiting, choice: choice === MISSING ? null : choice, waitsFor })
    } catch (error) {
      callback ??= (own = new OwnPromise()).callback
      this.#refuse(topicName, record, error, callback)
    }
    return own?.promise
  }

  /**
   * Asked before code of the application runs and again after it has run: that may have closed the producer or ended the
   * transaction, and then the record is too late for it.
   */
  #throwIfRefused(own: (() => KafkaError | null) | undefined): void {
    const refusal = own?.() ?? this.#parts.refusal()
    if (refusal !== null) throw refusal
  }

  /** A record of the topic need not wait, as far as can be seen before it is appended. */
  #isOpen(topic: TopicQueues): boolean {
    return topic.partitionCount > 0 && topic.waiting === 0 && !this.waiting.areWaitingForRoom
  }

  /** Puts the draft into a batch, together with who waits for it; NO_ROOM where that takes more memory than there is. */
  #append(
    topic: TopicQueues,
    choice: number,
    callback: DeliveryCallback | null,
    waited: Waited | null,
  ): Promise<RecordMetadata> | undefined | typeof NO_ROOM {
    const draft = this.#draft
    let partition = choice
    if (choice === BY_KEY) {
      partition =
        draft.keySize < 0 ? STICKY : partitionForKey(draft.key, 0, draft.keySize, topic.partitionCount)
    }
    return this.#parts.accumulator.append(topic, partition, draft, callback, waited)
  }

  #topic(name: string): TopicQueues {
    const known = this.#parts.accumulator.knownTopic(name)
    if (known !== undefined) return (this.#lastTopic = known)
    assertTopicName(name)
    this.#lastTopic = this.#parts.accumulator.topic(name)
    return this.#lastTopic
  }

  // What has to wait

  /** Lines a record up; what it holds of the caller's is copied. */
  #wait(given: GivenRecord): WaitingRecord {
    const { accumulator, clock, cluster, config } = this.#parts
    const { headers, key, original, topic, value, waitsFor } = given
    const bytes = waitsFor === 'serializer' ? 0 : this.#sizeBound(given)
    if (!this.waiting.admits(bytes)) throw this.#errors.overfull(topic.name, this.waiting.count)
    const now = clock.now()
    const generation = accumulator.flushes.current
    const keyCopy = copyOf(key)
    const valueCopy = copyOf(value)
    const waiting: WaitingRecord = {
      ...given,
      original: {
        key: original.key === key ? keyCopy : copyOf(original.key),
        value: original.value === value ? valueCopy : copyOf(original.value),
      },
      key: keyCopy,
      value: valueCopy,
      headers: copyHeaders(headers, topic.name),
      sentAtMs: now,
      generation,
      isGone: false,
      bytes,
      deadline: null,
    }
    accumulator.flushes.enter(generation)
    const patience = waitsFor === 'serializer' ? config.deliveryTimeoutMs : this.#maxWaitMs
    this.waiting.add(waiting, now + patience)
    if (topic.partitionCount === 0 || waitsFor === 'partition') cluster.requestMetadataUpdate(topic.name)
    return waiting
  }

  #sizeBound({ headers, key, timestamp, topic, value }: GivenRecord): number {
    this.#draft.set(topic.name, timestamp, key, value, headers)
    return this.#draft.sizeBound
  }

  #awaitSerializers(
    original: Serialization['original'],
    settled: Promise<SerializedRecord>,
    topic: TopicQueues,
    { partitioner }: RecordTypes,
    partition: number | undefined,
    timestamp: number,
    callback: DeliveryCallback,
  ): void {
    const waiting = this.#wait({
      topic,
      partition,
      partitioner,
      choice: null,
      timestamp,
      callback,
      original,
      key: null,
      value: null,
      headers: undefined,
      waitsFor: 'serializer',
    })
    const linedUp = settled.then(
      (serialized) => {
        if (!waiting.isGone) this.#serialized(waiting, serialized)
      },
      (error: unknown) => this.#drop(waiting, asKafkaError(error)),
    )
    this.#parts.barrier.watch(linedUp)
  }

  #serialized(waiting: WaitingRecord, { headers, key, value }: SerializedRecord): void {
    waiting.key = key
    waiting.value = value
    waiting.headers = headers
    this.waiting.serialized(waiting, this.#sizeBound(waiting), waiting.sentAtMs + this.#maxWaitMs)
  }

  /** Puts a record that waited into its batch, or fails it; otherwise says what it still waits for. */
  #place(record: WaitingRecord): 'partition' | 'room' | null {
    const { headers, key, timestamp, topic, value } = record
    if (topic.partitionCount === 0) return 'partition' // the topic was forgotten while the record waited for room
    try {
      const choice = record.choice ?? this.#choiceOf(record)
      if (record.isGone) return null // the partitioner had it failed
      if (choice === MISSING) return 'partition'
      record.choice = choice
      this.#draft.set(topic.name, timestamp, key, value, headers)
      if (this.#append(topic, choice, record.callback, record) === NO_ROOM) return 'room'
    } catch (error) {
      this.#drop(record, asKafkaError(error))
      return null
    }
    this.waiting.remove(record)
    this.#parts.accumulator.flushes.leave(record.generation)
    return null
  }

  /** Where its own partitioner closes the producer or ends the transaction, the record comes too late for that. */
  #choiceOf(record: WaitingRecord): number {
    const { refusal } = this.#parts
    const wasOpen = refusal() === null
    const choice = this.#partitions.of(record.topic, record)
    const refused = wasOpen ? refusal() : null
    if (refused !== null && !record.isGone) {
      this.#refused++
      throw refused
    }
    return choice
  }

  #drop(record: WaitingRecord, error: KafkaError): void {
    if (record.isGone) return
    const isFirstInLine = record.waitsFor !== 'room'
    this.waiting.remove(record)
    const { callback, topic } = record
    settleFailure(callback, error, failedRecord(topic.name, record), this.#parts.observer)
    this.#parts.accumulator.flushes.leave(record.generation)
    if (isFirstInLine) this.waiting.advanceTopic(topic)
  }

  #expire(record: WaitingRecord): void {
    const { callback, topic } = record
    const error = this.#errors.expired(record)
    settleFailure(callback, error, failedRecord(topic.name, record), this.#parts.observer)
    this.#parts.accumulator.flushes.leave(record.generation)
  }

  /** A record that failed inside `send`: its callback must not run before `send` has returned. */
  #refuse(topic: string, record: TopicRecord, error: unknown, callback: DeliveryCallback): void {
    const { barrier, clock, observer } = this.#parts
    const failure = asKafkaError(error)
    const { partition, timestamp } = placeOf(record)
    const metadata = failedMetadata(topic, partition ?? -1, {
      timestamp: timestamp ?? clock.wallNow(),
      keySize: -1,
      valueSize: -1,
    })
    const settle = (): void => {
      this.#refused++
      settleFailure(callback, failure, metadata, observer)
    }
    queueMicrotask(barrier.guard(settle))
  }
}

/** False for undefined and null in place of a record, which are refused a moment later. */
function hasFields(given: unknown): given is ProducerRecord<unknown, unknown> {
  return given !== undefined && given !== null
}

/** Where a record wanted to go and when, as far as that can be read: its getters may be what it was refused for. */
function placeOf(record: TopicRecord | null | undefined): Pick<TopicRecord, 'partition' | 'timestamp'> {
  try {
    const { partition, timestamp } = record ?? {}
    return { partition, timestamp }
  } catch {
    return {}
  }
}

function failedRecord(topic: string, { key, value, partition, timestamp }: WaitingRecord): RecordMetadata {
  return failedMetadata(topic, partition ?? -1, {
    timestamp,
    keySize: payloadSize(key),
    valueSize: payloadSize(value),
  })
}
