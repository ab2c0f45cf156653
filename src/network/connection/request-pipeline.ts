/**
 * Requests over one socket, any number at a time, and their answers, which come in the same order. Each is answered,
 * times out, or ends with the connection. What may not go out for the moment is held here, and nothing overtakes it.
 */
import { KafkaError, ProtocolError, TimeoutError } from '../../errors.js'
import { queueMicrotask } from '../../time/event-loop.js'
import type { Api } from '../../protocol/schema.js'
import { Reader } from '../../protocol/wire.js'
import type { BrokerSocket } from './broker-socket.js'
import type { Clock, Timer } from '../../time/clock.js'

export interface RequestOptions {
  /** Caps the version, for a feature that the broker must not be asked for. */
  readonly maxVersion?: number
  /** Default: requestTimeoutMs. Counts from the moment at which the request is written. */
  readonly timeoutMs?: number
  /** False for a Produce request with acks=0. Default true. */
  readonly expectsResponse?: boolean
  /**
   * The socket has let go of the request's bytes: they are written, or the socket is gone. Called exactly once, whatever
   * becomes of the request, never from within `request`, and possibly after the promise was settled. Memory that the
   * request refers to must not be reused earlier (KAFKA-19012).
   */
  readonly onWritten?: () => void
  /** A step of authentication: all others are held from its first one on, and it is not held itself. */
  readonly authenticates?: boolean
}

export interface RequestPipelineParts {
  /** Connected before the first request. */
  readonly socket: Pick<BrokerSocket, 'write'>
  readonly clock: Clock
  readonly clientId: string | null
  readonly requestTimeoutMs: number
  /** The broker in words. */
  readonly peer: () => string
  /** Bytes are handed to the socket. */
  readonly onWrite: () => void
  /** A request was not answered in time, and nobody can tell what its answer will be taken for: `end` must follow. */
  readonly onLate: (error: TimeoutError) => void
}

interface Pending {
  readonly name: string
  /** A message of SASL without a request around it: its answer has no header either. */
  readonly isBare: boolean
  readonly correlationId: number
  readonly expectsResponse: boolean
  readonly timeoutMs: number
  /** Running time; Infinity until the request is written. */
  deadline: number
  /** Whether the header of the answer has tagged fields. */
  readonly hasFlexibleHeader: boolean
  /** Decodes and fulfils; returns the time for which the broker wants to be left alone. */
  readonly answer: (reader: Reader, bytes: Buffer) => number
  readonly written: () => void
  readonly reject: (error: KafkaError) => void
  readonly onWritten: (() => void) | undefined
}

interface Held {
  readonly pending: Pending
  readonly chunks: readonly Uint8Array[]
}

/** A quota delays by some seconds, or minutes; a number beyond reason must not end the conversation. */
const MAX_THROTTLE_MS = 600_000

export class RequestPipeline {
  readonly #parts: RequestPipelineParts
  #endReason: KafkaError | undefined
  #correlationId = 0

  /** Written, in order, and an answer is due. */
  readonly #awaiting: Pending[] = []
  /** The socket has not let go of their bytes, in order. */
  readonly #unwritten = new Set<Pending>()
  /** Made while nothing may go out, in order. */
  #held: Held[] = []
  #isOnHold = false
  #throttledUntil = 0
  /** Whether the broker leaves it to the client to wait for the time that an answer names. */
  isThrottlingOurs = false

  /** One timer for all: the earliest deadline, or the end of throttling. It may be early, never late. */
  #timer: Timer | undefined
  #timerDue = Infinity

  constructor(parts: RequestPipelineParts) {
    this.#parts = parts
  }

