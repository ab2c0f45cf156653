/**
 * The producer's identity towards the brokers, and what it allows to be sent: the producer id comes from
 * InitProducerId, sequences are counted partition by partition, and a batch goes only when its predecessors are
 * accounted for.
 */
import { KafkaError, UnsupportedVersionError } from '../errors.js'
import type { Backoff } from '../network/backoff.js'
import type { Clock, Timer } from '../network/clock.js'
import type { Cluster } from '../network/cluster.js'
import { InitProducerId } from '../protocol/apis.js'
import { brokerError } from '../protocol/error-codes.js'
import { initProducerIdReaction } from '../protocol/reactions.js'
import type { PartitionQueue } from './partition-queue.js'
import { MAX_EPOCH, type ProducerIdAndEpoch } from './partition-sequences.js'
import type { ProducerBatch } from './producer-batch.js'
import type { DrainGate } from './record-accumulator.js'

/** An idempotent producer without transactions asks for no transaction timeout. */
const NO_TRANSACTION = { transactionalId: null, transactionTimeoutMs: 0x7fffffff }

export interface TransactionManagerParts {
  readonly cluster: Pick<Cluster, 'anyConnection'>
  readonly clock: Clock
  readonly backoff: Backoff
  /** Somebody still waits for a producer id. */
  readonly isWanted: () => boolean
  readonly onProducerId: () => void
  readonly onFatal: (error: KafkaError) => void
}

export class TransactionManager implements DrainGate {
  readonly #parts: TransactionManagerParts
  #identity: ProducerIdAndEpoch | null = null
  #isInitializing = false
  #retry: Timer | null = null
  #isClosed = false
  /** Why the last attempt to get a producer id failed. */
  lastError: KafkaError | null = null

  constructor(parts: TransactionManagerParts) {
    this.#parts = parts
  }

  get producerId(): bigint {
    return this.#identity?.producerId ?? -1n
  }

  /** Asks for a producer id unless there is one, or one is asked for already. */
  ensureProducerId(): void {
    if (this.#identity !== null || this.#isInitializing || this.#isClosed) return
    this.#isInitializing = true
    void this.#initialize(0)
  }

  /** Ends the search for a producer id. */
  close(): void {
    this.#isClosed = true
    this.#retry?.cancel()
  }

  mayDrain(queue: PartitionQueue, batch: ProducerBatch): boolean {
    const { sequences } = queue
    // What went to the old leader is answered before anything goes to the new one: it could only arrive out of order.
    if (queue.onWire > 0 && queue.onWireBroker !== queue.leader) return false
    if (sequences.mustRestart && (queue.onWire > 0 || !this.#restart(queue))) return false
    // One that is tried again waits until it is the oldest of its partition: in recovery one at a time is in flight.
    if (batch.hasSequence) return sequences.isFirstInFlight(batch)
    const identity = this.#identity
    if (identity === null) return false
    const isStale =
      sequences.producerId !== identity.producerId || sequences.producerEpoch < identity.producerEpoch
    if (!isStale && !sequences.isUnresolved) return sequences.isKnown || sequences.inFlight.length === 0
    if (sequences.inFlight.length > 0) return false
    if (isStale) sequences.restart(identity)
    else if (sequences.isContiguous) sequences.isUnresolved = false
    else return this.#restart(queue)
    return true
  }

  /** Gives a batch that is about to be sent for the first time its place in the sequence. */
  assignSequence(batch: ProducerBatch): void {
    if (!batch.hasSequence) batch.queue.sequences.assign(batch)
  }

  /** Starts the partition's sequences again under a higher epoch; false while there is no producer id for that. */
  #restart(queue: PartitionQueue): boolean {
    const { sequences } = queue
    const identity = this.#identity
    if (identity === null) return false
    if (sequences.producerId !== identity.producerId) {
      sequences.restart(identity)
    } else if (sequences.producerEpoch < MAX_EPOCH) {
      sequences.restart({ producerId: identity.producerId, producerEpoch: sequences.producerEpoch + 1 })
    } else {
      this.#identity = null // the epochs of this producer id are used up
      this.ensureProducerId()
      return false
    }
    return true
  }

  async #initialize(attempts: number): Promise<void> {
    const { cluster, onProducerId } = this.#parts
    try {
      const connection = await cluster.anyConnection()
      const response = await connection.request(InitProducerId, {
        ...NO_TRANSACTION,
        producerId: -1n,
        producerEpoch: -1,
      })
      const reaction = initProducerIdReaction(response.errorCode)
      if (reaction === 'success') {
        this.#identity = { producerId: response.producerId, producerEpoch: response.producerEpoch }
        this.#isInitializing = false
        this.lastError = null
        onProducerId()
        return
      }
      const where = `InitProducerId at broker ${connection.nodeId}`
      this.#failed(brokerError(response.errorCode, where, { fatal: reaction === 'fatal' }), attempts)
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      const isFatal = error instanceof UnsupportedVersionError
      this.#failed(
        isFatal
          ? new UnsupportedVersionError(
              `${error.message}; idempotence needs it (enableIdempotence: false goes without)`,
              {
                fatal: true,
                cause: error,
              },
            )
          : error,
        attempts,
      )
    }
  }

  #failed(error: KafkaError, attempts: number): void {
    const { backoff, clock, isWanted, onFatal } = this.#parts
    this.lastError = error
    if (error.fatal) {
      this.#isInitializing = false
      onFatal(error)
    } else if (this.#isClosed || !isWanted()) {
      this.#isInitializing = false
    } else {
      this.#retry = clock.setTimer(backoff.delay(attempts), () => void this.#initialize(attempts + 1))
    }
  }
}
