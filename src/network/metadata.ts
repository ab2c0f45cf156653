/**
 * What is known of the cluster: its brokers, and of each topic in use its partitions and their leaders. No I/O. A
 * partition of one topic id goes back to an older leader epoch only when that is repeated, and nothing that a broker says can make the cache
 * contradict itself: a leader is a known broker, or there is none; partitions are dense.
 */
import { ProtocolError, type KafkaError } from '../errors.js'
import type { ResolvedConfig } from '../config/config.js'
import type { Logger } from '../logger.js'
import type { Metadata as MetadataApi } from '../protocol/apis.js'
import { ZERO_UUID } from '../protocol/apis.js'
import { brokerError } from '../protocol/error-codes.js'
import { metadataReaction } from '../protocol/reactions.js'
import type { ResponseOf } from '../protocol/schema.js'
import { isEndpoint, MAX_HOST_LENGTH } from './endpoint.js'
import { TopicDoubts, type Source } from './topic-doubts.js'

export type MetadataResponse = ResponseOf<typeof MetadataApi>
type TopicRow = MetadataResponse['topics'][number]

export interface Broker {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

export interface PartitionMetadata {
  readonly index: number
  /** The broker's id, always one of `Metadata.brokers`; -1 when there is none. */
  readonly leader: number
  /** -1 when unknown. */
  readonly leaderEpoch: number
}

/** One state of a topic; a newer one is another object. */
export interface TopicMetadata {
  readonly name: string
  /** Changes when the topic was deleted and created again; ZERO_UUID from brokers before 2.8. */
  readonly id: string
  /** By index, without gaps. */
  readonly partitions: readonly PartitionMetadata[]
  /** The indexes of the partitions that have a leader. */
  readonly availablePartitions: readonly number[]
}

/** What one answer changed for one topic. */
export interface TopicChange {
  readonly name: string
  /** 0 for a topic that was not known. */
  readonly oldPartitionCount: number
  readonly newPartitionCount: number
  /** A partition has another leader, or another leader epoch. */
  readonly leadersChanged: boolean
  /** The topic was deleted and created again: it has another id. */
  readonly isRecreated: boolean
  /** What the answer says of a topic that cannot be used (yet, when retriable). */
  readonly error: KafkaError | undefined
}

/** Where a Produce answer says that the leader is (KIP-951). */
export interface LeaderHint {
  readonly leaderId: number
  readonly leaderEpoch: number
  readonly endpoint?:
    { readonly host: string; readonly port: number; readonly rack?: string | null } | undefined
}

interface Entry {
  readonly name: string
  topic: TopicMetadata | undefined
  error: KafkaError | undefined
  doubts: TopicDoubts
  /** Set by `use`, taken back by `expire`: so that `use` needs no clock. */
  isUsed: boolean
  idleSince: number
}

export class Metadata {
  readonly #maxIdleMs: number
  readonly #retryBackoffMs: number
  readonly #logger: Logger
  readonly #entries = new Map<string, Entry>()
  #brokers = new Map<number, Broker>()
  #clusterId: string | null = null

  constructor(options: Pick<ResolvedConfig, 'metadataMaxIdleMs' | 'retryBackoffMs' | 'logger'>) {
    this.#maxIdleMs = options.metadataMaxIdleMs
    this.#retryBackoffMs = options.retryBackoffMs
    this.#logger = options.logger
  }

  /** By id; empty before the first answer and after `forgetBrokers`. */
  get brokers(): ReadonlyMap<number, Broker> {
    return this.#brokers
  }

  /** Null when unknown. */
  get clusterId(): string | null {
    return this.#clusterId
  }

  /** The topics in use. */
  get topics(): Iterable<string> {
    return this.#entries.keys()
  }

  /** The topic's latest usable state; stays while later answers are errors that may pass. */
  topic(name: string): TopicMetadata | undefined {
    return this.#entries.get(name)?.topic
  }

  /** What the last answer said of a topic that cannot be used; a retriable error may pass by itself. */
  topicError(name: string): KafkaError | undefined {
    return this.#entries.get(name)?.error
  }

  /** The topic is wanted from here on, until it was not used for metadataMaxIdleMs. Costs one look-up. */
  use(name: string): void {
    const entry = this.#entries.get(name)
    if (entry !== undefined) entry.isUsed = true
    else {
      const doubts = new TopicDoubts(this.#retryBackoffMs)
      this.#entries.set(name, {
        name,
        topic: undefined,
        error: undefined,
        doubts,
        isUsed: true,
        idleSince: 0,
      })
    }
  }

  /** Forgets that an answer refused the topic for good, so that the next one decides. */
  forgetRefusal(name: string): void {
    const entry = this.#entries.get(name)
    if (entry?.error?.retriable === false) entry.error = undefined
  }

