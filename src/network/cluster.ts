/**
 * The way into the cluster: bootstrap, and one connection per broker. At most one attempt to connect to a broker is
 * under way at any time; whoever asks meanwhile shares it.
 */
import { listed } from '../config-option.js'
import type { ResolvedConfig } from '../config.js'
import { AuthenticationError, ConnectionError, KafkaError, ProducerClosedError } from '../errors.js'
import { Backoff } from './backoff.js'
import type { BrokerVersions } from './broker-versions.js'
import type { Clock } from './clock.js'
import { Connection, type ConnectionOptions } from './connection.js'
import type { Doubt } from './hang-up.js'
import { MetadataRefresh } from './metadata-refresh.js'
import { Outages } from './outages.js'
import { Pauses } from './pauses.js'
import { Metadata, type TopicChange } from './metadata.js'
import { expectNoSasl } from './sasl.js'
import { wrongProtocol } from './tls.js'
import type { Address, Connect, Lookup } from './transport.js'

/** The options that concern connections and metadata. */
export type NetworkConfig = Pick<
  ResolvedConfig,
  | 'bootstrapServers'
  | 'clientId'
  | 'clientDnsLookup'
  | 'connectionsMaxIdleMs'
  | 'logger'
  | 'metadataMaxAgeMs'
  | 'metadataMaxIdleMs'
  | 'metadataRecoveryRebootstrapTriggerMs'
  | 'metadataRecoveryStrategy'
  | 'reconnectBackoffMs'
  | 'reconnectBackoffMaxMs'
  | 'requestTimeoutMs'
  | 'retryBackoffMs'
  | 'retryBackoffMaxMs'
  | 'socketConnectionSetupTimeoutMs'
  | 'socketConnectionSetupTimeoutMaxMs'
  | 'socketMaxResponseBytes'
>

/** A connection that was opened or closed. `nodeId` is negative for a bootstrap server whose id is not known. */
export interface ConnectionEvent {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  /** Why it was closed; undefined for idleness, and for an opened one. */
  readonly error?: KafkaError
}

export interface ClusterOptions {
  readonly config: NetworkConfig
  readonly clock: Clock
  readonly connect: Connect
  readonly lookup: Lookup
  /** Logs in on a new connection; see ConnectionOptions. */
  readonly authenticate?: ((connection: Connection) => Promise<number>) | undefined
  /** Jitter and the choice among equals; numbers from 0 to below 1. */
  readonly random?: () => number
  /** After every metadata answer, with what it changed; also when it changed nothing. */
  readonly onMetadata?: (changes: readonly TopicChange[]) => void
  /**
   * An attempt to get metadata failed. A retriable error is tried again by itself; after another (wrong credentials, no
   * version in common) nothing can come unless somebody asks again.
   */
  readonly onMetadataError?: (error: KafkaError) => void
  readonly onConnect?: (event: ConnectionEvent) => void
  /** Only for connections that were open. */
  readonly onDisconnect?: (event: ConnectionEvent) => void
}

interface Endpoint {
  readonly host: string
  readonly port: number
}

/** So long a server may take to say what it speaks, when it hung up on TLS. */
const ASK_MS = 1000

/** One broker, or one bootstrap server, as far as connecting to it goes. */
interface Node {
  readonly id: number
  endpoint: Endpoint
  connection: Connection | undefined
  /** The one attempt under way. */
  attempt: Promise<Connection> | undefined
  /** Since a connection was open. */
  failures: number
  /** Running time before which it is not tried again. */
  retryAt: number
  /** How many attempts began with another address of the name before this. */
  rotation: number
  /** It hung up on the first request: the next attempt asks whether that is for want of SASL. */
  mayExpectSasl: boolean
}

export class Cluster {
  readonly metadata: Metadata
  readonly #options: ClusterOptions
  readonly #config: NetworkConfig
  readonly #clock: Clock
  readonly #random: () => number
  readonly #reconnectBackoff: Backoff
  readonly #setupTimeout: Backoff
  readonly #refresh: MetadataRefresh

