/**
 * The transactions of one transactional id, from initTransactions on: what each call of the application, each batch and
 * each failure brings about. The coordinator is asked one thing at a time.
 *
 * Two protocols. Classic transactions (brokers up to 3.x) tell the coordinator of every partition before the first record
 * goes there, and keep their epoch. In transactions v2 (KIP-890, feature transaction.version 2) the brokers do the first,
 * and every end of a transaction raises the epoch, so that nothing late can get into the next one.
 */
import type { ResolvedConfig } from '../config.js'
import {
  assertGroup,
  offsetsByTopic,
  type ConsumedOffsets,
  type ConsumerGroupMetadata,
} from '../consumer-offsets.js'
import {
  asFatal,
  IllegalStateError,
  KafkaError,
  ProducerClosedError,
  TransactionAbortedError,
  withOutcome,
} from '../errors.js'
import type { Clock } from '../network/clock.js'
import type { Cluster } from '../network/cluster.js'
import type { CoordinatorParts } from './coordinator.js'
import { OpenTransaction } from './open-transaction.js'
import type { PartitionQueue } from './partition-queue.js'
import type { ProducerIdAndEpoch } from './partition-sequences.js'
import type { ProducerBatch } from './producer-batch.js'
import { SequenceGate } from './sequence-gate.js'
import { TransactionCalls } from './transaction-calls.js'
import { CLASSIC, TransactionRequests, type Asker } from './transaction-requests.js'
import { transactionStates, type TransactionState } from './transaction-states.js'

export interface TransactionManagerParts extends CoordinatorParts {
  readonly config: Pick<ResolvedConfig, 'maxBlockMs' | 'transactionTimeoutMs' | 'logger'>
  readonly cluster: Pick<Cluster, 'anyConnection' | 'connect' | 'finalizedFeature'>
  readonly clock: Clock
  /** Fulfilled when every record that was sent has ended, well or badly. */
  readonly flush: () => Promise<void>
  /** Fails every record that is not in a request on its way. */
  readonly dropUnsent: (error: KafkaError) => void
  /** These partitions may be sent now. */
  readonly onAdded: (queues: readonly PartitionQueue[]) => void
  readonly onFatal: (error: KafkaError) => void
}

export class TransactionManager extends SequenceGate {
  override readonly transactionalId: string
  readonly #parts: TransactionManagerParts
  readonly #calls: TransactionCalls
  readonly #requests: TransactionRequests
  #isV2 = false
  #transaction = new OpenTransaction()
  /** The end of the last request; the next one is made then. */
  #turn: Promise<unknown> = Promise.resolve()

  constructor(transactionalId: string, parts: TransactionManagerParts) {
    super()
    this.transactionalId = transactionalId
    this.#parts = parts
    const { config, clock } = parts
    this.#requests = new TransactionRequests(transactionalId, config.transactionTimeoutMs, parts)
    this.#calls = new TransactionCalls({ config, clock, lastError: () => this.lastError })
  }

  get state(): TransactionState {
    return this.#calls.state
  }

  // The application's calls

