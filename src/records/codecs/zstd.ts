/**
 * zstd by Node's zlib where it has it (22.15 and up), on its thread pool where that pays; otherwise by zstd-codec, 0.7
 * MB of WebAssembly that start asynchronously, so the first batch loads it. Both are told how much a frame holds, so
 * the frame says it, and its window is no larger.
 */
import zlib from 'node:zlib'
import { assertOutput, MAX_OUTPUT_BYTES } from './output-limit.js'
import type * as Zstd from 'zstd-codec/lib/module.js'

export type Compress = (bytes: Uint8Array, level: number) => Uint8Array | Promise<Uint8Array>

/** What @types/node 20 does not know. */
interface Options {
  readonly params: Readonly<Record<number, number>>
  readonly pledgedSrcSize: number
}
interface WithZstd {
  readonly zstdCompressSync?: (bytes: Uint8Array, options: Options) => Uint8Array
  readonly zstdCompress?: (
    bytes: Uint8Array,
    options: Options,
    done: (error: Error | null, compressed: Uint8Array) => void,
  ) => void
  readonly zstdDecompressSync?: (
    bytes: Uint8Array,
    options: { readonly maxOutputLength: number },
  ) => Uint8Array
}
const { zstdCompressSync, zstdCompress, zstdDecompressSync } = zlib as WithZstd

/**
 * A call on the thread pool costs up to twice the CPU time of one at once: each sets up its tables in memory that is
 * cold. At the fast levels, up to the default, a batch that fills 128 KiB when it is compressed, some 800 KiB before
 * that, holds the event loop for two milliseconds; what is larger goes to the pool.
 */
const AT_ONCE_BYTES = 1024 * 1024
const FAST_LEVEL = 3
const AT_ONCE_SLOW_BYTES = 4096

// From zstd.h: `zlib.constants` has them only where zlib has zstd.
const COMPRESSION_LEVEL = 100
const WINDOW_LOG = 101
/** 8 MiB, the window that every decoder has to support. */
const MAX_WINDOW_LOG = 23

/** Node's own zstd; undefined where this Node has none. */
export const nodeZstd: Compress | undefined =
  zstdCompress === undefined || zstdCompressSync === undefined
    ? undefined
    : (bytes, level) => {
        const window = bytes.length > 2 ** MAX_WINDOW_LOG ? { [WINDOW_LOG]: MAX_WINDOW_LOG } : undefined
        const options = { params: { [COMPRESSION_LEVEL]: level, ...window }, pledgedSrcSize: bytes.length }
        const atOnce = level <= FAST_LEVEL ? AT_ONCE_BYTES : AT_ONCE_SLOW_BYTES
        if (bytes.length <= atOnce) return zstdCompressSync(bytes, options)
        return new Promise((resolve, reject) => {
          zstdCompress(bytes, options, (error, compressed) => {
            if (error === null) resolve(compressed)
            else reject(error)
          })
        })
      }

/**
 * What zstd-codec compresses at a time: it has 16 MiB of memory and cannot get more. A larger batch becomes several
 * frames, one after the other, which is what every decoder reads.
 */
const FRAME_BYTES = 1024 * 1024
/** From this level on, the tables of a larger frame would not fit. */
const HIGH_LEVEL = 10
const HIGH_LEVEL_FRAME_BYTES = 256 * 1024

/** The one instance of zstd-codec in this process. Its buffers are used again: what is in them is copied out. */
class ZstdCodec {
  readonly #binding: Zstd.Binding
  readonly #codec: InstanceType<Zstd.Binding['ZstdCodec']>
  readonly #source: InstanceType<Zstd.Binding['VectorU8']>
  readonly #target: InstanceType<Zstd.Binding['VectorU8']>

  constructor(binding: Zstd.Binding) {
    this.#binding = binding
    this.#codec = new binding.ZstdCodec()
    this.#source = new binding.VectorU8()
    this.#target = new binding.VectorU8()
  }

  compress(bytes: Uint8Array, level: number): Uint8Array {
    const most = level < HIGH_LEVEL ? FRAME_BYTES : HIGH_LEVEL_FRAME_BYTES
    if (bytes.length <= most) return this.#frame(bytes, level)
    const frames: Uint8Array[] = []
    for (let start = 0; start < bytes.length; start += most) {
      frames.push(this.#frame(bytes.subarray(start, start + most), level))
    }
    return Buffer.concat(frames)
  }

  #frame(bytes: Uint8Array, level: number): Uint8Array {
    this.#binding.cloneToVector(this.#source, bytes)
    this.#target.resize(this.#codec.compressBound(bytes.length), 0)
    const size = this.#codec.compress(this.#target, this.#source, level)
    if (size < 0) throw new Error('zstd-codec cannot compress this')
    this.#target.resize(size, 0)
    return this.#binding.cloneAsTypedArray(this.#target)
  }

  /** By its stream: other clients write frames that do not say their size. */
  decompress(bytes: Uint8Array): Uint8Array {
    const stream = new this.#binding.ZstdDecompressStreamBinding()
    try {
      const parts: Uint8Array[] = []
      let size = 0
      const take = (part: Uint8Array): void => {
        size += part.length
        assertOutput(size)
        parts.push(part.slice())
      }
      if (!stream.begin() || !stream.transform(bytes, take) || !stream.end(take))
        throw new Error('no zstd frame')
      return Buffer.concat(parts)
    } finally {
      stream.delete()
    }
  }
}

let started: ZstdCodec | undefined
let starting: Promise<ZstdCodec> | undefined

/** zstd-codec reads __dirname once, as it starts, and a bundle that is an ES module has none. */
function withDirname(call: () => void): void {
  if (typeof __dirname === 'string') return call()
  Reflect.set(globalThis, '__dirname', process.cwd())
  try {
    call()
  } finally {
    Reflect.deleteProperty(globalThis, '__dirname')
  }
}

function start(): Promise<ZstdCodec> {
  starting ??= new Promise((resolve) => {
    const { run } = require('zstd-codec/lib/module.js') as typeof Zstd
    withDirname(() =>
      run((binding) => {
        started = new ZstdCodec(binding)
        resolve(started)
      }),
    )
  })
  return starting
}

/** zstd-codec: a promise until it has started, at once from then on. */
export const zstdCodec: Compress = (bytes, level) =>
  started === undefined
    ? start().then((codec) => codec.compress(bytes, level))
    : started.compress(bytes, level)

/** Resolves when `readZstd` can be called, undefined where it can be already. */
export function zstdReaderStarts(): Promise<unknown> | undefined {
  return zstdDecompressSync === undefined && started === undefined ? start() : undefined
}

export function readZstd(bytes: Uint8Array): Uint8Array {
  if (zstdDecompressSync !== undefined)
    return zstdDecompressSync(bytes, { maxOutputLength: MAX_OUTPUT_BYTES })
  if (started === undefined) throw new Error('zstd-codec has not started: await decoderStarts() first')
  return started.decompress(bytes)
}
