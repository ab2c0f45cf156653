/** The cluster and the network of one run, and what can be done to them. Knows nothing of the producer. */
import type { Connect, Lookup } from '../../src/network/connection/transport.js'
import type { TestTopicOptions } from '../../src/testing/state/cluster-state.js'
import type { ReceivedRequest } from '../../src/testing/broker/request-context.js'
import { TestCluster, type StoredRecord, type TestClusterOptions } from '../../src/testing/test-cluster.js'
import { Link } from './memory-link.js'
import type { ClusterStep, Protocol, Stage } from './schedule.js'
import type { VirtualTime } from './virtual-time.js'

const versions: Readonly<Record<Protocol, NonNullable<TestClusterOptions['versions']>>> = {
  newest: {},
  'by-name': { Produce: [3, 12] },
  'no-ids': { Produce: [3, 12], Metadata: [0, 9] },
  'no-epochs': { Produce: [3, 12], Metadata: [0, 8] },
}

/** Something that a partition's brokers held is gone: the topic with its logs, the end of a log, or what they knew of producers. */
export interface Loss {
  readonly at: number
  readonly topic: string
  /** Null: all of them. */
  readonly partition: number | null
  /** All records of these partitions as they were, in the order of their logs. */
  readonly records: readonly StoredRecord[]
}

export class World {
  readonly losses: Loss[] = []
  readonly cluster: TestCluster
  readonly topicNames: readonly string[]
  readonly #plans: readonly TestTopicOptions[]
  /** Partitions of which topic may be moved by `move-leader` and so on: as many as there are now. */
  readonly #partitionCounts: number[]
  readonly time: VirtualTime
  readonly #stage: Stage
  readonly #links = new Map<number, Set<Link>>()
  readonly #paused = new Set<number>()
  readonly #stopped = new Set<number>()
  /** Brokers whose address swallows attempts to connect. */
  readonly #silent = new Set<number>()
  /** A topic has been created again with fewer partitions: what is meant for the others waits until its time is over. */
  hasShrunk = false
  /** Topics that are deleted. */
  readonly #gone = new Set<number>()
  #undoFaults: (() => void)[] = []

  private constructor(
    time: VirtualTime,
    stage: Stage,
    cluster: TestCluster,
    topics: ReadonlyMap<string, TestTopicOptions>,
  ) {
    this.time = time
    this.#stage = stage
    this.cluster = cluster
    this.topicNames = [...topics.keys()]
    this.#plans = [...topics.values()]
    this.#partitionCounts = stage.topics.map(({ partitions }) => partitions)
    for (let broker = 1; broker <= stage.brokers; broker++) this.#links.set(broker, new Set())
  }

  static async start(
    time: VirtualTime,
    stage: Stage,
    options: Pick<
      TestClusterOptions,
      'transactionVersion' | 'transactionMarkerDelayMs' | 'firstProducerEpoch'
    > = {},
  ): Promise<World> {
    const { brokers, protocol, topics } = stage
    const plans = new Map<string, TestTopicOptions>()
    topics.forEach(({ partitions, replicas, minInsyncReplicas, maxMessageBytes }, i) => {
      const replicationFactor = Math.min(replicas, brokers)
      plans.set(`topic-${i}`, { partitions, replicationFactor, minInsyncReplicas, maxMessageBytes })
    })
    const cluster = await TestCluster.start({
      brokers,
      topics: Object.fromEntries(plans),
      autoCreateTopics: false,
      versions: versions[protocol],
      clock: time.clock(),
      ...options,
      listen: false,
    })
    return new World(time, stage, cluster, plans)
  }

  readonly lookup: Lookup = {
    addresses: (host) => Promise.resolve([host]),
    canonicalNames: (host) => Promise.resolve([host]),
  }

