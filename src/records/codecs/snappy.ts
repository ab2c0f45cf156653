/**
 * Snappy in the framing of xerial's snappy-java, which Kafka's Java client writes and reads: blocks of 32 KiB, each a
 * raw snappy stream of its own.
 *
 *   0 magic 82 'SNAPPY' 00 | 8 version i32 1 | 12 least version i32 1 | 16 blocks: length i32, then the block
 */
import type * as Snappy from 'snappy'
import type * as SnappyCompressors from 'snappyjs/snappy_compressor.js'
import { assertOutput } from './output-limit.js'
import { readSnappyBlock } from './snappy-decoder.js'
import { optionalPackage } from '../../optional-package.js'
import { compressBlocks, type CompressBlock } from './blocks.js'

const HEADER = [0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1]
const BLOCK_BYTES = 32 * 1024

/** The whole frame. */
export function xerialFrame(
  bytes: Uint8Array,
  compressBlock: CompressBlock,
): Uint8Array | Promise<Uint8Array> {
  return compressBlocks(bytes, BLOCK_BYTES, compressBlock, frameOf)
}

function frameOf(_blocks: readonly Uint8Array[], compressed: readonly Uint8Array[]): Uint8Array {
  const size = compressed.reduce((sum, block) => sum + 4 + block.length, HEADER.length)
  const frame = Buffer.allocUnsafe(size)
  frame.set(HEADER)
  let at = HEADER.length
  for (const block of compressed) {
    at = frame.writeInt32BE(block.length, at)
    frame.set(block, at)
    at += block.length
  }
  return frame
}

/** snappyjs; its compressor is used without the `compress` around it, which allocates the worst case each time. */
export function snappyjs(): CompressBlock {
  const { SnappyCompressor } = require('snappyjs/snappy_compressor.js') as typeof SnappyCompressors
  const compressor = new SnappyCompressor(new Uint8Array(0))
  const target = new Uint8Array(32 + BLOCK_BYTES + Math.ceil(BLOCK_BYTES / 6))
  return (block) => {
    compressor.array = block
    return target.slice(0, compressor.compressToBuffer(target))
  }
}

/**
 * snappy, an optional peer: native code, and on the thread pool where a batch has several blocks. Undefined where it is
 * not installed.
 */
export function snappyNative(): CompressBlock | undefined {
  const snappy = optionalPackage('snappy') as typeof Snappy | undefined
  if (snappy === undefined) return undefined
  const { compress, compressSync } = snappy
  return (block, isOnly) => (isOnly ? compressSync(block) : compress(block))
}

/** Reads the xerial framing, and a raw stream too, as the Java client does. */
export function readSnappy(bytes: Uint8Array): Uint8Array {
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (!HEADER.slice(0, 8).every((byte, i) => frame[i] === byte)) return readSnappyBlock(frame)
  const blocks: Uint8Array[] = []
  let size = 0
  let at = HEADER.length
  while (at < frame.length) {
    const end = at + 4 + frame.readInt32BE(at)
    if (end < at + 4 || end > frame.length) throw new Error('the snappy frame ends inside a block')
    const block = readSnappyBlock(frame.subarray(at + 4, end))
    size += block.length
    assertOutput(size)
    blocks.push(block)
    at = end
  }
  return Buffer.concat(blocks)
}
