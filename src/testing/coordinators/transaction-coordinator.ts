/**
 * The transaction coordinator: who owns a transactional id, what its transaction is, and how that ends. Decides each
 * request as Apache Kafka 4.2 does, with the same code for what it refuses; broker and wire are the business of
 * transaction-requests.ts. There is one for all brokers: a coordinator that moves takes everything along.
 */
import type { TopicPartition } from '../../record.js'
import type { BrokerClock } from '../broker/broker-clock.js'
import type { ClusterState } from '../state/cluster-state.js'
import type { GroupCoordinator } from './group-coordinator.js'
import { Refusal } from '../requests/refusal.js'
import { TransactionMarkers } from './transaction-markers.js'
import {
  completed,
  ending,
  initialized,
  isExhausted,
  LAST_EPOCH,
  newState,
  NO_EPOCH,
  NO_PRODUCER_ID,
  partitionName,
  withPartitions,
  type TransactionState,
} from './transaction-state.js'

/** `transaction.max.timeout.ms`. */
const MAX_TIMEOUT_MS = 900_000
/** `transactional.id.expiration.ms`: an id without a transaction for so long is forgotten. */
const EXPIRATION_MS = 604_800_000

/** What a producer needs to go on: its id and its epoch. */
export interface Identity {
  readonly producerId: bigint
  readonly epoch: number
}

/** The producer that sent a request, as it says. */
export interface Claim extends Identity {
  readonly transactionalId: string
}

/** The finalized level of the feature `transaction.version`. */
export type TransactionVersion = 1 | 2

/** The steps that end a transaction of the second kind raise the epoch (KIP-890). */
function bumpsEpoch(transactionVersion: number): boolean {
  return transactionVersion >= 2
}

function isDecided({ status }: TransactionState): boolean {
  return status === 'PrepareCommit' || status === 'PrepareAbort'
}

export class TransactionCoordinator {
  #transactionVersion: TransactionVersion
  #featuresEpoch = 1n
  readonly #cluster: ClusterState
  readonly #clock: BrokerClock
  readonly #markers: TransactionMarkers
  readonly #markerDelayMs: number
  readonly #firstEpoch: number
  readonly #states = new Map<string, TransactionState>()
  /** Timers of transactions that are open, by transactional id. */
  readonly #timeouts = new Map<string, { cancel(): void }>()
  /** Timers of markers. */
  readonly #delays = new Set<{ cancel(): void }>()
  /** Transactions that ran out of time while their coordinator was away, by transactional id. */
  readonly #timedOut = new Set<string>()
  #isClosed = false

  constructor(
    cluster: ClusterState,
    groups: GroupCoordinator,
    clock: BrokerClock,
    options: {
      readonly transactionVersion: TransactionVersion
      readonly markerDelayMs: number
      readonly firstEpoch: number
    },
  ) {
    this.#cluster = cluster
    this.#clock = clock
    this.#markers = new TransactionMarkers(cluster, groups)
    this.#transactionVersion = options.transactionVersion
    this.#markerDelayMs = options.markerDelayMs
    this.#firstEpoch = options.firstEpoch
  }

  /** What the coordinator ends transactions with when no client asks it to; clients choose by what they find here. */
  get transactionVersion(): TransactionVersion {
    return this.#transactionVersion
  }

