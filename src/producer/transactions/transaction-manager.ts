/**
 * The transactions of one transactional id, from initTransactions on: what each call of the application, each batch and
 * each failure brings about. The coordinator is asked one thing at a time.
 *
 * Two protocols. Classic transactions (brokers up to 3.x) tell the coordinator of every partition before the first record
 * goes there, and keep their epoch. In transactions v2 (KIP-890, feature transaction.version 2) the brokers do the first,
 * and every end of a transaction raises the epoch, so that nothing late can get into the next one.
 */
import type { ResolvedConfig } from '../../config/config.js'
import {
  assertGroup,
  offsetsByTopic,
  type ConsumedOffsets,
  type ConsumerGroupMetadata,
} from '../../consumer-offsets.js'
import {
  asFatal,
  IllegalStateError,
  KafkaError,
  ProducerClosedError,
  ProducerFencedError,
  TimeoutError,
  TransactionAbortedError,
  withOutcome,
} from '../../errors.js'
import type { FaultBarrier } from '../../fault-barrier.js'
import type { Clock } from '../../time/clock.js'
import type { Cluster } from '../../network/cluster.js'
import { within } from '../../time/within.js'
import type { CoordinatorParts } from './coordinator.js'
import { OpenTransaction } from './open-transaction.js'
import type { GateHold } from '../batching/hold.js'
import type { PartitionQueue, QueuedBatch } from '../batching/partition-queue.js'
import type { ProducerIdAndEpoch, SequencesView } from '../batching/partition-sequences.js'
import { markHandled } from '../batching/record-promises.js'
import { SequenceGate } from '../sending/sequence-gate.js'
import { outcomeToCome, TransactionCalls } from './transaction-calls.js'
import { CLASSIC, TransactionRequests, type Asker } from './transaction-requests.js'
import { allowedIn, transactionStates, type TransactionCall } from './transaction-states.js'

export interface TransactionManagerParts extends CoordinatorParts {
  readonly config: Pick<ResolvedConfig, 'maxBlockMs' | 'transactionTimeoutMs' | 'logger'>
  readonly cluster: Pick<Cluster, 'anyConnection' | 'connectAt' | 'finalizedFeature'>
  readonly clock: Clock
  readonly barrier: FaultBarrier
  /** Fulfilled when every record that was sent has ended, well or badly. */
  readonly flush: () => Promise<void>
  /** Fails every record that is not in a request on its way. */
  readonly dropUnsent: (error: KafkaError) => void
  readonly onFatal: (error: KafkaError) => void
}

