/**
 * The way into the cluster: which brokers there are, one node for each, and which of them is asked what any broker may
 * answer.
 */
import type { ResolvedConfig } from '../config/config.js'
import { AuthenticationError, ConnectionError, KafkaError, ProducerClosedError } from '../errors.js'
import type { FaultBarrier } from '../fault-barrier.js'
import { Backoff } from '../time/backoff.js'
import type { BrokerVersions } from './connection/broker-versions.js'
import type { Clock } from '../time/clock.js'
import { BootstrapServers } from './bootstrap.js'
import { BrokerNode, type BrokerNodeParts } from './broker-node.js'
import { BrokerTurns } from './broker-turns.js'
import type { Connection } from './connection/connection.js'
import { Connections } from './connections.js'
import { inWords, isSameEndpoint, type Endpoint } from './endpoint.js'
import { faultLogger } from '../repeated-warning.js'
import { MetadataRefresh } from './metadata-refresh.js'
import { Outages } from './outages.js'
import { Metadata, type TopicChange } from './metadata.js'
import type { Connect, Lookup } from './connection/transport.js'

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
  readonly barrier: FaultBarrier
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

/** A broker or a bootstrap server that may be connected to. */
interface Candidate extends Endpoint {
  readonly id: number
}

export class Cluster {
  readonly metadata: Metadata
  readonly #options: ClusterOptions
  readonly #config: NetworkConfig
  readonly #clock: Clock
  readonly #random: () => number
  readonly #refresh: MetadataRefresh
  readonly #connections: Connections
  readonly #bootstrap: BootstrapServers
  readonly #nodeParts: BrokerNodeParts

  /** Brokers by id, and bootstrap servers by ids from -1 downwards. */
  readonly #nodes = new Map<number, BrokerNode>()
  /** Where a coordinator is said to be while the metadata has that broker at another address. */
  readonly #elsewhere = new Map<string, BrokerNode>()
  /** What each end point answered last, where that was a failure. */
  readonly #outages: Outages

  /** What the broker said that knew the latest features. */
  #newest: BrokerVersions | undefined
  #isClosed = false