  set transactionVersion(level: TransactionVersion) {
    if (level !== this.#transactionVersion) this.#featuresEpoch++
    this.#transactionVersion = level
  }

  /** Goes up with every change of the features, so that an older answer can be told from a newer one. */
  get featuresEpoch(): bigint {
    return this.#featuresEpoch
  }

  /** The transactional id as it is now, undefined where nobody has used it. */
  describe(transactionalId: string): TransactionState | undefined {
    return this.#stateOf(transactionalId)
  }

  /**
   * Gives the transactional id to a producer; `claimed` is what that producer had before (KIP-360). An open
   * transaction of a former owner is aborted first, and CONCURRENT_TRANSACTIONS says that this takes a while.
   */
  initProducerId(
    nodeId: number,
    transactionalId: string,
    timeoutMs: number,
    claimed: Identity | undefined,
  ): Identity {
    if (transactionalId === '') throw new Refusal('INVALID_REQUEST', 'an empty transactional id')
    if (timeoutMs <= 0 || timeoutMs > MAX_TIMEOUT_MS) {
      throw new Refusal('INVALID_TRANSACTION_TIMEOUT', `${timeoutMs} ms, 1 to ${MAX_TIMEOUT_MS} are allowed`)
    }
    this.#checkCoordinator(nodeId, transactionalId)
    const now = this.#clock.wallNow()
    const state =
      this.#stateOf(transactionalId) ??
      newState(transactionalId, this.#cluster.nextProducerId(), this.#firstEpoch, timeoutMs, now)
    // Kept even where the request is refused, as in Kafka.
    this.#states.set(transactionalId, state)
    this.#checkUndecided(state)
    if (claimed !== undefined && !mayReturn(state, claimed)) throw fenced(claimed, state)
    if (state.status === 'Ongoing') {
      this.#fence(state)
      throw new Refusal('CONCURRENT_TRANSACTIONS', 'the transaction of the former producer is aborted first')
    }
    const next = initialized(state, this.#nextOwner(state, claimed), timeoutMs, now)
    this.#states.set(transactionalId, next)
    return identity(next)
  }

  /** Takes partitions into the transaction; the first ones begin it. */
  addPartitions(nodeId: number | undefined, claim: Claim, partitions: readonly TopicPartition[]): void {
    const state = this.#claimed(nodeId, claim)
    this.#checkUndecided(state)
    checkOwner(state, claim)
    if (state.status === 'Ongoing' && isIn(state, partitions)) return
    const now = this.#clock.wallNow()
    this.#states.set(state.transactionalId, withPartitions(state, partitions, now))
    if (state.status !== 'Ongoing') this.#startTimeout(state)
  }

  /** Which of the partitions the open transaction does not have (KIP-890); for the leaders of the partitions. */
  missingPartitions(claim: Claim, partitions: readonly TopicPartition[]): TopicPartition[] {
    const state = this.#claimed(undefined, claim)
    checkOwner(state, claim)
    this.#checkUndecided(state)
    return partitions.filter((each) => !isIn(state, [each]))
  }

  /**
   * Ends the transaction; `transactionVersion` is what the client speaks. Returns what the producer goes on with: in
   * version 2 another epoch, and another id where the epochs are used up.
   */
  endTransaction(
    nodeId: number,
    claim: Claim,
    isCommit: boolean,
    transactionVersion: TransactionVersion,
  ): Identity {
    const state = this.#claimed(nodeId, claim)
    if (bumpsEpoch(transactionVersion)) {
      this.#checkUndecided(state)
      if (isRepeatedEnd(state, claim)) {
        if (state.status === (isCommit ? 'CompleteCommit' : 'CompleteAbort')) return identity(state)
        throw invalidState(state, isCommit)
      }
      checkOwner(state, claim)
      // An abort where nothing was begun is a producer that does not know whether it had begun.
      if (state.status !== 'Ongoing' && isCommit) throw invalidState(state, isCommit)
    } else {
      checkOwner(state, claim)
      this.#checkUndecided(state)
      if (state.status === (isCommit ? 'CompleteCommit' : 'CompleteAbort')) {
        return { producerId: NO_PRODUCER_ID, epoch: NO_EPOCH }
      }
      if (state.status !== 'Ongoing') throw invalidState(state, isCommit)
    }
    const isReplaced = bumpsEpoch(transactionVersion) && isExhausted(state.epoch)
    const nextProducerId = isReplaced ? this.#cluster.nextProducerId() : NO_PRODUCER_ID
    const decided = this.#decide(state, { isCommit, transactionVersion, isFenced: false, nextProducerId })
    if (!bumpsEpoch(transactionVersion)) return { producerId: NO_PRODUCER_ID, epoch: NO_EPOCH }
    return identity(completed(decided, decided.updatedAt))
  }

  /** Goes on with what waited for a broker: aborts what is out of time, writes markers. */
  goOn(): void {
    for (const transactionalId of this.#timedOut) this.#abortTimedOut(transactionalId)
    for (const transactionalId of this.#markers.pending) this.#writeMarkers(transactionalId)
  }

  /** No timer of the coordinator is left. */
  close(): void {
    this.#isClosed = true
    for (const timer of [...this.#timeouts.values(), ...this.#delays]) timer.cancel()
  }

  #stateOf(transactionalId: string): TransactionState | undefined {
    const state = this.#states.get(transactionalId)
    if (state === undefined || state.status === 'Ongoing' || isDecided(state)) return state
    if (state.updatedAt > this.#clock.wallNow() - EXPIRATION_MS) return state
    this.#states.delete(transactionalId)
    return undefined
  }

  /** The state that a request is about. A broker asks without a `nodeId`: it finds the coordinator by itself. */
  #claimed(nodeId: number | undefined, { transactionalId }: Claim): TransactionState {
    if (transactionalId === '') throw new Refusal('INVALID_REQUEST', 'an empty transactional id')
    this.#checkCoordinator(nodeId, transactionalId)
    const state = this.#stateOf(transactionalId)
    if (state === undefined) {
      throw new Refusal('INVALID_PRODUCER_ID_MAPPING', `nobody has initialized ${transactionalId}`)
    }
    return state
  }

  #checkCoordinator(nodeId: number | undefined, transactionalId: string): void {
    const leader = this.#cluster.coordinators.leaderOf('transaction', transactionalId)
    if (nodeId === undefined && leader === -1) {
      throw new Refusal('COORDINATOR_NOT_AVAILABLE', `nobody coordinates ${transactionalId}`)
    }
    if (nodeId !== undefined && leader !== nodeId) {
      throw new Refusal('NOT_COORDINATOR', `broker ${leader} coordinates ${transactionalId}`)
    }
  }

  #checkUndecided(state: TransactionState): void {
    if (isDecided(state)) {
      throw new Refusal('CONCURRENT_TRANSACTIONS', `markers of ${state.transactionalId} are being written`)
    }
  }

  /** Id and epoch for a producer that begins, or comes back. */
  #nextOwner(
    { producerId, epoch, lastEpoch }: TransactionState,
    claimed: Identity | undefined,
  ): Pick<TransactionState, 'producerId' | 'epoch' | 'lastEpoch'> {
    if (isExhausted(epoch)) {
      if (claimed !== undefined && claimed.epoch !== epoch) {
        // Kafka fails over its own check here.
        throw new Refusal('UNKNOWN_SERVER_ERROR', `no epoch is left for producer ${producerId}`)
      }
      const last = claimed === undefined ? NO_EPOCH : epoch
      return { producerId: this.#cluster.nextProducerId(), epoch: 0, lastEpoch: last }
    }
    if (claimed === undefined) return { producerId, epoch: epoch + 1, lastEpoch: NO_EPOCH }
    if (epoch === NO_EPOCH || claimed.epoch === epoch)
      return { producerId, epoch: epoch + 1, lastEpoch: epoch }
    // The answer to the request before got lost: the same one again.
    if (claimed.epoch === lastEpoch) return { producerId, epoch, lastEpoch }
    throw new Refusal('PRODUCER_FENCED', `epoch ${claimed.epoch} of producer ${producerId} after ${epoch}`)
  }

  /** Aborts on the coordinator's own account: the producer that has the epoch now is to learn that it is out. */
  #fence(state: TransactionState): void {
    const { transactionVersion } = this
    this.#decide(state, {
      isCommit: false,
      transactionVersion,
      isFenced: true,
      nextProducerId: NO_PRODUCER_ID,
    })
  }

  #decide(state: TransactionState, how: Parameters<typeof ending>[1]): TransactionState {
    const { transactionalId } = state
    const decided = ending(state, how, this.#clock.wallNow())
    this.#states.set(transactionalId, decided)
    this.#timedOut.delete(transactionalId)
    this.#timeouts.get(transactionalId)?.cancel()
    this.#timeouts.delete(transactionalId)
    const { producerId, epoch: producerEpoch, partitions } = decided
    const coordinatorEpoch = this.#cluster.coordinators.epochOf('transaction', transactionalId)
    const { isCommit, transactionVersion } = how
    const write = () => {
      this.#markers.add(
        transactionalId,
        { producerId, producerEpoch, isCommit, coordinatorEpoch, transactionVersion },
        partitions,
      )
      this.#writeMarkers(transactionalId)
    }
    if (this.#markerDelayMs === 0 || partitions.length === 0) write()
    else this.#later(write)
    return decided
  }

  #writeMarkers(transactionalId: string): void {
    const now = this.#clock.wallNow()
    if (!this.#markers.write(transactionalId, now)) return
    this.#states.set(transactionalId, completed(this.#states.get(transactionalId)!, now))
  }

  #startTimeout({ transactionalId, timeoutMs }: TransactionState): void {
    if (this.#isClosed) return
    const abort = () => {
      this.#timedOut.add(transactionalId)
      this.#abortTimedOut(transactionalId)
    }
    this.#timeouts.set(transactionalId, this.#clock.setTimer(timeoutMs, abort))
  }

  #abortTimedOut(transactionalId: string): void {
    const coordinator = this.#cluster.coordinators.leaderOf('transaction', transactionalId)
    if (this.#cluster.isResponding(coordinator)) this.#fence(this.#states.get(transactionalId)!)
  }

  #later(write: () => void): void {
    if (this.#isClosed) return
    const timer = this.#clock.setTimer(this.#markerDelayMs, () => {
      this.#delays.delete(timer)
      write()
    })
    this.#delays.add(timer)
  }
}