  /** Drops the topics which nobody used for metadataMaxIdleMs, counted from the first call that saw them unused. */
  expire(now: number): void {
    for (const entry of this.#entries.values()) {
      if (entry.isUsed) {
        entry.isUsed = false
        entry.idleSince = now
      } else if (now - entry.idleSince >= this.#maxIdleMs) {
        this.#entries.delete(entry.name)
      }
    }
  }

  /**
   * Whether a topic's state calls for another answer soon: it is missing, it has an error, a partition has no leader, or a
   * leader epoch that was told is in doubt.
   */
  isUnsettled(name: string): boolean {
    const entry = this.#entries.get(name)
    if (entry === undefined) return false
    if (entry.error !== undefined) return entry.error.retriable
    if (entry.doubts.isOpen) return true
    return entry.topic === undefined || entry.topic.availablePartitions.length < entry.topic.partitions.length
  }

  /** An answer contradicts what is known of the topic; the next one decides. */
  isInDoubt(name: string): boolean {
    return this.#entries.get(name)?.doubts.isOpen ?? false
  }

  /**
   * Takes in an answer to a request for the topics `asked`; others stay as they are. The brokers are those of the
   * answer from here on, unless it has none that is usable: then nothing is taken in, and undefined is returned (a
   * broker that is starting up knows no other).
   */
  update(
    response: MetadataResponse,
    asked: ReadonlySet<string>,
    source: Source,
  ): readonly TopicChange[] | undefined {
    const brokers = this.#usableBrokers(response)
    if (brokers.size === 0) return undefined
    this.#brokers = brokers
    this.#clusterId = response.clusterId
    const before = new Map([...this.#entries.values()].map((entry) => [entry, entry.topic]))
    const answered = new Set<Entry>()
    let ignored = 0
    for (const row of response.topics) {
      const entry = row.name === null ? undefined : this.#entries.get(row.name)
      if (entry === undefined || !asked.has(entry.name) || answered.has(entry)) {
        // Dropped while the request was under way, or never asked for, or said twice.
        ignored++
        continue
      }
      if (
        entry.topic !== undefined &&
        row.errorCode === 0 &&
        entry.doubts.isOfReplaced(row.topicId, source)
      ) {
        this.#logger.debug('a broker tells of a topic that was replaced', {
          topic: row.name,
          id: row.topicId,
        })
        continue
      }
      answered.add(entry)
      this.#take(entry, row, source)
    }
    if (ignored > 0) this.#logger.debug('metadata of topics was ignored', { count: ignored })
    const changes: TopicChange[] = []
    for (const [entry, old] of before) {
      // A leader that is no broker any more leads nothing, also where the answer is not about the topic.
      if (entry.topic !== undefined) entry.topic = this.#withKnownLeaders(entry.topic)
      const change = difference(entry.name, old, entry.topic, answered.has(entry) ? entry.error : undefined)
      if (change !== undefined) changes.push(change)
    }
    return changes
  }

  /**
   * Takes in what a Produce answer says of a partition's leader; true when that was news. Ignored when the epoch is not
   * newer, or when nobody has said where that broker is.
   */
  updateLeader(name: string, partition: number, hint: LeaderHint): boolean {
    const entry = this.#entries.get(name)
    const known = entry?.topic?.partitions[partition]
    if (entry?.topic === undefined || known === undefined) return false
    const { leaderId, leaderEpoch, endpoint } = hint
    if (leaderId < 0 || leaderEpoch <= known.leaderEpoch) return false
    const broker = endpoint && { id: leaderId, ...endpoint, rack: endpoint.rack ?? null }
    if (broker !== undefined && isUsable(broker)) this.#brokers.set(leaderId, broker)
    else if (!this.#brokers.has(leaderId)) return false
    entry.topic = describeTopic(
      name,
      entry.topic.id,
      entry.topic.partitions.with(partition, { index: partition, leader: leaderId, leaderEpoch }),
    )
    return true
  }

  /** A partition's leader does not know this id of the topic; ignored where it is not the present one any more. */
  refuseId(name: string, id: string): void {
    const entry = this.#entries.get(name)
    if (entry?.topic?.id === id) entry.doubts.refuseId()
  }

  /**
   * Starts again (KIP-899): no broker is known, no partition has a leader, and any leader epoch is believed. Topics and
   * their partitions stay.
   */
  forgetBrokers(): void {
    this.#brokers = new Map()
    for (const entry of this.#entries.values()) {
      entry.doubts = new TopicDoubts(this.#retryBackoffMs)
      if (entry.topic === undefined) continue
      const partitions = entry.topic.partitions.map(({ index }) => ({ index, leader: -1, leaderEpoch: -1 }))
      entry.topic = describeTopic(entry.name, entry.topic.id, partitions)
    }
  }

  #usableBrokers(response: MetadataResponse): Map<number, Broker> {
    const brokers = new Map<number, Broker>()
    const unusable: Broker[] = []
    for (const { nodeId, host, port, rack } of response.brokers) {
      const broker = { id: nodeId, host, port, rack }
      if (isUsable(broker)) brokers.set(nodeId, broker)
      else unusable.push(broker)
    }
    const [first] = unusable
    if (first !== undefined) {
      const { id: nodeId, port } = first
      const host = first.host.slice(0, MAX_HOST_LENGTH)
      const count = unusable.length
      this.#logger.warn('metadata names brokers that cannot be used', { count, nodeId, host, port })
    }
    return brokers
  }

  #take(entry: Entry, row: TopicRow, source: Source): void {
    const problem = row.errorCode === 0 ? nonsense(row) : undefined
    if (row.errorCode !== 0) {
      entry.error = brokerError(row.errorCode, `metadata of topic ${entry.name}`, {
        retriable: metadataReaction(row.errorCode) === 'retry',
      })
      // A topic that may not be used any more; otherwise what is known may well be right: brokers hear late of topics.
      if (!entry.error.retriable) entry.topic = undefined
    } else if (problem !== undefined) {
      entry.error = new ProtocolError(`metadata of topic ${entry.name}: ${problem}`, { retriable: true })
      this.#logger.warn('metadata of a topic makes no sense', { topic: entry.name, problem })
    } else {
      entry.error = undefined
      entry.topic = merged(entry, row, source)
    }
  }

