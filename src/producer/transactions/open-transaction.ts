/**
 * One transaction: the partitions in it, and what its coordinator and the brokers may know of it. It ends as a whole: the
 * next transaction is another object, so nothing of the last one is left in it.
 */
import type { PartitionQueue } from '../batching/partition-queue.js'

export class OpenTransaction {
  /** Partitions with records. */
  readonly #partitions = new Set<PartitionQueue>()
  /** Of these, what the coordinator does not know yet; only in classic transactions. */
  #unregistered: PartitionQueue[] = []
  readonly #registered = new Set<PartitionQueue>()
  /** Whether the coordinator has an open transaction: 'perhaps' while an answer is missing. */
  isBegun: 'no' | 'perhaps' | 'yes' = 'no'
  /** The brokers no longer agree with this producer on its epoch or sequences. */
  needsNewEpoch = false
  /** A request for this transaction was not answered: it may arrive in the next one, if that has the same epoch. */
  isSomethingLost = false
  /** All of it is settled and its end is under way: what fails from here on is no part of it. */
  isEnding = false
  /** The coordinator was asked to commit, and has not refused. */
  mayBeCommitted = false
  /** Its abort, once there is one: the application may ask for it, and close() as well. */
  abort: Promise<void> | null = null

  /** False where the partition has records already. */
  add(queue: PartitionQueue): boolean {
    if (this.#partitions.has(queue)) return false
    this.#partitions.add(queue)
    return true
  }

  /** The coordinator has to be told of it; true where it is the first one of which it has to. */
  registerLater(queue: PartitionQueue): boolean {
    return this.#unregistered.push(queue) === 1
  }

  /** What the coordinator is to be told of now. */
  takeUnregistered(): PartitionQueue[] {
    return this.#unregistered.splice(0)
  }

  register(queues: readonly PartitionQueue[]): void {
    for (const queue of queues) this.#registered.add(queue)
  }

  /** Records for the partition may go out. */
  isRegistered(queue: PartitionQueue): boolean {
    return this.#registered.has(queue)
  }

  /** What was given up may have been written, or be on its way still and be taken for a part of the next transaction. */
  get hasLooseEnds(): boolean {
    for (const { sequences } of this.#partitions) {
      if (sequences.isUnresolved || sequences.inFlight.length > 0) return true
    }
    return false
  }
}
