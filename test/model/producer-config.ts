/** How the producers of the model are set up: what every run has in common, and the dice. */
import { gzipSync } from 'node:zlib'
import type { Codec } from '../../src/codec.js'
import type { ProducerInterceptor } from '../../src/interceptor.js'
import type { Logger } from '../../src/logger.js'
import { keyHash, type Partitioner } from '../../src/partitioner.js'
import type { Payload } from '../../src/record.js'
import { seamsKey, type Seams } from '../../src/producer/seams.js'
import type { CompressionPlan, Hook, ProducerPlan } from './schedule.js'
import type { VirtualTime } from './virtual-time.js'
import type { World } from './world.js'

/** Tells that this hook is being called. */
export type OnHook = (hook: Hook) => void

function loggerOf(onHook: OnHook): Logger {
  const log = (): void => onHook('logger')
  return { debug: log, info: log, warn: log, error: log }
}

/** What an application may put around its records, each of which does nothing by itself. */
export function hooksOf(onHook: OnHook) {
  const byKey = keyHash()
  const passing = (given: Payload): Payload => {
    onHook('serializer')
    return given
  }
  const partitioner: Partitioner = (record, cluster) => {
    onHook('partitioner')
    return byKey(record, cluster)
  }
  const interceptor: ProducerInterceptor<Payload, Payload> = {
    onSend(record) {
      onHook('onSend')
      return record
    },
    onAcknowledgement: () => onHook('onAcknowledgement'),
  }
  return { valueSerializer: passing, partitioner, interceptors: [interceptor] }
}

/** gzip by an engine of the application's own, which fails at times if it is to. */
function codecOf(plan: CompressionPlan, time: VirtualTime, onHook: OnHook): Codec {
  let calls = 0
  const later = (result: Uint8Array | Error): Promise<Uint8Array> =>
    new Promise((resolve, reject) => {
      time.setTimer((calls * 5) % 17, () => (result instanceof Error ? reject(result) : resolve(result)))
    })
  return {
    compress(bytes) {
      const compressed = gzipSync(bytes, { level: 1 })
      calls++
      onHook('codec')
      if (plan === 'at-once') return compressed
      if (plan === 'stuck' && calls % 5 === 3) return new Promise(() => {})
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

export function configOf(
  plan: Omit<ProducerPlan, 'mode' | 'isHooked'>,
  world: World,
  seams: Seams,
  onHook: OnHook = () => {},
) {
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
    logger: loggerOf(onHook),
    ...(compression === 'none'
      ? {}
      : { compressionType: 'gzip' as const, codecs: { gzip: codecOf(compression, world.time, onHook) } }),
    [seamsKey]: seams,
  }
}