  #withKnownLeaders(topic: TopicMetadata): TopicMetadata {
    if (topic.partitions.every(({ leader }) => leader === -1 || this.#brokers.has(leader))) return topic
    return describeTopic(
      topic.name,
      topic.id,
      topic.partitions.map((known) => (this.#brokers.has(known.leader) ? known : { ...known, leader: -1 })),
    )
  }
}

function isUsable(broker: Broker): boolean {
  return broker.id >= 0 && isEndpoint(broker)
}

/** Why the partitions of a row cannot be what the topic has. An index is bounded by the rows before it is used. */
function nonsense({ partitions }: TopicRow): string | undefined {
  if (partitions.length === 0) return 'it has no partitions'
  const seen = new Set<number>()
  for (const { partitionIndex } of partitions) {
    if (partitionIndex < 0 || partitionIndex >= partitions.length) {
      return `partition ${partitionIndex} of ${partitions.length}`
    }
    if (seen.has(partitionIndex)) return `partition ${partitionIndex} is there twice`
    seen.add(partitionIndex)
  }
  return undefined
}

function merged({ name, topic: old, doubts }: Entry, row: TopicRow, source: Source): TopicMetadata {
  // The id is missing in answers of old brokers, which a cluster may have beside newer ones while it is upgraded.
  const isSame =
    old !== undefined && (old.id === row.topicId || row.topicId === ZERO_UUID || old.id === ZERO_UUID)
  if (old !== undefined && !isSame) doubts.replaceId(old.id, row.topicId)
  const isBelieved = doubts.weighEpochs(source)
  const partitions: PartitionMetadata[] = []
  for (const { partitionIndex: index, leaderId, leaderEpoch: told } of row.partitions) {
    const before = isSame ? old.partitions[index] : undefined
    // A broker that gives no epoch, or none to rely on, is always believed.
    const leaderEpoch = source.hasReliableEpochs ? told : -1
    partitions[index] =
      before === undefined || isBelieved(index, leaderEpoch, before.leaderEpoch)
        ? { index, leader: leaderId, leaderEpoch }
        : before
  }
  const isCertain = old !== undefined && old.id === row.topicId && row.topicId !== ZERO_UUID
  // A topic never loses partitions: the broker that answered has not heard of these yet.
  const known = isCertain ? partitions.concat(old.partitions.slice(partitions.length)) : partitions
  return describeTopic(name, row.topicId === ZERO_UUID && isSame ? old.id : row.topicId, known)
}

function describeTopic(name: string, id: string, partitions: readonly PartitionMetadata[]): TopicMetadata {
  const availablePartitions = partitions.filter(({ leader }) => leader !== -1).map(({ index }) => index)
  return { name, id, partitions, availablePartitions }
}

function difference(
  name: string,
  old: TopicMetadata | undefined,
  topic: TopicMetadata | undefined,
  error: KafkaError | undefined,
): TopicChange | undefined {
  if (old === topic && error === undefined) return undefined
  const oldPartitionCount = old?.partitions.length ?? 0
  const newPartitionCount = topic?.partitions.length ?? 0
  const isRecreated = old !== undefined && topic !== undefined && old.id !== topic.id && old.id !== ZERO_UUID
  const leadersChanged =
    topic !== undefined &&
    topic.partitions.some(({ leader, leaderEpoch }, index) => {
      const before = old?.partitions[index]
      return before?.leader !== leader || before.leaderEpoch !== leaderEpoch
    })
  const isChanged =
    oldPartitionCount !== newPartitionCount || isRecreated || leadersChanged || error !== undefined
  if (!isChanged) return undefined
  return { name, oldPartitionCount, newPartitionCount, leadersChanged, isRecreated, error }
}
