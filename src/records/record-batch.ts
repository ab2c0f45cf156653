/**
 * A record batch (magic 2, KIP-98) being filled: every record is encoded once, straight into the batch's buffer.
 * The header is written when the batch is about to be sent, since it holds the sequence and the CRC.
 *
 *   0 baseOffset i64 | 8 batchLength i32 | 12 partitionLeaderEpoch i32 | 16 magic i8 | 17 crc u32
 *  21 attributes i16 | 23 lastOffsetDelta i32 | 27 baseTimestamp i64 | 35 maxTimestamp i64
 *  43 producerId i64 | 51 producerEpoch i16 | 53 baseSequence i32 | 57 recordCount i32 | 61 records...
 *
 * Hot path: no closure, BigInt, timer, Buffer.concat or spread per record in this file.
 */
import type { Headers, Payload } from '../record.js'
import { crc32c } from './crc32c.js'

export const BATCH_HEADER_SIZE = 61
const CRC_OFFSET = 17
const ATTRIBUTES_OFFSET = 21
const TRANSACTIONAL = 0x10

/** Below this many bytes a loop in JavaScript beats the call into the runtime. */
const SHORT = 48

export interface ProducerState {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly baseSequence: number
}

/** Records that a codec made smaller, and its number in the attributes of a batch. */
export interface CompressedRecords {
  readonly codecId: number
  readonly bytes: Uint8Array
}

export class RecordBatchBuilder {
  buffer: Buffer
  recordCount = 0
  /** Bytes so far, the header included. */
  size = BATCH_HEADER_SIZE
  #baseTimestamp = 0
  #maxTimestamp = 0

  constructor(buffer: Buffer) {
    this.buffer = buffer
  }

