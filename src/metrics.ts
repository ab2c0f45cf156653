/** What `metrics()` tells; names are the Java client's where it has the metric, with the dashes made camelCase. */
export interface ProducerMetrics {
  /** Records in Produce requests, retries included. */
  readonly recordSendTotal: number
  /** Records that failed. */
  readonly recordErrorTotal: number
  /** Records that were sent again. */
  readonly recordRetryTotal: number
  /** Batches that were too large for a broker and went in halves. */
  readonly batchSplitTotal: number
  /** What compresses: `'node:zlib'`, `'lz4js'`, the name of a codec of your own; null without compression. */
  readonly compressionEngine: string | null
  /** Produce requests. */
  readonly requestTotal: number
  /** Produce requests that are not answered. */
  readonly requestsInFlight: number
  /** `bufferMemory`. */
  readonly bufferTotalBytes: number
  /** Bytes of `bufferMemory` that no batch holds. */
  readonly bufferAvailableBytes: number
  /** Records that wait for metadata, a serializer or room. */
  readonly waitingRecords: number
}
