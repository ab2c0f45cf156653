/**
 * Injected faults: which requests they hit, and when. A fault counts the requests that match it from the moment it is
 * injected. Several may match one request: each counts it, and of those that are due the one injected first applies.
 */
import { errno } from './requests/refusal.js'

/** The APIs that the cluster serves. */
export type ApiName =
  | 'Produce'
  | 'Metadata'
  | 'FindCoordinator'
  | 'ApiVersions'
  | 'InitProducerId'
  | 'AddPartitionsToTxn'
  | 'AddOffsetsToTxn'
  | 'EndTxn'
  | 'TxnOffsetCommit'

/** Which requests a fault hits. */
export interface FaultMatch {
  readonly api: ApiName
  /** Only requests to this broker (its node id). */
  readonly broker?: number
  /** Only Produce, Metadata, AddPartitionsToTxn and TxnOffsetCommit requests that name this topic. */
  readonly topic?: string
  /** The first request hit, 1 is the next that matches; default 1. */
  readonly nth?: number
  /** How many requests are hit; Infinity is allowed. Default 1, or Infinity where `probability` is given. */
  readonly times?: number
  /** From the `nth` on, each matching request is hit with this probability, 0 to 1; default 1. */
  readonly probability?: number
  /** Seed of the dice for `probability`, so that a run can be repeated; default 1. */
  readonly seed?: number
}

/**
 * What happens to a request that is hit.
 *
 * - `{ error }`: it is not carried out, and answered with this error: a name of the protocol's, or any number, known
 *   or not. In Produce, Metadata, AddPartitionsToTxn and TxnOffsetCommit the error is that of each partition or topic
 *   asked for (with `topic` in the match: of that topic only, the others are served; in AddPartitionsToTxn, which
 *   adds all partitions or none, they get OPERATION_NOT_ATTEMPTED), except REBOOTSTRAP_REQUIRED, which stands at the
 *   top of a Metadata answer. In FindCoordinator it is that of each key. REQUEST_TIMED_OUT and
 *   NOT_ENOUGH_REPLICAS_AFTER_APPEND mean that the leader has appended, so with these a Produce request is carried out
 *   first.
 * - `{ delayMs }`: it is carried out at once and answered that much later; what follows on the connection waits
 *   behind it, as it does in Kafka.
 * - `{ throttleMs }`: it is carried out and answered at once, with this throttle time in the answer, and the broker does not
 *   read from the connection for that long (KIP-219).
 * - `{ leaderEpoch }`, for Metadata: the answer gives every partition this leader epoch, in place of its own (with `topic`
 *   in the match: every partition of that topic).
 * - `'drop-request'`: neither it nor anything after it on this connection arrives. The connection stays open.
 * - `'drop-answer'`: it is carried out, and so is everything after it on this connection, but no answer to any of
 *   these ever arrives. The connection stays open.
 * - `'close'`: the connection is reset and the request is not carried out.
 * - `{ cutAfterBytes }`: it is carried out; this many bytes of the answer are sent, its size prefix included, and
 *   then the connection is reset. 0: reset without an answer.
 */
export type FaultAction =
  | { readonly error: string | number }
  | { readonly delayMs: number }
  | { readonly throttleMs: number }
  | { readonly leaderEpoch: number }
  | 'drop-request'
  | 'drop-answer'
  | 'close'
  | { readonly cutAfterBytes: number }

/** The fault that applies to a request, with the topic it is limited to. */
export interface MatchedFault {
  readonly action: FaultAction
  readonly topic: string | undefined
}

interface Fault {
  readonly match: FaultMatch
  readonly action: FaultAction
  readonly dice: () => number
  seen: number
  left: number
}

/** mulberry32: numbers in [0, 1) from a 32-bit seed. */
function seededDice(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

/** What is no time would go into the broker's clock, where it stops all that waits. */
function assertTime(action: FaultAction, name: 'delayMs' | 'throttleMs'): void {
  if (typeof action !== 'object' || !(name in action)) return
  const given = (action as Readonly<Record<string, unknown>>)[name]
  if (typeof given === 'number' && given >= 0 && Number.isFinite(given)) return
  throw new RangeError(`${name} is ${String(given)}, must be a number of milliseconds from 0 on`)
}

export class Faults {
  readonly #faults = new Set<Fault>()

  /** Injects a fault; the function returned removes it. */
  add(match: FaultMatch, action: FaultAction): () => void {
    const { nth = 1, probability = 1, times = match.probability === undefined ? 1 : Infinity } = match
    if (!Number.isInteger(nth) || nth < 1) throw new RangeError(`nth is ${nth}, must be an integer from 1 on`)
    if (!(times >= 1)) throw new RangeError(`times is ${times}, must be 1 or more`)
    if (!(probability >= 0 && probability <= 1))
      throw new RangeError(`probability is ${probability}, not 0 to 1`)
    for (const name of ['delayMs', 'throttleMs'] as const) assertTime(action, name)
    // An unknown name is the test's mistake, and shows where it was made.
    if (typeof action === 'object' && 'error' in action && typeof action.error === 'string')
      errno(action.error)
    const fault: Fault = { match, action, dice: seededDice(match.seed ?? 1), seen: 0, left: times }
    this.#faults.add(fault)
    return () => {
      this.#faults.delete(fault)
    }
  }

  /** Counts a request with every fault that it matches; returns the one that applies to it. */
  match(api: ApiName, broker: number, topics: readonly string[]): MatchedFault | undefined {
    let matched: MatchedFault | undefined
    for (const fault of this.#faults) {
      const { match, action } = fault
      if (match.api !== api) continue
      if (match.broker !== undefined && match.broker !== broker) continue
      if (match.topic !== undefined && !topics.includes(match.topic)) continue
      fault.seen++
      if (fault.seen < (match.nth ?? 1) || fault.dice() >= (match.probability ?? 1) || matched !== undefined)
        continue
      matched = { action, topic: match.topic }
      fault.left--
      if (fault.left === 0) this.#faults.delete(fault)
    }
    return matched
  }
}
