/**
 * The state of a transactional producer, and the application's calls: which is legal, who waits for which outcome, and
 * for how long. One call at a time changes the state; until the application has its outcome only the same call is legal,
 * and joins it.
 */
import type { ResolvedConfig } from '../../config/config.js'
import { IllegalStateError, ProducerClosedError, TimeoutError, type KafkaError } from '../../errors.js'
import type { Clock } from '../../time/clock.js'
import { within } from '../../time/within.js'
import {
  illegalCall,
  mayFollow,
  transactionStates,
  type TransactionCall,
  type TransactionState,
} from './transaction-states.js'

export interface TransactionCallsParts {
  readonly config: Pick<ResolvedConfig, 'maxBlockMs' | 'logger'>
  readonly clock: Clock
  /** What stands in the way of a call that takes long. */
  readonly lastError: () => KafkaError | null
  /** The state is another one. */
  readonly moved: () => void
}

interface Pending {
  readonly call: TransactionCall
  readonly outcome: Promise<void>
}

export class TransactionCalls {
  readonly #parts: TransactionCallsParts
  #state: TransactionState = 'UNINITIALIZED'
  #failure: KafkaError | null = null
  #pending: Pending | null = null
  #isClosed = false

  constructor(parts: TransactionCallsParts) {
    this.#parts = parts
  }

  get state(): TransactionState {
    return this.#state
  }

  /** Why the transaction must be, or is, aborted, or why nothing can be done any more; null in the other states. */
  get failure(): KafkaError | null {
    return this.#failure
  }

  /** The call whose outcome the application does not have yet. */
  get pending(): TransactionCall | undefined {
    return this.#pending?.call
  }

  moveTo(state: TransactionState, failure: KafkaError | null = null): void {
    if (!mayFollow(this.#state, state)) {
      throw new IllegalStateError(`state ${state} cannot follow ${this.#state}`)
    }
    this.#parts.config.logger.debug('transaction state', { from: this.#state, to: state })
    this.#state = state
    this.#failure = failure
    this.#parts.moved()
  }

  /** Fulfilled when the pending call has ended, however it has; its outcome is still to be told to the application. */
  async pendingEnd(): Promise<void> {
    await this.#pending?.outcome.catch(() => {}) // whoever made the call has the error
  }

  get isClosed(): boolean {
    return this.#isClosed
  }

  /** No call is legal any more. */
  close(): void {
    this.#isClosed = true
  }

  /** Joins the same call while its outcome is not known to the application, or starts it; waits for maxBlockMs. */
  join(call: TransactionCall, start: () => Promise<void>): Promise<void> {
    let pending = this.#pending
    if (pending === null || pending.call !== call) {
      try {
        this.assertLegal(call)
      } catch (error) {
        return Promise.reject(error)
      }
      // Before it starts: what it runs may be the application's, and make the same call.
      const { outcome, settle } = outcomeToCome()
      pending = this.#pending = { call, outcome }
      settle(start())
    }
    const { outcome } = pending
    const told = (): void => {
      if (this.#pending === pending) this.#pending = null
    }
    return this.inTime(call, outcome, this.#parts.lastError, told)
  }

  /** The outcome, or TimeoutError after maxBlockMs. `told` runs when the application gets the outcome. */
  async inTime(
    call: TransactionCall,
    outcome: Promise<void>,
    lastError: () => KafkaError | null,
    told: () => void = () => {},
  ): Promise<void> {
    const { clock, config } = this.#parts
    const wait = { isLate: false }
    const late = (): TimeoutError => {
      wait.isLate = true
      const error = lastError()
      const why = error === null ? '' : `: ${error.message}`
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

  assertLegal(call: TransactionCall): void {
    if (this.#isClosed) throw new ProducerClosedError('the producer is closed')
    const { calls } = transactionStates[this.#state]
    if (this.#pending !== null || !calls.includes(call)) throw this.refusal(call)
  }

  /** Why a call is not legal. */
  refusal(call: TransactionCall): KafkaError {
    const pending = this.#pending?.call
    if (pending !== undefined && pending !== call) {
      return new IllegalStateError(
        `${call}() is not legal before ${pending}() has ended (state ${this.#state}); allowed: ${pending}(), close()`,
      )
    }
    if (this.#failure !== null && this.#state !== 'ABORTING_TRANSACTION') return this.#failure
    return illegalCall(call, this.#state)
  }

  throwIfFatal(): void {
    if (this.#state === 'FATAL_ERROR') throw this.#failure!
  }
}

/** An outcome that can be joined before what it is the outcome of has begun. */
export function outcomeToCome(): { outcome: Promise<void>; settle: (outcome: Promise<void>) => void } {
  let settle!: (outcome: Promise<void>) => void
  const outcome = new Promise<void>((resolve) => (settle = resolve))
  return { outcome, settle }
}
