/**
 * What becomes of a batch: delivered, sent again, split, or failed. Each response, lost connection and passed deadline
 * ends in one of these four.
 */
import type { ResolvedConfig } from '../../config/config.js'
import {
  type KafkaError,
  ProducerFencedError,
  ProtocolError,
  TimeoutError,
  UnsupportedVersionError,
  withOutcome,
} from '../../errors.js'
import type { Backoff } from '../../time/backoff.js'
import type { Clock } from '../../time/clock.js'
import type { Cluster } from '../../network/cluster.js'
import { brokerError } from '../../protocol/error-codes.js'
import { leavesAppendOpen, produceReaction } from '../../protocol/reactions.js'
import type { SenderCounters } from './counters.js'
import type { PartitionQueue, QueuedBatch } from '../batching/partition-queue.js'
import type { NodeEndpoints, PartitionResponse } from './produce-call.js'
import type { CompletionObserver } from '../batching/producer-batch.js'
import type { RecordAccumulator } from '../batching/record-accumulator.js'
import type { SequenceGate } from './sequence-gate.js'

export interface BatchOutcomesParts {
  readonly config: Pick<ResolvedConfig, 'acks' | 'deliveryTimeoutMs' | 'retries' | 'logger'>
  readonly accumulator: RecordAccumulator
  readonly cluster: Cluster
  /** Null without idempotence. */
  readonly sequences: SequenceGate | null
  readonly clock: Clock
  readonly backoff: Backoff
  /** For responses that say: the last transaction is not quite over. */
  readonly shortBackoff: Backoff
  readonly observer: CompletionObserver
  readonly counters: SenderCounters
  readonly onFatal: (error: KafkaError) => void
}

export class BatchOutcomes {
  readonly #parts: BatchOutcomesParts

  constructor(parts: BatchOutcomesParts) {
    this.#parts = parts
  }

  // What is known of an attempt

  /** A broker responded for the batch. */
  responded(batch: QueuedBatch, nodeId: number, response: PartitionResponse, endpoints: NodeEndpoints): void {
    const reaction = produceReaction(response.errorCode)
    if (reaction === 'success') {
      this.succeed(batch, response.baseOffset, Number(response.logAppendTimeMs))
      return
    }
    const context = `Produce of ${describe(batch)} to broker ${nodeId} (attempt ${batch.attempts})`
    const isOpen = batch.maybeWritten || leavesAppendOpen(response.errorCode)
    const said = { message: response.errorMessage, mayHaveBeenWritten: isOpen }
    const error = brokerError(response.errorCode, context, said)
    batch.attemptFailed(error, isOpen)
    if (batch.isDone) {
      batch.queue.abandoned(batch)
      return
    }
    const { counters, onFatal, sequences } = this.#parts
    switch (reaction) {
      case 'refresh':
        this.#retry(batch, error)
        // Now that the batch is back in its queue, it goes to a new leader without waiting for the end of its back-off.
        this.#lookForLeader(batch.queue, response, endpoints)
        break
      case 'retry':
        this.#retry(batch, error)
        break
      case 'out-of-order':
        if (sequences?.outOfOrder(batch) !== true) this.fail(batch, error)
        // Refused for the gap that another batch left, it has not failed itself, and waits for nothing but its turn. There is
        // no gap before sequence 0: a broker that says so all the same is asked with back-off.
        else if (batch.baseSequence > 0) this.#putBack(batch, error, 0)
        else this.#retry(batch, error)
        break
      case 'unknown-producer':
        if (sequences?.forgotten(batch, response.logStartOffset) === true) this.#retry(batch, error)
        else this.fail(batch, error)
        break
      case 'split':
        if (batch.recordCount === 1 || this.#abortReason !== null) {
          this.fail(batch, error)
        } else {
          counters.batchSplits++
          this.#parts.accumulator.split(batch)
        }
        break
      case 'fail':
        this.#fail(batch, recordErrors(batch, response, error))
        break
      case 'fenced':
        this.fail(batch, sequences?.transactionalId == null ? error : fencedInTransaction(error))
        break
      case 'fatal': {
        const fatal = brokerError(response.errorCode, context, { ...said, fatal: true })
        this.fail(batch, fatal)
        onFatal(fatal)
        break
      }
    }
  }

  /** The response to a request leaves the batch out. */
  omitted(batch: QueuedBatch, nodeId: number): void {
    const message = `broker ${nodeId}: its Produce response omits ${describe(batch)}`
    this.disconnected(batch, new ProtocolError(message, { retriable: true }))
  }

  /** There is no response, and perhaps never one: the append may have happened. */
  disconnected(batch: QueuedBatch, cause: KafkaError): void {
    // Where there is no version in common nothing was sent.
    const isOpen = batch.maybeWritten || !(cause instanceof UnsupportedVersionError)
    const error = withOutcome(cause, isOpen)
    batch.attemptFailed(error, isOpen)
    if (batch.isDone) batch.queue.abandoned(batch)
    else if (error.retriable && this.#parts.config.acks !== 0) {
      this.#parts.cluster.requestMetadataUpdate(batch.queue.topic)
      this.#retry(batch, error)
    } else this.fail(batch, error)
  }

