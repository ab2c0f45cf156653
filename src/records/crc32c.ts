/** CRC-32C (Castagnoli), the checksum of record batches; another polynomial than zlib's crc32. */
import { buf } from 'crc-32/crc32c.js'

/** The checksum of `bytes[start, end)` as an unsigned 32-bit number. */
export function crc32c(bytes: Uint8Array, start: number, end: number): number {
  return buf(bytes.subarray(start, end), 0) >>> 0
}
