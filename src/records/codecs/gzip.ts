/** gzip by Node's own zlib, on its thread pool. */
import { gzip as deflate } from 'node:zlib'

export function gzip(bytes: Uint8Array, level: number): Promise<Uint8Array> {
  return new Promise((resolve, reject) => {
    deflate(bytes, { level }, (error, compressed) => {
      if (error === null) resolve(compressed)
      else reject(error)
    })
  })
}
