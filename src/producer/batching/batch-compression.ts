/**
 * Compresses batches when they close, and learns how well the records of each topic compress, so that batches fill to
 * `batchSize` as they are on the wire.
 */
import { isUint8Array } from 'node:util/types'
import type { FaultBarrier } from '../../fault-barrier.js'
import type { Logger } from '../../logger.js'
import type { Compressor } from '../../records/compression.js'
import type { CompressedRecords } from '../../records/record-batch.js'
import { BATCH_HEADER_SIZE } from '../../records/record-bytes.js'
import type { ProducerBatch } from './producer-batch.js'

/** A guess may be a little low before a batch comes out too large. */
const SAFETY = 1.05

/** How much of a better ratio is believed at once: less than of a worse one, for a batch that is too large costs more. */
const IMPROVING_SHARE = 0.25

/** A batch takes at most so many times `batchSize` of records. */
const MAX_GROWTH = 16

export class BatchCompression {
  readonly #compressor: Compressor
  readonly #logger: Pick<Logger, 'error'>
  readonly #barrier: FaultBarrier
  /** Compressed size by size, of the topics' recent batches. */
  readonly #ratios = new Map<string, number>()

  constructor(compressor: Compressor, logger: Pick<Logger, 'error'>, barrier: FaultBarrier) {
    this.#compressor = compressor
    this.#logger = logger
    this.#barrier = barrier
  }

  /** How many bytes of records, header included, are expected to make a batch of `batchSize` bytes. */
  limitFor(topic: string, batchSize: number): number {
    const ratio = (this.#ratios.get(topic) ?? 1) * SAFETY
    if (ratio >= 1) return batchSize
    const limit = BATCH_HEADER_SIZE + Math.floor((batchSize - BATCH_HEADER_SIZE) / ratio)
    return Math.max(batchSize, Math.min(limit, batchSize * MAX_GROWTH))
  }

  /**
   * Compresses a closed batch. `done` is called once, at once or later where the engine works off the main thread, with
   * the batch's bytes; with null where the batch is to go as it is. It may be an engine of the application's that never
   * finishes: then the batch ends by its delivery timeout.
   */
  start(batch: ProducerBatch, done: (compressed: CompressedRecords | null) => void): void {
    const giveUp = (error: unknown): void => {
      if (!batch.isDone) this.#tell(batch, error)
      done(null)
    }
    let result: ReturnType<Compressor['compress']>
    try {
      result = this.#compressor.compress(batch.records.recordBytes)
    } catch (error) {
      giveUp(error)
      return
    }
    if (isUint8Array(result)) done(this.#learn(batch, result))
    else this.#barrier.watch(result.then((bytes) => done(this.#learn(batch, bytes)), giveUp))
  }

  #tell(batch: ProducerBatch, error: unknown): void {
    this.#logger.error('a batch could not be compressed and is sent as it is', {
      codec: this.#compressor.type,
      engine: this.#compressor.engine,
      topic: batch.queue.topic,
      error,
    })
  }

  /** A broker found a batch too large: the guess was too good. */
  wasTooLarge(batch: ProducerBatch): void {
    this.#ratios.set(batch.queue.topic, Math.max(1, this.#ratios.get(batch.queue.topic) ?? 1))
  }

  #learn(batch: ProducerBatch, bytes: Uint8Array): CompressedRecords | null {
    const { topic } = batch.queue
    const size = batch.records.recordBytes.length
    const observed = bytes.length / size
    const known = this.#ratios.get(topic) ?? 1
    this.#ratios.set(topic, observed > known ? observed : known - (known - observed) * IMPROVING_SHARE)
    // What compression would make larger goes as it is.
    return bytes.length < size ? { codecId: this.#compressor.id, bytes } : null
  }
}
