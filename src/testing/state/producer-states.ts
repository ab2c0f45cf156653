/**
 * What one partition remembers of each producer: epoch, last batches, and the transaction that is open. Decides
 * whether a batch may follow those before it, and whether the transaction coordinator has to be asked about it first.
 */
import type { RecordBatchHeader } from '../../records/read-record-batch.js'
import type { Marker } from '../coordinators/control-records.js'
import { Refusal } from '../requests/refusal.js'

/** Batches of each producer that are remembered: what makes more than five requests in flight unsafe. */
const BATCHES_REMEMBERED = 5
const MAX_SEQUENCE = 0x7fffffff

export interface RememberedBatch {
  readonly firstSequence: number
  readonly lastSequence: number
  readonly baseOffset: number
  readonly maxTimestamp: number
}

interface ProducerState {
  epoch: number
  /** The last five at most, oldest first; all of `epoch`. */
  batches: RememberedBatch[]
  /** The first offset of the open transaction. */
  transactionStart: number | undefined
}

/** A batch that began a transaction here but was not appended yet, maybe because the coordinator said "later". */
interface Verification {
  epoch: number
  lowestSequence: number
  readonly supportsEpochBump: boolean
}

/** The last sequence of a batch that starts at `first`; sequences go on from 2^31-1 with 0. */
function lastSequence(first: number, lastOffsetDelta: number): number {
  return first + lastOffsetDelta <= MAX_SEQUENCE
    ? first + lastOffsetDelta
    : first + lastOffsetDelta - MAX_SEQUENCE - 1
}

function staleEpoch(producerId: bigint, epoch: number, current: number): Refusal {
  return new Refusal('INVALID_PRODUCER_EPOCH', `epoch ${epoch} of producer ${producerId} after ${current}`)
}

export class ProducerStates {
  readonly #producers = new Map<bigint, ProducerState>()
  readonly #verifications = new Map<bigint, Verification>()

  /** Where the first transaction that is open began. */
  get firstOpenOffset(): number | undefined {
    let first: number | undefined
    for (const { transactionStart } of this.#producers.values()) {
      if (transactionStart !== undefined && (first === undefined || transactionStart < first))
        first = transactionStart
    }
    return first
  }

  /**
   * Whether the coordinator has to say that the partition is in the transaction: it has where no record of the
   * transaction is here yet. Sequences after the one that asked first are refused until that one is here, so that
   * a batch cannot overtake another that has to come again.
   */
  startVerification(
    producerId: bigint,
    epoch: number,
    sequence: number,
    supportsEpochBump: boolean,
  ): boolean {
    const state = this.#producers.get(producerId)
    if (state !== undefined && epoch < state.epoch) throw staleEpoch(producerId, epoch, state.epoch)
    if (this.#isOpen(producerId, epoch)) return false
    const known = this.#verifications.get(producerId)
    if (known === undefined) {
      this.#verifications.set(producerId, { epoch, lowestSequence: sequence, supportsEpochBump })
    } else if (epoch > known.epoch || (epoch === known.epoch && sequence < known.lowestSequence)) {
      known.epoch = epoch
      known.lowestSequence = sequence
    }
    return true
  }

  duplicateOf(header: RecordBatchHeader): RememberedBatch | undefined {
    const { producerId, producerEpoch, baseSequence, lastOffsetDelta } = header
    const state = producerId > -1n ? this.#producers.get(producerId) : undefined
    if (state === undefined || state.epoch !== producerEpoch) return undefined
    const last = lastSequence(baseSequence, lastOffsetDelta)
    return state.batches.find((batch) => batch.firstSequence === baseSequence && batch.lastSequence === last)
  }

  /** Throws a Refusal unless the batch may be appended. `isVerified`: the coordinator knows of the partition. */
  check(header: RecordBatchHeader, isVerified: boolean): void {
    const { producerId, producerEpoch, isTransactional } = header
    if (producerId === -1n) return
    const state = this.#producers.get(producerId)
    if (state !== undefined && producerEpoch < state.epoch) {
      throw staleEpoch(producerId, producerEpoch, state.epoch)
    }
    if (isTransactional && !isVerified && !this.#isOpen(producerId, producerEpoch)) {
      throw new Refusal('INVALID_TXN_STATE', 'the partition is in no open transaction of the producer')
    }
    this.#checkSequence(header, state)
    if (state?.transactionStart !== undefined && !isTransactional) {
      throw new Refusal('INVALID_TXN_STATE', `producer ${producerId} has a transaction open`)
    }
  }

  #checkSequence(header: RecordBatchHeader, state: ProducerState | undefined): void {
    const { producerId, producerEpoch, baseSequence } = header
    const verification = this.#verifications.get(producerId)
    const refused = (expected: number) =>
      new Refusal(
        'OUT_OF_ORDER_SEQUENCE_NUMBER',
        `sequence ${baseSequence} of producer ${producerId} in epoch ${producerEpoch} where ${expected} is next`,
      )
    if (verification !== undefined) {
      const isFirst = state === undefined || state.batches.length === 0
      if (verification.supportsEpochBump && isFirst && baseSequence !== 0) throw refused(0)
      if (baseSequence > verification.lowestSequence) throw refused(verification.lowestSequence)
    }
    // Without any state, all of it may have been deleted with the records: any sequence begins a new one.
    if (state === undefined || state.epoch === -1) return
    const last = producerEpoch === state.epoch ? state.batches.at(-1)?.lastSequence : undefined
    const expected = last === undefined || last === MAX_SEQUENCE ? 0 : last + 1
    if (baseSequence !== expected) throw refused(expected)
  }

