/** The states of a transactional producer: what may be called in each, and which may follow which. */
import { explained, IllegalStateError, type KafkaError } from '../../errors.js'

export type TransactionState =
  /** There is no producer id. */
  | 'UNINITIALIZED'
  /** The coordinator is asked for one; it ends what a predecessor left open. */
  | 'INITIALIZING'
  | 'READY'
  | 'IN_TRANSACTION'
  | 'COMMITTING_TRANSACTION'
  | 'ABORTING_TRANSACTION'
  /** Something of the transaction failed. */
  | 'ABORTABLE_ERROR'
  /** Fenced, not authorized, or the coordinator's answer makes no sense: the producer is unusable. */
  | 'FATAL_ERROR'

export type TransactionCall =
  | 'initTransactions'
  | 'beginTransaction'
  | 'send'
  | 'sendOffsetsToTransaction'
  | 'commitTransaction'
  | 'abortTransaction'

interface Row {
  /** What the application may call. In a state that a call brings about the same call joins it. */
  readonly calls: readonly TransactionCall[]
  readonly next: readonly TransactionState[]
}

/** FATAL_ERROR can follow every state. */
export const transactionStates: Readonly<Record<TransactionState, Row>> = {
  UNINITIALIZED: { calls: ['initTransactions'], next: ['INITIALIZING'] },
  INITIALIZING: { calls: ['initTransactions'], next: ['READY', 'UNINITIALIZED'] },
  READY: { calls: ['beginTransaction'], next: ['IN_TRANSACTION'] },
  IN_TRANSACTION: {
    calls: ['send', 'sendOffsetsToTransaction', 'commitTransaction', 'abortTransaction'],
    next: ['COMMITTING_TRANSACTION', 'ABORTING_TRANSACTION', 'ABORTABLE_ERROR'],
  },
  COMMITTING_TRANSACTION: { calls: ['commitTransaction'], next: ['READY', 'ABORTABLE_ERROR'] },
  ABORTING_TRANSACTION: { calls: ['abortTransaction'], next: ['READY'] },
  ABORTABLE_ERROR: { calls: ['abortTransaction'], next: ['ABORTING_TRANSACTION'] },
  FATAL_ERROR: { calls: [], next: [] },
}

export function mayFollow(from: TransactionState, to: TransactionState): boolean {
  return to === 'FATAL_ERROR' || transactionStates[from].next.includes(to)
}

/** The error for a call that is not legal in a state. */
export function illegalCall(call: TransactionCall, state: TransactionState): IllegalStateError {
  return new IllegalStateError(`${call}() is not legal in ${allowedIn(state)}`)
}

/** The error for every call to a producer that is unusable because of this one. */
export function unusable(failure: KafkaError): KafkaError {
  return explained(failure, `${failure.message} (${allowedIn('FATAL_ERROR')})`)
}

/** A state, and what may be called in it. */
export function allowedIn(state: TransactionState): string {
  const allowed = [...transactionStates[state].calls.map((name) => `${name}()`), 'close()'].join(', ')
  return `state ${state}; allowed: ${allowed}`
}
