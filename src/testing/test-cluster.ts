/**
 * The public face of the test cluster: its life, its sockets, and the hooks that hurt it. Brokers run in this
 * process, listen on loopback and speak Kafka's protocol; what they agree on is in cluster-state.ts.
 */
import { createServer, type AddressInfo, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { IllegalStateError } from '../errors.js'
import { readRecordBatch } from '../records/read-record-batch.js'
import { Broker } from './broker.js'
import type { BrokerClock } from './broker-connection.js'
import { ClusterState, type TopicOptions } from './cluster-state.js'
import { Faults, type ApiName, type FaultAction, type FaultMatch } from './faults.js'
import { MemorySocket } from './memory-socket.js'
import type { ReceivedRequest, Versions } from './request-context.js'
import { served } from './requests.js'

export interface TestClusterOptions {
  /** How many brokers, 1 or more; their node ids count from 1. Default 1. */
  readonly brokers?: number
  /** Topics that exist from the start. */
  readonly topics?: Readonly<Record<string, TopicOptions>>
  /** Whether a Metadata request creates the topics it names (`auto.create.topics.enable`); default true. */
  readonly autoCreateTopics?: boolean
  /** Partitions of a topic that does not say (`num.partitions`); default 3. */
  readonly numPartitions?: number
  /** The largest batch taken, in bytes (`message.max.bytes`); default 1048588. */
  readonly messageMaxBytes?: number
  /**
   * Versions to offer of an API, first and last, or null for none at all, to play an older broker. Default: those of
   * Kafka 4.2, which lists Produce from version 0 on but serves it from version 3 on.
   */
  readonly versions?: Readonly<Partial<Record<ApiName, readonly [first: number, last: number] | null>>>
  /** @internal The seam for time. */
  readonly clock?: BrokerClock
  /** @internal False: no sockets; brokers are reached by `connect` only. */
  readonly listen?: boolean
}

/** One record as it is stored. */
export interface StoredRecord {
  readonly partition: number
  readonly offset: bigint
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [name: string, value: Buffer | null])[]
  /** Milliseconds since the epoch. */
  readonly timestamp: number
  /** -1n without idempotence. */
  readonly producerId: bigint
  /** -1 without idempotence. */
  readonly epoch: number
  /** The record's own sequence number, -1 without idempotence. */
  readonly sequence: number
  readonly transactional: boolean
}

