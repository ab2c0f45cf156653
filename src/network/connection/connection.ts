/**
 * One socket to one broker: versions agreed on first, then requests pipelined and answered in order. It is open or it
 * is closed, never doubtful: whatever cannot be understood, or is not answered in time, ends the connection with all
 * that is in flight on it.
 */
import { ConnectionError, KafkaError } from '../../errors.js'
import type { FaultBarrier } from '../../fault-barrier.js'
import { queueMicrotask } from '../../time/event-loop.js'
import type { Api } from '../../protocol/schema.js'
import { BrokerSocket } from './broker-socket.js'
import type { BrokerVersions } from './broker-versions.js'
import type { Clock } from '../../time/clock.js'
import { FrameReader } from './frame-reader.js'
import { brokenBy, closedBy, hungUp, unreadable, type Doubt, type Ending, type Moment } from './hang-up.js'
import { Idleness } from './idleness.js'
import { RequestPipeline, type RequestOptions } from './request-pipeline.js'
import { Session } from './session.js'
import type { Address, Connect } from './transport.js'
import { negotiateVersions } from './version-negotiation.js'

/** An answer to somebody who is not logged in needs no more. */
const MAX_BYTES_BEFORE_LOGIN = 512 * 1024

export interface ConnectionOptions {
  /** The broker's id, or a negative number for a bootstrap server, whose id is not known. */
  readonly nodeId: number
  readonly address: Address
  readonly connect: Connect
  readonly clock: Clock
  readonly barrier: FaultBarrier
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

type Phase = 'new' | 'connecting' | 'negotiating' | 'authenticating' | 'open' | 'closed'

export class Connection {
  readonly #options: ConnectionOptions
  readonly #socket: BrokerSocket
  readonly #frames: FrameReader
  readonly #requests: RequestPipeline
  /** Undefined where nobody has to log in. */
  readonly #session: Session | undefined
  readonly #idleness: Idleness
  #nodeId: number
  #phase: Phase = 'new'
  #closeReason: KafkaError | undefined
  #versions: BrokerVersions | undefined
  /** The broker has answered more than what it speaks. */
  #isProven = false
  #doubt: Doubt | undefined

