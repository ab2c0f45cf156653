/**
 * A TestCluster and producers that talk to it through memory: no sockets, no real pauses. `arena()` runs on real time
 * with pauses of a millisecond, `frozenArena()` on a clock that moves only when the test says so. All of it is closed
 * when the test ends, and what a producer leaves behind then is a failure.
 */
import type { Duplex } from 'node:stream'
import { expect, onTestFinished } from 'vitest'
import type { Logger, Payload, ProducerConfig } from '../../src/index.js'
import { Producer } from '../../src/index.js'
import { seamsKey, type Seams } from '../../src/producer/seams.js'
import { TestCluster, type ReceivedRequest, type TestClusterOptions } from '../../src/testing/index.js'
import { ManualClock } from '../network/manual-clock.js'
import { inspector } from '../producer/places.js'

type Config<K, V> = Partial<ProducerConfig<K, V>>

export interface Arena {
  readonly cluster: TestCluster
  /** What producers logged, "level: message". */
  readonly log: string[]
  readonly producer: <K = Payload, V = Payload>(config?: Config<K, V>) => Producer<K, V>
}

/** A name is its own address. */
export const namesAsTheyAre = {
  addresses: (host: string) => Promise.resolve([host]),
  canonicalNames: (host: string) => Promise.resolve([host]),
}

export interface FrozenArena extends Arena {
  readonly clock: ManualClock
}

const fast = {
  clientId: 'test',
  lingerMs: 0,
  retryBackoffMs: 1,
  retryBackoffMaxMs: 1,
  reconnectBackoffMs: 1,
  reconnectBackoffMaxMs: 1,
}

const oneTopic: TestClusterOptions = { topics: { orders: { partitions: 1 } } }

export async function arena(options: TestClusterOptions = oneTopic): Promise<Arena> {
  return setUp(options, {}, () => Promise.resolve())
}

export async function frozenArena(options: TestClusterOptions = oneTopic): Promise<FrozenArena> {
  const clock = new ManualClock()
  const set = await setUp({ clock, ...options }, { clock }, () => clock.advance(200_000))
  return { ...set, clock }
}

async function setUp(
  options: TestClusterOptions,
  seams: Partial<Seams>,
  passTime: () => Promise<void>,
): Promise<Arena> {
  const cluster = await TestCluster.start({ listen: false, ...options })
  onTestFinished(() => cluster.close())
  const log: string[] = []
  const write =
    (level: string): Logger['info'] =>
    (message) =>
      void log.push(`${level}: ${message}`)
  const logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const connect = (address: { host: string; port: number }): Duplex => cluster.connect(address)
  const misplaced: string[] = []
  const inspect = inspector((problem) => misplaced.push(problem))
  const inMemory = { connect, lookup: namesAsTheyAre, random: () => 0.5, inspect, ...seams }
  const producer = <K, V>(config: Config<K, V> = {}): Producer<K, V> => {
    const whole = {
      bootstrapServers: cluster.bootstrapServers,
      logger,
      ...fast,
      ...config,
      [seamsKey]: inMemory,
    }
    const one = new Producer<K, V>(whole as unknown as ProducerConfig<K, V>)
    onTestFinished(async () => {
      const closed = one.close({ timeoutMs: 0 })
      await passTime()
      await closed
      expect(misplaced).toEqual([])
      expect(one.metrics()).toMatchObject({
        requestsInFlight: 0,
        waitingRecords: 0,
        bufferAvailableBytes: one.metrics().bufferTotalBytes,
      })
    })
    return one
  }
  return { cluster, log, producer }
}

/** The batches that brokers received, "epoch/sequence outcome", the producer id before it where there are several. */
export function batches(cluster: TestCluster, topic = 'orders'): string[] {
  const received = cluster.requests
    .flatMap((request) => request.batches)
    .filter((batch) => batch.topic === topic)
  const ids = new Set(received.map(({ producerId }) => producerId))
  return received.map(({ producerId, epoch, baseSequence, outcome }) => {
    const identity = ids.size > 1 ? `${producerId}:` : ''
    return `${identity}${epoch}/${baseSequence} ${outcome ?? 'not carried out'}`
  })
}

export function requests(cluster: TestCluster, api: ReceivedRequest['api']): ReceivedRequest[] {
  return cluster.requests.filter((request) => request.api === api)
}

/** The values that are stored, in order; partitions one after the other. */
export function stored(cluster: TestCluster, topic = 'orders'): (string | undefined)[] {
  return cluster.records(topic).map(({ value }) => value?.toString())
}

/** Lets everything run that needs no time, until the condition holds; an error when nothing helps. */
export async function turnsUntil(condition: () => boolean, what = String(condition)): Promise<void> {
  const limit = performance.now() + 5000
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`never: ${what}`)
    await new Promise((resolve) => setImmediate(resolve))
  }
}

/** What a promise was rejected with; an error when it was not. */
export async function failure<E = Error>(promise: Promise<unknown>): Promise<E> {
  return promise.then(
    (value) => {
      throw new Error(`it did not fail: ${String(value)}`)
    },
    (error: unknown) => error as E,
  )
}
