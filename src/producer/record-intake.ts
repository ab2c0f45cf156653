/**
 * The way of a record from `send` into a batch: interceptors, serializers, partition, bytes. All of it happens during
 * the call unless something has to be waited for: metadata, an asynchronous serializer, room in memory.
 *
 * Hot path: `send`, `#accept` and `#append` allocate nothing for a record; its promise is made by its batch.
 */
import type { ResolvedConfig } from '../config.js'
import {
  BufferExhaustedError,
  IllegalStateError,
  KafkaError,
  SerializationError,
  TimeoutError,
} from '../errors.js'
import type { Clock } from '../network/clock.js'
import type { Cluster } from '../network/cluster.js'
import { keyHash, partitionForKey, type Partitioner } from '../partitioner.js'
import { brokerError } from '../protocol/error-codes.js'
import type { DeliveryCallback, Headers, Payload, RecordMetadata, TopicRecord } from '../record.js'
import { payloadSize, singleRecordSizeBound, writeShortAscii } from '../records/record-batch.js'
import type { Serializer } from '../serializer.js'
import { Interception } from './interception.js'
import type { PartitionQueue } from './partition-queue.js'
import { failedMetadata, settleFailure, type CompletionObserver } from './producer-batch.js'
import type { RecordAccumulator } from './record-accumulator.js'
import { OwnPromise } from './record-promises.js'
import { RecordTimestamps } from './record-timestamps.js'
import { isPromise, pairsOf, RecordHeaders, SerializerCall } from './serializer-call.js'
import type { TopicQueues } from './topic-queues.js'
import { WaitingRecords, type WaitingRecord, type WaitsFor } from './waiting-records.js'

const UNKNOWN_TOPIC_OR_PARTITION = 3
const INVALID_TOPIC_EXCEPTION = 17

/** Timestamps up to here keep their differences exact. */
const MAX_TIMESTAMP = 2 ** 52 - 1

/** How records of a producer or of a topic handle become bytes. */
export interface RecordTypes {
  readonly keySerializer: Serializer<unknown> | undefined
  readonly valueSerializer: Serializer<unknown> | undefined
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
  readonly observer: CompletionObserver
  /** Why nothing can be sent any more, or null. */
  readonly refusal: () => KafkaError | null
}

/** Where a key that is a string becomes bytes, so that it can be hashed before its batch is known. */
let keyScratch = Buffer.allocUnsafeSlow(1024)

const hashKey = keyHash()

export class RecordIntake {
  readonly waiting: WaitingRecords
  readonly #parts: RecordIntakeParts
  readonly #interception: Interception | null
  readonly #timestamps: RecordTimestamps
  #lastTopic: TopicQueues | null = null
  #refused = 0
  /** Errors of this callback of the event loop. */
  readonly #errors = new Map<string, KafkaError>()

  constructor(parts: RecordIntakeParts) {
    this.#parts = parts
    this.#timestamps = new RecordTimestamps(parts.clock)
    const { interceptors, logger } = parts.config
    this.#interception = interceptors.length === 0 ? null : new Interception(interceptors, logger)
    this.waiting = new WaitingRecords({
      clock: parts.clock,
      maxBytes: parts.config.bufferMemory,
      place: (record) => this.#place(record),
      expired: (record) => this.#expire(record),
    })
    parts.accumulator.onRoom(() => this.#onRoom())
  }

  /** Records that were never accepted: they failed inside `send`. */
  get refused(): number {
    return this.#refused
  }

  /** Never throws: what goes wrong is told through the promise or the callback. `refusal` is why it cannot be sent. */
  send(
    topic: string,
    record: TopicRecord,
    types: RecordTypes,
    callback: DeliveryCallback | undefined,
    refusal: KafkaError | null = this.#parts.refusal(),
  ): Promise<RecordMetadata> | undefined {
    return this.#accept(topic, record, types, refusal, callback ?? null)
  }

  /** A topic's metadata came: what waited for it goes on, or fails where the topic cannot be used. */
  onMetadata(topicName: string): void {
    const { accumulator, cluster } = this.#parts
    const topic = accumulator.topic(topicName)
    const error = cluster.metadata.topicError(topicName)
    if (error?.retriable === false) {
      for (const record of this.waiting.all) if (record.topic === topic) this.#drop(record, error)
    }
    this.waiting.advanceTopic(topic)
  }

  /** Memory was freed. While more is wanted no batch may sit on its memory and wait for more records. */
  #onRoom(): void {
    this.waiting.advanceRoom()
    if (this.waiting.areWaitingForRoom) this.#parts.accumulator.endLinger()
  }