  /** The delivery timeout of the batch is over. */
  expired(batch: QueuedBatch): void {
    this.fail(batch, this.#timeout(batch))
  }

  // What becomes of it

  succeed(batch: QueuedBatch, baseOffset: bigint, logAppendTimeMs: number): void {
    const { accumulator, observer } = this.#parts
    batch.queue.acknowledged(batch, baseOffset)
    if (batch.isDone) return // its time was over before the response came
    batch.succeed(baseOffset, logAppendTimeMs, observer)
    accumulator.complete(batch)
  }

  /** Fails every record of the batch. While a request is in flight the fate of its sequences stays open. */
  fail(batch: QueuedBatch, error: KafkaError): void {
    this.#fail(batch, () => error)
  }

  #fail(batch: QueuedBatch, errorOf: (index: number) => KafkaError): void {
    if (batch.isDone) return // the callback of one of its records asks for this
    const { accumulator, observer } = this.#parts
    const { queue } = batch
    queue.withdraw(batch)
    batch.fail(errorOf, observer)
    accumulator.complete(batch)
    if (!batch.isInFlight) queue.abandoned(batch)
  }

  #retry(batch: QueuedBatch, error: KafkaError): void {
    const { backoff, shortBackoff } = this.#parts
    batch.countFailure()
    const pauses = error.code === 'CONCURRENT_TRANSACTIONS' ? shortBackoff : backoff
    this.#putBack(batch, error, pauses.delay(batch.failures - 1))
  }

  #putBack(batch: QueuedBatch, error: KafkaError, pauseMs: number): void {
    const { clock, config, counters } = this.#parts
    const now = clock.now()
    const abortReason = this.#abortReason
    if (abortReason !== null) {
      this.fail(batch, withOutcome(abortReason, batch.maybeWritten))
    } else if (batch.deadlineMs <= now) {
      this.expired(batch)
    } else if (batch.failures > config.retries) {
      this.fail(batch, error)
    } else {
      counters.recordRetries += batch.recordCount
      config.logger.debug('a batch is sent again', {
        topic: batch.queue.topic,
        partition: batch.queue.partition,
        attempts: batch.attempts,
        error: error.message,
      })
      batch.queue.putBack(batch, now + pauseMs)
    }
  }

  /** Takes over what the response says of the new leader, and asks for metadata as well. */
  #lookForLeader(
    queue: PartitionQueue,
    { currentLeader }: PartitionResponse,
    endpoints: NodeEndpoints,
  ): void {
    const { accumulator, cluster } = this.#parts
    const { metadata } = cluster
    const { leaderId, leaderEpoch } = currentLeader
    if (leaderId >= 0) {
      const endpoint = endpoints.get(leaderId)
      metadata.updateLeader(queue.topic, queue.partition, { leaderId, leaderEpoch, endpoint })
    }
    cluster.requestMetadataUpdate(queue.topic)
    const topic = metadata.topic(queue.topic)
    if (topic !== undefined) accumulator.updateTopic(queue.topic, topic)
  }

  /** Why the open transaction will be aborted, and nothing is sent again; null while all is well. */
  get #abortReason(): KafkaError | null {
    return this.#parts.sequences?.abortReason ?? null
  }

  #timeout(batch: QueuedBatch): TimeoutError {
    const { config, sequences } = this.#parts
    const last = batch.lastError ?? (batch.attempts === 0 ? (sequences?.lastError ?? null) : null)
    const tried = batch.attempts === 0 ? 'never sent' : `sent ${batch.attempts} time(s)`
    const why = last === null ? this.#whyNot(batch) : `last error: ${last.message}`
    return new TimeoutError(
      `${describe(batch)} was not acknowledged within ${config.deliveryTimeoutMs} ms (deliveryTimeoutMs): ${tried}; ${why}`,
      { cause: last ?? undefined, mayHaveBeenWritten: batch.maybeWritten || batch.isInFlight },
    )
  }

  #whyNot({ compression, isInFlight, queue }: QueuedBatch): string {
    if (compression === 'at-work') return 'its codec has not finished'
    if (isInFlight) return `broker ${queue.inFlightNodeId} has not responded`
    const servers = this.#parts.cluster.lastErrors()
    if (queue.leader < 0) return `the partition has no leader${servers === '' ? '' : `; ${servers}`}`
    return servers === '' ? `broker ${queue.leader} did not take it in time` : servers
  }
}

/** KIP-467: the broker names the bad records; the rest of their batch was not written either. */
function recordErrors(
  batch: QueuedBatch,
  response: PartitionResponse,
  error: KafkaError,
): (index: number) => KafkaError {
  if (response.recordErrors.length === 0) return () => error
  // By index, and an error only for a record that is there: a broker may name any number of others.
  const bad = new Map<number, string | null>()
  for (const { batchIndex, batchIndexErrorMessage } of response.recordErrors) {
    if (batchIndex >= 0 && batchIndex < batch.recordCount) bad.set(batchIndex, batchIndexErrorMessage)
  }
  if (bad.size === 0) return () => error
  const where = `Produce of ${describe(batch)}`
  const { maybeWritten: mayHaveBeenWritten } = batch
  const others = brokerError(response.errorCode, where, {
    message: `the batch holds ${bad.size} invalid record(s), so none of it was written; this one may be sent again`,
    retriable: true,
    mayHaveBeenWritten,
  })
  return (index) => {
    const said = bad.get(index)
    if (said === undefined) return others
    const context = `${where}: record ${index} of ${batch.recordCount}`
    const message = said ?? response.errorMessage
    return brokerError(response.errorCode, context, { message, mayHaveBeenWritten })
  }
}

/** The epoch is not the newest any more: the coordinator tells the reason when the transaction is aborted. */
function fencedInTransaction({ message, code, errno, mayHaveBeenWritten }: KafkaError): ProducerFencedError {
  return new ProducerFencedError(
    `${message}: another producer with this transactional id took over, or the transaction took longer than ` +
      'transactionTimeoutMs; abortTransaction() tells which',
    { code, errno, mayHaveBeenWritten, fatal: false, abortable: true },
  )
}

function describe({ recordCount, queue }: QueuedBatch): string {
  return `${recordCount} record(s) for ${queue.topic}-${queue.partition}`
}
