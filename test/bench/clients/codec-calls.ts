/**
 * Each codec in both ways: called at once, which holds the event loop, or on the thread pool. Which of them the producer
 * takes cannot be chosen from outside, so they are given to it as codecs of the application's own.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { promisify } from 'node:util'
import zlib from 'node:zlib'
import type * as Lz4Napi from 'lz4-napi'
import type * as Snappy from 'snappy'
import type { Codec } from 'kafka-producer'

type Bytes = Uint8Array
type Compress = (bytes: Bytes, level: number | undefined) => Bytes | Promise<Bytes>
type Frame = (bytes: Bytes, compressBlock: (block: Bytes) => Bytes | Promise<Bytes>) => Bytes | Promise<Bytes>

export const calls = ['at once', 'thread pool'] as const
export type Call = (typeof calls)[number]
export type Compressing = 'gzip' | 'snappy' | 'lz4' | 'zstd'

const packed = createRequire(join(__dirname, '..', '..', '..', 'dist', 'index.js'))

/** What @types/node 20 does not know. */
interface Zstd {
  readonly zstdCompressSync: (bytes: Bytes, options: object) => Bytes
  readonly zstdCompress: (
    bytes: Bytes,
    options: object,
    done: (error: Error | null, result: Bytes) => void,
  ) => void
}
const ZSTD_LEVEL = 100

function gzip(call: Call): Compress {
  if (call === 'at once') return (bytes, level) => zlib.gzipSync(bytes, { level })
  const later = promisify<Bytes, zlib.ZlibOptions, Bytes>(zlib.gzip)
  return (bytes, level) => later(bytes, { level })
}

function zstd(call: Call): Compress {
  const { zstdCompress, zstdCompressSync } = zlib as unknown as Zstd
  const options = (level: number | undefined, bytes: Bytes): object => ({
    params: { [ZSTD_LEVEL]: level },
    pledgedSrcSize: bytes.length,
  })
  if (call === 'at once') return (bytes, level) => zstdCompressSync(bytes, options(level, bytes))
  const later = promisify(zstdCompress)
  return (bytes, level) => later(bytes, options(level, bytes))
}

function snappy(call: Call): Compress {
  const { compress, compressSync } = packed('snappy') as typeof Snappy
  const { xerialFrame } = packed('./records/codecs/snappy.js') as { xerialFrame: Frame }
  return (bytes) =>
    xerialFrame(bytes, (block) => (call === 'at once' ? compressSync(block) : compress(block)))
}

function lz4(call: Call): Compress {
  const { compress, compressSync } = packed('lz4-napi') as typeof Lz4Napi
  const { lz4Frame } = packed('./records/codecs/lz4.js') as { lz4Frame: Frame }
  const bare = (sized: Bytes): Bytes => sized.subarray(4)
  return (bytes) =>
    lz4Frame(bytes, (block) =>
      call === 'at once' ? bare(compressSync(block as Buffer)) : compress(block).then(bare),
    )
}

/** The producer's options for a codec: the engine that it takes itself, or one that is called as `call` says. */
export function compressionOptions(
  type: Compressing | 'none',
  call: Call | 'default',
): { compressionType?: Compressing; codecs?: Readonly<Record<string, Codec>> } {
  if (type === 'none') return {}
  if (call === 'default') return { compressionType: type }
  const compress = { gzip, snappy, lz4, zstd }[type](call)
  return { compressionType: type, codecs: { [type]: { name: call, compress } } }
}