  initTransactions(): Promise<void> {
    return this.#calls.join('initTransactions', async () => {
      this.#calls.moveTo('INITIALIZING')
      try {
        this.identity = await this.#requests.initProducerId({ producerId: -1n, producerEpoch: -1 })
      } catch (error) {
        if (!(error instanceof KafkaError) || error.fatal) throw this.#endWith(error)
        this.#calls.throwIfFatal()
        this.#calls.moveTo('UNINITIALIZED')
        throw error
      }
      this.#calls.throwIfFatal()
      this.#isV2 = this.#isV2InForce()
      this.#calls.moveTo('READY')
    })
  }

  beginTransaction(): void {
    this.#calls.assertLegal('beginTransaction')
    this.#calls.moveTo('IN_TRANSACTION')
  }

  /** Why a record cannot be sent now, or null. */
  sendRefusal(): KafkaError | null {
    return this.#calls.state === 'IN_TRANSACTION' ? null : this.#calls.refusal('send')
  }

  async sendOffsets(offsets: ConsumedOffsets, group: ConsumerGroupMetadata): Promise<void> {
    this.#calls.assertLegal('sendOffsetsToTransaction')
    assertGroup(group)
    const topics = offsetsByTopic(offsets)
    if (topics.length === 0) return
    const sent = this.#inTurn(async () => {
      if (!this.#isOpen) throw this.#calls.refusal('sendOffsetsToTransaction')
      try {
        if (!this.#isV2) await this.#addOffsets(group.groupId)
        this.#transaction.isBegun = 'yes'
        await this.#requests.commitOffsets(this.#asker, topics, group)
      } catch (error) {
        throw this.#giveUp(error)
      }
    })
    await this.#calls.inTime('sendOffsetsToTransaction', sent)
  }

  commitTransaction(): Promise<void> {
    return this.#calls.join('commitTransaction', async () => {
      this.#calls.moveTo('COMMITTING_TRANSACTION')
      await this.#parts.flush()
      await this.#turn
      if (this.#calls.state !== 'COMMITTING_TRANSACTION') throw this.#calls.refusal('commitTransaction')
      await this.#inTurn(() => this.#end(true))
    })
  }

  abortTransaction(): Promise<void> {
    return this.#calls.join('abortTransaction', async () => {
      const why = 'the transaction was aborted before the record was sent'
      this.#calls.moveTo('ABORTING_TRANSACTION', this.#calls.failure ?? new TransactionAbortedError(why))
      await this.#dropUnsent()
      await this.#parts.flush()
      await this.#inTurn(() => this.#end(false))
    })
  }

  /** Aborts a transaction that is open, and waits for an end that is under way; for at most maxBlockMs. */
  async finish(): Promise<void> {
    try {
      if (this.#calls.pending === 'commitTransaction') await this.commitTransaction()
      else if (transactionStates[this.#calls.state].calls.includes('abortTransaction'))
        await this.abortTransaction()
    } catch (error) {
      const { logger } = this.#parts.config
      logger.warn('the transaction could not be ended before the producer was closed', {
        error: String(error),
      })
    }
  }

  override close(): void {
    this.#calls.close()
    this.#requests.close()
  }

  // What the sender asks and tells

  override get lastError(): KafkaError | null {
    return this.#requests.lastError
  }

  override get maxProduceVersion(): number | undefined {
    return this.#isV2 ? undefined : CLASSIC.produce
  }

  override get abortReason(): KafkaError | null {
    return this.#calls.failure
  }

  /** That is for initTransactions to do. */
  override ensureProducerId(): void {}

  /** A batch for the partition was begun. */
  onBatch(queue: PartitionQueue): void {
    if (!this.#transaction.add(queue) || this.#isV2) return
    if (this.#transaction.registerLater(queue)) void this.#inTurn(() => this.#addPartitions())
  }

  override mayDrain(queue: PartitionQueue, batch: ProducerBatch): boolean {
    if (!this.#isOpen) return false
    if (!this.#isV2 && !this.#transaction.isRegistered(queue)) return false
    return super.mayDrain(queue, batch)
  }

  override assignSequence(batch: ProducerBatch): void {
    this.#transaction.isBegun = 'yes'
    super.assignSequence(batch)
  }

  /** A gap that is no other batch's doing cannot be mended: the epoch is the coordinator's. */
  override outOfOrder(batch: ProducerBatch): boolean {
    return !batch.queue.sequences.isFirstInFlight(batch)
  }

  /** Where retention removed all that the producer wrote, the partition begins again; otherwise records were lost. */
  override forgotten(batch: ProducerBatch, logStartOffset: bigint): boolean {
    const { sequences } = batch.queue
    if (logStartOffset < 0n || !sequences.isFirstInFlight(batch)) return true
    sequences.mustRestart = sequences.lastAckedOffset < logStartOffset
    return sequences.mustRestart
  }

  protected override restart({ sequences }: PartitionQueue, identity: ProducerIdAndEpoch): boolean {
    if (!sequences.mustRestart) return false
    sequences.restart(identity)
    return true
  }

  /** A record, or an offset, that belongs to the open transaction was given up: it can only be aborted. */
  failed(error: KafkaError): void {
    if (!this.#isOpen || error.fatal || error instanceof IllegalStateError) return
    const why = `the transaction must be aborted: ${error.message}`
    this.#calls.moveTo('ABORTABLE_ERROR', new TransactionAbortedError(why, { cause: error }))
    if (error.code === 'UNKNOWN_PRODUCER_ID') this.#transaction.needsNewEpoch = true
    void this.#dropUnsent()
  }

  /** Nothing can be done any more, neither in this transaction nor in another. */
  fatal(error: unknown): KafkaError {
    const { state, failure } = this.#calls
    if (state === 'FATAL_ERROR' && failure !== null) return failure
    const fatal = asFatal(
      error instanceof KafkaError ? error : new KafkaError(String(error), { cause: error }),
    )
    this.#calls.moveTo('FATAL_ERROR', fatal)
    return fatal
  }

  // Requests

  async #addPartitions(): Promise<void> {
    const queues = this.#transaction.takeUnregistered()
    if (queues.length === 0 || !this.#isOpen) return
    if (this.#transaction.isBegun === 'no') this.#transaction.isBegun = 'perhaps'
    try {
      await this.#requests.addPartitions(this.#asker, queues)
    } catch (error) {
      this.#giveUp(error)
      return
    }
    this.#transaction.isBegun = 'yes'
    this.#transaction.register(queues)
    this.#parts.onAdded(queues)
  }

  async #addOffsets(groupId: string): Promise<void> {
    if (this.#transaction.isBegun === 'no') this.#transaction.isBegun = 'perhaps'
    await this.#requests.addOffsets(this.#asker, groupId)
    this.#transaction.isBegun = 'yes'
  }

  /** Tells the coordinator, if it has anything to end, and is ready for the next transaction. */
  async #end(committed: boolean): Promise<void> {
    const { identity } = this
    this.#calls.throwIfFatal()
    try {
      if (identity === null) throw new IllegalStateError('there is no producer id')
      if (this.#transaction.hasLooseEnds) this.#transaction.needsNewEpoch = true
      if (this.#transaction.isBegun === 'yes') await this.#endTxn(committed)
      else if (this.#transaction.isBegun === 'perhaps') await this.#abortIfBegun()
      const wasV2 = this.#isV2
      this.#isV2 = this.#isV2InForce()
      const isRaised = this.identity !== identity
      if ((this.#transaction.needsNewEpoch && !isRaised) || (this.#isV2 && !wasV2))
        this.identity = await this.#requests.raiseEpoch(this.identity!)
      else if (this.#transaction.isSomethingLost && !isRaised)
        this.identity = await this.#requests.raiseEpochIfPossible(this.identity!)
    } catch (error) {
      throw this.#endFailed(error, committed)
    }
    this.#calls.throwIfFatal()
    this.#transaction = new OpenTransaction()
    this.#calls.moveTo('READY')
  }

  /**
   * Without an answer nobody knows whether the coordinator has a transaction to end, nor whether it will hear of it yet:
   * under a new epoch it refuses what comes late.
   */
  async #abortIfBegun(): Promise<void> {
    this.#transaction.needsNewEpoch = true
    try {
      await this.#endTxn(false)
    } catch (error) {
      if (!(error instanceof KafkaError) || error.code !== 'INVALID_TXN_STATE') throw error
    }
  }

  async #endTxn(committed: boolean): Promise<void> {
    this.identity = await this.#requests.endTxn(this.#asker, committed, (mayTakeEffect) => {
      this.#transaction.mayBeCommitted = committed && mayTakeEffect
    })
  }

  #endFailed(error: unknown, committed: boolean): KafkaError {
    const mayBeCommitted = this.#transaction.mayBeCommitted
    if (error instanceof ProducerClosedError) return withOutcome(error, mayBeCommitted)
    if (!(error instanceof KafkaError) || !error.abortable || !committed)
      return withOutcome(this.#endWith(error), mayBeCommitted)
    this.failed(error)
    return withOutcome(this.#calls.refusal('commitTransaction'), mayBeCommitted)
  }

  #endWith(error: unknown): KafkaError {
    const fatal = this.fatal(error)
    this.#parts.onFatal(fatal)
    return fatal
  }

  /** A request for the open transaction failed for good. */
  #giveUp(error: unknown): KafkaError {
    if (!(error instanceof KafkaError) || error.fatal) return this.#endWith(error)
    this.failed(error)
    return error
  }

  // State

  /** The transaction takes records and offsets, or finishes with what it has. */
  get #isOpen(): boolean {
    return this.#calls.state === 'IN_TRANSACTION' || this.#calls.state === 'COMMITTING_TRANSACTION'
  }

  /** The open transaction as those who are asked about it are to know it. */
  get #asker(): Asker {
    return {
      identity: this.identity!,
      isV2: this.#isV2,
      isWanted: () => this.#isOpen,
      onLost: () => {
        this.#transaction.isSomethingLost = true
      },
    }
  }

  #isV2InForce(): boolean {
    return this.#parts.cluster.finalizedFeature('transaction.version') >= 2
  }

  /** Later, because it may be in the midst of settling a batch that this is found out. */
  async #dropUnsent(): Promise<void> {
    await Promise.resolve()
    const { failure } = this.#calls
    if (failure !== null) this.#parts.dropUnsent(failure)
  }

  #inTurn<T>(request: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(request)
    this.#turn = mine.catch(() => {}) // whoever asked has the error
    return mine
  }
}
