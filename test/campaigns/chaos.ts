/**
 * What the chaos campaign does to a cluster: kills, pauses, rolls and cuts, in an order and for times drawn from a seed.
 * One thing at a time, so that two of three brokers are always there to acknowledge.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { RealKafka } from '../kafka/cluster.js'
import type { FaultProxy } from '../kafka/proxy.js'
import { seededRandom } from '../kafka/random.js'

export type Blow = 'kill' | 'pause' | 'roll' | 'cut'

export interface ChaosOptions {
  readonly seed: number
  readonly kafka: RealKafka
  readonly proxy: FaultProxy
  /** The broker that leads a partition at this moment, or undefined while none does. */
  readonly leaderOf: (partition: number) => Promise<number | undefined>
  readonly partitions: number
  /** A pause lasts longer than this, so that requests time out while the broker holds them. */
  readonly requestTimeoutMs: number
}

export class Chaos {
  readonly done: string[] = []
  readonly #options: ChaosOptions
  readonly #random: () => number
  #deck: Blow[] = []

  constructor(options: ChaosOptions) {
    this.#options = options
    this.#random = seededRandom(options.seed)
  }

  /** The next of the given blows: each comes once before any comes again. */
  async strike(blows: readonly Blow[]): Promise<void> {
    if (this.#deck.length === 0) {
      this.#deck = blows
        .map((blow) => ({ blow, at: this.#random() }))
        .sort((a, b) => a.at - b.at)
        .map(({ blow }) => blow)
    }
    switch (this.#deck.shift()) {
      case 'kill':
        return this.#kill()
      case 'pause':
        return this.#pause()
      case 'roll':
        return this.#roll()
      case 'cut':
        return this.#cut()
      case undefined:
        throw new Error('no blows to strike')
    }
  }

  async #kill(): Promise<void> {
    const { kafka } = this.#options
    const id = await this.#aLeader()
    const downMs = this.#between(2_000, 5_000)
    this.done.push(`kill ${id} for ${downMs} ms`)
    await kafka.kill(id)
    await sleep(downMs)
    await kafka.restart(id)
  }

  async #pause(): Promise<void> {
    const { kafka, requestTimeoutMs } = this.#options
    const id = await this.#aLeader()
    const pauseMs = requestTimeoutMs + this.#between(500, 4_000)
    this.done.push(`pause ${id} for ${pauseMs} ms`)
    kafka.pause(id)
    try {
      await sleep(pauseMs)
    } finally {
      kafka.resume(id)
    }
  }

  async #roll(): Promise<void> {
    const { kafka } = this.#options
    const ids = kafka.describe().brokers.map(({ id }) => id)
    this.done.push(`roll ${ids.join(' ')}`)
    for (const id of ids) {
      await kafka.restart(id)
      await sleep(this.#between(500, 2_000))
    }
  }

  /** Connections are reset for a second, most of them after the append and before the answer. */
  async #cut(): Promise<void> {
    const { proxy } = this.#options
    const before = proxy.cuts
    const dice = seededRandom(this.#between(0, 0x7fffffff))
    proxy.plan = () => (dice() < 0.7 ? 'none' : dice() < 0.8 ? 'cut-after' : 'cut-before')
    const until = performance.now() + 1_000
    while (performance.now() < until || proxy.cuts === before) await sleep(10)
    proxy.plan = () => 'none'
    this.done.push(`${proxy.cuts - before} cuts`)
  }

  async #aLeader(): Promise<number> {
    const { leaderOf, partitions } = this.#options
    const partition = this.#between(0, partitions - 1)
    for (;;) {
      const leader = await leaderOf(partition)
      if (leader !== undefined) return leader
      await sleep(100)
    }
  }

  #between(low: number, high: number): number {
    return low + Math.floor(this.#random() * (high - low + 1))
  }
}
