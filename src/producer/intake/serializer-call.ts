/** What a serializer is given beside the value; made only for producers and handles that have serializers. */
import type { Headers } from '../../record.js'
import type { SerializerContext } from '../../serializer.js'
import { copyHeaders, pairsOf, type HeaderPair } from './copies.js'

/** A record's headers, copied into a list as soon as a serializer asks for them, since it may add to them. */
export class RecordHeaders {
  readonly #topic: string
  readonly #given: Headers | undefined
  #list: HeaderPair[] | undefined

  constructor(topic: string, given: Headers | undefined) {
    this.#topic = topic
    this.#given = given
  }

  get current(): Headers | undefined {
    return this.#list ?? this.#given
  }

  get list(): HeaderPair[] {
    this.#list ??= this.#given === undefined ? [] : pairsOf(this.#given, this.#topic)
    return this.#list
  }

  /** Nothing of it is the caller's any more. The list stays the one that serializers have: they may still add to it. */
  detach(): void {
    const copied = copyHeaders(this.current, this.#topic)
    if (copied === undefined) return
    this.#list ??= []
    this.#list.splice(0, Infinity, ...copied)
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

  get headers(): HeaderPair[] {
    return this.#headers.list
  }
}
