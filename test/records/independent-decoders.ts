/**
 * Decoders that share no code with the engines of src/records/codecs: fflate (gzip), hysnappy (snappy), the reference
 * implementation of LZ4 compiled to WebAssembly (lz4), and fzstd (zstd). The framings of snappy are read here.
 */
import decodeLz4 from '@foxglove/wasm-lz4'
import { gunzipSync } from 'fflate'
import { decompress as decodeZstd } from 'fzstd'
import { snappyUncompressor } from 'hysnappy'
import type { CompressionType } from '../../src/codec.js'

const decodeSnappy = snappyUncompressor()

/** Resolves when the decoders can be called. */
export const decodersReady = decodeLz4.isLoaded

/** What these bytes are, given how many there are. */
export function decode(type: Exclude<CompressionType, 'none'>, bytes: Uint8Array, size: number): Uint8Array {
  switch (type) {
    case 'gzip':
      return gunzipSync(bytes)
    case 'snappy':
      return xerial(Buffer.from(bytes))
    case 'lz4':
      return size === 0 ? emptyFrame(bytes) : decodeLz4(bytes, size)
    case 'zstd':
      return decodeZstd(bytes)
  }
}

function xerial(frame: Buffer): Buffer {
  if (frame.toString('latin1', 0, 8) !== '\x82SNAPPY\0') throw new Error('no xerial magic')
  if (frame.readInt32BE(8) !== 1 || frame.readInt32BE(12) !== 1) throw new Error('not version 1')
  const blocks: Uint8Array[] = []
  for (let at = 16; at < frame.length;) {
    const size = frame.readInt32BE(at)
    const block = frame.subarray(at + 4, at + 4 + size)
    const length = uncompressedLength(block)
    if (length > 32 * 1024) throw new Error(`a block of ${length} bytes`)
    blocks.push(decodeSnappy(block, length))
    at += 4 + size
  }
  return Buffer.concat(blocks)
}

/** A raw snappy stream begins with a varint of its length. */
function uncompressedLength(block: Uint8Array): number {
  let length = 0
  for (let i = 0; ; i++) {
    length += (block[i]! & 0x7f) * 2 ** (7 * i)
    if (block[i]! < 0x80) return length
  }
}

/** The reference decoder was built to want a size above 0. */
function emptyFrame(bytes: Uint8Array): Uint8Array {
  if (Buffer.from(bytes).toString('hex') !== '04224d1860408200000000') throw new Error('no empty LZ4 frame')
  return new Uint8Array(0)
}
