/** Errors of records that are in no batch yet. */
import { isProxy } from 'node:util/types'
import { nextTick } from '../../time/event-loop.js'
import type { ResolvedConfig } from '../../config/config.js'
import { BufferExhaustedError, KafkaError, SerializationError, TimeoutError } from '../../errors.js'
import type { Cluster } from '../../network/cluster.js'
import type { WaitingRecord } from './waiting-records.js'

export interface IntakeErrorsParts {
  readonly config: Pick<ResolvedConfig, 'bufferMemory' | 'deliveryTimeoutMs'>
  /** What a record waits for metadata or room at most. */
  readonly maxWaitMs: number
  readonly cluster: Pick<Cluster, 'lastErrors' | 'metadata'>
}

export class IntakeErrors {
  readonly #parts: IntakeErrorsParts
  /** Errors of this callback of the event loop. */
  readonly #shared = new Map<string, KafkaError>()

  constructor(parts: IntakeErrorsParts) {
    this.#parts = parts
  }

  /** Not even the line of those that wait has room for another record. */
  overfull(topic: string, waitingCount: number): KafkaError {
    return this.#once(
      `overfull ${topic}`,
      () =>
        new BufferExhaustedError(
          `records for topic ${topic} are sent faster than they are acknowledged: ${waitingCount} records ` +
            `wait already, for more memory than bufferMemory (${this.#parts.config.bufferMemory} bytes) allows`,
        ),
    )
  }

  /** A record has waited for as long as it may. */
  expired(record: WaitingRecord): KafkaError {
    const which = record.waitsFor === 'partition' ? `partition ${record.partition}` : record.waitsFor
    return this.#once(`${which} ${record.topic.name}`, () => this.#timeout(record))
  }

  /**
   * One error for all records of a topic that fail alike in one callback of the event loop: an error costs as much as ten
   * records, and an application that sends far too fast would spend all its time on them.
   */
  #once(key: string, make: () => KafkaError): KafkaError {
    let error = this.#shared.get(key)
    if (error === undefined) {
      if (this.#shared.size === 0) nextTick(() => this.#shared.clear())
      error = make()
      this.#shared.set(key, error)
    }
    return error
  }

  #timeout({ partition, topic, waitsFor }: WaitingRecord): KafkaError {
    const { cluster, config, maxWaitMs } = this.#parts
    switch (topic.partitionCount === 0 && waitsFor === 'partition' ? 'metadata' : waitsFor) {
      case 'serializer':
        return new TimeoutError(
          `a serializer for topic ${topic.name} did not finish within ${config.deliveryTimeoutMs} ms (deliveryTimeoutMs)`,
        )
      case 'metadata': {
        const cause = cluster.metadata.topicError(topic.name)
        const said = cause?.message ?? (cluster.lastErrors() || 'no broker answered')
        return new TimeoutError(
          `no metadata of topic ${topic.name} within ${maxWaitMs} ms (maxBlockMs): ${said}`,
          { cause },
        )
      }
      case 'partition':
        return new TimeoutError(
          `topic ${topic.name} has ${topic.partitionCount} partition(s), and partition ${partition} did not appear within ` +
            `${maxWaitMs} ms (maxBlockMs)`,
        )
      case 'room':
        return new BufferExhaustedError(
          `no room for a record of topic ${topic.name} within ${maxWaitMs} ms (maxBlockMs): ` +
            `${config.bufferMemory} bytes (bufferMemory) wait for acknowledgements`,
        )
    }
  }
}

/** `instanceof` asks the prototype, and that of a revoked proxy throws. */
export function isKafkaError(error: unknown): error is KafkaError {
  return !isProxy(error) && error instanceof KafkaError
}

/** What was thrown while a record was taken in. */
export function asKafkaError(error: unknown): KafkaError {
  if (isKafkaError(error)) return error
  return new SerializationError(`the record cannot be sent: ${messageOf(error)}`, { cause: error })
}

/** What was thrown in words; code of the application may throw what cannot even be made text. */
export function messageOf(error: unknown): string {
  try {
    return error instanceof Error ? error.message : String(error)
  } catch {
    return 'something that cannot be shown'
  }
}
