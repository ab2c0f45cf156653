/**
 * Idempotence without transactions: any broker gives the producer id, and a gap in a partition is left behind by raising
 * the epoch for that partition (KIP-360).
 */
import { type KafkaError, UnsupportedVersionError } from '../../errors.js'
import type { FaultBarrier } from '../../fault-barrier.js'
import type { Backoff } from '../../time/backoff.js'
import { BrokerTurns } from '../../network/broker-turns.js'
import type { Clock, Timer } from '../../time/clock.js'
import type { Cluster } from '../../network/cluster.js'
import { InitProducerId } from '../../protocol/apis.js'
import { brokerError } from '../../protocol/error-codes.js'
import { initProducerIdReaction } from '../../protocol/reactions.js'
import type { QueuedBatch } from '../batching/partition-queue.js'
import { MAX_EPOCH, type ProducerIdAndEpoch, type SequencesView } from '../batching/partition-sequences.js'
import { givenIdentity } from './producer-identity.js'
import { SequenceGate } from './sequence-gate.js'

/** A producer without transactions asks for no transaction timeout. */
const NO_TRANSACTION = { transactionalId: null, transactionTimeoutMs: 0x7fffffff }

export interface IdempotenceParts {
  readonly cluster: Pick<Cluster, 'anyConnection'>
  readonly barrier: FaultBarrier
  readonly clock: Clock
  readonly backoff: Backoff
  /** Somebody still waits for a producer id. */
  readonly isWanted: () => boolean
  readonly onFatal: (error: KafkaError) => void
}

export class Idempotence extends SequenceGate {
  override readonly transactionalId = null
  override readonly maxProduceVersion = undefined
  override readonly abortReason = null
  /** Why the last attempt to get a producer id failed. */
  override lastError: KafkaError | null = null
  protected override readonly holdOfGap = 'producer-id'
  readonly #parts: IdempotenceParts
  readonly #turns = new BrokerTurns()
  #isInitializing = false
  #retry: Timer | null = null
  #isClosed = false

  constructor(parts: IdempotenceParts) {
    super()
    this.#parts = parts
  }

  /**
   * Asks for a producer id unless there is one, or one is asked for already. A partition that awaits one while there is
   * one has used up its epochs.
   */
  override ensureProducerId(isAwaited: boolean): void {
    if ((this.identity !== null && !isAwaited) || this.#isInitializing || this.#isClosed) return
    this.#isInitializing = true
    this.#parts.barrier.watch(this.#initialize(0))
  }

  /** Ends the search for a producer id. */
  override close(): void {
    this.#isClosed = true
    this.#retry?.cancel()
  }

  override outOfOrder(batch: QueuedBatch): boolean {
    const { queue } = batch
    const { sequences } = queue
    if (!sequences.isFirstInFlight(batch)) return true
    // The whole may be in the log, which does not take its parts for duplicates: no proof that this part is not there.
    if (batch.isPart && batch.maybeWritten && !sequences.hasGap) return false
    queue.mustRestart()
    return true
  }

  override forgotten(batch: QueuedBatch, logStartOffset: bigint): boolean {
    const { queue } = batch
    // Without a log start offset the broker does not lead the partition any more; the next response will tell.
    if (logStartOffset >= 0n && queue.sequences.isFirstInFlight(batch)) queue.mustRestart()
    return true
  }

  /** A higher epoch, or another producer id where the epochs of this one are used up. */
  protected override identityAfterGap(
    { producerId, producerEpoch }: SequencesView,
    identity: ProducerIdAndEpoch,
  ): ProducerIdAndEpoch | null {
    if (producerId !== identity.producerId) return identity
    return producerEpoch < MAX_EPOCH ? { producerId, producerEpoch: producerEpoch + 1 } : null
  }

  async #initialize(attempts: number): Promise<void> {
    const { barrier, cluster } = this.#parts
    try {
      const connection = await cluster.anyConnection(this.#turns)
      const response = await connection.request(InitProducerId, {
        ...NO_TRANSACTION,
        producerId: -1n,
        producerEpoch: -1,
      })
      this.#turns.took(connection)
      const reaction = initProducerIdReaction(response.errorCode)
      const where = `InitProducerId at ${connection.host}:${connection.port}`
      if (reaction === 'success') {
        const identity = givenIdentity(response, where)
        this.#isInitializing = false
        this.lastError = null
        this.#turns.startOver()
        this.identity = identity
        return
      }
      this.#failed(brokerError(response.errorCode, where, { fatal: reaction === 'fatal' }), attempts)
    } catch (thrown) {
      const error = barrier.errorOf(thrown)
      const isFatal = error instanceof UnsupportedVersionError
      this.#failed(
        isFatal
          ? new UnsupportedVersionError(
              `${error.message}; idempotence needs it (enableIdempotence: false goes without)`,
              { fatal: true, cause: error },
            )
          : error,
        attempts,
      )
    }
  }

  #failed(error: KafkaError, attempts: number): void {
    const { backoff, barrier, clock, isWanted, onFatal } = this.#parts
    this.lastError = error
    if (error.fatal) {
      this.#isInitializing = false
      onFatal(error)
    } else if (this.#isClosed || !isWanted()) {
      this.#isInitializing = false
    } else {
      this.#retry = clock.setTimer(backoff.delay(attempts), () =>
        barrier.watch(this.#initialize(attempts + 1)),
      )
    }
  }
}
