/**
 * The log of one partition: its batches as they were produced, and the markers that end transactions. Decides as the
 * log of Apache Kafka 4.2 does whether a batch is appended, is a duplicate, or is refused, and with which code;
 * test/interop/sequence-checks.test.ts holds the two against each other. Does no I/O and knows no clock.
 */
import { crc32c } from '../../records/crc32c.js'
import {
  batchEnd,
  checkBatchCounts,
  readBatchHeader,
  recordReader,
  type RecordBatchHeader,
} from '../../records/read-record-batch.js'
import { markerBatch, type Marker } from '../coordinators/control-records.js'
import { ProducerStates } from './producer-states.js'
import { Refusal, type RecordError } from '../requests/refusal.js'

/** `message.timestamp.after.max.ms`: how far a record's time may lie ahead of the broker's. */
const TIMESTAMP_AFTER_MAX_MS = 3_600_000
const ZSTD = 4

/** The settings of a topic that its logs obey. */
export interface LogConfig {
  readonly maxMessageBytes: number
  readonly messageTimestampType: 'CreateTime' | 'LogAppendTime'
  readonly cleanupPolicy: 'delete' | 'compact'
}

export interface Appended {
  readonly baseOffset: number
  /** The broker's time with LogAppendTime, the remembered one of a duplicate, otherwise -1. */
  readonly logAppendTimeMs: number
  readonly isDuplicate: boolean
}

/** A transaction that was aborted, as the log's index of them has it. */
export interface AbortedTransaction {
  readonly producerId: bigint
  /** Of its first record here. */
  readonly firstOffset: number
  /** Of its marker. */
  readonly lastOffset: number
}

/**
 * What a broker checks of the records in a Produce request before it asks who leads the partition: exactly one
 * batch, of format v2. Returns its bytes; what follows a whole batch but is none is ignored, as in Kafka.
 */
export function onlyBatch(records: Uint8Array | null, apiVersion: number): Uint8Array {
  const end = records === null ? -1 : batchEnd(records, 0)
  if (records === null || end === -1) throw new Refusal('INVALID_RECORD', 'no record batch')
  if (records[16] !== 2) throw new Refusal('INVALID_RECORD', `a batch of format ${records[16]}`)
  if (apiVersion < 7 && (records[22]! & 7) === ZSTD) {
    throw new Refusal('UNSUPPORTED_COMPRESSION_TYPE', `zstd in Produce version ${apiVersion}`)
  }
  if (batchEnd(records, end) !== -1) throw new Refusal('INVALID_RECORD', 'more than one record batch')
  return records.subarray(0, end)
}

export class PartitionLog {
  /** Offset of the first record. */
  readonly startOffset = 0
  #endOffset = 0
  #batches: Uint8Array[] = []
  #aborted: AbortedTransaction[] = []
  #producers = new ProducerStates()

  get producers(): ProducerStates {
    return this.#producers
  }

  /** Offset that the next record gets. */
  get endOffset(): number {
    return this.#endOffset
  }

  /** Offset up to which every transaction is decided. */
  get lastStableOffset(): number {
    return this.producers.firstOpenOffset ?? this.#endOffset
  }

  /** The stored batches in order of their offsets, markers among them; their bytes must not be changed. */
  get batches(): readonly Uint8Array[] {
    return this.#batches
  }

  /** In order of their markers. */
  get abortedTransactions(): readonly AbortedTransaction[] {
    return this.#aborted
  }

  /** What a consumer with `isolation.level=read_committed` gets to see of a batch. */
  isCommitted({ baseOffset, isTransactional, producerId }: RecordBatchHeader): boolean {
    if (baseOffset >= this.lastStableOffset) return false
    const isAborted = (each: AbortedTransaction) =>
      each.producerId === producerId && baseOffset >= each.firstOffset && baseOffset <= each.lastOffset
    return !isTransactional || !this.#aborted.some(isAborted)
  }

  /**
   * Appends one batch, copying it. `now` is the broker's time in milliseconds since the epoch; `isVerified` says that
   * the transaction coordinator knows of the partition. Throws a KafkaError with the protocol's `errno` where the
   * batch is refused: then nothing has changed.
   */
  append(
    batch: Uint8Array,
    leaderEpoch: number,
    now: number,
    config: LogConfig,
    isVerified: boolean,
  ): Appended {
    const data = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
    if (data.getBigInt64(0) !== 0n) {
      throw new Refusal('INVALID_RECORD', `the base offset is ${data.getBigInt64(0)}, not 0`)
    }
    if (batch.length > config.maxMessageBytes) {
      throw new Refusal('MESSAGE_TOO_LARGE', `${batch.length} bytes, ${config.maxMessageBytes} are allowed`)
    }
    const header = readBatchHeader(batch)
    checkBatchCounts(header)
    if (header.isControl) throw new Refusal('INVALID_RECORD', 'a client may not write control batches')
    if (header.producerId > -1n && header.baseSequence < 0) {
      throw new Refusal(
        'INVALID_RECORD',
        `producer ${header.producerId} sent sequence ${header.baseSequence}`,
      )
    }
    const maxTimestamp = checkRecords(batch, header, now, config)
    const storedTimestamp = config.messageTimestampType === 'LogAppendTime' ? now : maxTimestamp

    const duplicate = this.producers.duplicateOf(header)
    if (duplicate !== undefined) {
      const { baseOffset, maxTimestamp: logAppendTimeMs } = duplicate
      return { baseOffset, logAppendTimeMs, isDuplicate: true }
    }
    this.producers.check(header, isVerified)
    const baseOffset = this.#endOffset
    this.producers.remember(header, baseOffset, storedTimestamp)
    this.#batches.push(storedBatch(batch, baseOffset, leaderEpoch, storedTimestamp, config))
    this.#endOffset += header.recordCount
    const logAppendTimeMs = config.messageTimestampType === 'LogAppendTime' ? now : -1
    return { baseOffset, logAppendTimeMs, isDuplicate: false }
  }

