/**
 * The group coordinator as far as transactions need it: groups that a test declares, offsets that a transaction
 * commits. They are pending until the marker of the transaction comes to the partition that keeps the group's offsets.
 */
import type { Marker } from './control-records.js'
import { coordinatorPartition } from './coordinators.js'
import { ProducerStates } from '../state/producer-states.js'
import { Refusal } from '../requests/refusal.js'
import { partitionName } from './transaction-state.js'

/** `offset.metadata.max.bytes`, in UTF-16 code units as Kafka counts. */
const METADATA_MAX = 4096

/** A consumer group as its coordinator knows it. */
export interface GroupOptions {
  /** The generation that members must name; default 1. */
  readonly generationId?: number
  /** Members of the generation; none means an empty group, which takes commits that name no generation. */
  readonly members?: readonly GroupMember[]
}

export interface GroupMember {
  readonly memberId: string
  /** `group.instance.id` of a static member (KIP-345); default null, a dynamic one. */
  readonly groupInstanceId?: string | null
}

/** An offset that a group has committed. */
export interface CommittedOffset {
  readonly topic: string
  readonly partition: number
  readonly offset: bigint
  /** Leader epoch of the last record consumed, -1 where the client did not say. */
  readonly leaderEpoch: number
  readonly metadata: string
}

/** Who commits, as a request says. */
export interface Committer {
  readonly groupId: string
  readonly generationId: number
  readonly memberId: string
  readonly groupInstanceId: string | null
}

interface Group {
  readonly generationId: number
  readonly members: readonly GroupMember[]
  readonly committed: Map<string, Stored>
  /** By producer id. */
  readonly pending: Map<bigint, Map<string, Stored>>
}

interface Stored extends CommittedOffset {
  /** Its place among all commits of the partition: the latest one counts, whichever transaction ends last. */
  readonly recordOffset: number
}

interface OffsetsPartition {
  readonly producers: ProducerStates
  endOffset: number
}

export class GroupCoordinator {
  readonly #groups = new Map<string, Group>()
  readonly #partitions = new Map<number, OffsetsPartition>()

  /** Makes the group what the options say; its offsets stay. */
  declare(groupId: string, { generationId = 1, members = [] }: GroupOptions): void {
    const known = this.#groups.get(groupId)
    this.#groups.set(groupId, {
      generationId,
      members,
      committed: known?.committed ?? new Map(),
      pending: known?.pending ?? new Map(),
    })
  }

  committed(groupId: string): CommittedOffset[] {
    const stored = [...(this.#groups.get(groupId)?.committed.values() ?? [])]
    return stored
      .toSorted((a, b) => (a.topic === b.topic ? a.partition - b.partition : a.topic < b.topic ? -1 : 1))
      .map(({ topic, partition, offset, leaderEpoch, metadata }) => ({
        topic,
        partition,
        offset,
        leaderEpoch,
        metadata,
      }))
  }

  /** What the partition that keeps a group's offsets remembers of producers. */
  producersOf(groupId: string): ProducerStates {
    return this.#partition(coordinatorPartition(groupId)).producers
  }

  /** Whether this member may commit; throws ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, FENCED_INSTANCE_ID if not. */
  checkMember({ groupId, generationId, memberId, groupInstanceId }: Committer): void {
    const group = this.#groups.get(groupId)
    if (group === undefined) {
      if (generationId >= 0) throw new Refusal('ILLEGAL_GENERATION', `there is no group ${groupId}`)
      // Who names no generation does without group management: the group comes to be.
      this.declare(groupId, { generationId: 0 })
      return
    }
    if (generationId < 0 && group.members.length === 0) return
    if (generationId < 0 && memberId === '' && groupInstanceId === null) return
    if (groupInstanceId !== null) {
      const owner = group.members.find((member) => member.groupInstanceId === groupInstanceId)
      if (owner !== undefined && owner.memberId !== memberId) {
        throw new Refusal('FENCED_INSTANCE_ID', `${groupInstanceId} is ${owner.memberId}, not ${memberId}`)
      }
      if (owner === undefined) throw new Refusal('UNKNOWN_MEMBER_ID', `nobody is ${groupInstanceId}`)
    }
    if (!group.members.some((member) => member.memberId === memberId)) {
      throw new Refusal('UNKNOWN_MEMBER_ID', `${memberId} is no member of ${groupId}`)
    }
    if (generationId !== group.generationId) {
      throw new Refusal('ILLEGAL_GENERATION', `generation ${generationId}, it is ${group.generationId}`)
    }
  }

  /** Keeps offsets until the transaction ends; false for one whose metadata is too large, which is left out. */
  commit(groupId: string, producerId: bigint, epoch: number, offsets: readonly CommittedOffset[]): boolean[] {
    const partition = this.#partition(coordinatorPartition(groupId))
    const group = this.#groups.get(groupId)!
    const pending = group.pending.get(producerId) ?? new Map<string, Stored>()
    return offsets.map((offset) => {
      if (offset.metadata.length > METADATA_MAX) return false
      const recordOffset = partition.endOffset++
      partition.producers.rememberWithoutSequence(producerId, epoch, recordOffset)
      pending.set(partitionName(offset), { ...offset, recordOffset })
      group.pending.set(producerId, pending)
      return true
    })
  }

  /** The marker of a transaction has come: its offsets count from now on, or never. */
  endTransaction(index: number, marker: Marker): void {
    const partition = this.#partition(index)
    partition.producers.end(marker)
    partition.endOffset++
    for (const [groupId, { pending, committed }] of this.#groups) {
      if (coordinatorPartition(groupId) !== index) continue
      const offsets = pending.get(marker.producerId) ?? new Map<string, Stored>()
      pending.delete(marker.producerId)
      if (!marker.isCommit) continue
      for (const [name, offset] of offsets) {
        if (offset.recordOffset > (committed.get(name)?.recordOffset ?? -1)) committed.set(name, offset)
      }
    }
  }

  #partition(index: number): OffsetsPartition {
    let partition = this.#partitions.get(index)
    if (partition === undefined) {
      partition = { producers: new ProducerStates(), endOffset: 0 }
      this.#partitions.set(index, partition)
    }
    return partition
  }
}
