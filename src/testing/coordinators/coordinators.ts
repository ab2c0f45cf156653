/**
 * Which broker coordinates a group or a transactional id. As in Kafka a key belongs to one of the 50 partitions of an
 * internal topic, by Java's hash of the text, and the leader of that partition is the coordinator. Every broker is a
 * replica; one that comes back leads only what nobody leads.
 */
import { IllegalStateError } from '../../errors.js'

/** What a coordinator is for: `'group'` is key type 0 of FindCoordinator, `'transaction'` key type 1. */
export type CoordinatorType = 'group' | 'transaction'

/** `offsets.topic.num.partitions` and `transaction.state.log.num.partitions`. */
const PARTITIONS = 50
export const OFFSETS_TOPIC = '__consumer_offsets'

interface Leadership {
  /** -1: none. */
  leader: number
  /** Goes up with every move; it stands in the markers that the coordinator has written. */
  epoch: number
}

/** Java's String.hashCode. */
function javaHash(text: string): number {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** The partition that a key belongs to, of either internal topic. */
export function coordinatorPartition(key: string): number {
  const hash = javaHash(key)
  // Kafka's abs: that of the smallest int is 0.
  return (hash === -2147483648 ? 0 : Math.abs(hash)) % PARTITIONS
}

export class Coordinators {
  readonly #partitions: Record<CoordinatorType, Leadership[]> = { group: [], transaction: [] }
  readonly #brokers: number[] = []
  readonly #alive: ReadonlySet<number>

  constructor(alive: ReadonlySet<number>) {
    this.#alive = alive
  }

  /** Brokers are added before anyone asks: partition p begins at the broker that is p-th in the round. */
  addBroker(nodeId: number): void {
    this.#brokers.push(nodeId)
    for (const type of ['group', 'transaction'] as const) {
      this.#partitions[type] = Array.from({ length: PARTITIONS }, (_, partition) => ({
        leader: this.#brokers[partition % this.#brokers.length]!,
        epoch: 0,
      }))
    }
  }

  /** The coordinator of a key, -1 for none. */
  leaderOf(type: CoordinatorType, key: string): number {
    return this.leaderOfPartition(type, coordinatorPartition(key))
  }

  leaderOfPartition(type: CoordinatorType, partition: number): number {
    return this.#partitions[type][partition]!.leader
  }

  epochOf(type: CoordinatorType, key: string): number {
    return this.#partitions[type][coordinatorPartition(key)]!.epoch
  }

  /** Makes `nodeId` the coordinator (-1: none), or the next broker alive. */
  move(type: CoordinatorType, key: string, nodeId?: number): number {
    if (nodeId !== undefined && nodeId !== -1 && !this.#alive.has(nodeId)) {
      throw new IllegalStateError(`broker ${nodeId} cannot coordinate ${type} ${key}: it is not alive`)
    }
    const leadership = this.#partitions[type][coordinatorPartition(key)]!
    this.#take(leadership, nodeId ?? this.#nextAlive(leadership.leader))
    return leadership.leader
  }

  brokerDown(nodeId: number): void {
    for (const leadership of this.#all())
      if (leadership.leader === nodeId) this.#take(leadership, this.#nextAlive(nodeId))
  }

  brokerUp(nodeId: number): void {
    for (const leadership of this.#all()) if (leadership.leader === -1) this.#take(leadership, nodeId)
  }

  #take(leadership: Leadership, leader: number): void {
    leadership.leader = leader
    leadership.epoch++
  }

  #nextAlive(after: number): number {
    const from = this.#brokers.indexOf(after) + 1
    const round = [...this.#brokers.slice(from), ...this.#brokers.slice(0, from)]
    return round.find((id) => this.#alive.has(id)) ?? -1
  }

  *#all(): Iterable<Leadership> {
    yield* this.#partitions.group
    yield* this.#partitions.transaction
  }
}
