/** What `sendOffsetsToTransaction` takes: plain objects, so that any consumer library can feed it. */
import { invalidArgument } from './config/arguments.js'
import type { KafkaError } from './errors.js'
import type { TopicPartition } from './record.js'

/** How far a consumer group has come in a partition. */
export interface ConsumedOffset extends TopicPartition {
  /** The next record to read: the offset of the last one that was processed, and one more. From 0 to 2^63 - 1. */
  readonly offset: bigint | number | string
  /** The leader epoch of the last record, where the consumer knows it (KIP-320). */
  readonly leaderEpoch?: number | null | undefined
  /** Kept by the broker beside the offset; at most `offset.metadata.max.bytes` of it. */
  readonly metadata?: string | null | undefined
}

/** A list of them, a Set, a generator: whatever can be iterated. */
export interface ConsumedOffsets {
  [Symbol.iterator](): Iterator<ConsumedOffset, unknown, undefined>
}

/**
 * The member of a consumer group that read the records (KIP-447). With all of it the group coordinator refuses the
 * offsets of a member that lost its partitions to another; with the group's id alone nothing of that is checked.
 */
export interface ConsumerGroupMetadata {
  readonly groupId: string
  /** Default -1: not checked. */
  readonly generationId?: number | undefined
  /** Default '': not checked. */
  readonly memberId?: string | undefined
  /** Of a static member (KIP-345). */
  readonly groupInstanceId?: string | null | undefined
}

/** One topic of a TxnOffsetCommit request. @internal */
export interface TopicOffsets {
  readonly name: string
  readonly partitions: readonly {
    readonly partitionIndex: number
    readonly committedOffset: bigint
    readonly committedLeaderEpoch: number
    readonly committedMetadata: string | null
  }[]
}

const MAX_OFFSET = 2n ** 63n - 1n

/** The offsets by topic, the last one given for a partition; throws for an invalid one. @internal */
export function offsetsByTopic(offsets: ConsumedOffsets): TopicOffsets[] {
  const topics = new Map<string, Map<number, TopicOffsets['partitions'][number]>>()
  for (const given of iterable(offsets)) {
    const one: unknown = given
    if (typeof one !== 'object' || one === null)
      throw invalid('each of the offsets', '{ topic, partition, offset }', one)
    const { topic, partition, offset, leaderEpoch, metadata } = given
    if (typeof topic !== 'string' || topic === '') throw invalid('topic', 'the name of a topic', topic)
    if (!isInt32(partition, 0))
      throw invalid(`partition of topic ${topic}`, 'an integer of 0 or more', partition)
    const place = `${topic}-${partition}`
    if (leaderEpoch != null && !isInt32(leaderEpoch, -1))
      throw invalid(`leaderEpoch of ${place}`, 'an integer of 0 or more, or -1', leaderEpoch)
    if (metadata != null && typeof metadata !== 'string')
      throw invalid(`metadata of ${place}`, 'a string', metadata)
    let partitions = topics.get(topic)
    if (partitions === undefined) topics.set(topic, (partitions = new Map()))
    partitions.set(partition, {
      partitionIndex: partition,
      committedOffset: toOffset(`the offset of ${place}`, offset),
      committedLeaderEpoch: leaderEpoch ?? -1,
      committedMetadata: metadata ?? '',
    })
  }
  return [...topics].map(([name, partitions]) => ({ name, partitions: [...partitions.values()] }))
}

/** Throws for group metadata without a group. @internal */
export function assertGroup(group: unknown): asserts group is ConsumerGroupMetadata {
  const { groupId, generationId, memberId, groupInstanceId } = (group ?? {}) as Partial<ConsumerGroupMetadata>
  if (typeof groupId !== 'string' || groupId === '') {
    throw invalid('groupMetadata.groupId', 'the id of a consumer group', groupId)
  }
  if (generationId !== undefined && !isInt32(generationId, -1))
    throw invalid('groupMetadata.generationId', 'an integer of 0 or more, or -1', generationId)
  if (memberId !== undefined && typeof memberId !== 'string')
    throw invalid('groupMetadata.memberId', 'a string', memberId)
  if (groupInstanceId != null && typeof groupInstanceId !== 'string')
    throw invalid('groupMetadata.groupInstanceId', 'a string', groupInstanceId)
  if (generationId !== undefined && generationId >= 0 && (memberId ?? '') === '') {
    throw invalid('groupMetadata.memberId', 'the member that has the generation', memberId)
  }
}

function isInt32(given: unknown, min: number): boolean {
  return Number.isInteger(given) && (given as number) >= min && (given as number) <= 0x7fffffff
}

function iterable(offsets: ConsumedOffsets): ConsumedOffsets {
  const given: unknown = offsets
  if (typeof given === 'object' && given !== null && Symbol.iterator in given) return offsets
  throw invalid('offsets', 'an iterable of { topic, partition, offset }', given)
}

function toOffset(where: string, given: unknown): bigint {
  if (typeof given === 'bigint' && given >= 0n && given <= MAX_OFFSET) return given
  if (typeof given === 'number' && Number.isSafeInteger(given) && given >= 0) return BigInt(given)
  if (typeof given === 'string' && /^\d{1,19}$/.test(given) && BigInt(given) <= MAX_OFFSET)
    return BigInt(given)
  throw invalid(where, 'an integer from 0 to 2^63 - 1', given)
}

function invalid(field: string, valid: string, given: unknown): KafkaError {
  return invalidArgument('sendOffsetsToTransaction', field, valid, given)
}
