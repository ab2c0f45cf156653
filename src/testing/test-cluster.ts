/**
 * The public face of the test cluster: its life, its sockets, and the hooks that hurt it. Brokers run in this
 * process, listen on loopback and speak Kafka's protocol; what they agree on is in cluster-state.ts.
 */
import { createServer, type AddressInfo, type Server } from 'node:net'
import type { Duplex } from 'node:stream'
import { IllegalStateError } from '../errors.js'
import { nextTick } from '../time/event-loop.js'
import { Produce } from '../protocol/apis.js'
import { readBatchHeader, readRecordBatch } from '../records/read-record-batch.js'
import { Broker } from './broker/broker.js'
import type { TopicPartition } from '../record.js'
import { realClock, type BrokerClock } from './broker/broker-clock.js'
import { ClusterState, type TestTopicOptions } from './state/cluster-state.js'
import type { CoordinatorType } from './coordinators/coordinators.js'
import { Faults, type ApiName, type FaultAction, type FaultMatch } from './faults.js'
import {
  GroupCoordinator,
  type CommittedOffset,
  type GroupOptions,
} from './coordinators/group-coordinator.js'
import { MemorySocket } from './broker/memory-socket.js'
import type { ReceivedRequest, Versions } from './broker/request-context.js'
import { served } from './requests/requests.js'
import { TransactionCoordinator, type TransactionVersion } from './coordinators/transaction-coordinator.js'
import type { TransactionStatus } from './coordinators/transaction-state.js'

export interface TestClusterOptions {
  /** How many brokers, 1 or more; their node ids count from 1. Default 1. */
  readonly brokers?: number
  /** Topics that exist from the start. */
  readonly topics?: Readonly<Record<string, TestTopicOptions>>
  /** Whether a Metadata request creates the topics it names (`auto.create.topics.enable`); default true. */
  readonly autoCreateTopics?: boolean
  /** Partitions of a topic that does not say (`num.partitions`); default 3. */
  readonly numPartitions?: number
  /** The largest batch taken, in bytes (`message.max.bytes`); default 1048588. */
  readonly messageMaxBytes?: number
  /**
   * Versions to offer of an API, first and last, or null for none at all, to play an older broker. Default: those of
   * Kafka 4.2, which lists Produce from version 0 on but serves it from version 3 on. Null for the transaction APIs is a
   * cluster without transactions.
   */
  readonly versions?: Readonly<Partial<Record<ApiName, readonly [first: number, last: number] | null>>>
  /**
   * The finalized level of the feature `transaction.version`: 1 for classic transactions, 2 for those of KIP-890, whose
   * end raises the producer's epoch. Default 2, as in new clusters from Kafka 4.0 on.
   */
  readonly transactionVersion?: TransactionVersion
  /**
   * Milliseconds from the decision to end a transaction to its markers in the partitions; meanwhile what begins the
   * next transaction is answered CONCURRENT_TRANSACTIONS. 0 or more; default 0, before the answer to EndTxn.
   */
  readonly transactionMarkerDelayMs?: number
  /** @internal The epoch that the first producer of each transactional id gets; 0, or close to 32766, the last one. */
  readonly firstProducerEpoch?: number
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

/** What `records` shows. */
export interface RecordsOptions {
  /**
   * `'read_committed'` leaves out records of aborted transactions, and everything from the first transaction on that is
   * still open, as a consumer with this `isolation.level` does. Default `'read_uncommitted'`: all records.
   */
  readonly isolation?: 'read_uncommitted' | 'read_committed'
}

/** A transactional id as the transaction coordinator knows it. */
export interface TransactionDescription {
  readonly state: TransactionStatus
  readonly producerId: bigint
  readonly epoch: number
  readonly timeoutMs: number
  /** Those in the transaction; the offsets of groups are partitions of `__consumer_offsets`. */
  readonly partitions: readonly TopicPartition[]
}

/** Offsets of a partition's log. Markers of transactions have offsets too, but are no records. */
export interface LogDescription {
  /** The offset that the next record gets. */
  readonly endOffset: bigint
  /** Up to here every transaction is decided. */
  readonly lastStableOffset: bigint
  /** The markers in order. */
  readonly markers: readonly StoredMarker[]
}

/** The end of a transaction in a partition. */
export interface StoredMarker {
  readonly type: 'COMMIT' | 'ABORT'
  readonly offset: bigint
  readonly producerId: bigint
  readonly epoch: number
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
 * protocol, checks what a real broker checks, and fails where a test injects a fault.
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
  readonly #transactions: TransactionCoordinator
  readonly #groups: GroupCoordinator
  readonly #faults = new Faults()
  readonly #nodes = new Map<number, Node>()
  #isClosed = false

  private constructor(state: ClusterState, transactions: TransactionCoordinator, groups: GroupCoordinator) {
    this.#state = state
    this.#transactions = transactions
    this.#groups = groups
  }

