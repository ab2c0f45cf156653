/**
 * Reads record batches of format v2, checking everything that can be checked: sizes, magic, CRC, counts, varints.
 * The broker of `testing/` stands on it, so it must refuse whatever Apache Kafka refuses, with the same code:
 * CORRUPT_MESSAGE for damage to the frame or checksum, INVALID_RECORD for a batch that contradicts itself.
 *
 *   offset size field                       offset size field
 *        0    8 base offset                     27    8 base timestamp
 *        8    4 length (of what follows)        35    8 max timestamp
 *       12    4 partition leader epoch          43    8 producer id
 *       16    1 magic, 2                        51    2 producer epoch
 *       17    4 CRC-32C of bytes 21 to end      53    4 base sequence
 *       21    2 attributes                      57    4 record count
 *       23    4 last offset delta               61      records
 */
import type { CompressionType } from '../codec.js'
import { ProtocolError } from '../errors.js'
import { decompress } from './compression.js'
import { crc32c } from './crc32c.js'

export const BATCH_OVERHEAD_BYTES = 61
/** Bytes in front of what the length field counts: base offset and the length itself. */
const LOG_OVERHEAD_BYTES = 12
const MAGIC_OFFSET = 16
const MAX_LENGTH = 2 ** 31 - 1 - LOG_OVERHEAD_BYTES
/** What the length of the smallest legacy message would be; a smaller one is damage whatever the magic. */
const MIN_LENGTH = 14