function identity({ producerId, epoch }: TransactionState): Identity {
  return { producerId, epoch }
}

function fenced(claim: Identity, { producerId, epoch }: TransactionState): Refusal {
  return new Refusal(
    'PRODUCER_FENCED',
    `producer ${claim.producerId} in epoch ${claim.epoch}, it is ${producerId} in ${epoch}`,
  )
}

function invalidState({ status }: TransactionState, isCommit: boolean): Refusal {
  return new Refusal('INVALID_TXN_STATE', `${isCommit ? 'a commit' : 'an abort'} in state ${status}`)
}

/** Whether a producer that says what it had may have the id again; its epoch is looked at later. */
function mayReturn(state: TransactionState, claimed: Identity): boolean {
  return (
    state.epoch === NO_EPOCH ||
    claimed.producerId === state.producerId ||
    (claimed.producerId === state.previousProducerId && isExhausted(claimed.epoch))
  )
}

function checkOwner(state: TransactionState, claim: Claim): void {
  if (claim.producerId !== state.producerId) {
    throw new Refusal('INVALID_PRODUCER_ID_MAPPING', `${claim.transactionalId} is ${state.producerId}`)
  }
  if (claim.epoch !== state.epoch) throw fenced(claim, state)
}

/** Whether the transaction has all of the partitions. */
function isIn({ partitions }: TransactionState, wanted: readonly TopicPartition[]): boolean {
  const names = new Set(partitions.map(partitionName))
  return wanted.every((each) => names.has(partitionName(each)))
}

/** EndTxn of version 2 again, because its answer got lost: the epoch is the one before the last end. */
function isRepeatedEnd(state: TransactionState, { producerId, epoch }: Claim): boolean {
  if (state.status !== 'CompleteCommit' && state.status !== 'CompleteAbort') return false
  // An end of version 1 raises no epoch: the one above is a successor's.
  if (!bumpsEpoch(state.transactionVersion)) return false
  if (producerId === state.producerId && state.epoch === epoch + 1) return true
  return producerId === state.previousProducerId && epoch === LAST_EPOCH && state.epoch === 0
}