  /** Requests that are neither answered nor failed; with acks=0, that are not yet written. */
  get inFlight(): number {
    let withoutAnswer = 0
    for (const pending of this.#unwritten) if (!pending.expectsResponse) withoutAnswer++
    return this.#awaiting.length + withoutAnswer + this.#held.length
  }

  /** Requests that are written, and whose answer is due. */
  get unanswered(): number {
    return this.#awaiting.length
  }

  /** The next answer is one to a message of SASL without a request around it. */
  get isNextBare(): boolean {
    return this.#awaiting[0]?.isBare === true
  }

  /** Running time until which the broker wants to be left alone (KIP-219); 0 or past when it does not. */
  get throttledUntil(): number {
    return this.#throttledUntil
  }

  /**
   * Sends the request, or holds it. Rejects with TimeoutError when this very request was not answered in time, and with
   * what `end` was told; throws that after the end, and what cannot be encoded. Without a response it is fulfilled when
   * the socket has the bytes.
   */
  request<Req, Res>(
    api: Api<Req, Res>,
    version: number,
    body: Req,
    {
      timeoutMs = this.#parts.requestTimeoutMs,
      expectsResponse = true,
      onWritten,
      authenticates = false,
    }: RequestOptions,
    decode: (version: number, reader: Reader, bytes: Buffer) => Res = (v, reader) =>
      api.decodeResponse(v, reader),
  ): Promise<Res | undefined> {
    if (this.#endReason !== undefined) throw this.#endReason
    const correlationId = this.#correlationId
    const chunks = this.#encoded(api, version, correlationId, body)
    this.#correlationId = (correlationId + 1) & 0x7fffffff
    return new Promise((resolve, reject) => {
      const pending: Pending = {
        name: `${api.name} v${version}`,
        isBare: false,
        correlationId,
        expectsResponse,
        timeoutMs,
        deadline: Infinity,
        hasFlexibleHeader: api.responseHeaderIsFlexible(version),
        answer: (reader, bytes) => {
          const response = decode(version, reader, bytes)
          resolve(response)
          return throttleTime(response)
        },
        written: () => resolve(undefined),
        reject,
        onWritten,
      }
      const isThrottled = this.#parts.clock.now() < this.#throttledUntil
      if (!authenticates && (this.#isOnHold || this.#held.length > 0 || isThrottled)) {
        this.#held.push({ pending, chunks })
        if (!this.#isOnHold) this.#wakeAt(this.#throttledUntil)
      } else {
        this.#write(pending, chunks)
      }
    })
  }

  /** What cannot be encoded is refused as any other request is; an error of another kind would end the process. */
  #encoded<Req, Res>(api: Api<Req, Res>, version: number, correlationId: number, body: Req): Uint8Array[] {
    try {
      return api.encodeRequest(version, correlationId, this.#parts.clientId, body)
    } catch (error) {
      if (error instanceof KafkaError) throw error
      throw new KafkaError(`${api.name} v${version} cannot be encoded: ${String(error)}`, {
        code: 'INVALID_REQUEST',
        cause: error,
      })
    }
  }

  /** Sends bytes with their size before them, and is fulfilled with those of the answer. */
  requestBare(message: Uint8Array): Promise<Uint8Array> {
    const size = Buffer.alloc(4)
    size.writeInt32BE(message.length)
    return new Promise<Uint8Array>((resolve, reject) => {
      const pending: Pending = {
        name: 'a message of SASL',
        isBare: true,
        correlationId: 0,
        expectsResponse: true,
        timeoutMs: this.#parts.requestTimeoutMs,
        deadline: Infinity,
        hasFlexibleHeader: false,
        answer: (reader, bytes) => {
          resolve(bytes.subarray(reader.offset, reader.offset + reader.remaining))
          return 0
        },
        written: () => {},
        reject,
        onWritten: undefined,
      }
      this.#write(pending, message.length === 0 ? [size] : [size, message])
    })
  }

  /** Requests that do not authenticate are held until `resume`. */
  hold(): void {
    this.#isOnHold = true
  }

  resume(): void {
    this.#isOnHold = false
    this.#release()
  }

  /** The next answer, `bytes` from `start` to `end`; throws ProtocolError where it is none. */
  take(bytes: Buffer, start: number, end: number): void {
    const reader = new Reader(bytes, start, end)
    const pending = this.#awaiting[0]
    if (pending?.isBare === true) {
      this.#awaiting.shift()
      pending.answer(reader, bytes)
      this.#restIfNothingInFlight()
      return
    }
    const correlationId = reader.int32()
    if (pending === undefined) {
      throw new ProtocolError(`an answer that nobody waits for (correlation id ${correlationId})`)
    }
    if (correlationId !== pending.correlationId) {
      throw new ProtocolError(
        `an answer with correlation id ${correlationId} where ${pending.correlationId} (${pending.name}) was due`,
      )
    }
    if (pending.hasFlexibleHeader) reader.skipTaggedFields()
    const throttleMs = pending.answer(reader, bytes)
    this.#awaiting.shift()
    if (throttleMs > 0 && this.isThrottlingOurs) this.#throttle(throttleMs)
    this.#restIfNothingInFlight()
  }

  /** All in flight rejects with `reason`. Bytes that the socket was handed are its own until `socketGone`. */
  end(reason: KafkaError): void {
    const failed = [...this.#awaiting, ...this.#held.map(({ pending }) => pending)]
    for (const pending of this.#unwritten) if (!pending.expectsResponse) failed.push(pending)
    const held = this.#held
    this.#endReason = reason
    this.#awaiting.length = 0
    this.#held = []
    this.#timer?.cancel()
    for (const pending of failed) pending.reject(reason)
    for (const { pending } of held) if (pending.onWritten !== undefined) queueMicrotask(pending.onWritten)
  }

  /** The socket has let go of everything. */
  socketGone(): void {
    for (const pending of this.#unwritten) this.#letGo(pending)
  }

  #write(pending: Pending, chunks: readonly Uint8Array[]): void {
    pending.deadline = this.#parts.clock.now() + pending.timeoutMs
    this.#parts.onWrite()
    this.#unwritten.add(pending)
    if (pending.expectsResponse) this.#awaiting.push(pending)
    this.#wakeAt(pending.deadline)
    this.#parts.socket.write(chunks, (error) => {
      if (error === null || error === undefined) this.#letGo(pending)
      // Otherwise 'error' and 'close' follow: the request failed, and the bytes are let go when the socket is gone.
    })
  }

  #letGo(pending: Pending): void {
    if (!this.#unwritten.delete(pending)) return
    if (!pending.expectsResponse && this.#endReason === undefined) {
      pending.written()
      this.#restIfNothingInFlight()
    }
    pending.onWritten?.()
  }

  // Time

  #throttle(throttleMs: number): void {
    const bounded = Math.min(throttleMs, MAX_THROTTLE_MS)
    this.#throttledUntil = Math.max(this.#throttledUntil, this.#parts.clock.now() + bounded)
    // The broker does not read from this connection until then. A request that it has not read is not late: given up, it
    // would be sent again elsewhere, and read from here all the same.
    for (const pending of this.#awaiting) {
      pending.deadline = Math.max(pending.deadline, this.#throttledUntil + pending.timeoutMs)
    }
  }

  #wakeAt(due: number): void {
    if (due >= this.#timerDue) return
    this.#timer?.cancel()
    this.#timerDue = due
    this.#timer = this.#parts.clock.setTimer(due - this.#parts.clock.now(), () => this.#onTimer())
  }

  #onTimer(): void {
    this.#timerDue = Infinity
    const now = this.#parts.clock.now()
    const late = this.#earliest()
    if (late !== undefined && late.deadline <= now) {
      this.#timeOut(late)
      return
    }
    this.#wakeAt(this.#earliest()?.deadline ?? Infinity)
    this.#release()
  }

  /** Writes what was held back, when nothing stands against it any more. */
  #release(): void {
    if (this.#held.length === 0 || this.#isOnHold) return
    if (this.#throttledUntil > this.#parts.clock.now()) {
      this.#wakeAt(this.#throttledUntil)
      return
    }
    const held = this.#held
    this.#held = []
    for (const { pending, chunks } of held) this.#write(pending, chunks)
  }

  #earliest(): Pending | undefined {
    let earliest: Pending | undefined
    for (const pending of this.#awaiting) {
      if (earliest === undefined || pending.deadline < earliest.deadline) earliest = pending
    }
    for (const pending of this.#unwritten) {
      if (pending.expectsResponse) continue
      if (earliest === undefined || pending.deadline < earliest.deadline) earliest = pending
    }
    return earliest
  }

  #timeOut(late: Pending): void {
    const did = late.expectsResponse ? 'answer' : 'take'
    const error = new TimeoutError(
      `${this.#parts.peer()} did not ${did} ${late.name} within ${late.timeoutMs} ms (requestTimeoutMs)`,
    )
    late.reject(error)
    this.#parts.onLate(error)
  }

  #restIfNothingInFlight(): void {
    if (this.#timer === undefined || this.inFlight > 0) return
    this.#timer.cancel()
    this.#timer = undefined
    this.#timerDue = Infinity
  }
}

function throttleTime(response: unknown): number {
  if (typeof response !== 'object' || response === null || !('throttleTimeMs' in response)) return 0
  return typeof response.throttleTimeMs === 'number' ? response.throttleTimeMs : 0
}
