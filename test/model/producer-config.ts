/** How the producers of the model are set up: what every run has in common, and the dice. */
import { gzipSync } from 'node:zlib'
import type { Codec } from '../../src/codec.js'
import { keyHash } from '../../src/partitioner.js'
import { seamsKey, type Seams } from '../../src/producer/seams.js'
import type { CompressionPlan, ProducerPlan } from './schedule.js'
import type { VirtualTime } from './virtual-time.js'
import type { World } from './world.js'

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** gzip by an engine of the application's own, which fails at times if it is to. */
function codecOf(plan: CompressionPlan, time: VirtualTime): Codec {
  let calls = 0
  const later = (result: Uint8Array | Error): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      time.setTimer((calls * 5) % 17, () => (result instanceof Error ? reject(result) : resolve(result)))
    })
  return {
    compress(bytes) {
      const compressed = gzipSync(bytes, { level: 1 })
      calls++
      if (plan === 'at-once') return compressed
      if (plan === 'failing') {
        if (calls % 5 === 1) throw new Error('the codec of the test throws')
        if (calls % 5 === 2) return later(new Error('the codec of the test rejects'))
        if (calls % 5 === 3) return later('no bytes' as unknown as Uint8Array)
      }
      return later(compressed)
    },
  }
}

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
  const { maxInFlight, deliverySlackMs: _, compression, ...options } = plan
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
    ...(compression === 'none'
      ? {}
      : { compressionType: 'gzip' as const, codecs: { gzip: codecOf(compression, world.time) } }),
    [seamsKey]: seams,
  }
}