  /** Topics that records wait for stay in use, however long that takes. */
  keepWaitingTopics(): void {
    for (const topic of this.waiting.topics) this.#parts.cluster.metadata.use(topic.name)
  }

  /** Metadata cannot be had: what waits for it fails. */
  failWaitingForMetadata(error: KafkaError): void {
    for (const record of this.waiting.all) if (record.topic.partitionCount === 0) this.#drop(record, error)
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
    givenTopic: string,
    given: TopicRecord,
    types: RecordTypes,
    refusal: KafkaError | null,
    givenCallback: DeliveryCallback | null,
  ): Promise<RecordMetadata> | undefined {
    let topicName = givenTopic
    let record = given
    let callback = givenCallback
    // Of a record that somebody has to answer for before a batch does.
    let own: OwnPromise | null = null
    try {
      if (refusal !== null) throw refusal
      assertRecord(given)
      if (this.#interception !== null) {
        const changed = this.#interception.onSend(givenTopic, given)
        topicName = changed.topic
        record = changed
        callback ??= (own = new OwnPromise()).callback
        callback = this.#interception.around(callback, record.headers)
      }
      const topic = this.#lastTopic?.name === topicName ? this.#lastTopic : this.#topic(topicName)
      const timestamp =
        record.timestamp === undefined ? this.#timestamps.next() : checkedTimestamp(record.timestamp)
      let { headers } = record
      let key: unknown = record.key ?? null
      let value: unknown = record.value
      const { keySerializer, valueSerializer } = types
      if (keySerializer !== undefined || valueSerializer !== undefined) {
        const list = new RecordHeaders(headers)
        if (key !== null) key = serialize(keySerializer, key, topicName, true, list)
        if (value !== null) value = serialize(valueSerializer, value, topicName, false, list)
        headers = list.current
        if (isPromise(key) || isPromise(value)) {
          callback ??= (own = new OwnPromise()).callback
          this.#awaitSerializers(topic, types, record, timestamp, list, key, value, callback)
          return own?.promise
        }
      }
      assertPayload(key, topicName, 'key')
      assertPayload(value, topicName, 'value')
      const hasPartition = topic.partitionCount > 0 && topic.waiting === 0
      if (hasPartition && !this.waiting.areWaitingForRoom) {
        const { partitioner } = types
        const { partition } = record
        const queue = this.#append(
          topic,
          partitioner,
          partition,
          null,
          timestamp,
          key,
          value,
          headers,
          record,
        )
        if (queue !== null) return queue.newest!.join(callback) ?? own?.promise
      }
      callback ??= (own = new OwnPromise()).callback
      const waitsFor = hasPartition ? 'room' : 'metadata'
      this.#wait(waitsFor, topic, types, record, timestamp, key, value, headers, callback)
      if (hasPartition) this.#parts.accumulator.endLinger()
    } catch (error) {
      callback ??= (own = new OwnPromise()).callback
      this.#refuse(topicName, record, error, callback)
    }
    return own?.promise
  }

  /**
   * Chooses the partition and puts the record into its newest batch; null when there is no room. Throws for a record that
   * can never be sent. `sentAtMs` is null for a record that did not have to wait.
   */
  #append(
    topic: TopicQueues,
    partitioner: Partitioner,
    partition: number | undefined,
    sentAtMs: number | null,
    timestamp: number,
    key: Payload,
    value: Payload,
    headers: Headers | undefined,
    original: Pick<TopicRecord, 'key' | 'value'>,
  ): PartitionQueue | null {
    const { accumulator } = this.#parts
    let keyBytes: Uint8Array | null = null
    let keySize = -1
    if (typeof key === 'string') {
      keySize = writeShortAscii(keyScratch, 0, key)
      if (keySize < 0) keySize = writeKey(key)
      keyBytes = keyScratch
    } else if (key !== null) {
      keySize = key.length
      keyBytes = key
    }
    let chosen = -1
    if (partition !== undefined) chosen = this.#existing(topic, partition)
    else if (partitioner !== hashKey) chosen = this.#ask(partitioner, topic, key, value, headers, original)
    else if (keySize >= 0) chosen = partitionForKey(keyBytes!, 0, keySize, topic.partitionCount)

    const isSticky = chosen === -1
    const queue = isSticky ? this.#stickyQueue(topic) : topic.partitions[chosen]!
    const added = accumulator.append(queue, sentAtMs, timestamp, keyBytes, keySize, value, headers)
    if (added === 0) return null
    if (isSticky) topic.sticky.appended(added, queue.open === null, topic)
    return queue
  }

  #stickyQueue(topic: TopicQueues): PartitionQueue {
    const { accumulator, clock } = this.#parts
    const queue = topic.partitions[topic.sticky.partition(topic)]!
    if (queue.open !== null) return queue
    // Between two batches: a move that was put off, so as not to leave a batch half full, can be made here.
    accumulator.measureLoad(topic, clock.now())
    topic.sticky.appended(0, true, topic)
    return topic.partitions[topic.sticky.partition(topic)]!
  }

  #ask(
    partitioner: Partitioner,
    topic: TopicQueues,
    key: Payload,
    value: Payload,
    headers: Headers | undefined,
    original: Pick<TopicRecord, 'key' | 'value'>,
  ): number {
    let chosen: number
    try {
      chosen = partitioner(
        {
          topic: topic.name,
          key: original.key ?? null,
          value: original.value,
          keyBytes: bytesOf(key),
          valueBytes: bytesOf(value),
          headers,
        },
        topic,
      )
    } catch (error) {
      throw new KafkaError(`the partitioner threw for a record of topic ${topic.name}: ${messageOf(error)}`, {
        code: 'PARTITIONER_FAILED',
        cause: error,
      })
    }
    return chosen === -1 ? -1 : this.#existing(topic, chosen)
  }

  #existing(topic: TopicQueues, partition: number): number {
    const count = topic.partitionCount
    if (Number.isInteger(partition) && partition >= 0 && partition < count) return partition
    this.#parts.cluster.requestMetadataUpdate(topic.name) // perhaps it was added a moment ago
    throw brokerError(UNKNOWN_TOPIC_OR_PARTITION, `partition ${partition} of topic ${topic.name}`, {
      message: `the topic has ${count} partition(s), 0 to ${count - 1}`,
    })
  }

  #topic(name: string): TopicQueues {
    const known = this.#parts.accumulator.knownTopic(name)
    if (known !== undefined) return (this.#lastTopic = known)
    if (typeof name !== 'string' || !/^[a-zA-Z0-9._-]{1,249}$/.test(name) || name === '.' || name === '..') {
      throw brokerError(INVALID_TOPIC_EXCEPTION, `topic ${JSON.stringify(name)}`, {
        message:
          'a name has 1 to 249 of the characters a-z, A-Z, 0-9, ".", "_" and "-", and is neither "." nor ".."',
      })
    }
    this.#lastTopic = this.#parts.accumulator.topic(name)
    return this.#lastTopic
  }

  // What has to wait

  /** Lines a record up; its bytes are copied, for the caller may reuse them. */
  #wait(
    waitsFor: WaitsFor,
    topic: TopicQueues,
    types: RecordTypes,
    record: TopicRecord,
    timestamp: number,
    key: Payload,
    value: Payload,
    headers: Headers | undefined,
    callback: DeliveryCallback,
  ): WaitingRecord {
    const { accumulator, clock, cluster, config } = this.#parts
    const bytes = waitsFor === 'serializer' ? 0 : sizeOf(key, value, headers)
    if (!this.waiting.admits(bytes)) {
      throw this.#shared(
        topic,
        'refused',
        () =>
          new BufferExhaustedError(
            `records for topic ${topic.name} are sent faster than they are acknowledged: ${this.waiting.count} records ` +
              `wait already, for more memory than bufferMemory (${config.bufferMemory} bytes) allows`,
          ),
      )
    }
    const now = clock.now()
    const generation = accumulator.flushes.current
    const waiting: WaitingRecord = {
      topic,
      partition: record.partition,
      partitioner: types.partitioner,
      sentAtMs: now,
      timestamp,
      generation,
      callback,
      original: { key: record.key, value: record.value },
      key: copy(key),
      value: copy(value),
      headers: copyHeaders(headers),
      waitsFor,
      isGone: false,
      bytes,
      deadline: null,
    }
    accumulator.flushes.enter(generation)
    const patience = waitsFor === 'serializer' ? config.deliveryTimeoutMs : this.#maxWaitMs
    this.waiting.add(waiting, now + patience)
    if (topic.partitionCount === 0) cluster.requestMetadataUpdate(topic.name)
    return waiting
  }

  get #maxWaitMs(): number {
    const { deliveryTimeoutMs, maxBlockMs } = this.#parts.config
    return Math.min(deliveryTimeoutMs, maxBlockMs)
  }

  #awaitSerializers(
    topic: TopicQueues,
    types: RecordTypes,
    record: TopicRecord,
    timestamp: number,
    headers: RecordHeaders,
    key: unknown,
    value: unknown,
    callback: DeliveryCallback,
  ): void {
    const waiting = this.#wait('serializer', topic, types, record, timestamp, null, null, undefined, callback)
    Promise.all([key, value]).then(
      ([keyDone, valueDone]) => {
        if (waiting.isGone) return
        try {
          assertPayload(keyDone, topic.name, 'key')
          assertPayload(valueDone, topic.name, 'value')
          waiting.key = keyDone
          waiting.value = valueDone
          waiting.headers = headers.current
          const bytes = sizeOf(keyDone, valueDone, waiting.headers)
          this.waiting.serialized(waiting, bytes, waiting.sentAtMs + this.#maxWaitMs)
        } catch (error) {
          this.#drop(waiting, asKafkaError(error))
        }
      },
      (error: unknown) => {
        if (!waiting.isGone) this.#drop(waiting, serializerFailed(error, topic.name))
      },
    )
  }

  /** Puts a record that waited into its batch, or fails it; false when there is still no room. */
  #place(record: WaitingRecord): boolean {
    const { accumulator } = this.#parts
    const { topic } = record
    let queue: PartitionQueue | null
    try {
      queue = this.#append(
        topic,
        record.partitioner,
        record.partition,
        record.sentAtMs,
        record.timestamp,
        record.key,
        record.value,
        record.headers,
        record.original,
      )
      if (queue === null) return false
    } catch (error) {
      this.#drop(record, asKafkaError(error))
      return true
    }
    queue.newest!.join(record.callback)
    this.waiting.remove(record)
    accumulator.joinGeneration(queue, record.generation)
    accumulator.flushes.leave(record.generation)
    return true
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
    const { accumulator, observer } = this.#parts
    const { callback, topic, waitsFor } = record
    const error = this.#shared(topic, waitsFor, () => this.#timeout(record))
    settleFailure(callback, error, failedRecord(topic.name, record), observer)
    accumulator.flushes.leave(record.generation)
  }

  /**
   * One error for all records of a topic that fail alike in one callback of the event loop: an error costs as much as ten
   * records, and whoever sends far too fast would spend all time on them.
   */
  #shared(topic: TopicQueues, why: WaitsFor | 'refused', make: () => KafkaError): KafkaError {
    const key = `${why} ${topic.name}`
    let error = this.#errors.get(key)
    if (error === undefined) {
      if (this.#errors.size === 0) process.nextTick(() => this.#errors.clear())
      error = make()
      this.#errors.set(key, error)
    }
    return error
  }

  #timeout({ topic, waitsFor }: WaitingRecord): KafkaError {
    const { accumulator, cluster, config } = this.#parts
    switch (waitsFor) {
      case 'serializer':
        return new TimeoutError(
          `a serializer for topic ${topic.name} did not finish within ${config.deliveryTimeoutMs} ms (deliveryTimeoutMs)`,
        )
      case 'metadata': {
        const cause = cluster.metadata.topicError(topic.name)
        const said = cause?.message ?? (cluster.lastErrors() || 'no broker answered')
        return new TimeoutError(
          `no metadata of topic ${topic.name} within ${this.#maxWaitMs} ms (maxBlockMs): ${said}`,
          { cause },
        )
      }
      case 'room':
        return new BufferExhaustedError(
          `no room for a record of topic ${topic.name} within ${this.#maxWaitMs} ms (maxBlockMs): ` +
            `${accumulator.pool.totalBytes} bytes (bufferMemory) wait for acknowledgements`,
        )
    }
  }

  /** A record that failed inside `send`: its callback must not run before `send` has returned. */
  #refuse(topic: string, record: TopicRecord, error: unknown, callback: DeliveryCallback): void {
    const { partition, timestamp } = (record as TopicRecord | null | undefined) ?? {}
    const metadata = failedMetadata(topic, partition ?? -1, {
      timestamp: timestamp ?? this.#parts.clock.wallNow(),
      keySize: -1,
      valueSize: -1,
    })
    const { observer } = this.#parts
    queueMicrotask(() => {
      this.#refused++
      settleFailure(callback, asKafkaError(error), metadata, observer)
    })
  }
}

