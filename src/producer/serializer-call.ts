/** What a serializer is given beside the value; made only for producers and handles that have serializers. */
import type { Headers, Payload } from '../record.js'
import type { SerializerContext } from '../serializer.js'

type Pair = readonly [string, Payload]

/** A record's headers, copied into a list as soon as a serializer asks for them, since it may add to them. */
export class RecordHeaders {
  readonly #given: Headers | undefined
  #list: Pair[] | undefined

  constructor(given: Headers | undefined) {
    this.#given = given
  }

  get current(): Headers | undefined {
    return this.#list ?? this.#given
  }

  get list(): Pair[] {
    this.#list ??= this.#given === undefined ? [] : pairsOf(this.#given)
    return this.#list
  }
}

export class SerializerCall implements SerializerContext {
  readonly topic: string
  readonly isKey: boolean
  readonly #headers: RecordHeaders

  constructor(topic: string, isKey: boolean, headers: RecordHeaders) {
    this.topic = topic
    this.isKey = isKey
    this.#headers = headers
  }

  get headers(): Pair[] {
    return this.#headers.list
  }
}

/** Headers as a list of pairs of its own. */
export function pairsOf(headers: Headers): Pair[] {
  return Array.isArray(headers)
    ? [...(headers as readonly Pair[])]
    : Object.entries(headers as Record<string, Payload>)
}

export function isPromise(value: unknown): value is PromiseLike<unknown> {
  return typeof value === 'object' && value !== null && 'then' in value && !(value instanceof Uint8Array)
}
