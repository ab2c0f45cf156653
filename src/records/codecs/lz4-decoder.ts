/** Reads LZ4 frames, for the test broker: what Kafka's Java client accepts, and refuses what it refuses. */
import type * as Lz4js from 'lz4js'
import { assertOutput } from './output-limit.js'

const MAGIC = 0x184d_2204
const INDEPENDENT = 0x20
const BLOCK_CHECKSUM = 0x10
const CONTENT_SIZE = 0x08
const CONTENT_CHECKSUM = 0x04
const STORED = 0x8000_0000

export function readLz4Frame(bytes: Uint8Array): Uint8Array {
  const { decompressBlock } = require('lz4js') as typeof Lz4js
  const frame = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  if (frame.length < 7 || frame.readUInt32LE(0) !== MAGIC) throw new Error('no LZ4 frame')
  const flags = frame[4]!
  if (flags >>> 6 !== 1) throw new Error(`LZ4 frame of version ${flags >>> 6}`)
  if ((flags & INDEPENDENT) === 0) throw new Error('an LZ4 frame of dependent blocks')
  const sizeCode = (frame[5]! >>> 4) & 7
  if (sizeCode < 4) throw new Error(`LZ4 block size code ${sizeCode}`)
  const target = new Uint8Array(1 << (8 + 2 * sizeCode))
  const blocks: Uint8Array[] = []
  let total = 0
  let at = 7 + ((flags & CONTENT_SIZE) === 0 ? 0 : 8)
  for (;;) {
    const length = frame.readUInt32LE(at)
    at += 4
    if (length === 0) break
    const size = length % STORED
    if (size > frame.length - at) throw new Error('the LZ4 frame ends inside a block')
    const block = frame.subarray(at, at + size)
    if (length >= STORED) {
      blocks.push(block)
    } else {
      const end = decompressBlock(block, target, 0, size, 0)
      if (end > target.length) throw new Error(`an LZ4 block of more than ${target.length} bytes`)
      blocks.push(target.slice(0, end))
    }
    total += blocks.at(-1)!.length
    assertOutput(total)
    at += size + ((flags & BLOCK_CHECKSUM) === 0 ? 0 : 4)
  }
  if (at + ((flags & CONTENT_CHECKSUM) === 0 ? 0 : 4) !== frame.length)
    throw new Error('bytes follow the LZ4 frame')
  return Buffer.concat(blocks)
}
