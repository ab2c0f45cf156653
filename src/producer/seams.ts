/**
 * The two places where a producer touches the world: time and sockets. Tests put their own in, under a symbol that is no
 * option and is not exported from the package.
 */
import { systemClock, type Clock } from '../network/clock.js'
import { systemLookup, tcpConnect, type Connect, type Lookup } from '../network/transport.js'

export interface Seams {
  readonly clock: Clock
  readonly connect: Connect
  readonly lookup: Lookup
  /** Jitter. */
  readonly random: () => number
}

export const seamsKey = Symbol('kafka-producer seams')

const systemSeams: Seams = {
  clock: systemClock,
  connect: tcpConnect,
  lookup: systemLookup,
  random: Math.random,
}

export function seamsOf(config: object): Seams {
  return { ...systemSeams, ...(config as { readonly [seamsKey]?: Partial<Seams> })[seamsKey] }
}
