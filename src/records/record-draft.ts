/**
 * A record on its way into a batch: checked, its key and its headers bytes already. One object serves record after
 * record, so it must never be in use while code of the application runs: that may send a record of its own. `set` is
 * called when interceptors, serializers and partitioner have had their say, and the batch has the record before
 * anything else is called.
 *
 * Hot path: nothing is allocated for a record.
 */
import type { Headers, Payload } from '../record.js'
import { HeaderWriter } from './header-writer.js'
import { BATCH_HEADER_SIZE, payloadSize, varintSize, writeShortAscii } from './record-bytes.js'

const NOTHING = new Uint8Array(0)

/** The number of headers: none. */
const NO_HEADERS = new Uint8Array(1)

export class RecordDraft {
  timestamp = 0
  /** The first `keySize` bytes are the key. */
  key: Uint8Array = NOTHING
  /** -1 for null. */
  keySize = -1
  value: Payload = null
  /** -1 for null. */
  valueSize = -1
  /** The first `headersSize` bytes are the headers. */
  headers: Uint8Array = NO_HEADERS
  headersSize = 1
  /** Where a key that is a string becomes bytes, so that it can be hashed before its batch is known. */
  #keyScratch = Buffer.allocUnsafeSlow(1024)
  /** Null while it writes. */
  #headerWriter: HeaderWriter | null = new HeaderWriter()

  /** Takes a record over. Throws SerializationError where its headers are wrong. */
  set(topic: string, timestamp: number, key: Payload, value: Payload, headers: Headers | undefined): void {
    // First of all: a getter among the headers may send, and use this draft for that.
    if (headers === undefined) {
      this.headers = NO_HEADERS
      this.headersSize = 1
    } else this.#setHeaders(topic, headers)
    this.timestamp = timestamp
    if (typeof key === 'string') {
      const size = writeShortAscii(this.#keyScratch, 0, key)
      this.keySize = size < 0 ? this.#writeLongKey(key) : size
      this.key = this.#keyScratch
    } else {
      this.key = key ?? NOTHING
      this.keySize = key === null ? -1 : key.length
    }
    this.value = value
    this.valueSize = payloadSize(value)
  }

  /** An upper bound of what the record takes in a batch of its own, the batch's header included. */
  get sizeBound(): number {
    const { headersSize, keySize, valueSize } = this
    return (
      BATCH_HEADER_SIZE +
      5 + // length
      1 + // attributes
      10 + // timestamp delta
      5 + // offset delta
      varintSize(keySize) +
      Math.max(keySize, 0) +
      varintSize(valueSize) +
      Math.max(valueSize, 0) +
      headersSize
    )
  }

  #setHeaders(topic: string, headers: Headers): void {
    // A record that a getter sends finds none, and gets one of its own.
    const writer = this.#headerWriter ?? new HeaderWriter()
    this.#headerWriter = null
    try {
      writer.write(headers, topic)
    } finally {
      this.#headerWriter = writer
    }
    this.headers = writer.bytes
    this.headersSize = writer.size
  }

  /** A key that is long, or not ASCII. */
  #writeLongKey(key: string): number {
    const size = Buffer.byteLength(key)
    if (size > this.#keyScratch.length) this.#keyScratch = Buffer.allocUnsafeSlow(size * 2)
    return this.#keyScratch.write(key)
  }
}
