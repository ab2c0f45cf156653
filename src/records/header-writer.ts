/** Headers as the bytes that stand at the end of a record: their number, then names and values with their sizes. */
import type { Headers, Payload } from '../record.js'
import { readHeaders, type HeaderSink } from './headers.js'
import { payloadSize, writePayload, writeText, writeVarint } from './record-bytes.js'

/**
 * Where headers become bytes before the size of their record is known: to look at their text once, and not once for
 * its size and once for its bytes, is cheaper even with the copy that this takes.
 */
export class HeaderWriter implements HeaderSink {
  /** The first `size` bytes are the headers that were written last. */
  bytes = Buffer.allocUnsafeSlow(1024)
  size = 0

  /** Throws SerializationError for what are no headers. */
  write(headers: Headers, topic: string): void {
    readHeaders(headers, topic, this)
  }

  begin(count: number): void {
    this.size = writeVarint(this.bytes, 0, count)
  }

  header(name: string, value: Payload): void {
    // UTF-8 takes at most three bytes for a unit of UTF-16, and a size five.
    const bound = this.size + 3 * (name.length + (value === null ? 0 : value.length)) + 10
    if (bound > this.bytes.length) this.#grow(bound * 2)
    const valueAt = writeText(this.bytes, this.size, name)
    this.size =
      typeof value === 'string'
        ? writeText(this.bytes, valueAt, value)
        : writePayload(this.bytes, valueAt, value, payloadSize(value))
  }

  #grow(bytes: number): void {
    const grown = Buffer.allocUnsafeSlow(bytes)
    this.bytes.copy(grown, 0, 0, this.size)
    this.bytes = grown
  }
}