const realClock: BrokerClock = {
  wallNow: () => Date.now(),
  setTimer: (delayMs, fire) => {
    const timer = setTimeout(fire, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}

interface Node {
  readonly broker: Broker
  readonly host: string
  readonly port: number
  /** Undefined without sockets. */
  readonly server: Server | undefined
}

/**
 * A Kafka cluster in this process, for tests. Each of its brokers listens on a free port of 127.0.0.1, speaks the real
 * protocol, checks what a real broker checks, and fails on order.
 *
 * @example
 * await using cluster = await TestCluster.start({ brokers: 3, topics: { orders: { partitions: 6 } } })
 * const producer = new Producer({ bootstrapServers: cluster.bootstrapServers })
 */
export class TestCluster implements AsyncDisposable {
  /**
   * Every request that reached a broker, oldest first, one that a fault swallowed included. May be emptied
   * (`requests.length = 0`).
   */
  readonly requests: ReceivedRequest[] = []
  readonly #state: ClusterState
  readonly #faults = new Faults()
  readonly #nodes = new Map<number, Node>()
  #isClosed = false

  private constructor(state: ClusterState) {
    this.#state = state
  }

  /** Starts the brokers and creates the topics. Rejects with a RangeError or an IllegalStateError on bad options. */
  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    const { brokers = 1, topics = {}, listen = true, clock = realClock } = options
    if (!Number.isInteger(brokers) || brokers < 1)
      throw new RangeError(`brokers is ${brokers}, must be 1 or more`)
    const state = new ClusterState(options.autoCreateTopics ?? true, {
      partitions: options.numPartitions ?? 3,
      replicationFactor: Math.min(3, brokers),
      minInsyncReplicas: 1,
      maxMessageBytes: options.messageMaxBytes ?? 1_048_588,
      messageTimestampType: 'CreateTime',
      cleanupPolicy: 'delete',
    })
    const cluster = new TestCluster(state)
    const advertised = advertisedVersions(options.versions ?? {})
    const context = { state, clock, advertised, faults: cluster.#faults, journal: cluster.requests }
    try {
      for (let nodeId = 1; nodeId <= brokers; nodeId++) {
        const node = await startNode(new Broker(nodeId, context), listen)
        cluster.#nodes.set(nodeId, node)
        state.addBroker({ nodeId, host: node.host, port: node.port, rack: null })
      }
      for (const [name, topic] of Object.entries(topics)) state.createTopic(name, topic)
    } catch (error) {
      await cluster.close()
      throw error
    }
    return cluster
  }

  /** `host:port` of every broker, stopped ones included. */
  get bootstrapServers(): string[] {
    return [...this.#nodes.values()].map(({ host, port }) => `${host}:${port}`)
  }

  /** All records of a topic, by partition and offset. Throws IllegalStateError where there is no such topic. */
  records(topic: string): StoredRecord[] {
    return this.#state.topic(topic).partitions.flatMap(({ index, log }) =>
      log.batches.flatMap((batch) => {
        const { header, records } = readRecordBatch(batch)
        return records.map((record, i): StoredRecord => {
          const { offset, timestamp, key, value, headers } = record
          return {
            partition: index,
            offset,
            key: asBuffer(key),
            value: asBuffer(value),
            headers: headers.map(([name, bytes]) => [name, asBuffer(bytes)] as const),
            timestamp,
            producerId: header.producerId,
            epoch: header.producerEpoch,
            sequence: header.baseSequence === -1 ? -1 : (header.baseSequence + i) % 2 ** 31,
            transactional: header.isTransactional,
          }
        })
      }),
    )
  }

  /**
   * Orders a fault; the function returned takes it back. See FaultMatch for which requests it hits, FaultAction for
   * what happens to them.
   */
  fail(match: FaultMatch, action: FaultAction): () => void {
    return this.#faults.add(match, action)
  }

  /** Creates a topic; one that was deleted before gets a new id. */
  createTopic(name: string, options: TopicOptions = {}): void {
    this.#state.createTopic(name, options)
  }

  /** Deletes a topic with all its records. */
  deleteTopic(name: string): void {
    this.#state.deleteTopic(name)
  }

  /** Adds partitions until there are `total`. */
  addPartitions(topic: string, total: number): void {
    this.#state.addPartitions(topic, total)
  }

  /**
   * Makes another broker the leader of a partition: `brokerId`, which must be a replica and alive, or -1 for nobody;
   * without it the next one in sync. The leader epoch goes up. Returns the new leader, -1 for none.
   */
  moveLeader(topic: string, partition: number, brokerId?: number): number {
    return this.#state.moveLeader(topic, partition, brokerId)
  }

  /** Leader (-1: none), leader epoch, replicas and ISR of a partition, as they are now. */
  describePartition(
    topic: string,
    partition: number,
  ): { leader: number; leaderEpoch: number; replicas: number[]; isr: number[] } {
    const { leader, leaderEpoch, replicas, isr } = this.#state.partition(topic, partition)
    return { leader, leaderEpoch, replicas: [...replicas], isr: [...isr] }
  }

  /** Sets the replicas in sync, a part of the replicas that holds the leader; fewer than min ISR refuse acks=all. */
  setIsr(topic: string, partition: number, brokerIds: readonly number[]): void {
    this.#state.setIsr(topic, partition, brokerIds)
  }

  /** Stops a broker: connections end, its port refuses, other replicas in sync lead where it led. */
  async stopBroker(brokerId: number): Promise<void> {
    const { broker, server } = this.#node(brokerId)
    if (!this.#state.isAlive(brokerId)) throw new IllegalStateError(`broker ${brokerId} is stopped already`)
    this.#state.brokerDown(brokerId)
    await stopListening(broker, server)
  }

  /** Starts a stopped broker on its port; it is in sync at once, and leads only what nobody leads. */
  async startBroker(brokerId: number): Promise<void> {
    const { server, port } = this.#node(brokerId)
    if (this.#state.isAlive(brokerId)) throw new IllegalStateError(`broker ${brokerId} runs already`)
    if (server !== undefined) await listenOn(server, port)
    this.#state.brokerUp(brokerId)
  }

  /** The broker takes connections but says nothing, as a process that got SIGSTOP. It leads what it leads. */
  pauseBroker(brokerId: number): void {
    this.#node(brokerId).broker.pause()
  }

  /** The paused broker goes on, beginning with what arrived meanwhile. */
  resumeBroker(brokerId: number): void {
    this.#node(brokerId).broker.resume()
  }

  /** How many connections a broker has open. */
  connectionCount(brokerId: number): number {
    return this.#node(brokerId).broker.connectionCount
  }

  /** Stops all brokers; nothing of the cluster is left but its records. May be called again. */
  async close(): Promise<void> {
    this.#isClosed = true
    await Promise.all([...this.#nodes.values()].map(({ broker, server }) => stopListening(broker, server)))
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  /** @internal A connection in memory to the broker at this address; refused where there is none, or it is stopped. */
  connect(address: { readonly host: string; readonly port: number }): Duplex {
    const text = `${address.host}:${address.port}`
    const node = [...this.#nodes.values()].find(({ host, port }) => `${host}:${port}` === text)
    const isListening = node !== undefined && !this.#isClosed && this.#state.isAlive(node.broker.nodeId)
    if (!isListening) return MemorySocket.refused(text)
    const [client, server] = MemorySocket.pair()
    this.accept(node.broker.nodeId, server)
    process.nextTick(() => {
      if (!client.destroyed) client.emit('connect')
    })
    return client
  }

  /** @internal Has a broker serve the client at the other end of a stream. */
  accept(brokerId: number, duplex: Duplex): void {
    this.#node(brokerId).broker.accept(duplex)
  }

  #node(brokerId: number): Node {
    const node = this.#nodes.get(brokerId)
    if (node === undefined) {
      throw new IllegalStateError(
        `there is no broker ${brokerId}, only ${[...this.#nodes.keys()].join(', ')}`,
      )
    }
    return node
  }
}

function asBuffer(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/** Kafka 4 lists versions of Produce that it does not serve, for the sake of an old librdkafka (KAFKA-18659). */
const PRODUCE_LISTED_FROM = 0

function advertisedVersions(asked: NonNullable<TestClusterOptions['versions']>): Map<ApiName, Versions> {
  const advertised = new Map<ApiName, Versions>()
  for (const [key, { api }] of Object.entries(served)) {
    const name = key as ApiName
    const range = asked[name]
    if (range === null) continue
    const min = name === 'Produce' ? PRODUCE_LISTED_FROM : api.minVersion
    advertised.set(name, { min: range?.[0] ?? min, max: range?.[1] ?? api.maxVersion })
  }
  return advertised
}

async function startNode(broker: Broker, listen: boolean): Promise<Node> {
  if (!listen) return { broker, host: `broker-${broker.nodeId}`, port: 9092, server: undefined }
  const server = createServer({ noDelay: true }, (socket) => broker.accept(socket))
  await listenOn(server, 0)
  const { address, port } = server.address() as AddressInfo
  return { broker, host: address, port, server }
}

function listenOn(server: Server, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, '127.0.0.1', () => {
      server.off('error', reject)
      resolve()
    })
  })
}

async function stopListening(broker: Broker, server: Server | undefined): Promise<void> {
  const closed = new Promise<void>((resolve) => {
    if (server === undefined) resolve()
    else server.close(() => resolve())
  })
  broker.disconnect()
  await closed
}
