/** The interceptors of a producer around one record (KIP-42); what one of them throws is logged and hurts nobody. */
import { types } from 'node:util'
import type { ProducerInterceptor } from '../../interceptor.js'
import type { Logger } from '../../logger.js'
import { tell } from '../../user-code.js'
import type { DeliveryCallback, Headers, ProducerRecord, TopicRecord } from '../../record.js'

export class Interception {
  readonly #interceptors: readonly ProducerInterceptor[]
  readonly #logger: Pick<Logger, 'error'>

  constructor(interceptors: readonly ProducerInterceptor[], logger: Pick<Logger, 'error'>) {
    this.#interceptors = interceptors
    this.#logger = logger
  }

  /** The record as the interceptors want it. */
  onSend(topic: string, given: TopicRecord): ProducerRecord<unknown, unknown> {
    let record: ProducerRecord<unknown, unknown> = { ...given, topic }
    for (const interceptor of this.#interceptors) {
      this.#guard('onSend', () => {
        const wanted: unknown = interceptor.onSend?.(record)
        // The record goes on as it is rather than as a promise.
        if (types.isPromise(wanted)) return wanted.then(refuseAsynchronous)
        record = (wanted as typeof record | undefined) ?? record
      })
    }
    return record
  }

  /** A callback that tells the interceptors the outcome, and then settles the record as `send` was asked to. */
  around(callback: DeliveryCallback, headers: Headers | undefined): DeliveryCallback {
    return (error, metadata) => {
      for (const interceptor of this.#interceptors) {
        this.#guard('onAcknowledgement', () => interceptor.onAcknowledgement?.(metadata, error, headers))
      }
      // Its result is watched where it is called: it may be asynchronous, or say that a promise was settled.
      return callback(error, metadata)
    }
  }

  close(): void {
    for (const interceptor of this.#interceptors) this.#guard('close', () => interceptor.close?.())
  }

  #guard(hook: string, call: () => unknown): void {
    tell(call, (error) => this.#logger.error(`an interceptor's ${hook} threw`, { error }))
  }
}

function refuseAsynchronous(): never {
  throw new TypeError('it returned a promise; the record is needed at once')
}
