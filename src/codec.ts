/** How the records of a batch are compressed, as far as a program can say it: the names, and an engine of one's own. */

/** Kafka's names of the ways to compress a batch. */
export type CompressionType = 'none' | 'gzip' | 'snappy' | 'lz4' | 'zstd'

/** An engine of your own for one compression type. */
export interface Codec {
  /** What `metrics()` and the log call it; default `'custom'`. */
  readonly name?: string
  /**
   * Compresses the records of one batch into what every Kafka client reads: a gzip stream; snappy in the xerial framing
   * (magic `82 53 4e 41 50 50 59 00`, two int32 of 1, then blocks with their int32 length); an LZ4 frame of independent
   * blocks of at most 64 KiB; a zstd frame. `level` is what the option of that type says, undefined for snappy.
   * `bytes` do not change until the result is there, and must not be kept; the result must not be written again.
   */
  compress(bytes: Uint8Array, level: number | undefined): Uint8Array | Promise<Uint8Array>
}

/** Engines by compression type; a type that is absent has its default. */
export type Codecs = { readonly [T in Exclude<CompressionType, 'none'>]?: Codec | undefined }
