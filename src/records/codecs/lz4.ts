/**
 * LZ4 frames as Kafka's Java client writes and reads them: independent blocks of 64 KiB, no checksum but that of the
 * header. lz4js's own frame has dependent blocks, which Java refuses, so only its block function is used.
 *
 *   0 magic 04 22 4d 18 | 4 FLG 60 | 5 BD 40 | 6 header checksum 82
 *   7 blocks: length u32, little-endian, its highest bit set where the block is stored as it is, then the block
 *     end mark: length 0
 */
import type * as Lz4Napi from 'lz4-napi'
import type * as Lz4js from 'lz4js'
import { optionalPackage } from '../../optional-package.js'
import { compressBlocks, type CompressBlock } from './blocks.js'

const HEADER = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82] // version 1, independent; 64 KiB; xxh32 of those two
const BLOCK_BYTES = 64 * 1024
const STORED = 0x8000_0000
/** The last bytes of a block are literals, and no match begins in its last 12: decoders rely on it. */
const MATCH_LIMIT = 12

/** The whole frame. */
export function lz4Frame(bytes: Uint8Array, compressBlock: CompressBlock): Uint8Array | Promise<Uint8Array> {
  return compressBlocks(bytes, BLOCK_BYTES, compressBlock, frameOf)
}

/** A block that did not get smaller is stored as it is. */
function frameOf(blocks: readonly Uint8Array[], compressed: readonly Uint8Array[]): Uint8Array {
  let size = HEADER.length + 4
  for (const [i, block] of blocks.entries()) size += 4 + Math.min(block.length, compressed[i]!.length)
  const frame = Buffer.allocUnsafe(size)
  frame.set(HEADER)
  let at = HEADER.length
  for (const [i, block] of blocks.entries()) {
    const isSmaller = compressed[i]!.length < block.length
    const kept = isSmaller ? compressed[i]! : block
    at = frame.writeUInt32LE(isSmaller ? kept.length : STORED + kept.length, at)
    frame.set(kept, at)
    at += kept.length
  }
  frame.writeUInt32LE(0, at)
  return frame
}

/** lz4js, with one hash table and one buffer for all blocks. */
export function lz4js(): CompressBlock {
  const { compressBlock } = require('lz4js') as typeof Lz4js
  // Positions in a block fit 16 bits, and half the table is cleared and cached in half the time.
  const positions = new Uint16Array(65_536)
  const target = new Uint8Array(BLOCK_BYTES + Math.ceil(BLOCK_BYTES / 255) + 16)
  return (block) => {
    positions.fill(0)
    const size = compressBlock(block, target, 0, block.length, positions)
    return size === 0 ? block : target.slice(0, endInLiterals(block, target, size))
  }
}

/**
 * lz4-napi, an optional peer: native code, and on the thread pool where a batch has several blocks. Undefined where it is
 * not installed.
 */
export function lz4Napi(): CompressBlock | undefined {
  const lz4 = optionalPackage('lz4-napi') as typeof Lz4Napi | undefined
  if (lz4 === undefined) return undefined
  const { compress, compressSync } = lz4
  return (block, isOnly) =>
    isOnly ? bareBlock(compressSync(block as Buffer)) : compress(block).then(bareBlock)
}

/** lz4-napi puts the length of what it was given before the block. */
function bareBlock(sized: Uint8Array): Uint8Array {
  return sized.subarray(4)
}

/**
 * lz4js may begin its last match 10 or 11 bytes before the end of the block. The reference decoder then gives up where
 * the block fills the buffer that it decodes into, as one of 64 KiB does. Such a match, of 6 bytes at most, becomes a
 * part of the literals at the end.
 */
function endInLiterals(block: Uint8Array, target: Uint8Array, size: number): number {
  // Then 5 to 7 literals follow it: seldom so, and cheap to see, so the walk below is seldom taken.
  if (
    !endsWithLiterals(target, size, 5) &&
    !endsWithLiterals(target, size, 6) &&
    !endsWithLiterals(target, size, 7)
  )
    return size
  let read = 0
  let written = 0
  for (;;) {
    const token = read
    const anchor = written
    const literals = runLength(target, token, target[token]! >>> 4)
    read = literals.end + literals.length
    written += literals.length
    if (read === size) return size
    if (written > block.length - MATCH_LIMIT) return writeLiterals(block, anchor, target, token)
    // A match's length stands behind its offset of two bytes.
    const match = runLength(target, read + 1, target[token]! & 15)
    read = match.end
    written += match.length + 4
  }
}

function endsWithLiterals(target: Uint8Array, size: number, count: number): boolean {
  return target[size - 1 - count] === count << 4
}

/** A length whose first part is `nibble`; the rest, if any, follows `at`. */
function runLength(target: Uint8Array, at: number, nibble: number): { length: number; end: number } {
  let length = nibble
  let end = at + 1
  if (nibble === 15) {
    let byte: number
    do {
      byte = target[end++]!
      length += byte
    } while (byte === 255)
  }
  return { length, end }
}

/** The last sequence of a block, from its token on: the rest of the block from `anchor` on. Returns where it ends. */
function writeLiterals(block: Uint8Array, anchor: number, target: Uint8Array, at: number): number {
  const length = block.length - anchor
  target[at++] = Math.min(length, 15) << 4
  if (length >= 15) {
    let rest = length - 15
    for (; rest >= 255; rest -= 255) target[at++] = 255
    target[at++] = rest
  }
  target.set(block.subarray(anchor), at)
  return at + length
}