  constructor(options: ClusterOptions) {
    const { authenticate, barrier, clock, config, connect, lookup, random = Math.random } = options
    this.#options = options
    this.#config = config
    this.#clock = clock
    this.#random = random
    this.#outages = new Outages({ logger: config.logger, clock })
    this.#connections = new Connections({ barrier, config, clock, connect })
    this.#bootstrap = new BootstrapServers(config, lookup, (server, message) => {
      this.#outages.note(server, message)
    })
    this.#nodeParts = {
      clock,
      connect,
      lookup,
      connections: this.#connections,
      authenticate,
      reconnectBackoff: new Backoff(config.reconnectBackoffMs, config.reconnectBackoffMaxMs, random),
      setupTimeout: new Backoff(
        config.socketConnectionSetupTimeoutMs,
        config.socketConnectionSetupTimeoutMaxMs,
        random,
      ),
      onOpen: (connection) => this.#onOpen(connection),
      onClose: (connection, reason, node) => this.#onClose(connection, reason, node),
      onUnreachable: ({ id, endpoint }, error) => this.#outages.failed(id, endpoint, error),
    }
    // What makes no sense in one response stands in the next one too: one line, and then a count.
    const logger = { ...config.logger, ...faultLogger(config.logger, clock) }
    this.metadata = new Metadata({ ...config, logger })
    this.#refresh = new MetadataRefresh({
      metadata: this.metadata,
      config,
      barrier,
      clock,
      random,
      outages: this.#outages,
      anyConnection: (turns) => this.anyConnection(turns),
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
    return this.#current(nodeId)?.connection
  }

  /**
   * The connection to a broker of the metadata, made if need be. An attempt that is under way is shared; a new one waits
   * for the reconnect back-off first. Rejects with ConnectionError (or what made the attempt fail) after one attempt: call
   * again while it is still wanted.
   */
  async connect(nodeId: number): Promise<Connection> {
    const broker = this.metadata.brokers.get(nodeId)
    const node = broker === undefined ? this.#nodes.get(nodeId) : this.#node(nodeId, broker)
    if (this.#isClosed) throw closedError()
    if (node === undefined) throw new ConnectionError(`broker ${nodeId} is not in the metadata`)
    return node.connect()
  }

  /**
   * The same for a broker at the address where another one said that it is. While the metadata has it elsewhere one of the
   * two is out of date, so it gets a connection of its own, and metadata is asked for.
   */
  async connectAt(nodeId: number, endpoint: Endpoint): Promise<Connection> {
    if (this.#isClosed) throw closedError()
    const known = this.#current(nodeId)?.endpoint ?? this.metadata.brokers.get(nodeId)
    if (known === undefined || isSameEndpoint(known, endpoint)) return this.#node(nodeId, endpoint).connect()
    for (const [key, { connection, isConnecting, retryAt }] of this.#elsewhere) {
      if (connection === undefined && !isConnecting && retryAt <= this.#clock.now())
        this.#elsewhere.delete(key)
    }
    this.requestMetadataUpdate()
    const key = `${nodeId} ${inWords(endpoint)}`
    const node = this.#elsewhere.get(key) ?? new BrokerNode(nodeId, endpoint, this.#nodeParts)
    this.#elsewhere.set(key, node)
    return node.connect()
  }

  /**
   * A connection to any broker: an open one that has not had its turn, and has the fewest requests in flight; otherwise one
   * more broker is connected to; otherwise the open one whose turn is the longest ago. With none open brokers are tried one
   * after the other, then bootstrap servers. Rejects when all failed, with an error that says what each answered: it is not
   * retriable where the configuration has to change, for one wrong server among others that are only down proves nothing.
   */
  async anyConnection(turns: BrokerTurns = new BrokerTurns()): Promise<Connection> {
    if (this.#isClosed) throw closedError()
    // One bootstrap server that cannot help is no reason to know no other broker.
    if (!turns.areUntouched && this.metadata.brokers.size === 0) this.requestMetadataUpdate()
    return (
      this.#fresh(turns) ??
      (await this.#anotherBroker(turns)) ??
      this.#open(turns) ??
      this.#firstToOpen(turns)
    )
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
    this.#forgetNodes(closedError())
    await this.#connections.closeAll(closedError())
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

  /** Ends every connection, and the attempts under way. */
  #forgetNodes(reason: KafkaError): void {
    this.#bootstrap.forget()
    const nodes = [...this.#nodes.values(), ...this.#elsewhere.values()]
    this.#nodes.clear()
    this.#elsewhere.clear()
    for (const node of nodes) node.retire(reason)
  }

  /** The node of a broker, unless the metadata has moved it: then the old connection ends as if it had been lost. */
  #current(id: number): BrokerNode | undefined {
    const node = this.#nodes.get(id)
    const broker = this.metadata.brokers.get(id)
    if (node === undefined || broker === undefined || isSameEndpoint(node.endpoint, broker)) return node
    this.#nodes.delete(id)
    node.retire(
      new ConnectionError(`broker ${id} moved from ${inWords(node.endpoint)} to ${inWords(broker)}`),
    )
    return undefined
  }

  #node(id: number, endpoint: Endpoint): BrokerNode {
    let node = this.#current(id)
    if (node === undefined) {
      node = new BrokerNode(id, endpoint, this.#nodeParts)
      this.#nodes.set(id, node)
    }
    return node
  }

  /** After new metadata: brokers that moved lose their connections, those that left are forgotten. */
  #matchNodes(connection: Connection): void {
    const { brokers } = this.metadata
    for (const id of brokers.keys()) this.#current(id)
    this.#adopt(connection)
    for (const { id, connection: open, isConnecting } of this.#nodes.values()) {
      if (id >= 0 && !brokers.has(id) && open === undefined && !isConnecting) this.#nodes.delete(id)
    }
    const nodes = [...this.#nodes.values(), ...this.#elsewhere.values()]
    const inUse = nodes.map(({ endpoint }) => endpoint)
    this.#outages.keepOnly([...inUse, ...this.#config.bootstrapServers])
  }

  /** A bootstrap server that is one of the brokers becomes it, with its connection. */
  #adopt({ nodeId }: Connection): void {
    const node = this.#nodes.get(nodeId)
    if (node === undefined || nodeId >= 0) return
    for (const broker of this.metadata.brokers.values()) {
      const known = this.#nodes.get(broker.id)
      if (!isSameEndpoint(broker, node.endpoint)) continue
      if (known?.connection !== undefined || known?.isConnecting === true) continue
      this.#nodes.delete(nodeId)
      this.#nodes.set(broker.id, node)
      node.adopt(broker.id)
      return
    }
  }

  // Which broker is asked

  /** The open connection to somebody who may be able to help, with the fewest requests in flight. */
  #fresh(turns: BrokerTurns): Connection | undefined {
    // A bootstrap server may be no member of the cluster: it comes last, and helps out only before members are known to.
    const mayBootstrap = this.metadata.brokers.size === 0 || turns.areUntouched
    const now = this.#clock.now()
    return this.#best(
      (connection) => turns.of(connection) === 0 && (connection.nodeId >= 0 || mayBootstrap),
      ({ inFlight, nodeId, throttledUntil }) =>
        inFlight + (nodeId < 0 ? 1e6 : 0) + (throttledUntil > now ? 1e9 : 0),
    )
  }

  /** Any open connection, the one to the broker whose turn is the longest ago. */
  #open(turns: BrokerTurns): Connection | undefined {
    return this.#best(
      () => true,
      (connection) => turns.of(connection),
    )
  }

  #best(
    isEligible: (connection: Connection) => boolean,
    cost: (connection: Connection) => number,
  ): Connection | undefined {
    let best: Connection | undefined
    let equals = 0
    for (const { connection } of this.#nodes.values()) {
      if (connection === undefined || !isEligible(connection)) continue
      const difference = best === undefined ? -1 : cost(connection) - cost(best)
      equals = difference < 0 ? 1 : equals + (difference === 0 ? 1 : 0)
      // Among equals each is as likely as the others, so that not every client asks the same broker.
      if (difference < 0 || (difference === 0 && this.#random() < 1 / equals)) best = connection
    }
    return best
  }

  /**
   * Where some connections are open, but all to brokers that had their turn: one more, to a broker that had none. One that
   * cannot be reached has had it.
   */
  async #anotherBroker(turns: BrokerTurns): Promise<Connection | undefined> {
    if (this.#open(turns) === undefined) return undefined
    const { brokers } = this.metadata
    const candidates = brokers.size > 0 ? [...brokers.values()] : await this.#bootstrapServers()
    const now = this.#clock.now()
    const isEligible = (one: Candidate): boolean =>
      turns.of(one) === 0 && (this.#nodes.get(one.id)?.retryAt ?? 0) <= now
    const another = this.#shuffled(candidates).find(isEligible)
    if (another === undefined) return undefined
    try {
      return await this.connect(another.id)
    } catch {
      turns.took(another)
      return undefined
    }
  }

  /** With no connection open: one broker after the other, until somebody has one. */
  async #firstToOpen(turns: BrokerTurns): Promise<Connection> {
    const tried = new Set<number>()
    let last: unknown
    const refusals: KafkaError[] = []
    for (;;) {
      if (this.#isClosed) throw closedError()
      const next = await this.#nextCandidate(tried, turns)
      if (next === undefined) break
      tried.add(next)
      try {
        return await this.connect(next)
      } catch (error) {
        last = error
        if (error instanceof KafkaError && !error.retriable) refusals.push(error)
      }
      // Another attempt may have had more luck meanwhile.
      const found = this.#open(turns)
      if (found !== undefined) return found
    }
    // Credentials are the same for all; what else can be wrong for good may be that one server's.
    const refusal =
      refusals.find(isOfCredentials) ?? (refusals.length === tried.size ? refusals[0] : undefined)
    if (refusal !== undefined) throw refusal
    throw new ConnectionError(`no broker can be reached: ${this.lastErrors()}`, { cause: last })
  }

  /**
   * By turns; of those without one attempts under way first, then brokers that have not failed, then the one whose failure
   * is the longest ago: a broker that accepts connections and answers nothing must not be tried again and again. Bootstrap
   * servers when no broker is left.
   */
  async #nextCandidate(tried: ReadonlySet<number>, turns: BrokerTurns): Promise<number | undefined> {
    const { brokers } = this.metadata
    const rank = ({ id }: Candidate): number => {
      const node = this.#nodes.get(id)
      return node?.isConnecting === true ? -1 : (node?.retryAt ?? 0)
    }
    const pick = (candidates: readonly Candidate[]): number | undefined =>
      candidates
        .filter(({ id }) => !tried.has(id))
        .toSorted((a, b) => turns.of(a) - turns.of(b) || rank(a) - rank(b))[0]?.id
    const known = pick(this.#shuffled([...brokers.values()]))
    if (known !== undefined) return known
    if (brokers.size > 0 && this.#config.metadataRecoveryStrategy === 'none') return undefined
    return pick(await this.#bootstrapServers())
  }

  /** So that not every client asks the same broker. */
  #shuffled(candidates: readonly Candidate[]): Candidate[] {
    const shuffled = [...candidates]
    for (let i = shuffled.length - 1; i > 0; i--) {
      const j = Math.floor(this.#random() * (i + 1))
      const swapped = shuffled[i]!
      shuffled[i] = shuffled[j]!
      shuffled[j] = swapped
    }
    return shuffled
  }

  async #bootstrapServers(): Promise<Candidate[]> {
    const endpoints = await this.#bootstrap.endpoints()
    return endpoints.map(({ host, port }, index) => {
      const id = -1 - index
      this.#node(id, { host, port })
      return { id, host, port }
    })
  }

  // What nodes tell

  #onOpen({ nodeId, host, port, versions }: Connection): void {
    if (versions !== undefined && versions.featuresEpoch >= (this.#newest?.featuresEpoch ?? -1n))
      this.#newest = versions
    this.#outages.reached({ host, port })
    this.#options.onConnect?.({ nodeId, host, port })
  }

  #onClose({ nodeId, host, port }: Connection, error: KafkaError | undefined, node: BrokerNode): void {
    this.#options.onDisconnect?.({ nodeId, host, port, ...(error === undefined ? {} : { error }) })
    if (error === undefined || this.#isClosed) return
    this.#config.logger.info('a connection was lost', { nodeId, host, port, error: error.message })
    if (node.isRetired) return
    this.#outages.note({ host, port }, error.message)
    // The broker may be gone for good, and others lead its partitions.
    this.requestMetadataUpdate()
  }
}

/** The broker's word on who we are. */
function isOfCredentials(error: KafkaError): boolean {
  return error instanceof AuthenticationError && error.errno !== undefined
}

function closedError(): ProducerClosedError {
  return new ProducerClosedError('the producer was closed')
}
