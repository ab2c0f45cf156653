/**
 * Snappy in the framing of xerial's snappy-java, which Kafka's Java client writes and reads: blocks of 32 KiB, each a
 * raw snappy stream of its own.
 *
 *   0 magic 82 'SNAPPY' 00 | 8 version i32 1 | 12 least version i32 1 | 16 blocks: length i32, then the block
 */
import { plain, scratch } from './scratch.js'

const HEADER = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]
const BLOCK_BYTES = 32 * 1024

/** Writes the raw snappy stream of a block into `target` and returns its length. */
export type CompressBlock = (block: Uint8Array, target: Uint8Array) => number

/** The most that a block of `length` bytes becomes. */
const blockBound = (length: number): number => 32 + length + Math.ceil(length / 6)

/** The whole frame. */
export function xerialFrame(bytes: Uint8Array, compressBlock: CompressBlock): Uint8Array {
  const { length } = bytes
  const target = scratch(HEADER.length + blockBound(length) + 36 * Math.ceil(length / BLOCK_BYTES))
  target.set(HEADER)
  let at = HEADER.length
  for (let start = 0; start < length; start += BLOCK_BYTES) {
    const block = plain(bytes, start, Math.min(start + BLOCK_BYTES, length))
    const size = compressBlock(block, target.subarray(at + 4))
    target[at] = size >>> 24
    target[at + 1] = size >>> 16
    target[at + 2] = size >>> 8
    target[at + 3] = size
    at += 4 + size
  }
  return target.slice(0, at)
}

/** snappyjs; its compressor is used without the `compress` around it, which allocates the worst case each time. */
export function snappyjs(): CompressBlock {
  const { SnappyCompressor } =
    require('snappyjs/snappy_compressor.js') as typeof import('snappyjs/snappy_compressor.js')
  const compressor = new SnappyCompressor(new Uint8Array(0))
  return (block, target) => {
    compressor.array = block
    return compressor.compressToBuffer(target)
  }
}
