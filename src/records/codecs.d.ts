/** What is used of the codec packages, which come without types. */

declare module 'lz4js' {
  /**
   * Compresses `src[sIndex, sIndex + sLength)` into `dst` from 0 on and returns the length, or 0 where nothing was
   * found to compress and `sIndex` is 0. `hashTable` has 65,536 entries, positions plus one, and is updated.
   */
  export function compressBlock(
    src: Uint8Array,
    dst: Uint8Array,
    sIndex: number,
    sLength: number,
    hashTable: Uint16Array | Uint32Array,
  ): number
  /** Returns where the decompressed bytes end in `dst`. */
  export function decompressBlock(
    src: Uint8Array,
    dst: Uint8Array,
    sIndex: number,
    sLength: number,
    dIndex: number,
  ): number
}

declare module 'snappyjs' {
  export function uncompress(compressed: Uint8Array, maxLength?: number): Uint8Array
}

declare module 'snappyjs/snappy_compressor.js' {
  export class SnappyCompressor {
    array: Uint8Array
    constructor(uncompressed: Uint8Array)
    /** Writes from 0 on, at most 32 + n + n / 6 bytes, and returns the length. */
    compressToBuffer(outBuffer: Uint8Array): number
  }
}

declare module 'zstd-codec/lib/module.js' {
  /** A std::vector in the memory of the WebAssembly instance. */
  export interface ByteVector {
    resize(length: number, fill: number): void
  }
  export interface Binding {
    readonly VectorU8: new () => ByteVector
    readonly ZstdCodec: new () => {
      compressBound(length: number): number
      /** Negative on failure, otherwise the length of what is in `target`. */
      compress(target: ByteVector, source: ByteVector, level: number): number
    }
    /** Its methods are false on failure; parts are views that die with the call. */
    readonly ZstdDecompressStreamBinding: new () => {
      begin(): boolean
      transform(bytes: Uint8Array, take: (part: Uint8Array) => void): boolean
      end(take: (part: Uint8Array) => void): boolean
      delete(): void
    }
    cloneToVector(target: ByteVector, bytes: Uint8Array): void
    cloneAsTypedArray(vector: ByteVector): Uint8Array
  }
  /** Calls back once the instance has started, some turns of the event loop later. */
  export function run(started: (binding: Binding) => void): void
}
