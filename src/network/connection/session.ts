/**
 * The session that logging in begins, and its renewal on the same connection (KIP-368): nobody else notices but by
 * waiting a moment. By the wall clock, as the broker's; a connection that nobody uses needs no session, so it is looked
 * at when a request is made, and no timer runs.
 */
import type { FaultBarrier } from '../../fault-barrier.js'
import type { Clock } from '../../time/clock.js'
import type { RequestPipeline } from './request-pipeline.js'

/** Re-authentication begins between these parts of a session, at random, so that not all do it at once. */
const RENEW_FROM = 0.85
const RENEW_SPREAD = 0.1

export interface SessionParts {
  readonly clock: Clock
  readonly barrier: FaultBarrier
  /** Held while a renewal is at work. */
  readonly requests: Pick<RequestPipeline, 'hold' | 'resume'>
  /** Logs in; fulfilled with the session's milliseconds, 0 for one without an end. */
  readonly authenticate: () => Promise<number>
  /** A renewal failed: the connection is of no use any more. */
  readonly onFailed: (error: unknown) => void
}

export class Session {
  readonly #parts: SessionParts
  /** Wall time from which the next request makes a new session begin. */
  #renewAt = Infinity
  /** Wall time from which no request may go out in the old session any more. */
  #endsAt = Infinity
  #isRenewing = false

  constructor(parts: SessionParts) {
    this.#parts = parts
  }

  async begin(): Promise<void> {
    const { authenticate, clock } = this.#parts
    // The broker counts from some moment after this one.
    const start = clock.wallNow()
    const lengthMs = await authenticate()
    const part = RENEW_FROM + RENEW_SPREAD * Math.random()
    this.#renewAt = lengthMs > 0 ? start + lengthMs * part : Infinity
    this.#endsAt = lengthMs > 0 ? start + lengthMs * (RENEW_FROM + RENEW_SPREAD) : Infinity
  }

  /** Somebody is about to make a request. */
  refresh(): void {
    if (this.#renewAt === Infinity) return
    const { barrier, clock, requests } = this.#parts
    const now = clock.wallNow()
    if (now >= this.#renewAt && !this.#isRenewing) barrier.watch(this.#renew())
    // Until then nobody has to wait for whoever keeps the credentials.
    if (now >= this.#endsAt) requests.hold()
  }

  /** A step of logging in is about to be sent: from the first one on no other request may come between. */
  step(): void {
    if (this.#isRenewing) this.#parts.requests.hold()
  }

  async #renew(): Promise<void> {
    this.#isRenewing = true
    try {
      await this.begin()
    } catch (error) {
      this.#parts.onFailed(error)
    }
    this.#isRenewing = false
    this.#parts.requests.resume()
  }
}