export class TransactionManager extends SequenceGate {
  override readonly transactionalId: string
  protected override readonly holdOfGap = 'transaction'
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
    this.#calls = new TransactionCalls({
      config,
      clock,
      lastError: () => this.lastError,
      moved: () => this.partitions?.reconsiderAll(),
    })
  }

  /** The call whose outcome the application does not have yet. */
  get pending(): TransactionCall | undefined {
    return this.#calls.pending
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

  /** The coordinator was asked to commit the open transaction, or is about to be, and has not refused. */
  get mayBeCommitted(): boolean {
    return this.#calls.pending === 'commitTransaction' || this.#transaction.mayBeCommitted
  }

  /**
   * There is a producer id, and the last transaction is over, unless the application has to be told how that ended: what
   * became of an earlier initTransactions or abort is of no use to it.
   */
  async ready(): Promise<void> {
    if (this.#calls.pending === 'abortTransaction') await this.abortTransaction()
    if (this.#calls.pending === 'initTransactions' || this.#calls.state === 'UNINITIALIZED')
      await this.initTransactions()
  }

  beginTransaction(): void {
    this.#calls.assertLegal('beginTransaction')
    this.#calls.moveTo('IN_TRANSACTION')
  }

  /** Why a record cannot be sent now, or null. */
  sendRefusal(): KafkaError | null {
    return this.#calls.state === 'IN_TRANSACTION' ? null : this.#calls.refusal('send')
  }

  /** Throws for what is refused. Nobody has to await the promise: what it is rejected with makes the commit fail. */
  sendOffsets(offsets: ConsumedOffsets, group: ConsumerGroupMetadata): Promise<void> {
    this.#calls.assertLegal('sendOffsetsToTransaction')
    assertGroup(group)
    const topics = offsetsByTopic(offsets)
    if (topics.length === 0) return Promise.resolve()
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
    const lastError = (): KafkaError | null => this.#requests.lastErrorOf(group.groupId)
    const told = this.#calls.inTime('sendOffsetsToTransaction', sent, lastError)
    markHandled(told)
    return told
  }

  commitTransaction(): Promise<void> {
    return this.#calls.join('commitTransaction', async () => {
      this.#calls.moveTo('COMMITTING_TRANSACTION')
      await this.#parts.flush()
      await this.#turn
      if (this.#calls.state !== 'COMMITTING_TRANSACTION') throw this.#calls.refusal('commitTransaction')
      this.#transaction.isEnding = true
      await this.#inTurn(() => this.#end(true))
    })
  }

  abortTransaction(): Promise<void> {
    return this.#calls.join('abortTransaction', () => this.#abort())
  }

  /**
   * Waits for an end that is under way, and aborts what is open then; for at most maxBlockMs in all. How a commit ended
   * is still told to who asks for it again.
   */
  async finish(): Promise<void> {
    const { clock, config } = this.#parts
    const { maxBlockMs, logger } = config
    const end = async (): Promise<void> => {
      if (this.#calls.pending === 'commitTransaction') await this.#calls.pendingEnd()
      const { calls } = transactionStates[this.#calls.state]
      if (calls.includes('abortTransaction') && !this.#calls.isClosed) await this.#abort()
    }
    const late = (): KafkaError => {
      const why = this.lastError === null ? '' : `: ${this.lastError.message}`
      return new TimeoutError(`it did not end within ${maxBlockMs} ms (maxBlockMs)${why}`)
    }
    try {
      await within(clock, clock.now() + maxBlockMs, end(), late)
    } catch (error) {
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

  override batchBegun(queue: PartitionQueue): void {
    if (!this.#transaction.add(queue) || this.#isV2) return
    if (this.#transaction.registerLater(queue))
      this.#parts.barrier.watch(this.#inTurn(() => this.#addPartitions()))
  }

  override hold(queue: PartitionQueue, batch: QueuedBatch): GateHold | null {
    if (!this.#isOpen) return 'transaction'
    if (!this.#isV2 && !this.#transaction.isRegistered(queue)) return 'transaction'
    return super.hold(queue, batch)
  }

  override admit(queue: PartitionQueue, batch: QueuedBatch): void {
    this.#transaction.isBegun = 'yes'
    super.admit(queue, batch)
  }

  /** A gap that is no other batch's doing cannot be mended: the epoch is the coordinator's. */
  override outOfOrder(batch: QueuedBatch): boolean {
    return !batch.queue.sequences.isFirstInFlight(batch)
  }

  /** Where retention removed all that the producer wrote, the partition begins again; otherwise records were lost. */
  override forgotten(batch: QueuedBatch, logStartOffset: bigint): boolean {
    const { queue } = batch
    const { sequences } = queue
    if (logStartOffset < 0n || !sequences.isFirstInFlight(batch)) return true
    if (sequences.lastAckedOffset >= logStartOffset) return false
    queue.mustRestart()
    return true
  }

  /** What is known to be removed from the log begins again; any other gap ends with its transaction. */
  protected override identityAfterGap(
    { mustRestart }: SequencesView,
    identity: ProducerIdAndEpoch,
  ): ProducerIdAndEpoch | null {
    return mustRestart ? identity : null
  }

  /**
   * A record, or an offset, was given up: if it belongs to the open transaction, that can only be aborted. What was
   * refused is no part of it, and fatal errors come here another way.
   */
  failed(error: KafkaError): void {
    if (!this.#isOpen || this.#transaction.isEnding || error.fatal || error instanceof IllegalStateError)
      return
    this.#mustAbort(error)
  }

  /** Nothing can be done any more, neither in this transaction nor in another. */
  fatal(error: KafkaError): KafkaError {
    const { state, failure } = this.#calls
    if (state === 'FATAL_ERROR' && failure !== null) return failure
    const fatal = asFatal(error)
    this.#calls.moveTo('FATAL_ERROR', fatal)
    return fatal
  }

  #mustAbort(error: KafkaError): void {
    const why = `the transaction must be aborted (${allowedIn('ABORTABLE_ERROR')}): ${error.message}`
    const { code, errno } = error
    const failure =
      error instanceof ProducerFencedError
        ? new ProducerFencedError(why, { code, errno, fatal: false, abortable: true, cause: error })
        : new TransactionAbortedError(why, { cause: error })
    this.#calls.moveTo('ABORTABLE_ERROR', failure)
    if (code === 'UNKNOWN_PRODUCER_ID') this.#transaction.needsNewEpoch = true
    this.#parts.barrier.watch(this.#dropUnsent())
  }

  /** The one abort of the transaction, whoever wants it. */
  #abort(): Promise<void> {
    const run = async (): Promise<void> => {
      const why = 'the transaction was aborted before the record was sent'
      this.#calls.moveTo('ABORTING_TRANSACTION', this.#calls.failure ?? new TransactionAbortedError(why))
      await this.#dropUnsent()
      await this.#parts.flush()
      await this.#inTurn(() => this.#end(false))
    }
    if (this.#transaction.abort !== null) return this.#transaction.abort
    const { outcome, settle } = outcomeToCome()
    this.#transaction.abort = outcome
    settle(run())
    return outcome
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
    for (const queue of queues) this.partitions?.reconsider(queue)
  }

  async #addOffsets(groupId: string): Promise<void> {
    if (this.#transaction.isBegun === 'no') this.#transaction.isBegun = 'perhaps'
    await this.#requests.addOffsets(this.#asker, groupId)
    this.#transaction.isBegun = 'yes'
  }

  /** Tells the coordinator, if it has anything to end, and is ready for the next transaction. */
  async #end(committed: boolean): Promise<void> {
    const { identity } = this
    let isCommitted = false
    this.#calls.throwIfFatal()
    try {
      if (identity === null) throw new IllegalStateError('there is no producer id')
      if (this.#transaction.hasLooseEnds) this.#transaction.needsNewEpoch = true
      if (this.#transaction.isBegun === 'yes') {
        await this.#endTxn(committed)
        isCommitted = committed
      } else if (this.#transaction.isBegun === 'perhaps') await this.#abortIfBegun()
      const wasV2 = this.#isV2
      this.#isV2 = this.#isV2InForce()
      const isRaised = this.identity !== identity
      if ((this.#transaction.needsNewEpoch && !isRaised) || (this.#isV2 && !wasV2))
        this.identity = await this.#requests.raiseEpoch(this.identity!)
      else if (this.#transaction.isSomethingLost && !isRaised)
        this.identity = await this.#requests.raiseEpochIfPossible(this.identity!)
    } catch (error) {
      if (!isCommitted) throw this.#endFailed(error, committed)
      // It is committed, whatever becomes of the producer.
      if (!(error instanceof ProducerClosedError)) this.#endWith(error)
      return
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
    this.#mustAbort(error)
    return withOutcome(this.#calls.refusal('commitTransaction'), mayBeCommitted)
  }

  #endWith(error: unknown): KafkaError {
    const fatal = this.fatal(this.#parts.barrier.errorOf(error))
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