  /** The batch is appended. */
  remember(header: RecordBatchHeader, baseOffset: number, maxTimestamp: number): void {
    const { producerId, producerEpoch, baseSequence, lastOffsetDelta, isTransactional } = header
    if (producerId === -1n) return
    const state = this.#inEpoch(producerId, producerEpoch)
    if (state.batches.length === BATCHES_REMEMBERED) state.batches.shift()
    state.batches.push({
      firstSequence: baseSequence,
      lastSequence: lastSequence(baseSequence, lastOffsetDelta),
      baseOffset,
      maxTimestamp,
    })
    if (isTransactional) this.#open(producerId, state, baseOffset)
  }

  /** A coordinator has written for the producer, which has no sequences. */
  rememberWithoutSequence(producerId: bigint, epoch: number, offset: number): void {
    this.#open(producerId, this.#inEpoch(producerId, epoch), offset)
  }

  /**
   * Ends the open transaction, and fences epochs below the marker's. Returns where the transaction began, undefined
   * where it has no records here. Throws INVALID_PRODUCER_EPOCH for a marker that comes too late.
   */
  end({
    producerId,
    producerEpoch,
    transactionVersion,
  }: Pick<Marker, 'producerId' | 'producerEpoch' | 'transactionVersion'>): number | undefined {
    const current = this.#producers.get(producerId)
    if (current !== undefined) {
      const isAgain = producerEpoch === current.epoch && current.transactionStart === undefined
      const isLate = transactionVersion >= 2 ? producerEpoch <= current.epoch : producerEpoch < current.epoch
      if (isLate && !isAgain) throw staleEpoch(producerId, producerEpoch, current.epoch)
    }
    const state = this.#inEpoch(producerId, producerEpoch)
    const start = state.transactionStart
    state.transactionStart = undefined
    // A marker that is written again must not undo what the next transaction has begun.
    const verification = this.#verifications.get(producerId)
    if (!(verification?.supportsEpochBump === true && verification.epoch === producerEpoch))
      this.#verifications.delete(producerId)
    return start
  }

  /** Forgets every producer that has no transaction open. */
  forget(): void {
    for (const [producerId, { transactionStart }] of this.#producers)
      if (transactionStart === undefined) this.#producers.delete(producerId)
  }

  #isOpen(producerId: bigint, epoch: number): boolean {
    const state = this.#producers.get(producerId)
    return state?.transactionStart !== undefined && state.epoch === epoch
  }

  #open(producerId: bigint, state: ProducerState, offset: number): void {
    state.transactionStart ??= offset
    this.#verifications.delete(producerId)
  }

  /** The producer's state; batches of another epoch are forgotten, an open transaction is not. */
  #inEpoch(producerId: bigint, epoch: number): ProducerState {
    let state = this.#producers.get(producerId)
    if (state === undefined) {
      state = { epoch, batches: [], transactionStart: undefined }
      this.#producers.set(producerId, state)
    } else if (state.epoch !== epoch) {
      state.epoch = epoch
      state.batches = []
    }
    return state
  }
}