  readonly connect: Connect = ({ host }) => {
    const broker = Number(host.slice('broker-'.length))
    const link = new Link(this.time, this.#stage.latencyMs)
    const links = this.#links.get(broker)!
    links.add(link)
    if (this.#silent.has(broker)) return link.client
    this.time.setTimer(this.#stage.latencyMs, () => {
      if (link.client.destroyed) return
      if (this.#stopped.has(broker)) {
        link.client.destroy(
          Object.assign(new Error(`connect ECONNREFUSED ${host}`), { code: 'ECONNREFUSED' }),
        )
        return
      }
      link.isAccepted = true
      this.cluster.accept(broker, link.server)
      link.client.emit('connect')
    })
    return link.client
  }

  /** Sockets of the producer's that are not gone. */
  get openSockets(): number {
    let count = 0
    for (const links of this.#links.values()) for (const { client } of links) if (!client.closed) count++
    return count
  }

  partitionCount(topicName: string): number {
    return this.#partitionCounts[this.topicNames.indexOf(topicName)]!
  }

  /** All that there are. */
  partitions(): { readonly topic: number; readonly partition: number }[] {
    return this.#partitionCounts.flatMap((count, topic) =>
      Array.from({ length: count }, (_, partition) => ({ topic, partition })),
    )
  }

  topicName(topic: number): string {
    return this.topicNames[this.#topic(topic)]!
  }

  partitionOf(topic: number, partition: number): number {
    return partition % this.#partitionCounts[this.#topic(topic)]!
  }

  partitionOrNull(topic: number, partition: number | null): number | null {
    return partition === null ? null : this.partitionOf(topic, partition)
  }

  /** Does what a step asks of the cluster or the network. */
  async act(step: ClusterStep): Promise<void> {
    switch (step.do) {
      case 'fault': {
        const { api, broker, topic, nth, times, action } = step
        const match = {
          api,
          nth,
          times,
          ...(broker === null ? {} : { broker: this.#broker(broker) }),
          ...(topic === null ? {} : { topic: this.topicName(topic) }),
        }
        this.#undoFaults.push(this.cluster.fail(match, action))
        return
      }
      case 'move-leader':
        if (this.#gone.has(this.#topic(step.topic))) return
        this.#moveLeader(step.topic, this.partitionOf(step.topic, step.partition), step.to)
        return
      case 'set-isr': {
        if (this.#gone.has(this.#topic(step.topic))) return
        const topic = this.topicName(step.topic)
        const partition = this.partitionOf(step.topic, step.partition)
        const { leader, replicas } = this.cluster.describePartition(topic, partition)
        const others = replicas.filter((id) => id !== leader && !this.#stopped.has(id))
        const isr = (leader === -1 ? others : [leader, ...others]).slice(0, step.size)
        if (isr.length > 0) this.cluster.setIsr(topic, partition, isr)
        return
      }
      case 'pause':
      case 'resume':
      case 'stop':
      case 'start':
        await this.#setState(this.#broker(step.broker), step.do)
        return
      case 'cut':
        for (const link of this.#linksOf(step.broker)) link.reset()
        return
      case 'silence':
        this.#silent.add(this.#broker(step.broker))
        return
      case 'stall':
        for (const link of this.#linksOf(step.broker)) link.stall(this.time.now + step.ms, step.direction)
        return
      case 'truncate':
        for (const link of this.#linksOf(step.broker)) link.truncate(step.bytes, step.direction)
        return
      case 'add-partition': {
        const topic = this.#topic(step.topic)
        if (this.#partitionCounts[topic]! >= 5 || this.#gone.has(topic)) return
        this.cluster.addPartitions(this.topicName(topic), ++this.#partitionCounts[topic]!)
        return
      }
      case 'recreate':
        this.#recreate(this.#topic(step.topic), step.partitions)
        return
      case 'lose-log':
        this.#loseLog(step.topic, this.partitionOf(step.topic, step.partition), step.records)
        return
      case 'forget-producers': {
        if (this.#gone.has(this.#topic(step.topic))) return
        const partition = this.partitionOf(step.topic, step.partition)
        this.#lose(this.topicName(step.topic), partition)
        this.cluster.forgetProducers(this.topicName(step.topic), partition)
        return
      }
      case 'freeze':
        this.cluster.freezeMetadata(this.#broker(step.broker))
        return
      case 'thaw':
        this.cluster.thawMetadata(this.#broker(step.broker))
        return
      case 'heal':
        await this.heal()
        return
    }
  }

  /** Everything runs, every partition has a leader and replicas enough, and no fault is left. */
  async heal(): Promise<void> {
    for (const undo of this.#undoFaults) undo()
    this.#undoFaults = []
    this.#silent.clear()
    for (const broker of this.#stopped) await this.#setState(broker, 'start')
    for (const broker of this.#paused) await this.#setState(broker, 'resume')
    for (const broker of this.#links.keys()) this.cluster.thawMetadata(broker)
    for (const topic of this.#gone) this.#recreate(topic, this.#partitionCounts[topic]!)
    this.topicNames.forEach((name, topic) => {
      for (let partition = 0; partition < this.#partitionCounts[topic]!; partition++) {
        const { leader, replicas } = this.cluster.describePartition(name, partition)
        if (leader === -1) this.cluster.moveLeader(name, partition)
        this.cluster.setIsr(name, partition, replicas)
      }
    })
  }

  /** All is as well as can be: what a fault has done to connections is over too. */
  async mend(): Promise<void> {
    await this.heal()
    const muted = new Set(this.cluster.requests.filter(isMuting).map(({ broker }) => broker))
    for (const [broker, links] of this.#links) {
      for (const link of links) {
        if (!link.isOpen) continue
        // Who waits for an answer that never comes, or for a connection, would wait for a timeout.
        if (muted.has(broker) || !link.isAccepted) link.reset()
        else link.goOn()
      }
    }
  }

  /** Records of the topic, also of those that went with an earlier log. */
  everStored(topic: string): StoredRecord[] {
    const lost = this.losses.filter((loss) => loss.topic === topic).flatMap(({ records }) => records)
    return [...lost, ...this.cluster.records(topic)]
  }

  #recreate(topic: number, partitions: number): void {
    const name = this.topicNames[topic]!
    if (!this.#gone.has(topic)) {
      this.#lose(name, null)
      this.cluster.deleteTopic(name)
      this.#gone.add(topic)
    }
    if (partitions === 0) return
    this.#gone.delete(topic)
    if (partitions < this.#partitionCounts[topic]!) this.hasShrunk = true
    this.#partitionCounts[topic] = partitions
    this.cluster.createTopic(name, { ...this.#plans[topic]!, partitions })
  }

  #loseLog(topic: number, partition: number, records: number): void {
    if (this.#gone.has(this.#topic(topic))) return
    const name = this.topicName(topic)
    this.#lose(name, partition)
    const { endOffset } = this.cluster.describeLog(name, partition)
    this.cluster.truncateLog(name, partition, Math.max(0, Number(endOffset) - records))
    this.#moveLeader(topic, partition, 0)
  }

  #lose(topic: string, partition: number | null): void {
    const all = this.cluster.records(topic)
    const records = partition === null ? all : all.filter((record) => record.partition === partition)
    this.losses.push({ at: this.time.now, topic, partition, records })
  }

  #topic(index: number): number {
    return index % this.topicNames.length
  }

  #broker(index: number): number {
    return (index % this.#stage.brokers) + 1
  }

  *#linksOf(index: number): Iterable<Link> {
    for (const link of this.#links.get(this.#broker(index))!) if (link.isOpen) yield link
  }

  #moveLeader(topic: number, partition: number, to: number): void {
    const name = this.topicName(topic)
    const { replicas } = this.cluster.describePartition(name, partition)
    if (to === -1) {
      this.cluster.moveLeader(name, partition, -1)
      return
    }
    const alive = replicas.filter((id) => !this.#stopped.has(id))
    if (alive.length > 0) this.cluster.moveLeader(name, partition, alive[to % alive.length])
  }

  async #setState(broker: number, state: 'pause' | 'resume' | 'stop' | 'start'): Promise<void> {
    if (state === 'start') {
      if (this.#stopped.delete(broker)) await this.cluster.startBroker(broker)
    } else if (this.#stopped.has(broker)) {
      return
    } else if (state === 'stop') {
      this.#stopped.add(broker)
      this.#paused.delete(broker)
      await this.cluster.stopBroker(broker)
    } else if (state === 'pause') {
      this.#paused.add(broker)
      this.cluster.pauseBroker(broker)
    } else if (this.#paused.delete(broker)) {
      this.cluster.resumeBroker(broker)
    }
  }
}

/** No answer comes on this connection any more, or not for a while. */
function isMuting({ fault }: ReceivedRequest): boolean {
  if (typeof fault === 'object') return 'throttleMs' in fault || 'delayMs' in fault
  return fault === 'drop-answer' || fault === 'drop-request'
}
