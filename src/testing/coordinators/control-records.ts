/** The marker that ends a transaction in a partition: a batch of its own, with one control record. */
import { crc32c } from '../../records/crc32c.js'
import { BATCH_OVERHEAD_BYTES } from '../../records/read-record-batch.js'

/** What a transaction coordinator has written to each partition of a transaction. */
export interface Marker {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly isCommit: boolean
  readonly coordinatorEpoch: number
  /** 2: the epoch of the marker is one more than that of the records (KIP-890); below, it is the same. */
  readonly transactionVersion: number
}

/** Transactional, and a control batch. */
const ATTRIBUTES = 0x30
/** Size, attributes, two deltas, length and bytes of key and value, no headers. */
const RECORD_BYTES = 17

/**
 * The record behind the header of the batch, its small varints being zigzag:
 *
 *    0  size            5  key version, int16     10  value version, int16
 *    1  attributes      7  type, int16: 0 abort,  12  coordinator epoch, int32
 *    2  time delta         1 commit               16  headers
 *    3  offset delta    9  value length
 *    4  key length
 */
export function markerBatch(marker: Marker, offset: number, leaderEpoch: number, now: number): Uint8Array {
  const batch = new Uint8Array(BATCH_OVERHEAD_BYTES + RECORD_BYTES)
  const data = new DataView(batch.buffer)
  data.setBigInt64(0, BigInt(offset))
  data.setInt32(8, batch.length - 12)
  data.setInt32(12, leaderEpoch)
  data.setInt8(16, 2)
  data.setInt16(21, ATTRIBUTES)
  data.setInt32(23, 0)
  data.setBigInt64(27, BigInt(now))
  data.setBigInt64(35, BigInt(now))
  data.setBigInt64(43, marker.producerId)
  data.setInt16(51, marker.producerEpoch)
  data.setInt32(53, -1)
  data.setInt32(57, 1)
  const record = BATCH_OVERHEAD_BYTES
  data.setInt8(record, (RECORD_BYTES - 1) * 2)
  data.setInt8(record + 4, 4 * 2)
  data.setInt16(record + 7, marker.isCommit ? 1 : 0)
  data.setInt8(record + 9, 6 * 2)
  data.setInt32(record + 12, marker.coordinatorEpoch)
  data.setUint32(17, crc32c(batch, 21, batch.length))
  return batch
}
