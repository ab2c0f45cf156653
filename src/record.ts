/** What goes in and what comes back: the record, its headers, and where it was stored. */
import type { KafkaError } from './errors.js'

/** Bytes or text as they go on the wire; a string is written as UTF-8, null is an absent key or a tombstone. */
export type Payload = string | Uint8Array | null

/**
 * Headers of a record: a plain object, or an array of pairs where a name may repeat. Anything else (a Map, a list of values, a
 * number) is a SerializationError that names the header.
 */
export type Headers = Readonly<Record<string, Payload>> | readonly (readonly [string, Payload])[]

/** A record to send. Its bytes are copied during `send`, so buffers may be reused right after the call. */
export interface ProducerRecord<K = Payload, V = Payload> {
  readonly topic: string
  /** The payload; null is a tombstone and never reaches the serializer. */
  readonly value: V | null
  readonly key?: K | null | undefined
  /** Sends to this partition, whatever the partitioner would say. */
  readonly partition?: number | undefined
  /** Milliseconds since the epoch; the time of `send` when absent. A topic with LogAppendTime overrides it. */
  readonly timestamp?: number | undefined
  readonly headers?: Headers | undefined
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** Where a record was stored. */
export interface RecordMetadata extends TopicPartition {
  /** The offset in the partition; `-1n` where no broker tells it: acks=0, and a retry answered as a duplicate. */
  readonly offset: bigint
  /** The record's timestamp, or the broker's when the topic uses LogAppendTime; milliseconds since the epoch. */
  readonly timestamp: number
  /** Bytes of the serialized key, -1 without a key. */
  readonly serializedKeySize: number
  /** Bytes of the serialized value, -1 for null. */
  readonly serializedValueSize: number
}

/** A record without its topic, whatever its types are. @internal */
export type TopicRecord = Omit<ProducerRecord<unknown, unknown>, 'topic'>

/** Called once when a record was delivered (error null) or failed (offset -1n); never during `send` itself. */
export type DeliveryCallback = (error: KafkaError | null, metadata: RecordMetadata) => void
