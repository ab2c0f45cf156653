/**
 * One socket to one broker: versions agreed on first, then requests pipelined and answered in order. It is open or it
 * is closed, never doubtful: whatever cannot be understood, or is not answered in time, ends the connection with all
 * that is in flight on it.
 */
import type { Duplex } from 'node:stream'
import { AuthenticationError, ConnectionError, KafkaError, ProtocolError, TimeoutError } from '../errors.js'
import { ApiVersions } from '../protocol/apis.js'
import { brokerError } from '../protocol/error-codes.js'
import type { Api, ResponseOf } from '../protocol/schema.js'
import { Reader } from '../protocol/wire.js'
import { BrokerVersions } from './broker-versions.js'
import type { Clock, Timer } from './clock.js'
import { FrameReader } from './frame-reader.js'
import { endOfHandshake, HANDSHAKE_FAILED, tlsFailure } from './tls.js'
import type { Address, Connect } from './transport.js'

/** What brokers show in their metrics of clients (KIP-511). */
export const clientSoftware = { name: 'kafka-producer', version: '0.1.0' } as const

const UNSUPPORTED_VERSION = 35

/**
 * The first version of ApiVersions of brokers which leave throttling to the client (KIP-219, Kafka 2.0). Older ones have
 * already held the answer back for the time that it names.
 */
const CLIENT_THROTTLES_SINCE = 2

/** An answer to somebody who is not logged in needs no more. */
const MAX_BYTES_BEFORE_LOGIN = 512 * 1024

/** Re-authentication begins between these parts of a session (KIP-368), at random, so that not all do it at once. */
const REAUTHENTICATION_FROM = 0.85
const REAUTHENTICATION_SPREAD = 0.1

export interface ConnectionOptions {
  /** The broker's id, or a negative number for a bootstrap server, whose id is not known. */
  readonly nodeId: number
  readonly address: Address
  readonly connect: Connect
  readonly clock: Clock
  /** How long the socket may take to connect (KIP-601). */
  readonly setupTimeoutMs: number
  readonly clientId: string | null
  readonly requestTimeoutMs: number
  /** Negative: never. */
  readonly connectionsMaxIdleMs: number
  readonly socketMaxResponseBytes: number
  /**
   * Runs when versions are agreed on and before anybody else can send, and again before the session is over; sends
   * requests with `authenticates`. Fulfilled with the session's milliseconds, 0 for one without an end.
   */
  readonly authenticate?: ((connection: Connection) => Promise<number>) | undefined
  /** Called once, also when the connection never became open. Without a reason it was closed for idleness. */
  readonly onClose?: ((reason: KafkaError | undefined) => void) | undefined
}

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

/**
 * A hang-up that may mean a mistake in the configuration, and may mean nothing: TLS was spoken to a plaintext port, or
 * the other way round; a request was made where the listener expects SASL first. Whoever wants to know has to ask.
 */
export type Doubt = 'plaintext port' | 'TLS port' | 'SASL expected'

type Phase = 'new' | 'connecting' | 'negotiating' | 'authenticating' | 'open' | 'closed'

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

export class Connection {
  readonly #options: ConnectionOptions
  readonly #frames: FrameReader
  #nodeId: number
  #phase: Phase = 'new'
  #closeReason: KafkaError | undefined
  #socket: Duplex | undefined
  #isTls = false
  #isCorked = false
  #correlationId = 0
  #versions: BrokerVersions | undefined

  /** Written, in order, and an answer is due. */
  readonly #awaiting: Pending[] = []
  /** The socket has not let go of their bytes, in order. */
  readonly #unwritten = new Set<Pending>()
  /** Made while the broker wants to be left alone, in order. */
  #held: Held[] = []
  #throttledUntil = 0
  #throttlingIsOurs = false

  /** One timer for all: the earliest deadline, or the end of throttling. It may be early, never late. */
  #timer: Timer | undefined
  #timerDue = Infinity
  #idleTimer: Timer | undefined
  /** Wall time from which the next request makes a new session begin. */
  #renewSessionAt = Infinity
  /** Wall time from which no request may go out in the old session any more. */
  #sessionEndsAt = Infinity
  #isReauthenticating = false
  /** Requests wait until the steps of authentication are through. */
  #isLoggingIn = false
  /** The broker has answered more than what it speaks. */
  #isProven = false
  #doubt: Doubt | undefined
  #lastUsed = 0