const COMPRESSION_TYPES: readonly CompressionType[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** The fields of a batch's header, in the types they have on the wire. */
export interface RecordBatchHeader {
  readonly baseOffset: bigint
  /** Bytes of the whole batch, header included. */
  readonly sizeInBytes: number
  readonly partitionLeaderEpoch: number
  readonly compression: CompressionType
  readonly isLogAppendTime: boolean
  readonly isTransactional: boolean
  readonly isControl: boolean
  readonly lastOffsetDelta: number
  /** Milliseconds since the epoch, -1 for none. */
  readonly baseTimestamp: number
  readonly maxTimestamp: number
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly recordCount: number
}

/** One record, its bytes still those of the batch it was read from. */
export interface ReadRecord {
  readonly offset: bigint
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly headers: readonly (readonly [key: string, value: Uint8Array | null])[]
}

function corrupt(message: string): ProtocolError {
  return new ProtocolError(message, { code: 'CORRUPT_MESSAGE', errno: 2 })
}

function invalid(message: string): ProtocolError {
  return new ProtocolError(message, { code: 'INVALID_RECORD', errno: 87 })
}

function view(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * The end of the batch that begins at `start`, or -1 where the bytes end before it does. Checks length and magic
 * only: a legacy batch (magic 0 or 1) has an end too.
 */
export function batchEnd(bytes: Uint8Array, start: number): number {
  const remaining = bytes.length - start
  if (remaining < LOG_OVERHEAD_BYTES) return -1
  const data = view(bytes)
  const length = data.getInt32(start + 8)
  if (length < MIN_LENGTH) throw corrupt(`batch length ${length} is less than ${MIN_LENGTH}`)
  if (length > MAX_LENGTH) throw new ProtocolError(`batch length ${length} is more than ${MAX_LENGTH}`)
  if (remaining <= MAGIC_OFFSET) return -1
  const magic = data.getInt8(start + MAGIC_OFFSET)
  if (magic < 0 || magic > 2) throw corrupt(`unknown magic ${magic}`)
  return length > remaining - LOG_OVERHEAD_BYTES ? -1 : start + LOG_OVERHEAD_BYTES + length
}

/** The batch that begins at `start`, its frame and checksum verified; its records are not looked at. */
export function readBatchHeader(bytes: Uint8Array, start = 0): RecordBatchHeader {
  const end = batchEnd(bytes, start)
  if (end === -1) throw corrupt(`the batch ends after ${bytes.length - start} bytes, before its length says`)
  const data = view(bytes)
  const magic = data.getInt8(start + MAGIC_OFFSET)
  if (magic !== 2) throw invalid(`a batch of format ${magic}, only format 2 is read`)
  if (end - start < BATCH_OVERHEAD_BYTES) {
    throw corrupt(`a batch of ${end - start} bytes is smaller than its header, ${BATCH_OVERHEAD_BYTES} bytes`)
  }
  const stored = data.getUint32(start + 17)
  const computed = crc32c(bytes, start + 21, end)
  if (stored !== computed) throw corrupt(`the CRC is ${stored}, that of the bytes ${computed}`)
  const attributes = data.getInt16(start + 21)
  const compression = COMPRESSION_TYPES[attributes & 7]
  if (compression === undefined) throw new ProtocolError(`unknown compression type ${attributes & 7}`)
  return {
    baseOffset: data.getBigInt64(start),
    sizeInBytes: end - start,
    partitionLeaderEpoch: data.getInt32(start + 12),
    compression,
    isLogAppendTime: (attributes & 0x08) !== 0,
    isTransactional: (attributes & 0x10) !== 0,
    isControl: (attributes & 0x20) !== 0,
    lastOffsetDelta: data.getInt32(start + 23),
    baseTimestamp: Number(data.getBigInt64(start + 27)),
    maxTimestamp: Number(data.getBigInt64(start + 35)),
    producerId: data.getBigInt64(start + 43),
    producerEpoch: data.getInt16(start + 51),
    baseSequence: data.getInt32(start + 53),
    recordCount: data.getInt32(start + 57),
  }
}

/** That the counts in a header agree with each other. */
export function checkBatchCounts(header: RecordBatchHeader): void {
  const { lastOffsetDelta, recordCount } = header
  if (lastOffsetDelta < 0) throw invalid(`the last offset delta is ${lastOffsetDelta}`)
  if (recordCount <= 0) throw invalid(`the record count is ${recordCount}`)
  if (lastOffsetDelta + 1 !== recordCount) {
    throw invalid(`the last offset delta is ${lastOffsetDelta}, but there are ${recordCount} records`)
  }
}

/**
 * Over the records of a batch whose header was read. Throws ProtocolError without a code, as Kafka's broker has none
 * for it, where compressed ones cannot be decompressed; see `decoderStarts` for zstd.
 */
export function recordReader(batch: Uint8Array, header: RecordBatchHeader): RecordReader {
  const { compression, recordCount } = header
  if (compression === 'none') return new RecordReader(batch, BATCH_OVERHEAD_BYTES, batch.length, recordCount)
  let records: Uint8Array
  try {
    records = decompress(COMPRESSION_TYPES.indexOf(compression), batch.subarray(BATCH_OVERHEAD_BYTES))
  } catch (cause) {
    throw new ProtocolError(`the records cannot be decompressed with ${compression}`, { cause })
  }
  return new RecordReader(records, 0, records.length, recordCount)
}

/**
 * Walks the uncompressed records of a batch without an object per record: `next` moves to the next record and
 * checks its structure, the fields say where its parts lie in the bytes.
 */
export class RecordReader {
  timestampDelta = 0
  offsetDelta = 0
  keyStart = 0
  /** -1: no key. */
  keyLength = -1
  valueStart = 0
  /** -1: null. */
  valueLength = -1
  headersStart = 0
  headerCount = 0

  readonly #bytes: Uint8Array
  readonly #end: number
  #position: number
  #left: number

  constructor(bytes: Uint8Array, start: number, end: number, recordCount: number) {
    this.#bytes = bytes
    this.#position = start
    this.#end = end
    this.#left = recordCount
  }

  /** False after the last record, which must end where the batch ends. */
  next(): boolean {
    if (this.#left === 0) {
      if (this.#position !== this.#end) {
        throw invalid(`${this.#end - this.#position} bytes follow the last record`)
      }
      return false
    }
    this.#left--
    if (this.#position >= this.#end) throw invalid('the batch ends before its last record')
    // Kafka has no word for a size that is no number: an error without a code.
    const size = this.#varint((message) => new ProtocolError(message))
    const end = this.#position + size
    if (size < 0 || end > this.#end) {
      throw invalid(`a record of ${size} bytes where ${this.#end - this.#position} are left`)
    }
    this.#skip(1) // record attributes, unused
    this.timestampDelta = this.#varlong()
    this.offsetDelta = this.#varint()
    this.keyLength = this.#varint()
    this.keyStart = this.#position
    this.#skip(this.keyLength)
    this.valueLength = this.#varint()
    this.valueStart = this.#position
    this.#skip(this.valueLength)
    this.headerCount = this.#varint()
    this.headersStart = this.#position
    if (this.headerCount < 0 || this.headerCount > this.#end - this.#position) {
      throw invalid(`a record with ${this.headerCount} headers`)
    }
    for (let i = 0; i < this.headerCount; i++) {
      const keyLength = this.#varint()
      if (keyLength < 0) throw invalid(`a header key of ${keyLength} bytes`)
      this.#skip(keyLength)
      this.#skip(this.#varint())
    }
    if (this.#position !== end)
      throw invalid(`a record of ${size} bytes ends ${this.#position - end} bytes off`)
    return true
  }

  key(): Uint8Array | null {
    return this.#slice(this.keyStart, this.keyLength)
  }

  value(): Uint8Array | null {
    return this.#slice(this.valueStart, this.valueLength)
  }

  headers(): [key: string, value: Uint8Array | null][] {
    const after = this.#position
    this.#position = this.headersStart
    const headers: [string, Uint8Array | null][] = []
    for (let i = 0; i < this.headerCount; i++) {
      const keyLength = this.#varint()
      const key = Buffer.from(this.#slice(this.#position, keyLength) ?? []).toString('utf8')
      this.#position += keyLength
      const valueLength = this.#varint()
      headers.push([key, this.#slice(this.#position, valueLength)])
      this.#skip(valueLength)
    }
    this.#position = after
    return headers
  }

  #slice(start: number, length: number): Uint8Array | null {
    return length < 0 ? null : this.#bytes.subarray(start, start + length)
  }

  /** A negative length is that of null, and takes no bytes. */
  #skip(length: number): void {
    if (length <= 0) return
    if (length > this.#end - this.#position)
      throw invalid(`${length} bytes where ${this.#end - this.#position} are left`)
    this.#position += length
  }

  #byte(): number {
    if (this.#position >= this.#end) throw invalid('the batch ends inside a record')
    return this.#bytes[this.#position++]!
  }

  #varint(tooLong = invalid): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.#byte()
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return (value >>> 1) ^ -(value & 1)
    }
    throw tooLong('a varint of more than 5 bytes')
  }

  #varlong(): number {
    const start = this.#position
    // Deltas that fit 28 bits, nearly all of them, need no bigint.
    let low = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte()
      low |= (byte & 0x7f) << shift
      if (byte < 0x80) return (low >>> 1) ^ -(low & 1)
    }
    this.#position = start
    let value = 0n
    for (let shift = 0n; shift < 70n; shift += 7n) {
      const byte = this.#byte()
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return Number(BigInt.asIntN(64, (BigInt.asUintN(64, value) >> 1n) ^ -(value & 1n)))
    }
    throw invalid('a varint of more than 10 bytes')
  }
}

/**
 * The one batch that `bytes` hold, header and records, all of it verified. Throws ProtocolError (`code`
 * CORRUPT_MESSAGE or INVALID_RECORD) at the first thing wrong.
 */
export function readRecordBatch(bytes: Uint8Array): { header: RecordBatchHeader; records: ReadRecord[] } {
  const header = readBatchHeader(bytes)
  if (header.sizeInBytes !== bytes.length) {
    throw invalid(`${bytes.length - header.sizeInBytes} bytes follow the batch`)
  }
  checkBatchCounts(header)
  const records: ReadRecord[] = []
  const cursor = recordReader(bytes, header)
  while (cursor.next()) {
    records.push({
      offset: header.baseOffset + BigInt(cursor.offsetDelta),
      timestamp: header.isLogAppendTime ? header.maxTimestamp : header.baseTimestamp + cursor.timestampDelta,
      key: cursor.key(),
      value: cursor.value(),
      headers: cursor.headers(),
    })
  }
  return { header, records }
}