/** A key that is long, or not ASCII. */
function writeKey(key: string): number {
  const size = Buffer.byteLength(key)
  if (size > keyScratch.length) keyScratch = Buffer.allocUnsafeSlow(size * 2)
  return keyScratch.write(key)
}

function assertRecord(given: unknown): void {
  if (typeof given === 'object' && given !== null) return
  throw new SerializationError(`send() takes a record such as { topic, key, value }, not ${String(given)}`)
}

function checkedTimestamp(given: number): number {
  if (Number.isInteger(given) && given >= 0 && given <= MAX_TIMESTAMP) return given
  throw new SerializationError(
    `timestamp must be milliseconds since 1970, an integer from 0 to ${MAX_TIMESTAMP}, not ${String(given)}`,
  )
}

function serialize(
  serializer: Serializer<unknown> | undefined,
  given: unknown,
  topic: string,
  isKey: boolean,
  headers: RecordHeaders,
): unknown {
  if (serializer === undefined) return given
  try {
    return serializer(given, new SerializerCall(topic, isKey, headers))
  } catch (error) {
    throw serializerFailed(error, topic)
  }
}

/** That another producer is closed or unusable, if a serializer needs one, is true of that one alone. */
function serializerFailed(error: unknown, topic: string): KafkaError {
  if (error instanceof KafkaError && !error.fatal && !(error instanceof IllegalStateError)) return error
  return new SerializationError(`a serializer for topic ${topic} failed: ${messageOf(error)}`, {
    cause: error,
  })
}

