/** How the producers of the model are set up: what every run has in common, and the dice. */
import { keyHash } from '../../src/partitioner.js'
import { seamsKey, type Seams } from '../../src/producer/seams.js'
import type { ProducerPlan } from './schedule.js'
import type { World } from './world.js'

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** mulberry32. */
export function seededRandom(seed: number): () => number {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296
  }
}

export function deliveryTimeoutOf(
  plan: Pick<ProducerPlan, 'lingerMs' | 'requestTimeoutMs' | 'deliverySlackMs'>,
): number {
  return plan.lingerMs + plan.requestTimeoutMs + plan.deliverySlackMs
}

export function configOf(plan: Omit<ProducerPlan, 'mode'>, world: World, seams: Seams) {
  const { maxInFlight, deliverySlackMs: _, ...options } = plan
  return {
    ...options,
    bootstrapServers: world.cluster.bootstrapServers,
    partitioner: keyHash(),
    maxInFlightRequestsPerConnection: maxInFlight,
    deliveryTimeoutMs: deliveryTimeoutOf(plan),
    retryBackoffMaxMs: plan.retryBackoffMs * 8,
    reconnectBackoffMs: 10,
    reconnectBackoffMaxMs: 200,
    socketConnectionSetupTimeoutMs: 300,
    socketConnectionSetupTimeoutMaxMs: 600,
    logger: silent,
    [seamsKey]: seams,
  }
}
