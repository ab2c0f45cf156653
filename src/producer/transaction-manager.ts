/**
 * The transactions of one transactional id, from initTransactions on: the state, what belongs to the open transaction, and
 * the requests to its coordinator, one at a time.
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
  IllegalStateError,
  KafkaError,
  ProducerClosedError,
  TimeoutError,
  TransactionAbortedError,
  UnsupportedVersionError,
  withOutcome,
} from '../errors.js'
import type { Clock } from '../network/clock.js'
import type { Cluster } from '../network/cluster.js'
import { within } from '../network/within.js'
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  EndTxn,
  InitProducerId,
  TxnOffsetCommit,
} from '../protocol/apis.js'
import { errorByCode } from '../protocol/error-codes.js'
import {
  addOffsetsToTxnReactions,
  addPartitionsToTxnReactions,
  coordinatorReaction,
  endTxnReactions,
  initTransactionsReactions,
  txnOffsetCommitReactions,
  type CoordinatorReaction,
  type Table,
} from '../protocol/reactions.js'
import { Coordinator, type CoordinatorParts, type Verdict } from './coordinator.js'
import type { PartitionQueue } from './partition-queue.js'
import type { ProducerIdAndEpoch } from './partition-sequences.js'
import type { ProducerBatch } from './producer-batch.js'
import { SequenceGate } from './sequence-gate.js'
import {
  illegalCall,
  mayFollow,
  transactionStates,
  type TransactionCall,
  type TransactionState,
} from './transaction-states.js'

/** The last versions of classic transactions; the next one is for transactions v2. */
const CLASSIC = { produce: 11, endTxn: 4, txnOffsetCommit: 4 } as const

/** Coordinators give epochs up to 32766, and fence with one or two of them by themselves. */
const NEARLY_LAST_EPOCH = 32_760
const UNKNOWN_SERVER_ERROR = -1

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

/** A call that changes the state; until the application has its outcome no other is legal. */
interface Pending {
  readonly call: TransactionCall
  readonly outcome: Promise<void>
}

export class TransactionManager extends SequenceGate {
  override readonly transactionalId: string
  readonly #parts: TransactionManagerParts
  readonly #coordinator: Coordinator
  readonly #groups = new Map<string, Coordinator>()
  #state: TransactionState = 'UNINITIALIZED'
  #pending: Pending | null = null
  /** Why the transaction must be aborted. */
  #failure: KafkaError | null = null
  #isV2 = false
  #isClosed = false
  /** The coordinator's requests, one after the other. */
  #requests: Promise<unknown> = Promise.resolve()

  // The open transaction

  /** Partitions with records. */
  readonly #partitions = new Set<PartitionQueue>()
  /** Of these, what the coordinator does not know yet; only in classic transactions. */
  #unregistered: PartitionQueue[] = []
  readonly #registered = new Set<PartitionQueue>()
  /** Whether the coordinator has an open transaction: 'perhaps' while an answer is missing. */
  #isBegun: 'no' | 'perhaps' | 'yes' = 'no'
  /** The brokers no longer agree with this producer on its epoch or sequences. */
  #needsNewEpoch = false
  /** A request for this transaction was not answered: it may arrive in the next one, if that has the same epoch. */
  #isSomethingLost = false
  /** The coordinator was asked to commit, and has not refused. */
  #mayBeCommitted = false

  constructor(transactionalId: string, parts: TransactionManagerParts) {
    super()
    this.transactionalId = transactionalId
    this.#parts = parts
    this.#coordinator = new Coordinator('transaction', transactionalId, parts)
  }

  get state(): TransactionState {
    return this.#state
  }

  // The application's calls

