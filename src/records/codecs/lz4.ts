/**
 * LZ4 frames as Kafka's Java client writes and reads them: independent blocks of 64 KiB, no checksum but that of the
 * header. lz4js's own frame has dependent blocks, which Java refuses, so only its block function is used.
 *
 *   0 magic 04 22 4d 18 | 4 FLG 60 | 5 BD 40 | 6 header checksum 82
 *   7 blocks: length u32, little-endian, its highest bit set where the block is stored as it is, then the block
 *     end mark: length 0
 */
import { plain, scratch } from './scratch.js'

const HEADER = [0x04, 0x22, 0x4d, 0x18, 0x60, 0x40, 0x82] // version 1, independent; 64 KiB; xxh32 of those two
const BLOCK_BYTES = 64 * 1024
const STORED = 0x8000_0000
/** The last bytes of a block are literals, and no match begins in its last 12: decoders rely on it. */
const MATCH_LIMIT = 12

/** Writes the compressed block into `target` and returns its length, 0 where it does not get smaller. */
export type CompressBlock = (block: Uint8Array, target: Uint8Array) => number

/** The most that a block of `length` bytes becomes. */
const blockBound = (length: number): number => length + Math.ceil(length / 255) + 16

/** The whole frame. */
export function lz4Frame(bytes: Uint8Array, compressBlock: CompressBlock): Uint8Array {
  const { length } = bytes
  const blocks = Math.ceil(length / BLOCK_BYTES)
  const target = scratch(HEADER.length + length + 4 * blocks + blockBound(BLOCK_BYTES) + 4)
  target.set(HEADER)
  let at = HEADER.length
  for (let start = 0; start < length; start += BLOCK_BYTES) {
    const block = plain(bytes, start, Math.min(start + BLOCK_BYTES, length))
    const size = compressBlock(block, target.subarray(at + 4))
    if (size > 0 && size < block.length) {
      at = writeLength(target, at, size) + size
    } else {
      at = writeLength(target, at, STORED + block.length)
      target.set(block, at)
      at += block.length
    }
  }
  return target.slice(0, writeLength(target, at, 0))
}

function writeLength(target: Uint8Array, at: number, length: number): number {
  target[at] = length
  target[at + 1] = length >>> 8
  target[at + 2] = length >>> 16
  target[at + 3] = length >>> 24
  return at + 4
}

/** lz4js, with one hash table for all blocks. */
export function lz4js(): CompressBlock {
  const { compressBlock } = require('lz4js') as typeof import('lz4js')
  // Positions in a block fit 16 bits, and half the table is cleared and cached in half the time.
  const positions = new Uint16Array(65_536)
  return (block, target) => {
    positions.fill(0)
    const size = compressBlock(block, target, 0, block.length, positions)
    return size === 0 ? 0 : endInLiterals(block, target, size)
  }
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
