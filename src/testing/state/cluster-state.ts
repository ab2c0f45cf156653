/**
 * What all brokers of the cluster agree on: which brokers live, which topics there are, who leads, who is in sync,
 * and who coordinates what. Replication takes no time: every replica in sync has every record, so a partition has one
 * log, whoever leads.
 */
import { randomUUID } from 'node:crypto'
import { IllegalStateError } from '../../errors.js'
import { Coordinators } from '../coordinators/coordinators.js'
import { PartitionLog, type LogConfig } from './partition-log.js'

/** Settings of a topic; each is Kafka's own topic setting in camelCase, with Kafka's default unless said otherwise. */
export interface TestTopicOptions {
  /** 1 or more; default: the cluster's `numPartitions`. */
  readonly partitions?: number
  /** 1 to the number of brokers; default: 3, or all brokers where there are fewer. */
  readonly replicationFactor?: number
  /** Replicas that must be in sync for acks=all, else NOT_ENOUGH_REPLICAS; default 1. */
  readonly minInsyncReplicas?: number
  /** The largest record batch taken, in bytes; default: the cluster's `messageMaxBytes`. */
  readonly maxMessageBytes?: number
  /** Whose clock stamps the records; default `'CreateTime'`, the producer's. */
  readonly messageTimestampType?: 'CreateTime' | 'LogAppendTime'
  /** `'compact'` refuses records without a key, by index (KIP-467); nothing is ever compacted. Default `'delete'`. */
  readonly cleanupPolicy?: 'delete' | 'compact'
}

export interface Partition {
  readonly index: number
  readonly replicas: readonly number[]
  readonly log: PartitionLog
  isr: readonly number[]
  /** -1: none of the replicas in sync is alive. */
  leader: number
  leaderEpoch: number
}

export interface Topic {
  readonly name: string
  readonly id: string
  readonly config: LogConfig & { readonly minInsyncReplicas: number }
  readonly replicationFactor: number
  readonly partitions: Partition[]
}

/** What a Metadata answer says of a topic. */
export type TopicView = Pick<Topic, 'name' | 'id'> & {
  readonly partitions: readonly Readonly<
    Pick<Partition, 'index' | 'replicas' | 'isr' | 'leader' | 'leaderEpoch'>
  >[]
}

/** What a broker answers Metadata requests from. */
export interface MetadataView {
  readonly topics: ReadonlyMap<string, TopicView>
  isAlive(nodeId: number): boolean
  aliveBrokers(): BrokerAddress[]
}

export interface BrokerAddress {
  readonly nodeId: number
  readonly host: string
  readonly port: number
  readonly rack: null
}

export class ClusterState implements MetadataView {
  readonly topics = new Map<string, Topic>()
  readonly brokers = new Map<number, BrokerAddress>()
  readonly autoCreateTopics: boolean
  readonly #defaults: Required<TestTopicOptions>
  readonly #alive = new Set<number>()
  readonly #paused = new Set<number>()
  readonly coordinators = new Coordinators(this.#alive)
  /** Brokers that hear nothing new, and what they heard last. */
  readonly #frozen = new Map<number, MetadataView>()
  #nextProducerId = 0n
  #topicsCreated = 0

  constructor(autoCreateTopics: boolean, defaults: Required<TestTopicOptions>) {
    this.autoCreateTopics = autoCreateTopics
    this.#defaults = defaults
  }

  nextProducerId(): bigint {
    return this.#nextProducerId++
  }

  addBroker(address: BrokerAddress): void {
    this.brokers.set(address.nodeId, address)
    this.#alive.add(address.nodeId)
    this.coordinators.addBroker(address.nodeId)
  }

  isAlive(nodeId: number): boolean {
    return this.#alive.has(nodeId)
  }

  /** Whether a broker does what others ask of it: it is alive and not paused. -1, nobody, does not. */
  isResponding(nodeId: number): boolean {
    return this.#alive.has(nodeId) && !this.#paused.has(nodeId)
  }

  setPaused(nodeId: number, isPaused: boolean): void {
    if (isPaused) this.#paused.add(nodeId)
    else this.#paused.delete(nodeId)
  }

  aliveBrokers(): BrokerAddress[] {
    return [...this.brokers.values()].filter(({ nodeId }) => this.#alive.has(nodeId))
  }

  /** What a broker knows. */
  metadataOf(nodeId: number): MetadataView {
    return this.#frozen.get(nodeId) ?? this
  }

  /** The broker hears nothing new of topics, leaders and other brokers until it is thawed. */
  freezeMetadata(nodeId: number): void {
    const topics = new Map<string, TopicView>()
    for (const [name, { id, partitions }] of this.topics)
      topics.set(name, { name, id, partitions: partitions.map((one) => Object.assign({}, one)) })
    const brokers = this.aliveBrokers()
    this.#frozen.set(nodeId, {
      topics,
      isAlive: (id) => brokers.some((broker) => broker.nodeId === id),
      aliveBrokers: () => brokers,
    })
  }

  thawMetadata(nodeId: number): void {
    this.#frozen.delete(nodeId)
  }

  topicById(id: string): Topic | undefined {
    for (const topic of this.topics.values()) if (topic.id === id) return topic
    return undefined
  }

