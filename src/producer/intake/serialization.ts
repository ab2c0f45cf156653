/**
 * One record's way through its serializers, which are code of the application: they may throw, return promises, or never
 * settle. Made only for producers and handles that have serializers.
 */
import { isUint8Array } from 'node:util/types'
import { IllegalStateError, SerializationError, type KafkaError } from '../../errors.js'
import type { Headers, Payload, TopicRecord } from '../../record.js'
import { bytes, type Serializer } from '../../serializer.js'
import { copyHeaders, copyOf } from './copies.js'
import { isKafkaError, messageOf } from './intake-errors.js'
import { assertPayload } from './record-checks.js'
import { markHandled } from '../batching/record-promises.js'
import { RecordHeaders, SerializerCall } from './serializer-call.js'

/** The serializers of a producer or of a topic handle. */
export interface RecordSerializers {
  readonly keySerializer: Serializer<unknown> | undefined
  readonly valueSerializer: Serializer<unknown> | undefined
}

/** A record as bytes and text. */
export interface SerializedRecord {
  readonly key: Payload
  readonly value: Payload
  readonly headers: Headers | undefined
}

const asTheyAre = bytes()

export class Serialization {
  /** Key and value as serializers were given them. */
  readonly original: { readonly key: unknown; readonly value: unknown }
  /** What serializers made of them; promises where they are not done. */
  key: unknown = null
  value: unknown = null
  readonly #topic: string
  readonly #headers: RecordHeaders

  /** Calls the serializers; throws what they throw, as a KafkaError. */
  constructor(topic: string, record: TopicRecord, { keySerializer, valueSerializer }: RecordSerializers) {
    this.#topic = topic
    this.#headers = new RecordHeaders(topic, record.headers ?? undefined)
    this.original = {
      key: givenTo(keySerializer, record.key ?? null),
      value: givenTo(valueSerializer, record.value),
    }
    this.key = this.#call(keySerializer, this.original.key, true)
    try {
      this.value = this.#call(valueSerializer, this.original.value, false)
    } catch (error) {
      // The record fails with this one; another of its key would be nobody's.
      if (isPromise(this.key)) markHandled(Promise.resolve(this.key))
      throw error
    }
  }

  get isPending(): boolean {
    return isPromise(this.key) || isPromise(this.value)
  }

  get headers(): Headers | undefined {
    return this.#headers.current
  }

  /**
   * The record once all serializers are done. Nothing of it is the caller's when this returns, and what serializers
   * return is copied when it is there.
   */
  settled(): Promise<SerializedRecord> {
    const topic = this.#topic
    const parts = [this.key, this.value].map((part) =>
      isPromise(part) ? Promise.resolve(part).then(copyOf) : copyOf(part),
    )
    const settled = Promise.all(parts).then(
      ([key, value]): SerializedRecord => {
        assertPayload(key, topic, 'key')
        assertPayload(value, topic, 'value')
        return { key, value, headers: copyHeaders(this.#headers.current, topic) }
      },
      (error: unknown) => {
        throw serializerFailed(error, topic)
      },
    )
    markHandled(settled) // the record may have failed already, or never be lined up
    this.#headers.detach()
    return settled
  }

  #call(serializer: Serializer<unknown> | undefined, given: unknown, isKey: boolean): unknown {
    if (serializer === undefined || given === null) return given
    try {
      return serializer(given, new SerializerCall(this.#topic, isKey, this.#headers))
    } catch (error) {
      throw serializerFailed(error, this.#topic)
    }
  }
}

/** An asynchronous serializer may read its bytes when `send` has returned and the caller reuses its buffer. */
function givenTo(serializer: Serializer<unknown> | undefined, given: unknown): unknown {
  const isRead = serializer !== undefined && serializer !== asTheyAre && isUint8Array(given)
  return isRead ? Buffer.from(given) : given
}

/** That another producer is closed or unusable, if a serializer needs one, is true of that one alone. */
function serializerFailed(error: unknown, topic: string): KafkaError {
  if (isKafkaError(error) && !error.fatal && !(error instanceof IllegalStateError)) return error
  return new SerializationError(`a serializer for topic ${topic} failed: ${messageOf(error)}`, {
    cause: error,
  })
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && !isUint8Array(value)
}
