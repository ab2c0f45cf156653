/**
 * The state of a transactional id, and the steps from one to the next; every step gives a new state. Two states of
 * Kafka's are missing because nobody can see them here: PrepareEpochFence turns into PrepareAbort within one request,
 * and Dead is an id that is gone.
 */
import type { TopicPartition } from '../../record.js'

export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`
}

export type TransactionStatus =
  'Empty' | 'Ongoing' | 'PrepareCommit' | 'PrepareAbort' | 'CompleteCommit' | 'CompleteAbort'

export interface TransactionState {
  readonly transactionalId: string
  readonly status: TransactionStatus
  readonly producerId: bigint
  /** The producer id before the last step, mostly the same. */
  readonly previousProducerId: bigint
  /** The id that takes over when the transaction is complete, because the epochs of this one are used up. */
  readonly nextProducerId: bigint
  readonly epoch: number
  /** The epoch that the producer had before it got this one; -1 where nobody may come back with it. */
  readonly lastEpoch: number
  readonly timeoutMs: number
  readonly partitions: readonly TopicPartition[]
  /** When the transaction began, -1 for none; milliseconds since the epoch, as `updatedAt`. */
  readonly startedAt: number
  readonly updatedAt: number
  /** What ended the last transaction: 2 means that its end raised the epoch (KIP-890). */
  readonly transactionVersion: number
}

export const NO_PRODUCER_ID = -1n
export const NO_EPOCH = -1
/** The largest epoch of a producer; one more is kept so that the coordinator can always fence. */
export const LAST_EPOCH = 32766

export function isExhausted(epoch: number): boolean {
  return epoch >= LAST_EPOCH
}

/** An id that has not been given to a producer yet: the first step raises its epoch to `firstEpoch`. */
export function newState(
  transactionalId: string,
  producerId: bigint,
  firstEpoch: number,
  timeoutMs: number,
  now: number,
): TransactionState {
  return {
    transactionalId,
    status: 'Empty',
    producerId,
    previousProducerId: NO_PRODUCER_ID,
    nextProducerId: NO_PRODUCER_ID,
    epoch: firstEpoch - 1,
    lastEpoch: NO_EPOCH,
    timeoutMs,
    partitions: [],
    startedAt: -1,
    updatedAt: now,
    transactionVersion: 0,
  }
}

/** A producer takes the id over, with this producer id and epoch. */
export function initialized(
  state: TransactionState,
  owner: Pick<TransactionState, 'producerId' | 'epoch' | 'lastEpoch'>,
  timeoutMs: number,
  now: number,
): TransactionState {
  return {
    ...state,
    ...owner,
    status: 'Empty',
    previousProducerId: state.producerId,
    timeoutMs,
    partitions: [],
    startedAt: -1,
    updatedAt: now,
  }
}

export function withPartitions(
  state: TransactionState,
  added: readonly TopicPartition[],
  now: number,
): TransactionState {
  const partitions = new Map([...state.partitions, ...added].map((each) => [partitionName(each), each]))
  return {
    ...state,
    status: 'Ongoing',
    previousProducerId: state.producerId,
    partitions: [...partitions.values()],
    startedAt: state.status === 'Ongoing' ? state.startedAt : now,
    updatedAt: now,
  }
}

/** The decision: what is left are the markers. `fenced`: the coordinator decided, and the producer is not to go on. */
export function ending(
  state: TransactionState,
  how: {
    readonly isCommit: boolean
    readonly transactionVersion: number
    readonly isFenced: boolean
    readonly nextProducerId: bigint
  },
  now: number,
): TransactionState {
  const isBumped = how.transactionVersion >= 2
  return {
    ...state,
    status: how.isCommit ? 'PrepareCommit' : 'PrepareAbort',
    previousProducerId: state.producerId,
    nextProducerId: how.nextProducerId,
    epoch: isBumped || how.isFenced ? state.epoch + 1 : state.epoch,
    lastEpoch: isBumped ? state.epoch : how.isFenced ? NO_EPOCH : state.lastEpoch,
    startedAt: state.status === 'Ongoing' ? state.startedAt : now,
    updatedAt: now,
    transactionVersion: how.transactionVersion,
  }
}

/** All markers are written. */
export function completed(state: TransactionState, now: number): TransactionState {
  const isReplaced = state.transactionVersion >= 2 && state.nextProducerId !== NO_PRODUCER_ID
  return {
    ...state,
    status: state.status === 'PrepareCommit' ? 'CompleteCommit' : 'CompleteAbort',
    producerId: isReplaced ? state.nextProducerId : state.producerId,
    previousProducerId: state.producerId,
    nextProducerId: NO_PRODUCER_ID,
    epoch: isReplaced ? 0 : state.epoch,
    partitions: [],
    updatedAt: now,
  }
}
