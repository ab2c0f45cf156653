/** What the producer holds of one topic: its partitions and where its records without a key go. */
import { NO_LEADER, PartitionQueue } from './partition-queue.js'
import { StickyPartitioner } from './sticky-partitioner.js'

/** The part of a partition's metadata that matters here. */
export interface PartitionLeader {
  readonly index: number
  readonly leader: number
}

export class TopicQueues {
  readonly name: string
  readonly partitions: PartitionQueue[] = []
  readonly sticky: StickyPartitioner
  /** Partitions are numbered from 0 to this, exclusive; 0 until metadata is known. */
  partitionCount = 0
  availablePartitions: readonly number[] = []
  /** Records that wait for metadata or for a serializer; what comes later waits behind them. */
  waiting = 0

  constructor(name: string, stickyBatchSize: number, random?: () => number) {
    this.name = name
    this.sticky = new StickyPartitioner(stickyBatchSize, random)
  }

  /** Takes over metadata; returns the partitions whose leader is another one now. */
  update(partitions: readonly PartitionLeader[], availablePartitions: readonly number[]): PartitionQueue[] {
    const moved: PartitionQueue[] = []
    this.partitionCount = partitions.length
    this.availablePartitions = availablePartitions
    while (this.partitions.length < partitions.length) {
      this.partitions.push(new PartitionQueue(this.name, this.partitions.length))
    }
    for (const queue of this.partitions) {
      const leader = partitions[queue.partition]?.leader ?? NO_LEADER
      if (queue.leader === leader) continue
      queue.leader = leader
      moved.push(queue)
    }
    return moved
  }
}
