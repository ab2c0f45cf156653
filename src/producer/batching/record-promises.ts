/**
 * How `send` hands out promises. A record in a batch gets one that hangs on a promise of its batch; one that has to wait
 * before it is in a batch has a promise of its own, behind a callback.
 *
 * A promise with functions to settle it costs three objects and a context, all of which live until the acknowledgement.
 * One made by `then` costs two objects, the handlers are the same for all, and which outcome is whose follows from the
 * order: reactions of a promise run in the order in which they were added.
 */
import type { KafkaError } from '../../errors.js'
import type { RecordMetadata } from '../../record.js'

/** What becomes of a record: delivered, or handed on to another batch and its promise. */
type Delivery = RecordMetadata | Promise<RecordMetadata>

/** The promises of the records of one batch, settled all at once, either way in the order of `add`. */
export class RecordPromises {
  readonly #batch: Promise<Outcomes<Delivery>>
  readonly #fulfil: (outcomes: Outcomes<Delivery>) => void
  readonly #reject: (outcomes: Outcomes<KafkaError>) => void

  constructor() {
    let fulfil!: (outcomes: Outcomes<Delivery>) => void
    let reject!: (outcomes: Outcomes<KafkaError>) => void
    this.#batch = new Promise((resolve, fail) => {
      fulfil = resolve
      reject = fail
    })
    this.#fulfil = fulfil
    this.#reject = reject
  }

  /** The next record's promise. */
  add(): Promise<RecordMetadata> {
    return this.#batch.then(takeDelivery, throwError)
  }

  /** One delivery for each promise. */
  fulfil(deliveries: readonly Delivery[]): void {
    this.#fulfil(new Outcomes(deliveries))
  }

  /** One error for each promise. The promises must be marked as handled before. */
  reject(errors: readonly KafkaError[]): void {
    this.#reject(new Outcomes(errors))
  }
}

class Outcomes<T> {
  #list: readonly T[]
  #taken = 0

  constructor(list: readonly T[]) {
    this.#list = list
  }

  take(): T {
    const outcome = this.#list[this.#taken++]!
    // The garbage collector may keep this for long after its end, and must not keep the outcomes with it.
    if (this.#taken === this.#list.length) this.#list = []
    return outcome
  }
}

const takeDelivery = (deliveries: Outcomes<Delivery>): Delivery => deliveries.take()

const throwError = (errors: Outcomes<KafkaError>): never => {
  throw errors.take()
}

/** What a callback returns that only settles a promise: the application may not be listening there. */
export const SETTLED_PROMISE = Symbol('settled a promise')

/** A callback of ours; what it returns says whether it is the application's own that was told. */
export type SettlingCallback = (error: KafkaError | null, metadata: RecordMetadata) => unknown

/** A promise, and the callback that settles it. */
export class OwnPromise {
  readonly promise: Promise<RecordMetadata>
  readonly callback: SettlingCallback

  constructor() {
    let resolve!: (metadata: RecordMetadata) => void
    let reject!: (error: KafkaError) => void
    const promise = new Promise<RecordMetadata>((fulfil, fail) => {
      resolve = fulfil
      reject = fail
    })
    this.promise = promise
    this.callback = (error, metadata) => {
      if (error === null) resolve(metadata)
      else {
        markHandled(promise)
        reject(error)
      }
      return SETTLED_PROMISE
    }
  }
}

/** So that a `send` nobody awaits never ends the process; whoever awaits it sees the error all the same. */
export function markHandled(promise: Promise<unknown>): void {
  promise.catch(ignore)
}

function ignore(): void {}
