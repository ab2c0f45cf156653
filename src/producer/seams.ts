/**
 * The places where a producer touches the world, time and sockets, and a view of where its partitions wait. Tests put
 * their own in, under a symbol that is no option and is not exported from the package.
 */
import type { FaultBarrier } from '../fault-barrier.js'
import { systemClock, type Clock } from '../time/clock.js'
import { GuardedClock } from '../time/guarded-clock.js'
import type { DrainGate } from './sending/drain-gate.js'
import type { DrainSchedule } from './batching/drain-schedule.js'
import type { RecordAccumulator } from './batching/record-accumulator.js'
import { systemLookup, tcpConnect, type Connect, type Lookup } from '../network/connection/transport.js'

export interface Seams {
  readonly clock: Clock
  readonly connect: Connect
  readonly lookup: Lookup
  /** Jitter. */
  readonly random: () => number
  /** Gets the parts that know where each partition waits, as soon as they are there. */
  readonly inspect: (parts: Inspected) => void
}

export interface Inspected {
  readonly accumulator: RecordAccumulator
  readonly schedule: DrainSchedule
  readonly gate: DrainGate
}

export const seamsKey = Symbol('kafka-producer seams')

const systemSeams: Seams = {
  clock: systemClock,
  connect: tcpConnect,
  lookup: systemLookup,
  random: Math.random,
  inspect: () => {},
}

/** Timers go through the fault barrier of the producer. */
export function seamsOf(config: object, barrier: FaultBarrier): Seams {
  const seams = { ...systemSeams, ...(config as { readonly [seamsKey]?: Partial<Seams> })[seamsKey] }
  return { ...seams, clock: new GuardedClock(seams.clock, barrier) }
}
