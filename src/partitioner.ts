/**
 * Which partition a record goes to when the record itself does not say. A partitioner is a plain synchronous
 * function; -1 leaves the choice to the producer's built-in sticky partitioning (KIP-794).
 */
import { murmur2 } from './murmur2.js'
import type { Headers } from './record.js'

/** What a partitioner sees of a record. The bytes are only valid during the call. */
export interface PartitionerRecord<K = unknown, V = unknown> {
  readonly topic: string
  /**
   * The key as it was given to `send`; null without a key. Where the record had to wait (for metadata, for an asynchronous
   * serializer, for room) bytes are a copy of those of the call; other objects are passed as they are, and show what was
   * done to them since.
   */
  readonly key: K | null
  /** The value as it was given to `send`, as the key; null for a tombstone. */
  readonly value: V | null
  /** The serialized key; null without a key. */
  readonly keyBytes: Uint8Array | null
  /** The serialized value; null for a tombstone. */
  readonly valueBytes: Uint8Array | null
  readonly headers: Headers | undefined
}

/** What a partitioner sees of the record's topic. */
export interface PartitionerCluster {
  /** Partitions are numbered from 0 to this, exclusive; at least 1. */
  readonly partitionCount: number
  /** The partitions that have a leader at present, ascending; may be empty. */
  readonly availablePartitions: readonly number[]
}

/**
 * Returns a partition from 0 to `partitionCount`, exclusive, or -1 to let the built-in sticky partitioning decide.
 * Any other result, or a throw, fails the record.
 */
export type Partitioner<K = unknown, V = unknown> = (
  record: PartitionerRecord<K, V>,
  cluster: PartitionerCluster,
) => number

/** The partition of a serialized key `bytes[start, end)`, the one that the Java client picks. */
export function partitionForKey(
  bytes: Uint8Array,
  start: number,
  end: number,
  partitionCount: number,
): number {
  return (murmur2(bytes, start, end) & 0x7fffffff) % partitionCount
}

const byKeyHash: Partitioner = ({ keyBytes }, { partitionCount }) =>
  keyBytes === null ? -1 : partitionForKey(keyBytes, 0, keyBytes.length, partitionCount)

const alwaysSticky: Partitioner = () => -1

/**
 * The default: records with the same key go to the same partition, by the hash that the Java client uses; records
 * without a key are spread by sticky partitioning. Always the same function, so it can be recognised by identity.
 */
export function keyHash(): Partitioner {
  return byKeyHash
}

/**
 * Sticky partitioning (KIP-794) for every record, keys or not. Always the same function, so it can be recognised by
 * identity.
 */
export function sticky(): Partitioner {
  return alwaysSticky
}

/**
 * Each topic's records in turn to each partition that has a leader, or to each partition when none has; keys do not
 * matter. Batches come out smaller than with `sticky()`.
 */
export function roundRobin(): Partitioner {
  const counters = new Map<string, number>()
  return ({ topic }, { partitionCount, availablePartitions }) => {
    const count = counters.get(topic) ?? 0
    counters.set(topic, (count + 1) & 0x7fffffff)
    const available = availablePartitions.length
    return available > 0 ? availablePartitions[count % available]! : count % partitionCount
  }
}
