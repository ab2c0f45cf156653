/**
 * One broker, or one bootstrap server, at one address, as far as connecting to it goes. At most one attempt is under way
 * at any time, and everything that asks meanwhile shares it. A broker that moves gets another node: what was learned
 * about the old place says nothing about the new one.
 */
import { listed } from '../config/option-kinds.js'
import { ConnectionError, type KafkaError } from '../errors.js'
import type { Backoff } from '../time/backoff.js'
import type { Clock } from '../time/clock.js'
import type { Connection } from './connection/connection.js'
import type { Connections } from './connections.js'
import { unresolved, type Endpoint } from './endpoint.js'
import { Pauses } from '../time/pauses.js'
import { speaksOtherwise } from './protocol-probe.js'
import { expectNoSasl } from './sasl/login.js'
import { wrongProtocol } from './connection/tls.js'
import type { Address, Connect, Lookup } from './connection/transport.js'

/** What all nodes of a cluster share. */
export interface BrokerNodeParts {
  readonly clock: Clock
  readonly connect: Connect
  readonly lookup: Lookup
  readonly connections: Connections
  readonly authenticate: ((connection: Connection) => Promise<number>) | undefined
  readonly reconnectBackoff: Backoff
  readonly setupTimeout: Backoff
  /** Versions are agreed on, and the login is done. */
  readonly onOpen: (connection: Connection) => void
  /** A connection that was open was closed; without a reason for idleness. */
  readonly onClose: (connection: Connection, reason: KafkaError | undefined, node: BrokerNode) => void
  /** Every address of the name failed. */
  readonly onUnreachable: (node: BrokerNode, error: KafkaError) => void
}

export class BrokerNode {
  readonly endpoint: Endpoint
  readonly #parts: BrokerNodeParts
  readonly #pauses: Pauses
  #id: number
  #connection: Connection | undefined
  /** The one attempt under way. */
  #attempt: Promise<Connection> | undefined
  #endAttempt: ((reason: KafkaError) => void) | undefined
  #opening: Connection | undefined
  /** Since a connection was open. */
  #failures = 0
  /** Running time before which it is not tried again. */
  #retryAt = 0
  /** How many attempts began with another address of the name before this. */
  #rotation = 0
  /** It hung up on the first request: the next attempt asks whether that is for want of SASL. */
  #mayExpectSasl = false
  #retirement: KafkaError | undefined

  constructor(id: number, endpoint: Endpoint, parts: BrokerNodeParts) {
    this.#id = id
    this.endpoint = endpoint
    this.#parts = parts
    this.#pauses = new Pauses(parts.clock)
  }

  /** The broker's id, or a negative number for a bootstrap server whose id is not known. */
  get id(): number {
    return this.#id
  }

  /** The connection, where it can be used right now. */
  get connection(): Connection | undefined {
    const connection = this.#connection
    if (connection?.isOpen !== true) return undefined
    if (!connection.isStale) return connection
    connection.close()
    return undefined
  }

  get isConnecting(): boolean {
    return this.#attempt !== undefined
  }

  /** Running time before which an attempt waits. */
  get retryAt(): number {
    return this.#retryAt
  }

  /** Nothing is wanted of it any more: its connection and the attempt under way end with this reason. */
  get isRetired(): boolean {
    return this.#retirement !== undefined
  }

  /** A bootstrap server turned out to be this broker. */
  adopt(id: number): void {
    this.#id = id
    this.#connection?.adopt(id)
  }

  /**
   * The connection, made if need be. A new attempt waits for the reconnect back-off first, then tries every address of
   * the name once. Rejects with ConnectionError, or what made the attempt fail, after one attempt.
   */
  connect(): Promise<Connection> {
    if (this.#retirement !== undefined) return Promise.reject(this.#retirement)
    const { connection } = this
    if (connection !== undefined) return Promise.resolve(connection)
    if (this.#attempt !== undefined) return this.#attempt
    const attempt = new Promise<Connection>((resolve, reject) => {
      this.#endAttempt = reject
      this.#open().then(resolve, reject)
    }).finally(() => {
      this.#attempt = undefined
    })
    // Those who share it have the rejection.
    attempt.catch(() => {})
    this.#attempt = attempt
    return attempt
  }

  /** Ends the connection, with all that is in flight on it, and the attempt under way. */
  retire(reason: KafkaError): void {
    this.#retirement ??= reason
    this.#endAttempt?.(reason)
    this.#opening?.close(reason)
    this.#connection?.close(reason)
    this.#pauses.endAll()
  }

  async #open(): Promise<Connection> {
    const { lookup, clock, onUnreachable } = this.#parts
    const { host, port } = this.endpoint
    const wait = this.#retryAt - clock.now()
    if (wait > 0) await this.#pauses.pause(wait)
    const failures: KafkaError[] = []
    try {
      const ips = this.#retirement === undefined ? await lookup.addresses(host) : []
      const first = this.#rotation
      for (let i = 0; i < ips.length && this.#retirement === undefined; i++) {
        try {
          return await this.#openAddress({ host, port, ip: ips[(first + i) % ips.length]! })
        } catch (error) {
          failures.push(error as KafkaError)
          this.#rotation++
        }
      }
    } catch (error) {
      failures.push(unresolved(this.endpoint, error))
    }
    if (this.#retirement !== undefined) throw this.#retirement
    const error = summary(failures)
    this.#backOff()
    onUnreachable(this, error)
    throw error
  }

  async #openAddress(address: Address): Promise<Connection> {
    const { connect, connections, setupTimeout, onOpen } = this.#parts
    const { authenticate = this.#mayExpectSasl ? expectNoSasl : undefined } = this.#parts
    const connection: Connection = connections.create(this.#id, address, {
      setupTimeoutMs: setupTimeout.delay(this.#failures),
      authenticate,
      onClose: (reason) => this.#onClose(connection, reason),
    })
    this.#opening = connection
    try {
      await connection.open()
    } catch (error) {
      if (this.#retirement !== undefined) throw this.#retirement
      const speaks = await speaksOtherwise(connection.doubt, connect, connections, this.#id, address)
      if (speaks !== undefined) throw wrongProtocol(connection.peer, speaks)
      throw error
    } finally {
      this.#opening = undefined
    }
    this.#mayExpectSasl = false
    if (!connection.isOpen) throw this.#retirement ?? new ConnectionError(`${connection.peer} is gone again`)
    this.#connection = connection
    this.#failures = 0
    onOpen(connection)
    return connection
  }

  #onClose(connection: Connection, reason: KafkaError | undefined): void {
    if (this.#connection !== connection) return
    this.#connection = undefined
    this.#mayExpectSasl = connection.doubt === 'SASL expected'
    if (reason !== undefined) {
      this.#rotation++
      this.#backOff()
    }
    this.#parts.onClose(connection, reason, this)
  }

  #backOff(): void {
    const { clock, reconnectBackoff } = this.#parts
    this.#retryAt = clock.now() + reconnectBackoff.delay(this.#failures)
    this.#failures++
  }
}

/** One error for all addresses of a name; a refusal for good says more than that others are down. */
function summary(failures: readonly KafkaError[]): KafkaError {
  const refusal = failures.find(({ retriable }) => !retriable)
  if (refusal !== undefined || failures.length === 1) return refusal ?? failures[0]!
  const messages = failures.map(({ message }) => message)
  return new ConnectionError(listed(messages, '; '), { cause: failures.at(-1) })
}
