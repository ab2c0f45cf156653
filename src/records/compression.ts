/**
 * The codecs of a batch: Kafka's number of each, and which engine does the work. An engine is loaded when a producer
 * that uses it is made, zstd-codec with its first batch; nothing is loaded for a producer that does not compress.
 */
import type { Codec, CompressionType } from '../codec.js'
import type { ResolvedConfig } from '../config.js'
import { gzip } from './codecs/gzip.js'
import { lz4Frame, lz4js } from './codecs/lz4.js'
import { snappyjs, xerialFrame } from './codecs/snappy.js'
import { nodeZstd, zstdCodec } from './codecs/zstd.js'

export type { CompressionType }

/** Compresses the records section of a batch. */
export interface Compressor {
  readonly type: CompressionType
  /** The codec's number in the attributes of a batch. */
  readonly id: number
  /** What does the work, for `metrics()` and the log: `'node:zlib'`, `'lz4js'`. */
  readonly engine: string
  /**
   * At once, or as a promise where the engine works off the main thread or has to start. `bytes` must not change
   * before the result is there; the result is the caller's to keep.
   */
  readonly compress: (bytes: Uint8Array) => Uint8Array | Promise<Uint8Array>
}

type Compressing = Exclude<CompressionType, 'none'>
type Engine = Pick<Compressor, 'engine' | 'compress'> & {
  /** False where the engine knows one level only. */
  readonly hasLevels: boolean
}

/** The number of each codec in the attributes of a batch. */
const ids: Readonly<Record<Compressing, number>> = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/** Kafka's default level of LZ4: the fast algorithm, which every engine has. */
const LZ4_FAST = 9

const engines: Readonly<Record<Compressing, (level: number) => Engine>> = {
  gzip: (level) => ({ engine: 'node:zlib', hasLevels: true, compress: (bytes) => gzip(bytes, level) }),
  snappy: () => {
    const block = snappyjs()
    return { engine: 'snappyjs', hasLevels: false, compress: (bytes) => xerialFrame(bytes, block) }
  },
  lz4: () => {
    const block = lz4js()
    return { engine: 'lz4js', hasLevels: false, compress: (bytes) => lz4Frame(bytes, block) }
  },
  zstd: (level) => {
    const compress = nodeZstd ?? zstdCodec
    return {
      engine: nodeZstd === undefined ? 'zstd-codec' : 'node:zlib',
      hasLevels: true,
      compress: (bytes) => compress(bytes, level),
    }
  },
}

type CompressionConfig = Pick<
  ResolvedConfig,
  | 'compressionType'
  | 'compressionGzipLevel'
  | 'compressionLz4Level'
  | 'compressionZstdLevel'
  | 'codecs'
  | 'logger'
>

/** What compresses the batches of a producer, null for none. Logs which engine it is, and a level that it ignores. */
export function compressorFor(config: CompressionConfig): Compressor | null {
  const { compressionType: type, codecs, logger } = config
  if (type === 'none') return null
  const level = levelOf(type, config)
  const custom = codecs[type]
  const { engine, hasLevels, compress } =
    custom === undefined ? engines[type](level ?? 0) : ownEngine(custom, level)
  logger.debug(`compressing with ${type} by ${engine}`, { compressionType: type, engine })
  if (type === 'lz4' && !hasLevels && level !== LZ4_FAST) {
    logger.warn(`compressionLz4Level ${level} has no effect: ${engine} has one level only`, { engine })
  }
  return { type, id: ids[type], engine, compress }
}

function ownEngine(codec: Codec, level: number | undefined): Engine {
  return {
    engine: codec.name ?? 'custom',
    hasLevels: true,
    compress: (bytes) => codec.compress(bytes, level),
  }
}

function levelOf(type: Compressing, config: CompressionConfig): number | undefined {
  switch (type) {
    case 'gzip':
      return config.compressionGzipLevel
    case 'snappy':
      return undefined
    case 'lz4':
      return config.compressionLz4Level
    case 'zstd':
      return config.compressionZstdLevel
  }
}
