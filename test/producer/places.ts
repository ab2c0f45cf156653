/**
 * Holds the schedule against the pure function: each partition with batches stands in exactly one place, and that place is
 * what `holdOf` says. An event that nobody passed on to the schedule shows at once, by the name of its partition.
 */
import type { Hold, Place } from '../../src/producer/batching/hold.js'
import { holdOf } from '../../src/producer/batching/drain-schedule.js'
import type { PartitionQueue } from '../../src/producer/batching/partition-queue.js'
import type { Inspected } from '../../src/producer/seams.js'

const HOLDS = ['leader', 'codec', 'response', 'producer-id', 'transaction'] as const satisfies readonly Hold[]

/** A line for each partition that does not stand where it belongs. */
function misplaced({ accumulator, schedule, gate }: Inspected): string[] {
  const problems: string[] = []
  const timed = new Set(schedule.timed)
  for (const name of accumulator.topicNames) {
    for (const queue of accumulator.topic(name).partitions) {
      const belongs = belongsTo(queue, { schedule, gate })
      const stands: Place[] = HOLDS.filter((hold) => schedule.held(hold).has(queue))
      if (timed.has(queue)) stands.push('time')
      for (const nodeId of schedule.readyNodes()) {
        if (!schedule.candidates(nodeId).has(queue)) continue
        stands.push('ready')
        if (nodeId !== queue.leader) problems.push(`${name}-${queue.partition} is ready for broker ${nodeId}`)
      }
      if (stands.length === 0) stands.push('idle')
      if (stands.length > 1 || stands[0] !== belongs)
        problems.push(
          `${name}-${queue.partition} stands in ${stands.join(' and ')}, but belongs to ${belongs}`,
        )
    }
  }
  return problems
}

function belongsTo(queue: PartitionQueue, { schedule, gate }: Pick<Inspected, 'schedule' | 'gate'>): Place {
  const { head } = queue
  return head === null ? 'idle' : (holdOf(queue, head, schedule.present, gate) ?? 'ready')
}

/** Looks before each round of the sender, where everything that happened since the last one is done with. */
export function inspector(report: (problem: string) => void): (parts: Inspected) => void {
  return (parts) => {
    const { schedule } = parts
    const advance = schedule.advance.bind(schedule)
    schedule.advance = (now) => {
      for (const problem of misplaced(parts)) report(problem)
      advance(now)
      for (const problem of misplaced(parts)) report(`after its time came, ${problem}`)
    }
  }
}