  /**
   * Adds a record unless it would make the batch larger than `limit` bytes; tells whether it did. The key is the
   * first `keySize` bytes of `key`, or null with a size of -1.
   */
  tryAppend(
    limit: number,
    timestamp: number,
    key: Uint8Array | null,
    keySize: number,
    value: Payload,
    headers: Headers | undefined,
  ): boolean {
    if (this.recordCount === 0) this.#baseTimestamp = this.#maxTimestamp = timestamp
    const timestampDelta = timestamp - this.#baseTimestamp
    const valueSize = payloadSize(value)
    const headersSize = headers === undefined ? 1 : encodeHeaders(headers)
    const bodySize =
      1 +
      varintSize(timestampDelta) +
      varintSize(this.recordCount) +
      varintSize(keySize) +
      (keySize > 0 ? keySize : 0) +
      varintSize(valueSize) +
      (valueSize > 0 ? valueSize : 0) +
      headersSize
    const end = this.size + varintSize(bodySize) + bodySize
    if (end > limit) return false

    const buffer = this.buffer
    let at = writeVarint(buffer, this.size, bodySize)
    buffer[at++] = 0 // attributes: none are defined for a record
    at = writeVarint(buffer, at, timestampDelta)
    at = writeVarint(buffer, at, this.recordCount)
    at = writeVarint(buffer, at, keySize)
    if (keySize > 0) at = copyBytes(buffer, at, key!, keySize)
    at = writePayload(buffer, at, value, valueSize)
    if (headers === undefined) buffer[at] = 0
    else copyBytes(buffer, at, headerScratch, headersSize)

    this.size = end
    this.recordCount++
    if (timestamp > this.#maxTimestamp) this.#maxTimestamp = timestamp
    return true
  }

  /** The encoded records, without the header. */
  get recordBytes(): Buffer {
    return this.buffer.subarray(BATCH_HEADER_SIZE, this.size)
  }

  /** Goes on in a larger buffer; the old one is free. */
  growInto(buffer: Buffer): void {
    this.buffer.copy(buffer, 0, 0, this.size)
    this.buffer = buffer
  }

  /**
   * The finished batch with its header, sequence and CRC. The records stay as they are, so it may be finished again, with
   * another sequence; `compressed` takes their place on the wire.
   */
  finish(
    state: ProducerState,
    isTransactional: boolean,
    compressed: CompressedRecords | null = null,
  ): Uint8Array {
    let { buffer, size } = this
    if (compressed !== null) {
      size = BATCH_HEADER_SIZE + compressed.bytes.length
      buffer = Buffer.allocUnsafe(size)
      buffer.set(compressed.bytes, BATCH_HEADER_SIZE)
    }
    writeInt64(buffer, 0, 0) // the broker assigns the base offset
    buffer.writeInt32BE(size - 12, 8)
    buffer.writeInt32BE(-1, 12) // partitionLeaderEpoch: the broker's to fill in
    buffer[16] = 2
    buffer.writeInt16BE((compressed?.codecId ?? 0) | (isTransactional ? TRANSACTIONAL : 0), ATTRIBUTES_OFFSET)
    buffer.writeInt32BE(this.recordCount - 1, 23)
    writeInt64(buffer, 27, this.#baseTimestamp)
    writeInt64(buffer, 35, this.#maxTimestamp)
    buffer.writeBigInt64BE(state.producerId, 43)
    buffer.writeInt16BE(state.producerEpoch, 51)
    buffer.writeInt32BE(state.baseSequence, 53)
    buffer.writeInt32BE(this.recordCount, 57)
    buffer.writeUInt32BE(crc32c(buffer, ATTRIBUTES_OFFSET, size), CRC_OFFSET)
    return buffer.subarray(0, size)
  }

  /** A cursor before the first record. */
  read(): RecordCursor {
    return new RecordCursor(this.buffer, this.recordCount, this.#baseTimestamp)
  }

  /**
   * Appends a record of another batch with its deltas rewritten for this one. Everything from the key on is the same
   * in both, so it is copied as it stands.
   */
  copyRecord(record: RecordCursor): void {
    const { rest } = record
    if (this.recordCount === 0) this.#baseTimestamp = this.#maxTimestamp = record.timestamp
    const timestampDelta = record.timestamp - this.#baseTimestamp
    const bodySize = 1 + varintSize(timestampDelta) + varintSize(this.recordCount) + (record.end - rest)
    let at = writeVarint(this.buffer, this.size, bodySize)
    this.buffer[at++] = 0
    at = writeVarint(this.buffer, at, timestampDelta)
    at = writeVarint(this.buffer, at, this.recordCount)
    record.buffer.copy(this.buffer, at, rest, record.end)
    this.size = at + (record.end - rest)
    this.recordCount++
    if (record.timestamp > this.#maxTimestamp) this.#maxTimestamp = record.timestamp
  }
}

/**
 * Walks the encoded records in order. What a record needs at its acknowledgement (timestamp, sizes) is read from its
 * bytes, so nothing has to be kept for it beside them.
 */
export class RecordCursor {
  readonly buffer: Buffer
  /** Where the record's key begins, and what follows; all before it depends on the batch. */
  rest = 0
  /** Where the next record begins. */
  end = BATCH_HEADER_SIZE
  timestamp = 0
  /** -1 for null. */
  keySize = -1
  /** -1 for null. */
  valueSize = -1
  readonly #baseTimestamp: number
  #left: number
  #at = 0

  constructor(buffer: Buffer, recordCount: number, baseTimestamp: number) {
    this.buffer = buffer
    this.#left = recordCount
    this.#baseTimestamp = baseTimestamp
  }

  /** Goes to the next record, if there is one. */
  next(): boolean {
    if (this.#left === 0) return false
    this.#left--
    this.#at = this.end
    const bodySize = this.#varint()
    this.end = this.#at + bodySize
    this.#at++ // attributes
    this.timestamp = this.#baseTimestamp + this.#varint()
    this.#varint() // offset delta
    this.rest = this.#at
    this.keySize = this.#varint()
    if (this.keySize > 0) this.#at += this.keySize
    this.valueSize = this.#varint()
    return true
  }

  #varint(): number {
    const { buffer } = this
    let byte = buffer[this.#at++]!
    if (byte < 0x80) return (byte >>> 1) ^ -(byte & 1)
    let zigzag = byte & 0x7f
    // Multiplication, not shifts: a timestamp delta may need more than 32 bits.
    for (let factor = 0x80; byte > 0x7f; factor *= 0x80) {
      byte = buffer[this.#at++]!
      zigzag += (byte & 0x7f) * factor
    }
    return zigzag % 2 === 0 ? zigzag / 2 : -(zigzag + 1) / 2
  }
}

/** Of a number from 0 to 2^53 - 1; without the four BigInts that writeBigInt64BE makes of one. */
function writeInt64(buffer: Buffer, at: number, value: number): void {
  buffer.writeUInt32BE(Math.floor(value / 2 ** 32), at)
  buffer.writeUInt32BE(value >>> 0, at + 4)
}

/** An upper bound of what one record takes in a batch of its own, the batch's header included. */
export function singleRecordSizeBound(keySize: number, value: Payload, headers: Headers | undefined): number {
  const valueSize = payloadSize(value)
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
    (headers === undefined ? 1 : encodeHeaders(headers))
  )
}

/** Bytes of a payload as it goes on the wire, -1 for null. */
export function payloadSize(payload: Payload): number {
  if (payload === null) return -1
  return typeof payload === 'string' ? utf8Size(payload) : payload.length
}

function utf8Size(text: string): number {
  const length = text.length
  if (length > SHORT) return Buffer.byteLength(text)
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text)
  return length
}

/** Writes text as UTF-8 whose size is known; returns where it ends. */
function writeUtf8(buffer: Buffer, at: number, text: string, size: number): number {
  if (size > SHORT || size !== text.length) {
    buffer.write(text, at, size, 'utf8')
    return at + size
  }
  for (let i = 0; i < size; i++) buffer[at + i] = text.charCodeAt(i)
  return at + size
}

function writePayload(buffer: Buffer, at: number, payload: Payload, size: number): number {
  at = writeVarint(buffer, at, size)
  if (size <= 0) return at
  return typeof payload === 'string'
    ? writeUtf8(buffer, at, payload, size)
    : copyBytes(buffer, at, payload!, size)
}

function copyBytes(buffer: Buffer, at: number, bytes: Uint8Array, size: number): number {
  if (size > SHORT) buffer.set(size === bytes.length ? bytes : bytes.subarray(0, size), at)
  else for (let i = 0; i < size; i++) buffer[at + i] = bytes[i]!
  return at + size
}

/**
 * Where headers become bytes before the size of their record is known: to look at their text once, and not once for
 * its size and once for its bytes, is cheaper even with the copy that this takes.
 */
let headerScratch = Buffer.allocUnsafeSlow(1024)

/** Writes headers to the beginning of `headerScratch`; returns their bytes. */
function encodeHeaders(headers: Headers): number {
  let at: number
  if (Array.isArray(headers)) {
    at = writeVarint(headerScratch, 0, headers.length)
    for (const [name, value] of headers as readonly (readonly [string, Payload])[]) {
      at = encodeHeader(at, name, value)
    }
  } else {
    const names = Object.keys(headers)
    at = writeVarint(headerScratch, 0, names.length)
    for (const name of names) at = encodeHeader(at, name, (headers as Record<string, Payload>)[name]!)
  }
  return at
}

function encodeHeader(at: number, name: string, value: Payload): number {
  // UTF-8 takes at most three bytes for a unit of UTF-16, and a size five.
  const bound = at + 3 * (name.length + (value === null ? 0 : value.length)) + 10
  if (bound > headerScratch.length) {
    const grown = Buffer.allocUnsafeSlow(bound * 2)
    headerScratch.copy(grown, 0, 0, at)
    headerScratch = grown
  }
  const valueAt = writeText(headerScratch, at, name)
  return typeof value === 'string'
    ? writeText(headerScratch, valueAt, value)
    : writePayload(headerScratch, valueAt, value, payloadSize(value))
}

/** Writes text with its size before it. */
function writeText(buffer: Buffer, at: number, text: string): number {
  const size = writeShortAscii(buffer, at + 1, text)
  if (size < 0) return writePayload(buffer, at, text, Buffer.byteLength(text))
  buffer[at] = size << 1
  return at + 1 + size
}

/**
 * Text becomes bytes in one pass if it is short and ASCII, as keys and headers mostly are: returns their number, or -1
 * for other text, which has to be measured first.
 */
export function writeShortAscii(buffer: Buffer, at: number, text: string): number {
  const { length } = text
  if (!(length <= SHORT)) return -1 // what is no string goes that way too, and fails there
  let bits = 0
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    buffer[at + i] = unit
    bits |= unit
  }
  return bits > 0x7f ? -1 : length
}

/** Zigzag varints of up to 64 bits; those that do not fit in 31 bits take the slow way over BigInt. */
function varintSize(value: number): number {
  if (value !== (value | 0) || value > 0x3fffffff || value < -0x40000000) return wideVarintSize(value)
  const zigzag = (value << 1) ^ (value >> 31)
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x200000 ? 3 : zigzag < 0x10000000 ? 4 : 5
}

function writeVarint(buffer: Buffer, at: number, value: number): number {
  if (value !== (value | 0) || value > 0x3fffffff || value < -0x40000000)
    return writeWideVarint(buffer, at, value)
  let zigzag = (value << 1) ^ (value >> 31)
  while (zigzag > 0x7f) {
    buffer[at++] = (zigzag & 0x7f) | 0x80
    zigzag >>>= 7
  }
  buffer[at++] = zigzag
  return at
}

function wideVarintSize(value: number): number {
  let size = 1
  for (let rest = zigzag64(value); rest > 0x7fn; rest >>= 7n) size++
  return size
}

function writeWideVarint(buffer: Buffer, at: number, value: number): number {
  let rest = zigzag64(value)
  for (; rest > 0x7fn; rest >>= 7n) buffer[at++] = Number(rest & 0x7fn) | 0x80
  buffer[at++] = Number(rest)
  return at
}

function zigzag64(value: number): bigint {
  const wide = BigInt(value)
  return wide < 0n ? -wide * 2n - 1n : wide * 2n
}