  /** Starts the brokers and creates the topics. Rejects with a RangeError or an IllegalStateError on bad options. */
  static async start(options: TestClusterOptions = {}): Promise<TestCluster> {
    const { brokers = 1, topics = {}, listen = true, clock = realClock } = options
    const { transactionVersion = 2, transactionMarkerDelayMs: markerDelayMs = 0 } = options
    if (!Number.isInteger(brokers) || brokers < 1)
      throw new RangeError(`brokers is ${brokers}, must be 1 or more`)
    if (!(markerDelayMs >= 0))
      throw new RangeError(`transactionMarkerDelayMs is ${markerDelayMs}, must be 0 or more`)
    checkTransactionVersion(transactionVersion)
    const state = new ClusterState(options.autoCreateTopics ?? true, {
      partitions: options.numPartitions ?? 3,
      replicationFactor: Math.min(3, brokers),
      minInsyncReplicas: 1,
      maxMessageBytes: options.messageMaxBytes ?? 1_048_588,
      messageTimestampType: 'CreateTime',
      cleanupPolicy: 'delete',
    })
    const groups = new GroupCoordinator()
    const transactions = new TransactionCoordinator(state, groups, clock, {
      transactionVersion,
      markerDelayMs,
      firstEpoch: options.firstProducerEpoch ?? 0,
    })
    const cluster = new TestCluster(state, transactions, groups)
    const advertised = advertisedVersions(options.versions ?? {})
    const context = {
      state,
      transactions,
      groups,
      clock,
      advertised,
      faults: cluster.#faults,
      journal: cluster.requests,
    }
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

  /**
   * All records of a topic, by partition and offset, or with `{ isolation: 'read_committed' }` those that are
   * committed. Throws IllegalStateError where there is no such topic.
   */
  records(topic: string, { isolation = 'read_uncommitted' }: RecordsOptions = {}): StoredRecord[] {
    return this.#state.topic(topic).partitions.flatMap(({ index, log }) =>
      log.batches.flatMap((batch) => {
        const { header, records } = readRecordBatch(batch)
        if (header.isControl || (isolation === 'read_committed' && !log.isCommitted(header))) return []
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
  createTopic(name: string, options: TestTopicOptions = {}): void {
    this.#state.createTopic(name, options)
  }

  /** Deletes a topic with all its records. */
  deleteTopic(name: string): void {
    this.#state.deleteTopic(name)
    this.#transactions.goOn()
  }

  /** Adds partitions until there are `total`. */
  addPartitions(topic: string, total: number): void {
    this.#state.addPartitions(topic, total)
  }

  /** Cuts the log of a partition to `endOffset`, as a leader does that was not in sync: what it lacks is lost. */
  truncateLog(topic: string, partition: number, endOffset: number): void {
    this.#state.partition(topic, partition).log.truncate(endOffset)
  }

  /**
   * The brokers forget what they know of producers in a partition, as after `producer.id.expiration.ms`: a batch that
   * comes again is not recognised, and any sequence may come next. Producers with an open transaction are remembered.
   */
  forgetProducers(topic: string, partition: number): void {
    this.#state.partition(topic, partition).log.producers.forget()
  }

  /**
   * A broker hears nothing new: it answers Metadata requests with the topics, leaders and brokers of now, until
   * `thawMetadata`.
   */
  freezeMetadata(brokerId: number): void {
    this.#state.freezeMetadata(this.#node(brokerId).broker.nodeId)
  }

  /** The broker knows again what the others know. */
  thawMetadata(brokerId: number): void {
    this.#state.thawMetadata(this.#node(brokerId).broker.nodeId)
  }

  /**
   * Makes another broker the leader of a partition: `brokerId`, which must be a replica and alive, or -1 for nobody;
   * without it the next one in sync. The leader epoch goes up. Returns the new leader, -1 for none.
   */
  moveLeader(topic: string, partition: number, brokerId?: number): number {
    const leader = this.#state.moveLeader(topic, partition, brokerId)
    this.#transactions.goOn()
    return leader
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
    this.#transactions.goOn()
  }

  /** End of a partition's log, how far it is decided, and the markers in it. */
  describeLog(topic: string, partition: number): LogDescription {
    const { log } = this.#state.partition(topic, partition)
    const markers = log.batches.flatMap((batch): StoredMarker[] => {
      if (!readBatchHeader(batch).isControl) return []
      const { header, records } = readRecordBatch(batch)
      const { producerId, producerEpoch: epoch, baseOffset: offset } = header
      return [{ type: records[0]!.key![3] === 1 ? 'COMMIT' : 'ABORT', offset, producerId, epoch }]
    })
    const { endOffset, lastStableOffset } = log
    return { endOffset: BigInt(endOffset), lastStableOffset: BigInt(lastStableOffset), markers }
  }

  /** The transaction of a transactional id, and the producer that owns it; undefined where nobody has. */
  describeTransaction(transactionalId: string): TransactionDescription | undefined {
    const found = this.#transactions.describe(transactionalId)
    if (found === undefined) return undefined
    const { status: state, producerId, epoch, timeoutMs, partitions } = found
    return { state, producerId, epoch, timeoutMs, partitions: [...partitions] }
  }

  /** Changes the finalized level of `transaction.version`, as an upgrade or a downgrade of the cluster does. */
  setTransactionVersion(level: TransactionVersion): void {
    checkTransactionVersion(level)
    this.#transactions.transactionVersion = level
  }

  /** The broker that coordinates a group or a transactional id, -1 for none. */
  coordinator(type: CoordinatorType, key: string): number {
    return this.#state.coordinators.leaderOf(type, key)
  }

  /**
   * Makes another broker the coordinator of a group or a transactional id: `brokerId`, which must be alive, or -1 for
   * nobody; without it the next one alive. It takes along all keys of the same of 50 partitions, and their state.
   * Returns the new coordinator, -1 for none.
   */
  moveCoordinator(type: CoordinatorType, key: string, brokerId?: number): number {
    const leader = this.#state.coordinators.move(type, key, brokerId)
    this.#transactions.goOn()
    return leader
  }

  /**
   * Declares a consumer group, or changes it, as a rebalance does: offsets that a transaction commits for it must come
   * from a member, in this generation. A group that nobody declared takes commits that name no generation.
   */
  setGroup(groupId: string, options: GroupOptions): void {
    this.#groups.declare(groupId, options)
  }

  /** Offsets that transactions have committed for a group, by topic and partition; not those still pending. */
  committedOffsets(groupId: string): CommittedOffset[] {
    return this.#groups.committed(groupId)
  }

  /**
   * Stops a broker: connections end, its port refuses, other replicas in sync lead where it led, and other brokers
   * coordinate what it coordinated.
   */
  async stopBroker(brokerId: number): Promise<void> {
    const { broker, server } = this.#node(brokerId)
    if (!this.#state.isAlive(brokerId)) throw new IllegalStateError(`broker ${brokerId} is stopped already`)
    this.#state.brokerDown(brokerId)
    this.#transactions.goOn()
    await stopListening(broker, server)
  }

  /** Starts a stopped broker on its port; it is in sync at once, and leads and coordinates only what nobody does. */
  async startBroker(brokerId: number): Promise<void> {
    const { server, port } = this.#node(brokerId)
    if (this.#state.isAlive(brokerId)) throw new IllegalStateError(`broker ${brokerId} runs already`)
    if (server !== undefined) await listenOn(server, port)
    this.#state.brokerUp(brokerId)
    this.#transactions.goOn()
  }

  /** The broker takes connections but says nothing, as a process that got SIGSTOP. It leads what it leads. */
  pauseBroker(brokerId: number): void {
    this.#node(brokerId).broker.pause()
    this.#state.setPaused(brokerId, true)
  }

  /** The paused broker goes on, beginning with what arrived meanwhile. */
  resumeBroker(brokerId: number): void {
    this.#state.setPaused(brokerId, false)
    this.#transactions.goOn()
    this.#node(brokerId).broker.resume()
  }

  /** How many connections a broker has open. */
  connectionCount(brokerId: number): number {
    return this.#node(brokerId).broker.connectionCount
  }

  /** Stops all brokers; nothing of the cluster is left but its records. May be called again. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#transactions.close()
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
    nextTick(() => {
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

function checkTransactionVersion(level: number): void {
  if (level !== 1 && level !== 2) throw new RangeError(`transactionVersion is ${level}, must be 1 or 2`)
}

function asBuffer(bytes: Uint8Array | null): Buffer | null {
  return bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

/**
 * What Kafka 4.2 lists beyond what is served here: versions of Produce that it does not serve itself, for the sake of an
 * old librdkafka (KAFKA-18659), and those of AddPartitionsToTxn that only brokers send.
 */
const LISTED: Partial<Record<ApiName, Versions>> = {
  Produce: { min: 0, max: Produce.maxVersion },
  AddPartitionsToTxn: { min: 0, max: 5 },
}

function advertisedVersions(asked: NonNullable<TestClusterOptions['versions']>): Map<ApiName, Versions> {
  const advertised = new Map<ApiName, Versions>()
  for (const [key, { api }] of Object.entries(served)) {
    const name = key as ApiName
    const range = asked[name]
    if (range === null) continue
    const { min, max } = LISTED[name] ?? { min: api.minVersion, max: api.maxVersion }
    advertised.set(name, { min: range?.[0] ?? min, max: range?.[1] ?? max })
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
