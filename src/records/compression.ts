/**
 * The codecs of a batch: Kafka's number of each, and which engines can do the work. The engine is loaded when a
 * producer that uses it is made, zstd-codec with its first batch; a producer that does not compress loads nothing.
 */
import { isUint8Array } from 'node:util/types'
import type { Codec, CompressionType } from '../codec.js'
import type { ResolvedConfig } from '../config/config.js'
import { gzip, readGzip } from './codecs/gzip.js'
import { readLz4Frame } from './codecs/lz4-decoder.js'
import { lz4Frame, lz4js, lz4Napi } from './codecs/lz4.js'
import { readSnappy, snappyjs, snappyNative, xerialFrame } from './codecs/snappy.js'
import { nodeZstd, readZstd, zstdCodec, zstdReaderStarts } from './codecs/zstd.js'

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

/** One way to do the work of a codec. */
export interface Engine {
  readonly name: string
  /** False where it knows one level only. */
  readonly hasLevels: boolean
  /** Undefined where the package is not installed; throws where it does not run on this platform. */
  readonly load: () => ((bytes: Uint8Array, level: number) => Uint8Array | Promise<Uint8Array>) | undefined
}

/** The number of each codec in the attributes of a batch. */
const ids: Readonly<Record<Compressing, number>> = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 }

/**
 * The best first. The last is always there; one before it must compress 128 KiB of JSON events at least 1.5 times as
 * fast, and makes the same format.
 */
export const engines: Readonly<Record<Compressing, readonly Engine[]>> = {
  gzip: [{ name: 'node:zlib', hasLevels: true, load: () => gzip }],
  snappy: [snappyEngine('snappy', snappyNative), snappyEngine('snappyjs', snappyjs)],
  lz4: [lz4Engine('lz4-napi', lz4Napi), lz4Engine('lz4js', lz4js)],
  zstd: [...nodeZstdEngine(nodeZstd), { name: 'zstd-codec', hasLevels: true, load: () => zstdCodec }],
}

function nodeZstdEngine(compress: typeof nodeZstd): Engine[] {
  return compress === undefined ? [] : [{ name: 'node:zlib', hasLevels: true, load: () => compress }]
}

function snappyEngine(name: string, load: typeof snappyNative): Engine {
  const compress = () => {
    const compressBlock = load()
    if (compressBlock === undefined) return undefined
    return (bytes: Uint8Array) => xerialFrame(bytes, compressBlock)
  }
  return { name, hasLevels: false, load: compress }
}

function lz4Engine(name: string, load: typeof lz4Napi): Engine {
  const compress = () => {
    const compressBlock = load()
    if (compressBlock === undefined) return undefined
    return (bytes: Uint8Array) => lz4Frame(bytes, compressBlock)
  }
  return { name, hasLevels: false, load: compress }
}

/** Kafka's default level of LZ4: the fast algorithm, which every engine has. */
const LZ4_FAST = 9

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
  const { compressionType: type, logger } = config
  if (type === 'none') return null
  const own = config.codecs[type]
  const level = levelOf(type, config)
  const compressor = own === undefined ? builtIn(type, level, config) : custom(type, level, own)
  logger.debug(`compressing with ${type} by ${compressor.engine}`, { engine: compressor.engine })
  return compressor
}

function builtIn(type: Compressing, level: number | undefined, { logger }: CompressionConfig): Compressor {
  for (const [i, engine] of engines[type].entries()) {
    let compress: ReturnType<Engine['load']>
    try {
      compress = engine.load()
    } catch (error) {
      if (i === engines[type].length - 1) throw error
      logger.warn(`${engine.name} is installed, but cannot be loaded`, { engine: engine.name, error })
      continue
    }
    if (compress === undefined) continue
    if (type === 'lz4' && !engine.hasLevels && level !== LZ4_FAST) {
      logger.warn(`compressionLz4Level ${level} has no effect: ${engine.name} has one level only`, {
        engine: engine.name,
      })
    }
    return { type, id: ids[type], engine: engine.name, compress: (bytes) => compress(bytes, level ?? 0) }
  }
  throw new Error(`no engine for ${type}`)
}

function custom(type: Compressing, level: number | undefined, codec: Codec): Compressor {
  /** A batch must not be lost to a program that is wrong: what fails here goes uncompressed. */
  const checked = (result: unknown): Uint8Array => {
    if (isUint8Array(result)) return result
    throw new TypeError(`codecs.${type}.compress gave no Uint8Array`)
  }
  return {
    type,
    id: ids[type],
    engine: codec.name ?? 'custom',
    compress: (bytes) => {
      const result = codec.compress(bytes, level)
      return isUint8Array(result) ? result : Promise.resolve(result).then(checked)
    },
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

/**
 * What the codec of this number made of some bytes, for the test broker: any encoder's output that Kafka reads. Throws
 * an Error where it makes no sense. zstd needs `decoderStarts` before, on a Node without its own.
 */
export function decompress(id: number, bytes: Uint8Array): Uint8Array {
  switch (id) {
    case 0:
      return bytes
    case ids.gzip:
      return readGzip(bytes)
    case ids.snappy:
      return readSnappy(bytes)
    case ids.lz4:
      return readLz4Frame(bytes)
    case ids.zstd:
      return readZstd(bytes)
    default:
      throw new Error(`unknown compression type ${id}`)
  }
}

/** Resolves when `decompress` can be called for the codec of this number, undefined where it can be already. */
export function decoderStarts(id: number): Promise<unknown> | undefined {
  return id === ids.zstd ? zstdReaderStarts() : undefined
}
