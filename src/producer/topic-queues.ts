/** What the producer holds of one topic: its partitions and where its records without a key go. */
import type { TopicMetadata } from '../network/metadata.js'
import { ZERO_UUID } from '../protocol/apis.js'
import { NO_LEADER, PartitionQueue } from './partition-queue.js'
import { StickyPartitioner } from './sticky-partitioner.js'

/** The part of a topic's metadata that matters here. */
export type TopicState = Pick<TopicMetadata, 'id' | 'partitions' | 'availablePartitions'>

const UNKNOWN: TopicState = { id: ZERO_UUID, partitions: [], availablePartitions: [] }

export class TopicQueues {
  readonly name: string
  readonly partitions: PartitionQueue[] = []
  readonly sticky: StickyPartitioner
  /** Partitions are numbered from 0 to this, exclusive; 0 until metadata is known. */
  partitionCount = 0
  availablePartitions: readonly number[] = []
  /** Records that wait for metadata or for a serializer; what comes later waits behind them. */
  waiting = 0
  /** The last id that metadata told of. */
  #id = ZERO_UUID

  constructor(name: string, stickyBatchSize: number, random?: () => number) {
    this.name = name
    this.sticky = new StickyPartitioner(stickyBatchSize, random)
  }

  /** Takes over metadata, undefined where there is none; returns the partitions whose leader is another one now. */
  update(topic: TopicState | undefined): PartitionQueue[] {
    const { id, partitions, availablePartitions } = topic ?? UNKNOWN
    const moved: PartitionQueue[] = []
    const isRecreated = this.#takeId(id)
    this.partitionCount = partitions.length
    this.availablePartitions = availablePartitions
    while (this.partitions.length < partitions.length) {
      this.partitions.push(new PartitionQueue(this.name, this.partitions.length))
    }
    for (const queue of this.partitions) {
      const { leader = NO_LEADER, leaderEpoch = -1 } = partitions[queue.partition] ?? {}
      // Without topic ids only a leader epoch that fell tells of another log.
      if (isRecreated || (leaderEpoch !== -1 && leaderEpoch < queue.leaderEpoch)) queue.sequences.forgetLog()
      if (leaderEpoch !== -1) queue.leaderEpoch = leaderEpoch
      if (queue.leader === leader) continue
      queue.leader = leader
      moved.push(queue)
    }
    return moved
  }

  /** True where the topic was deleted and created again, also while nobody used it. */
  #takeId(id: string): boolean {
    if (id === ZERO_UUID || id === this.#id) return false
    const isRecreated = this.#id !== ZERO_UUID
    this.#id = id
    return isRecreated
  }
}
