/**
 * zstd by Node's zlib where it has it (22.15 and up), on its thread pool; otherwise by zstd-codec, which is 0.7 MB of
 * WebAssembly and starts asynchronously, so it is loaded by the first batch. Either way the window is no larger than
 * the batch: a reader need not hold more.
 */
import zlib from 'node:zlib'
import type { Binding } from 'zstd-codec/lib/module.js'

/** What @types/node 20 does not know. */
interface ZstdOptions {
  readonly params: Readonly<Record<number, number>>
  readonly pledgedSrcSize: number
}
interface WithZstd {
  zstdCompress?: (
    bytes: Uint8Array,
    options: ZstdOptions,
    done: (error: Error | null, compressed: Uint8Array) => void,
  ) => void
  zstdDecompressSync?: (bytes: Uint8Array) => Uint8Array
}
const { zstdCompress, zstdDecompressSync } = zlib as WithZstd

// From zstd.h; `zlib.constants` has them only where it has zstd.
const COMPRESSION_LEVEL = 100
const WINDOW_LOG = 101
const MIN_WINDOW_LOG = 10
/** 8 MiB, what every decoder has to support. */
const MAX_WINDOW_LOG = 23

type Compress = (bytes: Uint8Array, level: number) => Promise<Uint8Array> | Uint8Array

/** Node's own zstd; undefined where this Node has none. */
export const nodeZstd: Compress | undefined =
  zstdCompress === undefined
    ? undefined
    : (bytes, level) =>
        new Promise((resolve, reject) => {
          const log = Math.ceil(Math.log2(Math.max(bytes.length, 1)))
          const windowLog = Math.min(Math.max(log, MIN_WINDOW_LOG), MAX_WINDOW_LOG)
          const options = {
            params: { [COMPRESSION_LEVEL]: level, [WINDOW_LOG]: windowLog },
            pledgedSrcSize: bytes.length,
          }
          zstdCompress(bytes, options, (error, compressed) => {
            if (error === null) resolve(compressed)
            else reject(error)
          })
        })

/** The one instance of zstd-codec in this process, and its two buffers. */
class ZstdCodec {
  readonly #binding: Binding
  readonly #codec: InstanceType<Binding['ZstdCodec']>
  readonly #source: InstanceType<Binding['VectorU8']>
  readonly #target: InstanceType<Binding['VectorU8']>

  constructor(binding: Binding) {
    this.#binding = binding
    this.#codec = new binding.ZstdCodec()
    this.#source = new binding.VectorU8()
    this.#target = new binding.VectorU8()
  }

  compress(bytes: Uint8Array, level: number): Uint8Array {
    this.#binding.cloneToVector(this.#source, bytes)
    this.#target.resize(this.#codec.compressBound(bytes.length), 0)
    return this.#result(this.#codec.compress(this.#target, this.#source, level))
  }

  decompress(bytes: Uint8Array): Uint8Array {
    this.#binding.cloneToVector(this.#source, bytes)
    const size = this.#codec.contentSize(this.#source)
    if (size < 0) throw new Error('the zstd frame does not tell its size')
    this.#target.resize(size, 0)
    return this.#result(this.#codec.decompress(this.#target, this.#source))
  }

  #result(size: number): Uint8Array {
    if (size < 0) throw new Error('zstd-codec failed')
    this.#target.resize(size, 0)
    return this.#binding.cloneAsTypedArray(this.#target)
  }
}

let started: ZstdCodec | undefined
let starting: Promise<ZstdCodec> | undefined

function start(): Promise<ZstdCodec> {
  starting ??= new Promise((resolve) => {
    const { run } = require('zstd-codec/lib/module.js') as typeof import('zstd-codec/lib/module.js')
    run((binding) => {
      started = new ZstdCodec(binding)
      resolve(started)
    })
  })
  return starting
}

/** zstd-codec: a promise until it has started, at once from then on. */
export const zstdCodec: Compress = (bytes, level) =>
  started === undefined
    ? start().then((codec) => codec.compress(bytes, level))
    : started.compress(bytes, level)
