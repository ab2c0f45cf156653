/**
 * Writes the markers of transactions that are decided. A marker waits for the delay ordered, and then until the
 * coordinator and the leader of its partition are there and enough replicas are in sync; other partitions do not wait
 * for it.
 */
import type { TopicPartition } from '../../record.js'
import { KafkaError } from '../../errors.js'
import type { ClusterState } from '../state/cluster-state.js'
import type { Marker } from './control-records.js'
import { OFFSETS_TOPIC } from './coordinators.js'
import type { GroupCoordinator } from './group-coordinator.js'
import { partitionName } from './transaction-state.js'

interface Unwritten {
  readonly marker: Marker
  readonly partitions: Map<string, TopicPartition>
}

export class TransactionMarkers {
  readonly #state: ClusterState
  readonly #groups: GroupCoordinator
  readonly #unwritten = new Map<string, Unwritten>()

  constructor(state: ClusterState, groups: GroupCoordinator) {
    this.#state = state
    this.#groups = groups
  }

  add(transactionalId: string, marker: Marker, partitions: readonly TopicPartition[]): void {
    const named = new Map(partitions.map((each) => [partitionName(each), each]))
    this.#unwritten.set(transactionalId, { marker, partitions: named })
  }

  /** Transactional ids whose markers have begun to be written. */
  get pending(): string[] {
    return [...this.#unwritten.keys()]
  }

  /** Writes what can be written; returns whether none is left. */
  write(transactionalId: string, now: number): boolean {
    const unwritten = this.#unwritten.get(transactionalId)
    const coordinator = this.#state.coordinators.leaderOf('transaction', transactionalId)
    if (unwritten === undefined || !this.#state.isResponding(coordinator)) return false
    const { marker, partitions } = unwritten
    for (const [name, each] of partitions) {
      const isWritten =
        each.topic === OFFSETS_TOPIC
          ? this.#writeOffsets(each.partition, marker)
          : this.#writeLog(each, marker, now)
      if (isWritten) partitions.delete(name)
    }
    if (partitions.size > 0) return false
    this.#unwritten.delete(transactionalId)
    return true
  }

  #writeOffsets(partition: number, marker: Marker): boolean {
    const coordinator = this.#state.coordinators.leaderOfPartition('group', partition)
    if (!this.#state.isResponding(coordinator)) return false
    ignoringLate(() => this.#groups.endTransaction(partition, marker))
    return true
  }

  #writeLog({ topic: name, partition: index }: TopicPartition, marker: Marker, now: number): boolean {
    const topic = this.#state.topics.get(name)
    const partition = topic?.partitions[index]
    // Deleted meanwhile: nobody waits for a marker there.
    if (topic === undefined || partition === undefined) return true
    const { leader, leaderEpoch, isr, replicas, log } = partition
    const wanted = Math.min(topic.config.minInsyncReplicas, replicas.length)
    if (!this.#state.isResponding(leader) || isr.length < wanted) return false
    ignoringLate(() => log.appendMarker(marker, leaderEpoch, now))
    return true
  }
}

/** A partition that knows a later epoch wants no marker of this one any more. */
function ignoringLate(write: () => void): void {
  try {
    write()
  } catch (error) {
    if (!(error instanceof KafkaError) || error.code !== 'INVALID_PRODUCER_EPOCH') throw error
  }
}