  constructor(options: ConnectionOptions) {
    this.#options = options
    this.#nodeId = options.nodeId
    const { authenticate, barrier, clock, socketMaxResponseBytes: maxBytes } = options
    this.#socket = new BrokerSocket({
      address: options.address,
      connect: options.connect,
      clock,
      barrier,
      setupTimeoutMs: options.setupTimeoutMs,
      peer: () => this.peer,
      onFailed: (error) => this.close(this.#asKafkaError(error)),
      onConnect: () => this.#onConnect(),
      onData: (chunk) => this.#onData(chunk),
      onError: (error) => this.#onError(error),
      onEnd: () => this.#onEnd(),
      onClose: () => this.#onClose(),
    })
    const firstBytes = authenticate === undefined ? maxBytes : Math.min(maxBytes, MAX_BYTES_BEFORE_LOGIN)
    this.#frames = new FrameReader(firstBytes, (bytes, start, end) => this.#onFrame(bytes, start, end))
    this.#idleness = new Idleness({
      clock,
      maxIdleMs: options.connectionsMaxIdleMs,
      isBusy: () => this.inFlight > 0,
      onIdle: () => this.close(),
    })
    this.#requests = new RequestPipeline({
      socket: this.#socket,
      clock,
      clientId: options.clientId,
      requestTimeoutMs: options.requestTimeoutMs,
      peer: () => this.peer,
      onWrite: () => this.#idleness.touch(),
      onLate: (error) => this.close(closedBy(error, this.peer)),
    })
    if (authenticate !== undefined) {
      this.#session = new Session({
        clock,
        barrier,
        requests: this.#requests,
        authenticate: () => authenticate(this),
        onFailed: (error) => this.close(this.#asKafkaError(error)),
      })
    }
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
    const { host, port, ip } = this.#options.address
    const where = host === ip ? `${host}:${port}` : `${host}:${port} (${ip})`
    return this.#nodeId < 0 ? where : `broker ${this.#nodeId} at ${where}`
  }

  /** Requests that are neither answered nor failed; with acks=0, that are not yet written. */
  get inFlight(): number {
    return this.#requests.inFlight
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
    return this.#requests.throttledUntil
  }

  /** Nothing has gone either way for connectionsMaxIdleMs, so the other side may have forgotten the connection. */
  get isStale(): boolean {
    return this.#idleness.isOver
  }

  /** What the way in which it was closed leaves open. */
  get doubt(): Doubt | undefined {
    return this.#doubt
  }

  /** Fulfilled when the socket of a closed connection is gone. */
  get closed(): Promise<void> {
    return this.#socket.gone
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
      this.#versions = await negotiateVersions(this.#requests, this.peer)
      this.#throwIfClosed()
      this.#phase = 'authenticating'
      await this.#session?.begin()
      this.#throwIfClosed()
      this.#isProven = this.#session !== undefined
      this.#frames.maxSize = this.#options.socketMaxResponseBytes
    } catch (error) {
      const reason = this.#asKafkaError(error)
      this.close(reason)
      throw reason
    }
    this.#phase = 'open'
    this.#idleness.touch()
    this.#idleness.watch()
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
    return this.#versions.highest(api, this.peer, maxVersion)
  }

  /** What the broker said that it speaks; undefined before it was asked. */
  get versions(): BrokerVersions | undefined {
    return this.#versions
  }

  /** Whether the broker knows an API in any version that this client speaks. */
  knows<Req, Res>(api: Api<Req, Res>): boolean {
    return this.#versions?.knows(api) ?? false
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
      const version = this.version(api, options.maxVersion)
      if (options.authenticates === true) this.#session?.step()
      else if (this.#phase === 'open') this.#session?.refresh()
      return this.#requests.request(api, version, body, options)
    } catch (error) {
      if (options.onWritten !== undefined) queueMicrotask(options.onWritten)
      return Promise.reject(error)
    }
  }

  /**
   * A message of a SASL mechanism as it is, and the answer as it is: what brokers before 1.0 want after version 0 of
   * SaslHandshake. Rejects as `request` does; one that likes it not hangs up.
   */
  exchangeBare(message: Uint8Array): Promise<Uint8Array> {
    if (this.#phase !== 'authenticating') return Promise.reject(this.#unusable())
    this.#frames.areBare = true
    return this.#requests.requestBare(message).finally(() => {
      this.#frames.areBare = false
    })
  }

  /** Ends the connection: all in flight rejects with `reason`, what still arrives is dropped. Idempotent. */
  close(reason?: KafkaError): void {
    if (this.#phase === 'closed') return
    this.#phase = 'closed'
    this.#closeReason = reason
    const error = this.#unusable()
    this.#idleness.stop()
    this.#requests.end(error)
    this.#socket.end(error)
    this.#options.onClose?.(reason)
  }

  async #establish(): Promise<void> {
    this.#throwIfClosed()
    this.#phase = 'connecting'
    await this.#socket.open()
    this.#throwIfClosed()
  }

  // What the socket says

  #onConnect(): void {
    if (this.#phase === 'connecting') this.#phase = 'negotiating'
  }

  #onData(chunk: Buffer): void {
    if (this.#phase === 'closed') return
    this.#idleness.touch()
    try {
      this.#frames.push(chunk)
    } catch (error) {
      const foreign = this.#phase === 'negotiating' ? this.#frames.foreign : undefined
      if (error instanceof KafkaError) this.close(unreadable(error, this.peer, foreign))
      else this.close(this.#options.barrier.errorOf(error))
    }
  }

  #onFrame(bytes: Buffer, start: number, end: number): void {
    this.#requests.take(bytes, start, end)
    if (this.#phase === 'open') this.#isProven = true
  }

  #onError(error: Error): void {
    if (this.#phase !== 'closed') this.#closeAs(brokenBy(error, this.#moment()))
  }

  #onEnd(): void {
    if (this.#phase !== 'closed') this.#closeAs(hungUp(this.#moment()))
  }

  #onClose(): void {
    this.#onEnd()
    this.#requests.socketGone()
  }

  #closeAs({ reason, doubt }: Ending): void {
    this.#doubt = doubt
    this.close(reason)
  }

  #moment(): Moment {
    let firstTime: Moment['firstTime']
    if (this.#phase === 'connecting' || this.#phase === 'negotiating') firstTime = this.#phase
    else if (this.#phase === 'open' && !this.#isProven) firstTime = 'requests'
    return {
      peer: this.peer,
      isTls: this.#socket.isTls,
      firstTime,
      isInsideFrame: this.#frames.isInsideFrame,
      unanswered: this.#requests.unanswered,
      isBare: this.#requests.isNextBare,
    }
  }

  // Why not

  #asKafkaError(error: unknown): KafkaError {
    if (error instanceof KafkaError) return error
    return new ConnectionError(`${this.peer}: ${(error as Error).message}`, { cause: error })
  }

  #throwIfClosed(): void {
    if (this.#phase === 'closed') throw this.#unusable()
  }

  #unusable(): KafkaError {
    return (
      this.#closeReason ??
      new ConnectionError(
        `the connection to ${this.peer} is ${this.#phase === 'closed' ? 'closed' : 'not open yet'}`,
      )
    )
  }
}
