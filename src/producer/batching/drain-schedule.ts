/**
 * Where every partition waits. One that holds batches stands in exactly one place: among the candidates of the broker
 * that leads it, or in the place named after what holds its first batch back (`holdOf`). A queue has itself
 * reconsidered whenever something about it changes, so a place is never out of date, and draining a broker looks at that
 * broker's candidates alone.
 */
import { DeadlineQueue } from '../../time/deadline-queue.js'
import type { DrainGate } from '../sending/drain-gate.js'
import type { Hold } from './hold.js'
import type { NextTurn } from '../sending/next-turn.js'
import { NO_LEADER, type PartitionQueue, type QueuedBatch } from './partition-queue.js'

/** The present, as the schedule sees it: it changes only in `advance` and `endLinger`, and places change with it. */
export interface Present {
  readonly now: number
  /** Batches that were begun in an earlier round linger no more. */
  readonly lingerRound: number
}

/** Why the first batch of a partition cannot be drained at present, or null when it can. */
export function holdOf(
  queue: PartitionQueue,
  batch: QueuedBatch,
  present: Present,
  gate: Pick<DrainGate, 'hold'>,
): Hold | null {
  if (queue.leader === NO_LEADER) return 'leader'
  if (dueMs(batch, present) > present.now) return 'time'
  if (batch.compression === 'at-work') return 'codec'
  return gate.hold(queue, batch)
}

/** When neither linger nor back-off hold the batch back any longer. */
function dueMs(batch: QueuedBatch, { lingerRound }: Present): number {
  const lingers = !batch.isClosed && batch.lingerRound === lingerRound
  return lingers ? Math.max(batch.lingerUntilMs, batch.retryAtMs) : batch.retryAtMs
}

export class DrainSchedule {
  readonly #gate: DrainGate
  readonly #turn: NextTurn
  readonly #candidates = new Map<number, Set<PartitionQueue>>()
  readonly #timed = new DeadlineQueue<PartitionQueue>()
  readonly #held: Readonly<Record<Exclude<Hold, 'time'>, Set<PartitionQueue>>> = {
    leader: new Set(),
    codec: new Set(),
    response: new Set(),
    'producer-id': new Set(),
    transaction: new Set(),
  }
  readonly #present = { now: 0, lingerRound: 0 }

  /** `turn` is asked for whenever there may be something to do: to send, to wait for, or to ask a broker for. */
  constructor(gate: DrainGate, turn: NextTurn) {
    this.#gate = gate
    this.#turn = turn
    gate.attach(this)
  }

  get present(): Present {
    return this.#present
  }

  /** When the first partition that waits for time is due; Infinity where none does. */
  get nextDeadline(): number {
    return this.#timed.nextAt
  }

  /** The partitions that one thing holds back. */
  held(hold: Exclude<Hold, 'time'>): ReadonlySet<PartitionQueue> {
    return this.#held[hold]
  }

  /** The partitions that could be sent to a broker now. */
  candidates(nodeId: number): ReadonlySet<PartitionQueue> {
    return this.#candidatesOf(nodeId)
  }

  /** The partitions that linger or back off, the first to be due first. */
  get timed(): readonly PartitionQueue[] {
    return this.#timed.all
  }

  /** Brokers with candidates. */
  readyNodes(): number[] {
    const ids: number[] = []
    for (const [id, queues] of this.#candidates) if (queues.size > 0) ids.push(id)
    return ids
  }

  /** Puts a partition into the place where it belongs now. */
  reconsider(queue: PartitionQueue): void {
    const { standing, head } = queue
    if (head === null) {
      if (standing.place !== 'idle') this.#leave(queue)
      return
    }
    const place = holdOf(queue, head, this.#present, this.#gate) ?? 'ready'
    if (place === standing.place && this.#isStill(queue, head)) return
    this.#leave(queue)
    standing.place = place
    if (place === 'ready') {
      standing.nodeId = queue.leader
      this.#candidatesOf(queue.leader).add(queue)
    } else if (place === 'time') {
      standing.deadline = this.#timed.add(queue, dueMs(head, this.#present))
    } else {
      this.#held[place].add(queue)
    }
    this.#turn.request()
  }

  /** The gate may think otherwise of every partition: of those that it holds back, and of those that it let go. */
  reconsiderAll(): void {
    const { response, transaction, 'producer-id': producerId } = this.#held
    for (const queues of [response, producerId, transaction, ...this.#candidates.values()]) {
      for (const queue of [...queues]) this.reconsider(queue)
    }
  }

  /** It is `now`: what was due until then waits no longer. */
  advance(now: number): void {
    this.#present.now = Math.max(this.#present.now, now)
    while (this.#timed.nextAt <= this.#present.now) this.reconsider(this.#timed.first!)
  }

  /** No batch that was begun by now waits for more records. */
  endLinger(): void {
    this.#present.lingerRound++
    for (const queue of this.#timed.all) this.reconsider(queue)
  }

  /**
   * Takes the batches of one request to the broker: at most one for each partition, together at most `maxBytes`, but
   * always one if there is any. What did not fit goes first the next time.
   */
  drain(nodeId: number, maxBytes: number): QueuedBatch[] {
    const candidates = this.#candidatesOf(nodeId)
    const batches: QueuedBatch[] = []
    let bytes = 0
    let left = candidates.size
    // A partition that has another batch to send comes back at the end, behind those that were not looked at yet.
    for (const queue of candidates) {
      if (left-- === 0) break
      const batch = queue.head
      if (batch?.compression === 'todo') queue.close(batch)
      // The codec has to finish first, or it is the user's own and has taken the batch away by closing the producer.
      if (batch === null || batch !== queue.head || queue.standing.place !== 'ready') continue
      if (batches.length > 0 && bytes + batch.wireSize > maxBytes) break
      this.#leave(queue)
      this.#gate.admit(queue, batch)
      queue.take()
      batches.push(batch)
      bytes += batch.wireSize
    }
    return batches
  }

  /** It would be put back where it is: with the same broker, or until the same time. */
  #isStill({ standing, leader }: PartitionQueue, head: QueuedBatch): boolean {
    if (standing.place === 'ready') return standing.nodeId === leader
    return standing.place !== 'time' || standing.deadline?.at === dueMs(head, this.#present)
  }

  #leave(queue: PartitionQueue): void {
    const { standing } = queue
    const { place } = standing
    standing.place = 'idle'
    if (place === 'ready') this.#candidatesOf(standing.nodeId).delete(queue)
    else if (place === 'time') {
      if (standing.deadline !== null) this.#timed.remove(standing.deadline)
      standing.deadline = null
    } else if (place !== 'idle') this.#held[place].delete(queue)
  }

  #candidatesOf(nodeId: number): Set<PartitionQueue> {
    let candidates = this.#candidates.get(nodeId)
    if (candidates === undefined) this.#candidates.set(nodeId, (candidates = new Set()))
    return candidates
  }
}
