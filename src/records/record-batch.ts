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
import { crc32c } from './crc32c.js'
import { BATCH_HEADER_SIZE, copyBytes, varintSize, writePayload, writeVarint } from './record-bytes.js'
import type { RecordDraft } from './record-draft.js'

const CRC_OFFSET = 17
const ATTRIBUTES_OFFSET = 21
const TRANSACTIONAL = 0x10

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

  /** Adds a record unless it would make the batch larger than `limit` bytes; tells whether it did. */
  tryAppend(limit: number, record: RecordDraft): boolean {
    const { timestamp, keySize, value, valueSize, headersSize } = record
    if (this.recordCount === 0) this.#baseTimestamp = this.#maxTimestamp = timestamp
    const timestampDelta = timestamp - this.#baseTimestamp
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
    if (keySize > 0) at = copyBytes(buffer, at, record.key, keySize)
    at = writePayload(buffer, at, value, valueSize)
    copyBytes(buffer, at, record.headers, headersSize)

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
