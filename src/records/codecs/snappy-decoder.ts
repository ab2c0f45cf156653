/**
 * Reads one raw snappy stream, for the test broker. Every length is checked before it is used: damaged bytes end in an
 * Error.
 *
 *   varint: size when decompressed | elements, by the two low bits of their tag: 0 literal, 1 to 3 copy of what came before
 */
import { assertOutput } from './output-limit.js'

/** A copy of 64 bytes takes three, so that more than this is a lie. */
const MAX_RATIO = 32
const MAX_SIZE_BYTES = 5

export function readSnappyBlock(block: Uint8Array): Uint8Array {
  let at = 0
  const next = (count: number): number => {
    if (at + count > block.length) throw new Error('the snappy block ends too early')
    let value = 0
    for (let i = 0; i < count; i++) value += block[at++]! * 2 ** (8 * i)
    return value
  }
  let size = 0
  for (let i = 0, byte = 0x80; byte >= 0x80; i++) {
    if (i === MAX_SIZE_BYTES) throw new Error('the size of a snappy block is no varint')
    byte = next(1)
    size += (byte & 0x7f) * 2 ** (7 * i)
  }
  assertOutput(size)
  if (size > block.length * MAX_RATIO) throw new Error(`a snappy block cannot hold ${size} bytes`)
  const target = Buffer.alloc(size)
  let end = 0
  while (at < block.length) {
    const tag = next(1)
    const kind = tag & 3
    let length = (tag >>> 2) + 1
    if (kind === 0) {
      if (length > 60) length = next(length - 60) + 1
      if (length > block.length - at) throw new Error('the snappy block ends inside a literal')
      if (length > size - end) throw new Error('the snappy block holds more than it says')
      target.set(block.subarray(at, at + length), end)
      at += length
    } else {
      if (kind === 1) length = ((tag >>> 2) & 7) + 4
      const offset = kind === 1 ? (tag >>> 5) * 256 + next(1) : next(kind === 2 ? 2 : 4)
      if (offset === 0 || offset > end) throw new Error('a snappy block copies what is not there')
      if (length > size - end) throw new Error('the snappy block holds more than it says')
      for (let i = 0; i < length; i++) target[end + i] = target[end + i - offset]!
    }
    end += length
  }
  if (end !== size) throw new Error('the snappy block holds less than it says')
  return target
}
