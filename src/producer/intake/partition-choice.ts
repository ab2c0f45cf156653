/** Which partition a record goes to: the one that it names, a partitioner's, or what its bytes or the sticky choice say. */
import { types } from 'node:util'
import { show } from '../../config/option-kinds.js'
import { KafkaError } from '../../errors.js'
import { keyHash, type Partitioner, type PartitionerRecord } from '../../partitioner.js'
import { brokerError } from '../../protocol/error-codes.js'
import type { Headers, Payload, TopicRecord } from '../../record.js'
import { messageOf } from './intake-errors.js'
import { watch } from '../../user-code.js'
import { STICKY } from '../batching/record-accumulator.js'
import type { TopicQueues } from '../batching/topic-queues.js'

const UNKNOWN_TOPIC_OR_PARTITION = 3

/** In place of a partition: the hash of the key decides once its bytes are there, or the sticky choice without a key. */
export const BY_KEY = -2

/** In place of a partition: the record names one that the topic does not have, or not yet (KAFKA-6833). */
export const MISSING = -3

/** Whether a record names a partition beyond those of a topic that is known. */
export function namesMissing({ partitionCount }: TopicQueues, partition: number | undefined): boolean {
  return partitionCount > 0 && Number.isInteger(partition) && partition! >= partitionCount
}

/** What the choice depends on. */
export interface ChoosingRecord {
  readonly partition: number | undefined
  readonly partitioner: Partitioner
  /** Key and value as they were given to `send`, for a partitioner of the application. */
  readonly original: Pick<TopicRecord, 'key' | 'value'>
  readonly key: Payload
  readonly value: Payload
  readonly headers: Headers | undefined
}

const hashKey = keyHash()

/** True where the choice needs no code of the application. */
export function isByKey(partition: number | undefined, partitioner: Partitioner): boolean {
  return partition === undefined && partitioner === hashKey
}

export class PartitionChoice {
  readonly #requestMetadata: (topic: string) => void

  constructor(requestMetadata: (topic: string) => void) {
    this.#requestMetadata = requestMetadata
  }

  /** A partition, STICKY, BY_KEY or MISSING. Throws where no metadata can make it one, or the partitioner throws. */
  of(topic: TopicQueues, record: ChoosingRecord): number {
    const { partition, partitioner } = record
    if (isByKey(partition, partitioner)) return BY_KEY
    if (partition !== undefined) return this.#named(topic, partition)
    return this.#ask(partitioner, topic, record)
  }

  #named(topic: TopicQueues, partition: number): number {
    if (!Number.isInteger(partition) || partition < 0) throw noPartition(topic.name, partition)
    if (!namesMissing(topic, partition)) return partition
    this.#requestMetadata(topic.name) // perhaps it was added a moment ago
    return MISSING
  }

  #ask(partitioner: Partitioner, topic: TopicQueues, record: ChoosingRecord): number {
    const { headers, key, original, value } = record
    const asked: PartitionerRecord = {
      topic: topic.name,
      key: original.key ?? null,
      value: original.value,
      keyBytes: bytesOf(key),
      valueBytes: bytesOf(value),
      headers,
    }
    let chosen: number
    try {
      chosen = partitioner(asked, topic)
    } catch (error) {
      throw new KafkaError(`the partitioner threw for a record of topic ${topic.name}: ${messageOf(error)}`, {
        code: 'PARTITIONER_FAILED',
        cause: error,
      })
    }
    if (chosen === STICKY) return STICKY
    if (typeof chosen !== 'number') throw noNumber(topic.name, chosen)
    if (Number.isInteger(chosen) && chosen >= 0 && chosen < topic.partitionCount) return chosen
    const { name, partitionCount } = topic
    throw brokerError(UNKNOWN_TOPIC_OR_PARTITION, `a record of topic ${name}`, {
      message: `the partitioner returned ${chosen}, and the topic has ${partitionCount} partition(s), 0 to ${partitionCount - 1}`,
      retriable: false,
    })
  }
}

/** A partitioner may have turned out to be asynchronous, and fail later on. */
function noNumber(topic: string, chosen: unknown): KafkaError {
  watch(chosen, () => {})
  const given = types.isPromise(chosen) ? 'a promise: it must be a synchronous function' : show(chosen)
  return new KafkaError(
    `the partitioner must return a partition, or -1 for the sticky choice; for a record of topic ${topic} it returned ${given}`,
    { code: 'PARTITIONER_FAILED' },
  )
}

/** What no metadata can make one. */
function noPartition(topic: string, given: unknown): KafkaError {
  return brokerError(UNKNOWN_TOPIC_OR_PARTITION, `a record of topic ${topic}`, {
    message: `its partition must be an integer from 0, not ${show(given)}`,
    retriable: false,
  })
}

function bytesOf(payload: Payload): Uint8Array | null {
  return typeof payload === 'string' ? Buffer.from(payload) : payload
}