function assertPayload(payload: unknown, topic: string, part: 'key' | 'value'): asserts payload is Payload {
  if (typeof payload === 'string' || payload === null || payload instanceof Uint8Array) return
  throw new SerializationError(
    `the ${part} of a record for topic ${topic} is ${payload === undefined ? 'undefined' : `of type ${typeof payload}`}, ` +
      `not a string, a Uint8Array or null; other values need a ${part}Serializer, such as json()`,
  )
}

function asKafkaError(error: unknown): KafkaError {
  if (error instanceof KafkaError) return error
  return new SerializationError(`the record cannot be sent: ${messageOf(error)}`, { cause: error })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

function bytesOf(payload: Payload): Uint8Array | null {
  return typeof payload === 'string' ? Buffer.from(payload) : payload
}

function copy(payload: Payload): Payload {
  return payload instanceof Uint8Array ? Buffer.from(payload) : payload
}

function copyHeaders(headers: Headers | undefined): Headers | undefined {
  if (headers === undefined) return undefined
  return pairsOf(headers).map(([name, value]) => [name, copy(value)] as const)
}

function sizeOf(key: Payload, value: Payload, headers: Headers | undefined): number {
  return singleRecordSizeBound(payloadSize(key), value, headers)
}

function failedRecord(topic: string, { key, value, partition, timestamp }: WaitingRecord): RecordMetadata {
  return failedMetadata(topic, partition ?? -1, {
    timestamp,
    keySize: payloadSize(key),
    valueSize: payloadSize(value),
  })
}