  /** Keeps the batches before `endOffset`, and of producers what these tell. A batch goes as a whole. */
  truncate(endOffset: number): void {
    if (!Number.isInteger(endOffset) || endOffset < 0)
      throw new RangeError(`a log cannot be cut to offset ${endOffset}`)
    const old = this.#batches
    this.#batches = []
    this.#producers = new ProducerStates()
    this.#endOffset = 0
    for (const batch of old) {
      const header = readBatchHeader(batch)
      const baseOffset = this.#endOffset
      if (baseOffset + header.recordCount > endOffset) break
      this.#batches.push(batch)
      this.#endOffset += header.recordCount
      if (header.isControl) this.#producers.end({ ...header, transactionVersion: 1 })
      else this.#producers.remember(header, baseOffset, header.maxTimestamp)
    }
    this.#aborted = this.#aborted.filter(({ lastOffset }) => lastOffset < this.#endOffset)
  }

  /** Appends the marker that ends a transaction here. Throws INVALID_PRODUCER_EPOCH where it comes too late. */
  appendMarker(marker: Marker, leaderEpoch: number, now: number): void {
    const offset = this.#endOffset
    const firstOffset = this.producers.end(marker)
    this.#batches.push(markerBatch(marker, offset, leaderEpoch, now))
    this.#endOffset++
    if (firstOffset === undefined || marker.isCommit) return
    this.#aborted.push({ producerId: marker.producerId, firstOffset, lastOffset: offset })
  }
}

/** Checks each record and returns the latest timestamp. */
function checkRecords(batch: Uint8Array, header: RecordBatchHeader, now: number, config: LogConfig): number {
  const cursor = recordReader(batch, header)
  const isCreateTime = config.messageTimestampType === 'CreateTime'
  const errors: RecordError[] = []
  let code: 'INVALID_RECORD' | 'INVALID_TIMESTAMP' = 'INVALID_RECORD'
  let maxTimestamp = -1
  for (let index = 0; cursor.next(); index++) {
    const timestamp = header.isLogAppendTime
      ? header.maxTimestamp
      : header.baseTimestamp + cursor.timestampDelta
    if (timestamp > maxTimestamp) maxTimestamp = timestamp
    if (config.cleanupPolicy === 'compact' && cursor.keyLength < 0) {
      errors.push({
        batchIndex: index,
        batchIndexErrorMessage: 'a compacted topic takes no record without a key',
      })
    } else if (isCreateTime && timestamp !== -1 && timestamp - now > TIMESTAMP_AFTER_MAX_MS) {
      code = 'INVALID_TIMESTAMP'
      const limit = now + TIMESTAMP_AFTER_MAX_MS
      errors.push({ batchIndex: index, batchIndexErrorMessage: `timestamp ${timestamp} is beyond ${limit}` })
    } else if (header.isLogAppendTime && !(isCreateTime && timestamp !== -1)) {
      code = 'INVALID_TIMESTAMP'
      errors.push({ batchIndex: index, batchIndexErrorMessage: 'a client may not say LogAppendTime' })
    }
  }
  if (errors.length > 0) {
    const reason = code === 'INVALID_TIMESTAMP' ? 'invalid timestamp' : `${errors.length} record errors`
    throw new Refusal(code, `One or more records have been rejected due to ${reason}`, errors)
  }
  return maxTimestamp
}

/** A copy of the batch as the log keeps it: with its offset, the leader's epoch and the time that the topic wants. */
function storedBatch(
  batch: Uint8Array,
  baseOffset: number,
  leaderEpoch: number,
  maxTimestamp: number,
  config: LogConfig,
): Uint8Array {
  const stored = new Uint8Array(batch)
  const data = new DataView(stored.buffer)
  data.setBigInt64(0, BigInt(baseOffset))
  data.setInt32(12, leaderEpoch)
  const attributes = data.getInt16(21)
  const wanted = config.messageTimestampType === 'LogAppendTime' ? attributes | 0x08 : attributes & ~0x08
  if (wanted !== attributes || data.getBigInt64(35) !== BigInt(maxTimestamp)) {
    data.setInt16(21, wanted)
    data.setBigInt64(35, BigInt(maxTimestamp))
    data.setUint32(17, crc32c(stored, 21, stored.length))
  }
  return stored
}
