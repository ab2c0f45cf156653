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

interface Seat {
  /** -1: nobody. */
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
  readonly #seats: Record<CoordinatorType, Seat[]> = { group: [], transaction: [] }
  readonly #brokers: number[] = []
  readonly #alive: ReadonlySet<number>

  constructor(alive: ReadonlySet<number>) {
    this.#alive = alive
  }

  /** Brokers are added before anyone asks: partition p begins at the broker that is p-th in the round. */
  addBroker(nodeId: number): void {
    this.#brokers.push(nodeId)
    for (const type of ['group', 'transaction'] as const) {
      this.#seats[type] = Array.from({ length: PARTITIONS }, (_, partition) => ({
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
    return this.#seats[type][partition]!.leader
  }

  epochOf(type: CoordinatorType, key: string): number {
    return this.#seats[type][coordinatorPartition(key)]!.epoch
  }

  /** Makes `nodeId` the coordinator (-1: nobody), or the next broker alive. */
  move(type: CoordinatorType, key: string, nodeId?: number): number {
    if (nodeId !== undefined && nodeId !== -1 && !this.#alive.has(nodeId)) {
      throw new IllegalStateError(`broker ${nodeId} cannot coordinate ${type} ${key}: it is not alive`)
    }
    const seat = this.#seats[type][coordinatorPartition(key)]!
    this.#take(seat, nodeId ?? this.#nextAlive(seat.leader))
    return seat.leader
  }

  brokerDown(nodeId: number): void {
    for (const seat of this.#all()) if (seat.leader === nodeId) this.#take(seat, this.#nextAlive(nodeId))
  }

  brokerUp(nodeId: number): void {
    for (const seat of this.#all()) if (seat.leader === -1) this.#take(seat, nodeId)
  }

  #take(seat: Seat, leader: number): void {
    seat.leader = leader
    seat.epoch++
  }

  #nextAlive(after: number): number {
    const from = this.#brokers.indexOf(after) + 1
    const round = [...this.#brokers.slice(from), ...this.#brokers.slice(0, from)]
    return round.find((id) => this.#alive.has(id)) ?? -1
  }

  *#all(): Iterable<Seat> {
    yield* this.#seats.group
    yield* this.#seats.transaction
  }
}