  initTransactions(): Promise<void> {
    return this.#call('initTransactions', async () => {
      this.#moveTo('INITIALIZING')
      try {
        await this.#initProducerId({ producerId: -1n, producerEpoch: -1 })
      } catch (error) {
        if (!(error instanceof KafkaError) || error.fatal) throw this.#endWith(error)
        this.#moveTo('UNINITIALIZED')
        throw error
      }
      this.#throwIfFatal()
      this.#isV2 = this.#isV2InForce()
      this.#moveTo('READY')
    })
  }

  beginTransaction(): void {
    this.#assertLegal('beginTransaction')
    this.#moveTo('IN_TRANSACTION')
  }

  /** Why a record cannot be sent now, or null. */
  sendRefusal(): KafkaError | null {
    return this.#state === 'IN_TRANSACTION' ? null : this.#refusal('send')
  }

  async sendOffsets(offsets: ConsumedOffsets, group: ConsumerGroupMetadata): Promise<void> {
    this.#assertLegal('sendOffsetsToTransaction')
    assertGroup(group)
    const topics = offsetsByTopic(offsets)
    if (topics.length === 0) return
    const sent = this.#inTurn(async () => {
      if (!this.#isOpen) throw this.#refusal('sendOffsetsToTransaction')
      try {
        if (!this.#isV2) await this.#addOffsets(group.groupId)
        await this.#commitOffsets(topics, group)
      } catch (error) {
        throw this.#giveUp(error)
      }
    })
    await this.#inTime('sendOffsetsToTransaction', sent)
  }

  commitTransaction(): Promise<void> {
    return this.#call('commitTransaction', async () => {
      this.#moveTo('COMMITTING_TRANSACTION')
      await this.#parts.flush()
      await this.#requests
      if (this.#state !== 'COMMITTING_TRANSACTION') throw this.#refusal('commitTransaction')
      await this.#inTurn(() => this.#end(true))
    })
  }

  abortTransaction(): Promise<void> {
    return this.#call('abortTransaction', async () => {
      this.#moveTo('ABORTING_TRANSACTION')
      this.#failure ??= new TransactionAbortedError('the transaction was aborted before the record was sent')
      await this.#dropUnsent()
      await this.#parts.flush()
      await this.#inTurn(() => this.#end(false))
    })
  }

  /** Aborts a transaction that is open, and waits for an end that is under way; for at most maxBlockMs. */
  async finish(): Promise<void> {
    try {
      if (this.#pending?.call === 'commitTransaction') await this.commitTransaction()
      else if (transactionStates[this.#state].calls.includes('abortTransaction'))
        await this.abortTransaction()
    } catch (error) {
      const { logger } = this.#parts.config
      logger.warn('the transaction could not be ended before the producer was closed', {
        error: String(error),
      })
    }
  }

  override close(): void {
    this.#isClosed = true
    this.#coordinator.close()
    for (const group of this.#groups.values()) group.close()
  }

  // What the sender asks and tells

  override get lastError(): KafkaError | null {
    return this.#coordinator.lastError
  }

  override get maxProduceVersion(): number | undefined {
    return this.#isV2 ? undefined : CLASSIC.produce
  }

  override get abortReason(): KafkaError | null {
    return this.#failure
  }

  /** That is for initTransactions to do. */
  override ensureProducerId(): void {}

  /** A batch for the partition was begun. */
  onBatch(queue: PartitionQueue): void {
    if (this.#partitions.has(queue)) return
    this.#partitions.add(queue)
    if (this.#isV2) return
    if (this.#unregistered.push(queue) === 1) void this.#inTurn(() => this.#addPartitions())
  }

  override mayDrain(queue: PartitionQueue, batch: ProducerBatch): boolean {
    if (!this.#isOpen) return false
    if (!this.#isV2 && !this.#registered.has(queue)) return false
    return super.mayDrain(queue, batch)
  }

  override assignSequence(batch: ProducerBatch): void {
    this.#isBegun = 'yes'
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
    this.#moveTo('ABORTABLE_ERROR')
    if (error.code === 'UNKNOWN_PRODUCER_ID') this.#needsNewEpoch = true
    this.#failure = new TransactionAbortedError(`the transaction must be aborted: ${error.message}`, {
      cause: error,
    })
    void this.#dropUnsent()
  }

  /** Nothing can be done any more, neither in this transaction nor in another. */
  fatal(error: unknown): KafkaError {
    if (this.#state === 'FATAL_ERROR' && this.#failure !== null) return this.#failure
    const cause = error instanceof KafkaError ? error : new KafkaError(String(error), { cause: error })
    const { code, errno, message } = cause
    const fatal = cause.fatal ? cause : new KafkaError(message, { code, errno, fatal: true, cause })
    this.#moveTo('FATAL_ERROR')
    this.#failure = fatal
    return fatal
  }

  // Requests

  async #initProducerId(current: ProducerIdAndEpoch): Promise<void> {
    const { transactionTimeoutMs } = this.#parts.config
    const { transactionalId } = this
    const { producerId, producerEpoch } = await this.#coordinator.request(InitProducerId, {
      body: () => ({ transactionalId, transactionTimeoutMs, ...current }),
      verdict: ({ errorCode }) => {
        const said = verdict(initTransactionsReactions, errorCode)
        // Where the last epoch was given and the answer got lost, a coordinator fails whenever it is asked again.
        const isEnd = current.producerEpoch >= NEARLY_LAST_EPOCH && said.errorCode === UNKNOWN_SERVER_ERROR
        return isEnd ? { ...said, reaction: 'fatal' } : said
      },
    })
    this.identity = { producerId, producerEpoch }
  }

  async #addPartitions(): Promise<void> {
    const queues = this.#unregistered.splice(0)
    if (queues.length === 0 || !this.#isOpen) return
    if (this.#isBegun === 'no') this.#isBegun = 'perhaps'
    const topics = new Map<string, number[]>()
    for (const { topic, partition } of queues) topics.set(topic, [...(topics.get(topic) ?? []), partition])
    const v3AndBelowTopics = [...topics].map(([name, partitions]) => ({ name, partitions }))
    try {
      await this.#coordinator.request(AddPartitionsToTxn, {
        body: () => {
          const { transactionalId, producerId, producerEpoch } = this.#who
          return {
            v3AndBelowTransactionalId: transactionalId,
            v3AndBelowProducerId: producerId,
            v3AndBelowProducerEpoch: producerEpoch,
            v3AndBelowTopics,
          }
        },
        verdict: ({ resultsByTopicV3AndBelow }) =>
          worst(
            resultsByTopicV3AndBelow.flatMap(({ name, resultsByPartition }) =>
              resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => ({
                ...verdict(addPartitionsToTxnReactions, partitionErrorCode),
                of: `${name}-${partitionIndex}`,
              })),
            ),
          ),
        isWanted: () => this.#isOpen,
        onLost: this.#onLost,
      })
    } catch (error) {
      this.#giveUp(error)
      return
    }
    this.#isBegun = 'yes'
    for (const queue of queues) this.#registered.add(queue)
    this.#parts.onAdded(queues)
  }

  async #addOffsets(groupId: string): Promise<void> {
    if (this.#isBegun === 'no') this.#isBegun = 'perhaps'
    await this.#coordinator.request(AddOffsetsToTxn, {
      body: () => ({ ...this.#who, groupId }),
      verdict: ({ errorCode }) => ({
        ...verdict(addOffsetsToTxnReactions, errorCode),
        of: `consumer group ${groupId}`,
      }),
      isWanted: () => this.#isOpen,
      onLost: this.#onLost,
    })
    this.#isBegun = 'yes'
  }

  async #commitOffsets(
    topics: ReturnType<typeof offsetsByTopic>,
    { groupId, generationId = -1, memberId = '', groupInstanceId = null }: ConsumerGroupMetadata,
  ): Promise<void> {
    let left = topics
    this.#isBegun = 'yes'
    await this.#group(groupId).request(TxnOffsetCommit, {
      body: () => ({ ...this.#who, groupId, generationId, memberId, groupInstanceId, topics: left }),
      verdict: ({ topics: answers }) => {
        const verdicts = answers.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex, errorCode }) => ({
            ...verdict(txnOffsetCommitReactions, errorCode),
            of: `${name}-${partitionIndex}`,
          })),
        )
        const done = new Set(verdicts.filter(({ reaction }) => reaction === 'success').map((one) => one.of))
        left = left
          .map(({ name, partitions }) => ({
            name,
            partitions: partitions.filter(({ partitionIndex }) => !done.has(`${name}-${partitionIndex}`)),
          }))
          .filter(({ partitions }) => partitions.length > 0)
        return worst(verdicts)
      },
      isWanted: () => this.#isOpen,
      onLost: this.#onLost,
      ...(this.#isV2 ? {} : { maxVersion: CLASSIC.txnOffsetCommit }),
    })
  }

  readonly #onLost = (): void => {
    this.#isSomethingLost = true
  }

  /** Tells the coordinator, if it has anything to end, and is ready for the next transaction. */
  async #end(committed: boolean): Promise<void> {
    const { identity } = this
    this.#throwIfFatal()
    try {
      if (identity === null) throw new IllegalStateError('there is no producer id')
      for (const { sequences } of this.#partitions) {
        // What was given up may have been written, or be on its way still and be taken for a part of the next transaction.
        if (sequences.isUnresolved || sequences.inFlight.length > 0) this.#needsNewEpoch = true
      }
      if (this.#isBegun === 'yes') await this.#endTxn(committed)
      else if (this.#isBegun === 'perhaps') await this.#abortIfBegun()
      const wasV2 = this.#isV2
      this.#isV2 = this.#isV2InForce()
      const isRaised = this.identity !== identity
      if ((this.#needsNewEpoch && !isRaised) || (this.#isV2 && !wasV2)) await this.#raiseEpoch(this.identity!)
      else if (this.#isSomethingLost && !isRaised) await this.#raiseEpochIfPossible(this.identity!)
    } catch (error) {
      throw this.#endFailed(error, committed)
    }
    this.#throwIfFatal()
    this.#partitions.clear()
    this.#registered.clear()
    this.#unregistered = []
    this.#isBegun = 'no'
    this.#needsNewEpoch = this.#isSomethingLost = false
    this.#mayBeCommitted = false
    this.#failure = null
    this.#moveTo('READY')
  }

  /**
   * Without an answer nobody knows whether the coordinator has a transaction to end, nor whether it will hear of it yet:
   * under a new epoch it refuses what comes late.
   */
  async #abortIfBegun(): Promise<void> {
    this.#needsNewEpoch = true
    try {
      await this.#endTxn(false)
    } catch (error) {
      if (!(error instanceof KafkaError) || error.code !== 'INVALID_TXN_STATE') throw error
    }
  }

  async #endTxn(committed: boolean): Promise<void> {
    let attempts = 0
    const { producerId, producerEpoch } = await this.#coordinator.request(EndTxn, {
      body: () => {
        attempts++
        this.#mayBeCommitted = committed
        return { ...this.#who, committed }
      },
      verdict: ({ errorCode }) => {
        const said = verdict(endTxnReactions, errorCode)
        // A refusal says nothing of the attempts before it.
        if (attempts === 1 && isRefusal(said)) this.#mayBeCommitted = false
        return said
      },
      onLost: this.#onLost,
      ...(this.#isV2 ? {} : { maxVersion: CLASSIC.endTxn }),
    })
    if (producerId >= 0n) this.identity = { producerId, producerEpoch }
  }

  /** KIP-360: also ends what is open. */
  async #raiseEpoch(current: ProducerIdAndEpoch): Promise<void> {
    try {
      await this.#initProducerId(current)
    } catch (error) {
      if (!(error instanceof UnsupportedVersionError)) throw error
      throw new UnsupportedVersionError(
        `records of an aborted transaction may still be on their way, and brokers before 2.5 cannot fence them: ${error.message}`,
        { fatal: true, cause: error },
      )
    }
  }

  /** Brokers before 2.5 cannot: that something comes late is rare enough to go on. */
  async #raiseEpochIfPossible(current: ProducerIdAndEpoch): Promise<void> {
    try {
      await this.#initProducerId(current)
    } catch (error) {
      if (!(error instanceof UnsupportedVersionError)) throw error
    }
  }

  #endFailed(error: unknown, committed: boolean): KafkaError {
    const mayBeCommitted = this.#mayBeCommitted
    if (error instanceof ProducerClosedError) return withOutcome(error, mayBeCommitted)
    if (!(error instanceof KafkaError) || !error.abortable || !committed)
      return withOutcome(this.#endWith(error), mayBeCommitted)
    this.failed(error)
    return withOutcome(this.#refusal('commitTransaction'), mayBeCommitted)
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
    return this.#state === 'IN_TRANSACTION' || this.#state === 'COMMITTING_TRANSACTION'
  }

  get #who(): ProducerIdAndEpoch & { transactionalId: string } {
    return { transactionalId: this.transactionalId, ...this.identity! }
  }

  #isV2InForce(): boolean {
    return this.#parts.cluster.finalizedFeature('transaction.version') >= 2
  }

  #moveTo(state: TransactionState): void {
    if (!mayFollow(this.#state, state)) {
      throw new IllegalStateError(`state ${state} cannot follow ${this.#state}`)
    }
    this.#parts.config.logger.debug('transaction state', { from: this.#state, to: state })
    this.#state = state
  }

  /** Joins the same call while its outcome is not known to the application, or starts it. */
  #call(call: TransactionCall, start: () => Promise<void>): Promise<void> {
    let pending = this.#pending
    if (pending === null || pending.call !== call) {
      try {
        this.#assertLegal(call)
      } catch (error) {
        return Promise.reject(error)
      }
      pending = this.#pending = { call, outcome: start() }
    }
    const { outcome } = pending
    const told = (): void => {
      if (this.#pending === pending) this.#pending = null
    }
    return this.#inTime(call, outcome, told)
  }

  async #inTime(call: TransactionCall, outcome: Promise<void>, told: () => void = () => {}): Promise<void> {
    const { clock, config } = this.#parts
    const wait = { isLate: false }
    const late = (): TimeoutError => {
      wait.isLate = true
      const why = this.lastError === null ? '' : `: ${this.lastError.message}`
      const then = call === 'sendOffsetsToTransaction' ? 'it goes on' : `call ${call}() again, or close()`
      return new TimeoutError(
        `${call}() did not end within ${config.maxBlockMs} ms (maxBlockMs)${why}; ${then}`,
        { mayHaveBeenWritten: call === 'commitTransaction' },
      )
    }
    try {
      await within(clock, clock.now() + config.maxBlockMs, outcome, late)
    } finally {
      if (!wait.isLate) told()
    }
  }

  /** A batch's answer may have ended everything while the coordinator was asked. */
  #throwIfFatal(): void {
    if (this.#state === 'FATAL_ERROR') throw this.#failure!
  }

  #assertLegal(call: TransactionCall): void {
    if (this.#isClosed) throw new ProducerClosedError('the producer is closed')
    const { calls } = transactionStates[this.#state]
    if (this.#pending !== null || !calls.includes(call)) throw this.#refusal(call)
  }

  /** Why a call is not legal. */
  #refusal(call: TransactionCall): KafkaError {
    const pending = this.#pending?.call
    if (pending !== undefined && pending !== call) {
      return new IllegalStateError(
        `${call}() is not legal before ${pending}() has ended (state ${this.#state}); allowed: ${pending}(), close()`,
      )
    }
    if (this.#failure !== null && this.#state !== 'ABORTING_TRANSACTION') return this.#failure
    return illegalCall(call, this.#state)
  }

  /** Later, because it may be in the midst of settling a batch that this is found out. */
  async #dropUnsent(): Promise<void> {
    await Promise.resolve()
    if (this.#failure !== null) this.#parts.dropUnsent(this.#failure)
  }

  #inTurn<T>(request: () => Promise<T>): Promise<T> {
    const mine = this.#requests.then(request)
    this.#requests = mine.catch(() => {}) // whoever asked has the error
    return mine
  }

  #group(groupId: string): Coordinator {
    let group = this.#groups.get(groupId)
    if (group === undefined) {
      group = new Coordinator('group', groupId, this.#parts)
      this.#groups.set(groupId, group)
      if (this.#isClosed) group.close()
    }
    return group
  }
}

function verdict(table: Table<CoordinatorReaction>, errorCode: number): Verdict {
  return { reaction: coordinatorReaction(table, errorCode), errorCode }
}

/** The coordinator knows the request, and will not do it; an error that it is not known for may have come too late. */
function isRefusal({ reaction, errorCode }: Verdict): boolean {
  return (reaction === 'fatal' || reaction === 'abortable') && errorByCode(errorCode).name in endTxnReactions
}

const bySeverity: readonly CoordinatorReaction[] = ['fatal', 'abortable', 'find', 'retry', 'success']

/** Of several answers in one, the one that decides. An answer about nothing decides nothing. */
function worst(verdicts: readonly Verdict[]): Verdict {
  let decisive: Verdict = { reaction: 'success', errorCode: 0 }
  for (const one of verdicts) {
    if (bySeverity.indexOf(one.reaction) < bySeverity.indexOf(decisive.reaction)) decisive = one
  }
  return decisive
}
