/** gzip by Node's own zlib, on its thread pool where that pays. */
import { gunzipSync, gzip as deflate, gzipSync } from 'node:zlib'
import { MAX_OUTPUT_BYTES } from './output-limit.js'

/** So many bytes take no longer than the way to the thread pool and back. */
const AT_ONCE_BYTES = 4096
const MIN_WINDOW_BITS = 9
const MAX_WINDOW_BITS = 15

export function gzip(bytes: Uint8Array, level: number): Uint8Array | Promise<Uint8Array> {
  // A window as large as the batch: less memory to set up, nothing lost.
  const needed = Math.ceil(Math.log2(Math.max(bytes.length, 1)))
  const windowBits = Math.min(Math.max(needed, MIN_WINDOW_BITS), MAX_WINDOW_BITS)
  if (bytes.length <= AT_ONCE_BYTES) return gzipSync(bytes, { level, windowBits })
  return new Promise((resolve, reject) => {
    deflate(bytes, { level, windowBits }, (error, compressed) => {
      if (error === null) resolve(compressed)
      else reject(error)
    })
  })
}

export function readGzip(bytes: Uint8Array): Uint8Array {
  return gunzipSync(bytes, { maxOutputLength: MAX_OUTPUT_BYTES })
}