  /** Brokers by id, and bootstrap servers by ids from -1 downwards. */
  readonly #nodes = new Map<number, Node>()
  #bootstrapIds: Promise<readonly number[]> | undefined
  /** What each end point answered last, where that was a failure. */
  readonly #outages: Outages

  /** What the broker said that knew the latest features. */
  #newest: BrokerVersions | undefined

  #isClosed = false
  /** Sockets that are not gone yet. */
  readonly #connections = new Set<Connection>()
  readonly #pauses: Pauses

  constructor(options: ClusterOptions) {
    const { config, random = Math.random } = options
    this.#options = options
    this.#config = config
    this.#clock = options.clock
    this.#outages = new Outages({ logger: config.logger, clock: options.clock })
    this.#pauses = new Pauses(this.#clock)
    this.#random = random
    this.#reconnectBackoff = new Backoff(config.reconnectBackoffMs, config.reconnectBackoffMaxMs, random)
    this.#setupTimeout = new Backoff(
      config.socketConnectionSetupTimeoutMs,
      config.socketConnectionSetupTimeoutMaxMs,
      random,
    )
    const metadata = new Metadata(config)
    this.metadata = metadata
    this.#refresh = new MetadataRefresh({
      metadata,
      config,
      clock: options.clock,
      random,
      anyConnection: () => this.anyConnection(),
      rebootstrap: (reason) => this.#forgetNodes(reason),
      onAnswer: (from, changes) => {
        this.#matchNodes(from)
        options.onMetadata?.(changes)
      },
      onError: (error) => options.onMetadataError?.(error),
    })
  }

  // Connections

  /** The connection to a broker, where it can be used right now. */
  connection(nodeId: number): Connection | undefined {
    const node = this.#nodes.get(nodeId)
    const connection = node?.connection
    if (connection?.isOpen !== true) return undefined
    if (!connection.isStale) return connection
    connection.close()
    return undefined
  }

  /**
   * The connection to a broker, made if need be: to one of the metadata, or where another broker said that it is. An
   * attempt that is under way is shared; a new one waits for the reconnect back-off first, then tries every address of
   * the name once. Rejects with ConnectionError (or what made the attempt fail) after one attempt: whoever still wants it
   * calls again.
   */
  async connect(nodeId: number, endpoint?: Endpoint): Promise<Connection> {
    const broker = this.metadata.brokers.get(nodeId) ?? endpoint
    const node = broker === undefined ? this.#nodes.get(nodeId) : this.#node(nodeId, broker)
    if (this.#isClosed) throw closedError()
    if (node === undefined) throw new ConnectionError(`broker ${nodeId} is not in the metadata`)
    return this.connection(nodeId) ?? this.#attempt(node)
  }

  /**
   * A connection to any broker: the open one with the fewest requests in flight; otherwise brokers are tried in turn,
   * then bootstrap servers. Rejects when all failed, with an error that says what each answered: it is not retriable
   * where the configuration has to change, for one wrong server among others that are only down proves nothing.
   */
  async anyConnection(): Promise<Connection> {
    const open = this.#leastLoaded()
    if (open !== undefined) return open
    const tried = new Set<number>()
    let last: unknown
    const refusals: KafkaError[] = []
    for (;;) {
      if (this.#isClosed) throw closedError()
      const next = await this.#nextCandidate(tried)
      if (next === undefined) break
      tried.add(next)
      try {
        return await this.connect(next)
      } catch (error) {
        last = error
        if (error instanceof KafkaError && !error.retriable) refusals.push(error)
      }
      // Somebody else may have had more luck meanwhile.
      const found = this.#leastLoaded()
      if (found !== undefined) return found
    }
    // Credentials are the same for all; what else can be wrong for good may be that one server's.
    const refusal =
      refusals.find(isOfCredentials) ?? (refusals.length === tried.size ? refusals[0] : undefined)
    if (refusal !== undefined) throw refusal
    throw new ConnectionError(`no broker can be reached: ${this.lastErrors()}`, { cause: last })
  }

  /** The level of a feature that is in force, such as 'transaction.version', as the newest answer to ApiVersions says. */
  finalizedFeature(name: string): number {
    return this.#newest?.feature(name) ?? 0
  }

  /** What every server that cannot be reached said last: "127.0.0.1:1 refused the connection (ECONNREFUSED); ...". */
  lastErrors(): string {
    return this.#outages.inWords()
  }

  /** Ends all connections and attempts, fulfilled when no timer and no socket is left. Idempotent. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#refresh.close()
    this.#pauses.endAll()
    const connections = [...this.#connections]
    for (const connection of connections) connection.close(closedError())
    await Promise.all(connections.map((connection) => connection.closed))
  }

  /**
   * Metadata of a topic is wanted (it counts as used), or of all topics in use. Costs little when repeated: all that is
   * asked for while a request is under way goes together into the next. A topic that is not known yet is asked for at
   * once; otherwise requests keep the distance of retryBackoffMs, growing while they bring nothing new. Goes on by itself
   * until every topic in use is there, or refused for good.
   */
  requestMetadataUpdate(topic?: string): void {
    this.#refresh.request(topic)
  }

  // Nodes

  /** Ends every connection; attempts under way find themselves unwanted. */
  #forgetNodes(reason: KafkaError): void {
    this.#bootstrapIds = undefined
    const nodes = [...this.#nodes.values()]
    this.#nodes.clear()
    for (const node of nodes) node.connection?.close(reason)
  }

  #node(id: number, endpoint: Endpoint): Node {
    let node = this.#nodes.get(id)
    if (node === undefined) {
      node = {
        id,
        endpoint,
        connection: undefined,
        attempt: undefined,
        failures: 0,
        retryAt: 0,
        rotation: 0,
        mayExpectSasl: false,
      }
      this.#nodes.set(id, node)
    } else if (!isSameEndpoint(node.endpoint, endpoint)) {
      // It moved: what was learned about the old place says nothing about the new one.
      node.endpoint = endpoint
      node.failures = 0
      node.retryAt = 0
    }
    return node
  }

  /** After new metadata: a bootstrap server that is one of the brokers becomes it, and brokers that left are forgotten. */
  #matchNodes(connection: Connection): void {
    const node = this.#nodes.get(connection.nodeId)
    if (connection.nodeId < 0 && node?.connection === connection) {
      for (const broker of this.metadata.brokers.values()) {
        if (!isSameEndpoint(broker, node.endpoint)) continue
        const adopted = this.#node(broker.id, broker)
        if (adopted.connection !== undefined || adopted.attempt !== undefined) continue
        node.connection = undefined
        adopted.connection = connection
        connection.adopt(broker.id)
        break
      }
    }
    for (const { id, connection: open, attempt } of this.#nodes.values()) {
      if (id >= 0 && !this.metadata.brokers.has(id) && open === undefined && attempt === undefined) {
        this.#nodes.delete(id)
      }
    }
    const inUse = Array.from(this.#nodes.values(), ({ endpoint }) => endpoint)
    this.#outages.keepOnly([...inUse, ...this.#config.bootstrapServers])
  }

  #leastLoaded(): Connection | undefined {
    let best: Connection | undefined
    const now = this.#clock.now()
    const load = (one: Connection): number =>
      // Bootstrap servers come last: they may be no member of the cluster. Those that want to be left alone come later.
      one.inFlight + (one.nodeId < 0 ? 1e6 : 0) + (one.throttledUntil > now ? 1e9 : 0)
    for (const { id } of this.#nodes.values()) {
      const connection = this.connection(id)
      if (connection !== undefined && (best === undefined || load(connection) < load(best))) best = connection
    }
    return best
  }

  /**
   * Attempts under way first, then whoever has not failed, then the one whose failure is the longest ago: a broker that
   * accepts connections and answers nothing must not be tried again and again. Bootstrap servers when no broker is left.
   */
  async #nextCandidate(tried: ReadonlySet<number>): Promise<number | undefined> {
    const { brokers } = this.metadata
    const pick = (ids: readonly number[]): number | undefined => {
      const rank = (id: number): number => {
        const node = this.#nodes.get(id)
        return node?.attempt !== undefined ? -1 : (node?.retryAt ?? 0)
      }
      return ids.filter((id) => !tried.has(id)).toSorted((a, b) => rank(a) - rank(b))[0]
    }
    const known = pick(this.#shuffled([...brokers.keys()]))
    if (known !== undefined) return known
    if (brokers.size > 0 && this.#config.metadataRecoveryStrategy === 'none') return undefined
    this.#bootstrapIds ??= this.#resolveBootstrap()
    return pick(await this.#bootstrapIds)
  }

  /** So that not every client asks the same broker. */
  #shuffled(ids: number[]): number[] {
    for (let i = ids.length - 1; i > 0; i--) {
      const j = Math.floor(this.#random() * (i + 1))
      const swapped = ids[i]!
      ids[i] = ids[j]!
      ids[j] = swapped
    }
    return ids
  }

  async #resolveBootstrap(): Promise<readonly number[]> {
    const endpoints: Endpoint[] = []
    for (const { host, port } of this.#config.bootstrapServers) {
      let hosts: readonly string[] = [host]
      if (this.#config.clientDnsLookup === 'resolve_canonical_bootstrap_servers_only') {
        try {
          hosts = await this.#options.lookup.canonicalNames(host)
        } catch (error) {
          // The attempt to connect will say the same; the names are asked for again the next time.
          this.#outages.note({ host, port }, unresolved(host, port, error).message)
          this.#bootstrapIds = undefined
        }
      }
      for (const name of hosts) endpoints.push({ host: name, port })
    }
    return endpoints.map((endpoint, index) => this.#node(-1 - index, endpoint).id)
  }

  // Attempts

  #attempt(node: Node): Promise<Connection> {
    if (node.attempt !== undefined) return node.attempt
    const attempt = this.#open(node).finally(() => {
      node.attempt = undefined
    })
    // Whoever shares it has the rejection; nobody may.
    attempt.catch(() => {})
    node.attempt = attempt
    return attempt
  }

  async #open(node: Node): Promise<Connection> {
    await this.#pause(node)
    const { endpoint } = node
    const { host, port } = endpoint
    const failures: KafkaError[] = []
    try {
      const ips = await this.#options.lookup.addresses(host)
      const first = node.rotation
      for (let i = 0; i < ips.length && !this.#isClosed; i++) {
        try {
          const connection = await this.#openAddress(node, { host, port, ip: ips[(first + i) % ips.length]! })
          this.#outages.reached(endpoint)
          return connection
        } catch (error) {
          failures.push(error as KafkaError)
          node.rotation++
        }
      }
    } catch (error) {
      failures.push(unresolved(host, port, error))
    }
    if (this.#isClosed) throw closedError()
    const error = summary(failures)
    this.#backOff(node, endpoint)
    this.#outages.failed(node.id, endpoint, error)
    throw error
  }

  async #openAddress(node: Node, address: Address): Promise<Connection> {
    let isAnnounced = false
    const { authenticate = node.mayExpectSasl ? expectNoSasl : undefined } = this.#options
    const connection: Connection = this.#connectionTo(node, address, {
      setupTimeoutMs: this.#setupTimeout.delay(node.failures),
      authenticate,
      onClose: (reason) => this.#onClose(connection, reason, isAnnounced),
    })
    try {
      await connection.open()
    } catch (error) {
      const speaks = await this.#speaksOtherwise(connection.doubt, node, address)
      if (speaks !== undefined) throw wrongProtocol(connection.peer, speaks)
      throw error
    }
    node.mayExpectSasl = false
    const { versions } = connection
    if (versions !== undefined && versions.featuresEpoch >= (this.#newest?.featuresEpoch ?? -1n))
      this.#newest = versions
    if (this.#nodes.get(node.id) !== node) {
      const error = new ConnectionError(`${address.host}:${address.port} is not wanted any more`)
      connection.close(error)
      throw error
    }
    node.connection = connection
    node.failures = 0
    const { host, port } = address
    isAnnounced = true
    this.#options.onConnect?.({ nodeId: node.id, host, port })
    return connection
  }

  #connectionTo(node: Node, address: Address, more: Partial<ConnectionOptions>): Connection {
    const { connect, config } = this.#options
    const { clientId, requestTimeoutMs, connectionsMaxIdleMs, socketMaxResponseBytes } = config
    const connection = new Connection({
      nodeId: node.id,
      address,
      connect,
      clock: this.#clock,
      setupTimeoutMs: config.socketConnectionSetupTimeoutMs,
      clientId,
      requestTimeoutMs,
      connectionsMaxIdleMs,
      socketMaxResponseBytes,
      ...more,
    })
    this.#connections.add(connection)
    void connection.closed.then(() => this.#connections.delete(connection))
    return connection
  }

  /**
   * Whoever hung up is asked what it speaks: TLS where plaintext was wanted, or the other way round. It gets to know
   * nothing but the name of this package.
   */
  async #speaksOtherwise(
    doubt: Doubt | undefined,
    node: Node,
    address: Address,
  ): Promise<'TLS' | 'plaintext' | undefined> {
    const { otherwise } = this.#options.connect
    if (doubt === undefined || doubt === 'SASL expected') return undefined
    if (otherwise === undefined || this.#isClosed) return undefined
    const connection = this.#connectionTo(node, address, {
      connect: otherwise,
      clientId: null,
      setupTimeoutMs: ASK_MS,
      requestTimeoutMs: ASK_MS,
    })
    try {
      if (doubt === 'TLS port') await connection.reach()
      else await connection.open()
    } catch {
      // It is something else, of which the first attempt has said more.
      return undefined
    }
    connection.close()
    return doubt === 'TLS port' ? 'TLS' : 'plaintext'
  }

  #onClose(connection: Connection, reason: KafkaError | undefined, isAnnounced: boolean): void {
    const { nodeId, host, port } = connection
    const node = this.#nodes.get(nodeId)
    if (node?.connection === connection) {
      node.connection = undefined
      node.mayExpectSasl = connection.doubt === 'SASL expected'
      if (reason !== undefined) {
        node.rotation++
        this.#backOff(node, node.endpoint)
      }
    }
    if (!isAnnounced) return
    this.#options.onDisconnect?.({ nodeId, host, port, ...(reason === undefined ? {} : { error: reason }) })
    if (reason === undefined || this.#isClosed) return
    this.#outages.note({ host, port }, reason.message)
    this.#config.logger.info('a connection was lost', { nodeId, host, port, error: reason.message })
    // The broker may be gone for good, and others lead its partitions.
    this.requestMetadataUpdate()
  }

  #backOff(node: Node, endpoint: Endpoint): void {
    if (!isSameEndpoint(node.endpoint, endpoint)) return
    node.retryAt = this.#clock.now() + this.#reconnectBackoff.delay(node.failures)
    node.failures++
  }

  /** Waits until the broker may be tried again, less when it moves elsewhere or everything is closed. */
  async #pause(node: Node): Promise<void> {
    for (;;) {
      const wait = node.retryAt - this.#clock.now()
      if (this.#isClosed) throw closedError()
      if (wait <= 0) return
      await this.#pauses.pause(wait)
    }
  }
}

/** The broker's word on who we are. */
function isOfCredentials(error: KafkaError): boolean {
  return error instanceof AuthenticationError && error.errno !== undefined
}

function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port
}

function unresolved(host: string, port: number, cause: unknown): ConnectionError {
  const { code, message } = cause as NodeJS.ErrnoException
  return new ConnectionError(`${host}:${port}: the name cannot be resolved (${code ?? message})`, { cause })
}

/** One error for all addresses of a name; a refusal for good says more than that others are down. */
function summary(failures: readonly KafkaError[]): KafkaError {
  const refusal = failures.find(({ retriable }) => !retriable)
  if (refusal !== undefined || failures.length === 1) return refusal ?? failures[0]!
  const messages = failures.map(({ message }) => message)
  return new ConnectionError(listed(messages, '; '), { cause: failures.at(-1) })
}

function closedError(): ProducerClosedError {
  return new ProducerClosedError('the producer was closed')
}