  readonly #closed: Promise<void>
  #onSocketClosed: () => void = () => {}

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#nodeId = options.nodeId
    const { authenticate, socketMaxResponseBytes: maxBytes } = options
    const firstBytes = authenticate === undefined ? maxBytes : Math.min(maxBytes, MAX_BYTES_BEFORE_LOGIN)
    this.#frames = new FrameReader(firstBytes, (bytes, start, end) => this.#onFrame(bytes, start, end))
    this.#closed = new Promise((resolve) => {
      this.#onSocketClosed = resolve
    })
  }

  /** The broker's id, or a negative number for a bootstrap server whose id is not known. */
  get nodeId(): number {
    return this.#nodeId
  }

  get host(): string {
    return this.#options.address.host
  }

  get port(): number {
    return this.#options.address.port
  }

  /** The broker in words: its id, where it is known, and address. */
  get peer(): string {
    return this.#peer()
  }

  /** Requests that are neither answered nor failed; with acks=0, that are not yet written. */
  get inFlight(): number {
    let withoutAnswer = 0
    for (const pending of this.#unwritten) if (!pending.expectsResponse) withoutAnswer++
    return this.#awaiting.length + withoutAnswer + this.#held.length
  }

  /** Requests can be made. */
  get isOpen(): boolean {
    return this.#phase === 'open'
  }

  /**
   * Running time until which the broker wants to be left alone (KIP-219); 0 or past when it does not. A request made
   * before that is held back in here, so this is for those who would rather fill their batches.
   */
  get throttledUntil(): number {
    return this.#throttledUntil
  }

  /**
   * Nothing has gone either way for connectionsMaxIdleMs, so the other side may have forgotten the connection. By the
   * wall clock: a machine that slept, or a frozen Lambda, has no other; should it jump, an idle connection is lost early.
   */
  get isStale(): boolean {
    const { connectionsMaxIdleMs, clock } = this.#options
    if (connectionsMaxIdleMs < 0 || clock.wallNow() - this.#lastUsed < connectionsMaxIdleMs) return false
    return this.inFlight === 0
  }

  /** What the way in which it was closed leaves open. */
  get doubt(): Doubt | undefined {
    return this.#doubt
  }

  /** Fulfilled when the socket of a closed connection is gone. */
  get closed(): Promise<void> {
    return this.#closed
  }

  /** A bootstrap server turned out to be this broker. */
  adopt(nodeId: number): void {
    this.#nodeId = nodeId
  }

  /**
   * Connects, agrees on versions, authenticates. Rejects with ConnectionError, with TimeoutError when the broker does
   * not answer, or with what `authenticate` threw; the connection is closed then.
   */
  async open(): Promise<void> {
    try {
      await this.#establish()
      await this.#negotiate()
      this.#phase = 'authenticating'
      await this.#authenticate()
      this.#throwIfClosed()
      this.#isProven = this.#options.authenticate !== undefined
      this.#frames.maxSize = this.#options.socketMaxResponseBytes
    } catch (error) {
      const reason = this.#asKafkaError(error)
      this.close(reason)
      throw reason
    }
    this.#phase = 'open'
    this.#touch()
    this.#watchIdleness()
  }

  /** Only connects, with the handshake where it is TLS, and hangs up; rejects as `open` does. */
  async reach(): Promise<void> {
    try {
      await this.#establish()
    } finally {
      this.close()
    }
  }

  /** The highest version of an API that both sides speak; throws UnsupportedVersionError that names both ranges. */
  version<Req, Res>(api: Api<Req, Res>, maxVersion?: number): number {
    if (this.#versions === undefined) throw this.#unusable()
    return this.#versions.highest(api, this.#peer(), maxVersion)
  }

  /** What the broker said that it speaks; undefined before it was asked. */
  get versions(): BrokerVersions | undefined {
    return this.#versions
  }

  /**
   * One request, one answer. Rejects with ConnectionError, with TimeoutError when this very request was not answered in
   * time, or with UnsupportedVersionError before anything is sent. After the first two the connection is closed. With
   * `expectsResponse: false` it is fulfilled, with undefined, when the socket has taken the bytes.
   */
  request<Req, Res>(
    api: Api<Req, Res>,
    body: Req,
    options: RequestOptions & { expectsResponse: false },
  ): Promise<undefined>
  request<Req, Res>(
    api: Api<Req, Res>,
    body: Req,
    options?: RequestOptions & { expectsResponse?: true },
  ): Promise<Res>
  request<Req, Res>(api: Api<Req, Res>, body: Req, options?: RequestOptions): Promise<Res | undefined>
  request<Req, Res>(api: Api<Req, Res>, body: Req, options: RequestOptions = {}): Promise<Res | undefined> {
    try {
      if (this.#phase !== 'open' && this.#phase !== 'authenticating') throw this.#unusable()
      return this.#exchange(api, this.version(api, options.maxVersion), body, options)
    } catch (error) {
      if (options.onWritten !== undefined) queueMicrotask(options.onWritten)
      return Promise.reject(error)
    }
  }

  /** Whether the broker knows an API in any version that this client speaks. */
  knows<Req, Res>(api: Api<Req, Res>): boolean {
    return this.#versions?.knows(api) ?? false
  }

  /**
   * A message of a SASL mechanism as it is, and the answer as it is: what brokers before 1.0 want after version 0 of
   * SaslHandshake. Rejects as `request` does; one that likes it not hangs up.
   */
  exchangeBare(message: Uint8Array): Promise<Uint8Array> {
    if (this.#phase !== 'authenticating') return Promise.reject(this.#unusable())
    const size = Buffer.alloc(4)
    size.writeInt32BE(message.length)
    this.#frames.areBare = true
    return new Promise<Uint8Array>((resolve, reject) => {
      const pending: Pending = {
        name: 'a message of SASL',
        isBare: true,
        correlationId: 0,
        expectsResponse: true,
        timeoutMs: this.#options.requestTimeoutMs,
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
    }).finally(() => {
      this.#frames.areBare = false
    })
  }

  /** Ends the connection: all in flight rejects with `reason`, what still arrives is dropped. Idempotent. */
  close(reason?: KafkaError): void {
    if (this.#phase === 'closed') return
    const failed = [...this.#awaiting, ...this.#held.map(({ pending }) => pending)]
    for (const pending of this.#unwritten) if (!pending.expectsResponse) failed.push(pending)
    const held = this.#held
    this.#phase = 'closed'
    this.#closeReason = reason
    this.#awaiting.length = 0
    this.#held = []
    this.#timer?.cancel()
    this.#idleTimer?.cancel()
    // What was handed to the socket stays in #unwritten until the socket is done with it.
    if (this.#socket === undefined) this.#onSocketClosed()
    else this.#socket.destroy()
    for (const pending of failed) pending.reject(this.#unusable())
    for (const { pending } of held) if (pending.onWritten !== undefined) queueMicrotask(pending.onWritten)
    this.#rejectSetup(this.#unusable())
    this.#options.onClose?.(reason)
  }

  // Opening

  #rejectSetup: (error: KafkaError) => void = () => {}

  async #establish(): Promise<void> {
    this.#throwIfClosed()
    const { address, connect, clock, setupTimeoutMs } = this.#options
    this.#phase = 'connecting'
    let timer: Timer | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        this.#rejectSetup = reject
        timer = clock.setTimer(setupTimeoutMs, () => {
          const took = `${Math.round(setupTimeoutMs)} ms`
          this.close(new ConnectionError(`${this.#peer()} did not accept the connection within ${took}`))
        })
        const socket = connect(address)
        if (socket instanceof Promise) {
          socket.then(
            (opened) => this.#attach(opened, resolve),
            (error: unknown) => this.close(this.#asKafkaError(error)),
          )
        } else {
          this.#attach(socket, resolve)
        }
      })
    } finally {
      timer?.cancel()
    }
    this.#throwIfClosed()
  }

  #attach(socket: Duplex, onReady: () => void): void {
    if (this.#phase === 'closed') {
      socket.on('error', () => {})
      socket.destroy()
      return
    }
    this.#socket = socket
    this.#isTls = 'encrypted' in socket
    socket.on('data', (chunk: Buffer) => this.#onData(chunk))
    socket.on('error', (error: Error) => this.#onError(error))
    socket.on('end', () => this.#onEnd())
    socket.on('close', () => this.#onClose())
    socket.once(this.#isTls ? 'secureConnect' : 'connect', () => {
      if (this.#phase === 'connecting') this.#phase = 'negotiating'
      onReady()
    })
  }

  /** Version 4, unless the broker knows less: then it answers in version 0 what it does know (KIP-511). */
  async #negotiate(): Promise<void> {
    let response = await this.#askVersions(ApiVersions.maxVersion)
    if (response.errorCode === UNSUPPORTED_VERSION) {
      const isNamed = response.apiKeys.some(({ apiKey }) => apiKey === ApiVersions.key)
      // Brokers before 2.4 do not say what they know; all know version 0.
      const version = isNamed ? new BrokerVersions(response).highest(ApiVersions, this.#peer()) : 0
      response = await this.#askVersions(version)
    }
    if (response.errorCode !== 0) {
      const cause = brokerError(response.errorCode, `ApiVersions to ${this.#peer()}`)
      throw new ConnectionError(cause.message, { cause })
    }
    this.#versions = new BrokerVersions(response)
  }

  #askVersions(version: number): Promise<ResponseOf<typeof ApiVersions>> {
    this.#throttlingIsOurs = version >= CLIENT_THROTTLES_SINCE
    const body = { clientSoftwareName: clientSoftware.name, clientSoftwareVersion: clientSoftware.version }
    return this.#exchange(ApiVersions, version, body, {}, decodeApiVersions) as Promise<
      ResponseOf<typeof ApiVersions>
    >
  }

  // Authentication

  async #authenticate(): Promise<void> {
    const { authenticate, clock } = this.#options
    if (authenticate === undefined) return
    // The broker counts from some moment after this one.
    const start = clock.wallNow()
    const sessionMs = await authenticate(this)
    const part = REAUTHENTICATION_FROM + REAUTHENTICATION_SPREAD * Math.random()
    this.#renewSessionAt = sessionMs > 0 ? start + sessionMs * part : Infinity
    this.#sessionEndsAt =
      sessionMs > 0 ? start + sessionMs * (REAUTHENTICATION_FROM + REAUTHENTICATION_SPREAD) : Infinity
  }

  /** KIP-368: a new session on the same connection. Nobody else notices but by waiting a moment. */
  async #reauthenticate(): Promise<void> {
    this.#isReauthenticating = true
    try {
      await this.#authenticate()
    } catch (error) {
      this.close(this.#asKafkaError(error))
    }
    this.#isReauthenticating = false
    this.#isLoggingIn = false
    this.#release()
  }

  /** By the wall clock, as the broker's; a connection that nobody uses needs no session. */
  #refreshSession(): void {
    if (this.#phase !== 'open' || this.#renewSessionAt === Infinity) return
    const now = this.#options.clock.wallNow()
    if (now >= this.#renewSessionAt && !this.#isReauthenticating) void this.#reauthenticate()
    // Until then nobody has to wait for whoever keeps the credentials.
    if (now >= this.#sessionEndsAt) this.#isLoggingIn = true
  }

  // Requests

  #exchange<Req, Res>(
    api: Api<Req, Res>,
    version: number,
    body: Req,
    {
      timeoutMs = this.#options.requestTimeoutMs,
      expectsResponse = true,
      onWritten,
      authenticates = false,
    }: RequestOptions,
    decode: (version: number, reader: Reader, bytes: Buffer) => Res = (v, reader) =>
      api.decodeResponse(v, reader),
  ): Promise<Res | undefined> {
    if (authenticates) this.#isLoggingIn = this.#isReauthenticating
    else this.#refreshSession()
    const correlationId = this.#correlationId
    const chunks = api.encodeRequest(version, correlationId, this.#options.clientId, body)
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
      const isThrottled = this.#options.clock.now() < this.#throttledUntil
      if (!authenticates && (this.#isLoggingIn || this.#held.length > 0 || isThrottled)) {
        this.#held.push({ pending, chunks })
        if (!this.#isLoggingIn) this.#wakeAt(this.#throttledUntil)
      } else {
        this.#write(pending, chunks)
      }
    })
  }

  #write(pending: Pending, chunks: readonly Uint8Array[]): void {
    const socket = this.#socket!
    pending.deadline = this.#options.clock.now() + pending.timeoutMs
    this.#touch()
    this.#unwritten.add(pending)
    if (pending.expectsResponse) this.#awaiting.push(pending)
    this.#wakeAt(pending.deadline)
    if (!this.#isCorked) {
      // All that is written in this tick leaves as one writev.
      this.#isCorked = true
      socket.cork()
      process.nextTick(() => {
        this.#isCorked = false
        socket.uncork()
      })
    }
    const last = chunks.length - 1
    for (let i = 0; i < last; i++) socket.write(chunks[i])
    socket.write(chunks[last], (error) => {
      if (error === null || error === undefined) this.#letGo(pending)
      // Otherwise 'error' and 'close' follow: the request failed, and the bytes are let go when the socket is gone.
    })
  }

  #letGo(pending: Pending): void {
    if (!this.#unwritten.delete(pending)) return
    if (!pending.expectsResponse && this.#phase !== 'closed') {
      pending.written()
      this.#restIfNothingInFlight()
    }
    pending.onWritten?.()
  }

  // What the socket says

  #onData(chunk: Buffer): void {
    if (this.#phase === 'closed') return
    this.#touch()
    try {
      this.#frames.push(chunk)
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      this.close(this.#unreadable(error))
    }
  }

  /** Bytes that are no answer. As the very first ones they may be another protocol, which no second attempt changes. */
  #unreadable(cause: KafkaError): KafkaError {
    const message = `the connection to ${this.#peer()} was closed: ${cause.message}`
    const { foreign } = this.#frames
    if (this.#phase !== 'negotiating' || foreign === undefined) return new ConnectionError(message, { cause })
    const code = foreign === 'TLS' ? HANDSHAKE_FAILED : cause.code
    return new AuthenticationError(message, { code, cause })
  }

  #onFrame(bytes: Buffer, start: number, end: number): void {
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
    if (this.#phase === 'open') this.#isProven = true
    if (throttleMs > 0 && this.#throttlingIsOurs) this.#throttle(throttleMs)
    this.#restIfNothingInFlight()
  }

  #onError(error: Error): void {
    if (this.#phase === 'closed') return
    const says = meanings.get((error as NodeJS.ErrnoException).code)
    const isTlsHandshake = this.#isTls && this.#phase === 'connecting'
    const tls = this.#isTls ? tlsFailure(error, this.#peer(), isTlsHandshake) : undefined
    if (isTlsHandshake && tls?.retriable === true) this.#doubt = 'plaintext port'
    else if (this.#phase === 'negotiating' && !this.#isTls) this.#doubt = 'TLS port'
    else if (this.#isOnFirstRequest) this.#doubt = 'SASL expected'
    this.close(
      tls ??
        new ConnectionError(
          this.#phase === 'connecting'
            ? `${this.#peer()} ${says ?? `cannot be reached: ${error.message}`}`
            : `the connection to ${this.#peer()} broke: ${error.message}`,
          { cause: error },
        ),
    )
  }

  #onEnd(): void {
    if (this.#phase === 'closed') return
    if (this.#isTls && this.#phase === 'connecting') {
      this.#doubt = 'plaintext port'
      this.close(endOfHandshake(this.#peer()))
      return
    }
    let when = ''
    if (this.#frames.isInsideFrame) when = ' in the middle of an answer'
    else if (this.#phase === 'negotiating') {
      if (!this.#isTls) this.#doubt = 'TLS port'
      when = ' instead of saying what it speaks: it expects TLS, or is no Kafka broker from 0.10 on'
    } else if (this.#awaiting.length > 0) {
      when = ` with ${this.#awaiting.length} requests unanswered`
      if (this.#isOnFirstRequest) {
        this.#doubt = 'SASL expected'
        when += ', as the first ones: perhaps this listener expects SASL'
      }
      if (this.#awaiting[0]?.isBare === true)
        when = ' instead of answering: brokers before 1.0 do so when they refuse the credentials'
    }
    this.close(new ConnectionError(`${this.#peer()} closed the connection${when}`))
  }

  get #isOnFirstRequest(): boolean {
    return this.#phase === 'open' && !this.#isProven && this.#awaiting.length > 0
  }

  #onClose(): void {
    this.#onEnd()
    for (const pending of this.#unwritten) this.#letGo(pending)
    this.#onSocketClosed()
  }

  // Time

  #throttle(throttleMs: number): void {
    // A broker's own limits are some seconds; a number beyond reason must not end the conversation.
    const bounded = Math.min(throttleMs, this.#options.requestTimeoutMs)
    this.#throttledUntil = Math.max(this.#throttledUntil, this.#options.clock.now() + bounded)
  }

  #wakeAt(due: number): void {
    if (due >= this.#timerDue) return
    this.#timer?.cancel()
    this.#timerDue = due
    this.#timer = this.#options.clock.setTimer(due - this.#options.clock.now(), () => this.#onTimer())
  }

  #onTimer(): void {
    this.#timerDue = Infinity
    const now = this.#options.clock.now()
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
    if (this.#held.length === 0 || this.#isLoggingIn) return
    if (this.#throttledUntil > this.#options.clock.now()) {
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
      `${this.#peer()} did not ${did} ${late.name} within ${late.timeoutMs} ms (requestTimeoutMs)`,
    )
    late.reject(error)
    this.close(
      new ConnectionError(`the connection to ${this.#peer()} was closed: ${error.message}`, { cause: error }),
    )
  }

  #restIfNothingInFlight(): void {
    if (this.#timer === undefined || this.inFlight > 0) return
    this.#timer.cancel()
    this.#timer = undefined
    this.#timerDue = Infinity
  }

  #touch(): void {
    this.#lastUsed = this.#options.clock.wallNow()
  }

  #watchIdleness(): void {
    const { connectionsMaxIdleMs, clock } = this.#options
    if (connectionsMaxIdleMs < 0) return
    const idleMs = Math.max(0, clock.wallNow() - this.#lastUsed)
    const wait = this.inFlight > 0 ? connectionsMaxIdleMs : Math.max(1, connectionsMaxIdleMs - idleMs)
    const check = (): void => {
      if (this.isStale) this.close()
      else this.#watchIdleness()
    }
    this.#idleTimer = clock.setTimer(wait, check, { background: true })
  }

  // Words

  #asKafkaError(error: unknown): KafkaError {
    if (error instanceof KafkaError) return error
    return new ConnectionError(`${this.#peer()}: ${(error as Error).message}`, { cause: error })
  }

  #peer(): string {
    const { host, port, ip } = this.#options.address
    const where = host === ip ? `${host}:${port}` : `${host}:${port} (${ip})`
    return this.#nodeId < 0 ? where : `broker ${this.#nodeId} at ${where}`
  }

  #throwIfClosed(): void {
    if (this.#phase === 'closed') throw this.#unusable()
  }

  #unusable(): KafkaError {
    return (
      this.#closeReason ??
      new ConnectionError(
        `the connection to ${this.#peer()} is ${this.#phase === 'closed' ? 'closed' : 'not open yet'}`,
      )
    )
  }
}

/** An answer that refuses the version has the form of version 0, whichever was asked for. */
function decodeApiVersions(version: number, reader: Reader, bytes: Buffer): ResponseOf<typeof ApiVersions> {
  // Every version begins with the error code.
  const isRefusal = reader.remaining >= 2 && bytes.readInt16BE(reader.offset) === UNSUPPORTED_VERSION
  return ApiVersions.decodeResponse(isRefusal ? 0 : version, reader)
}

function throttleTime(response: unknown): number {
  if (typeof response !== 'object' || response === null || !('throttleTimeMs' in response)) return 0
  return typeof response.throttleTimeMs === 'number' ? response.throttleTimeMs : 0
}

/** What a failed attempt to connect means, where the code of the system tells. */
const meanings: ReadonlyMap<unknown, string> = new Map([
  ['ECONNREFUSED', 'refused the connection (ECONNREFUSED)'],
  ['ECONNRESET', 'reset the connection (ECONNRESET)'],
  ['ETIMEDOUT', 'did not answer (ETIMEDOUT)'],
  ['EHOSTUNREACH', 'cannot be reached: no route to the host (EHOSTUNREACH)'],
  ['ENETUNREACH', 'cannot be reached: no route to the network (ENETUNREACH)'],
])