  topic(name: string): Topic {
    const topic = this.topics.get(name)
    if (topic === undefined) throw new IllegalStateError(`topic ${name} does not exist`)
    return topic
  }

  partition(name: string, index: number): Partition {
    const { partitions } = this.topic(name)
    const partition = partitions[index]
    if (partition === undefined) {
      throw new IllegalStateError(
        `topic ${name} has ${partitions.length} partitions, there is no partition ${index}`,
      )
    }
    return partition
  }

  createTopic(name: string, options: TestTopicOptions): Topic {
    if (this.topics.has(name)) throw new IllegalStateError(`topic ${name} exists already`)
    const { partitions, replicationFactor, ...config } = { ...this.#defaults, ...options }
    if (!Number.isInteger(partitions) || partitions < 1) {
      throw new RangeError(`topic ${name}: ${partitions} partitions`)
    }
    if (
      !Number.isInteger(replicationFactor) ||
      replicationFactor < 1 ||
      replicationFactor > this.brokers.size
    ) {
      throw new RangeError(
        `topic ${name}: replicationFactor ${replicationFactor} with ${this.brokers.size} brokers`,
      )
    }
    const topic: Topic = { name, id: randomUUID(), config, replicationFactor, partitions: [] }
    this.topics.set(name, topic)
    this.#topicsCreated++
    this.addPartitions(name, partitions)
    return topic
  }

  deleteTopic(name: string): void {
    this.topic(name)
    this.topics.delete(name)
  }

  /** Adds partitions up to `total`; their replicas go round the brokers, as do the first replicas of topics. */
  addPartitions(name: string, total: number): void {
    const { partitions, replicationFactor } = this.topic(name)
    if (!Number.isInteger(total) || total < partitions.length) {
      throw new RangeError(`topic ${name} has ${partitions.length} partitions, ${total} would be fewer`)
    }
    const ids = [...this.brokers.keys()]
    for (let index = partitions.length; index < total; index++) {
      const first = this.#topicsCreated - 1 + index
      const replicas = Array.from({ length: replicationFactor }, (_, i) => ids[(first + i) % ids.length]!)
      const isr = replicas.filter((id) => this.#alive.has(id))
      const leader = isr[0] ?? -1
      const log = new PartitionLog()
      partitions.push({ index, replicas, log, isr: isr.length > 0 ? isr : replicas, leader, leaderEpoch: 0 })
    }
  }

  /** Makes `nodeId` the leader (-1: nobody), or the next replica in sync. Bumps the leader epoch. */
  moveLeader(name: string, index: number, nodeId?: number): number {
    const partition = this.partition(name, index)
    const { isr, replicas } = partition
    const candidates = isr.filter((id) => this.#alive.has(id))
    const next = nodeId ?? candidates[(candidates.indexOf(partition.leader) + 1) % candidates.length] ?? -1
    if (nodeId !== undefined && nodeId !== -1 && (!replicas.includes(nodeId) || !this.#alive.has(nodeId))) {
      throw new IllegalStateError(
        `broker ${nodeId} cannot lead ${name}-${index}: replicas ${replicas.join(', ')}`,
      )
    }
    partition.leader = next
    if (next !== -1 && !isr.includes(next)) partition.isr = [...isr, next]
    partition.leaderEpoch++
    return next
  }

  setIsr(name: string, index: number, isr: readonly number[]): void {
    const partition = this.partition(name, index)
    const { leader, replicas } = partition
    if (
      isr.length === 0 ||
      isr.some((id) => !replicas.includes(id)) ||
      (leader !== -1 && !isr.includes(leader))
    ) {
      throw new IllegalStateError(
        `[${isr.join(', ')}] cannot be in sync for ${name}-${index}: replicas ${replicas.join(', ')}, leader ${leader}`,
      )
    }
    partition.isr = [...isr]
  }

  /** The broker is dead: it leaves every ISR that has another member, and others lead where it led. */
  brokerDown(nodeId: number): void {
    this.#alive.delete(nodeId)
    this.#paused.delete(nodeId)
    this.coordinators.brokerDown(nodeId)
    for (const partition of this.#allPartitions()) {
      if (!partition.isr.includes(nodeId)) continue
      const rest = partition.isr.filter((id) => id !== nodeId)
      // The last member stays in the ISR: only a replica that has everything may ever lead again.
      if (rest.length > 0) partition.isr = rest
      if (partition.leader !== nodeId) continue
      partition.leader = rest.find((id) => this.#alive.has(id)) ?? -1
      partition.leaderEpoch++
    }
  }

  /** The broker is back and has caught up: in sync everywhere, and leader of what nobody leads. */
  brokerUp(nodeId: number): void {
    this.#alive.add(nodeId)
    this.coordinators.brokerUp(nodeId)
    for (const partition of this.#allPartitions()) {
      if (!partition.replicas.includes(nodeId)) continue
      if (partition.leader === -1 && partition.isr.includes(nodeId)) {
        partition.leader = nodeId
        partition.leaderEpoch++
      }
      if (partition.leader !== -1 && !partition.isr.includes(nodeId))
        partition.isr = [...partition.isr, nodeId]
    }
  }

  *#allPartitions(): Iterable<Partition> {
    for (const topic of this.topics.values()) yield* topic.partitions
  }
}
