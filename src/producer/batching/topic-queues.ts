/** What the producer holds of one topic: its partitions and where its records without a key go. */
import type { TopicMetadata } from '../../network/metadata.js'
import { ZERO_UUID } from '../../protocol/apis.js'
import { NO_LEADER, PartitionQueue, type QueueParts } from './partition-queue.js'
import { StickyPartitioner } from '../intake/sticky-partitioner.js'

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
  readonly #parts: QueueParts

  constructor(name: string, parts: QueueParts, stickyBatchSize: number, random?: () => number) {
    this.name = name
    this.#parts = parts
    this.sticky = new StickyPartitioner(stickyBatchSize, random)
  }

  /** Takes over metadata, undefined where there is none; a partition that it does not name has no leader. */
  update(topic: TopicState | undefined): void {
    const { id, partitions, availablePartitions } = topic ?? UNKNOWN
    const isRecreated = this.#takeId(id)
    this.partitionCount = partitions.length
    this.availablePartitions = availablePartitions
    while (this.partitions.length < partitions.length) {
      this.partitions.push(new PartitionQueue(this.name, this.partitions.length, this.#parts))
    }
    for (const queue of this.partitions) {
      const { leader = NO_LEADER, leaderEpoch = -1 } = partitions[queue.partition] ?? {}
      if (isRecreated) queue.forgetLog()
      queue.move(leader, leaderEpoch)
    }
  }

  /** True where the topic was deleted and created again, also while nobody used it. */
  #takeId(id: string): boolean {
    if (id === ZERO_UUID || id === this.#id) return false
    const isRecreated = this.#id !== ZERO_UUID
    this.#id = id
    return isRecreated
  }
}
