/** Measures this process over a window: wall time, CPU of all its threads, pauses of the garbage collector, peak memory. */
import { PerformanceObserver } from 'node:perf_hooks'

/** What every client prints, whatever its language. */
export interface Measurement {
  readonly records: number
  readonly seconds: number
  readonly recordsPerSecond: number
  /** User and system time of the process, its helper threads included. */
  readonly cpuSecondsPerMillion: number
  readonly peakRssMB: number
  /** Share of the window in which the garbage collector held the main thread; Node clients only. */
  readonly gcShare?: number
}

export class Meter {
  readonly #startedAt = performance.now()
  readonly #cpu = process.cpuUsage()
  readonly #observer: PerformanceObserver
  #gcMs = 0

  constructor() {
    this.#observer = new PerformanceObserver((list) => this.#count(list.getEntries()))
    this.#observer.observe({ entryTypes: ['gc'] })
  }

  stop(records: number): Measurement {
    const seconds = (performance.now() - this.#startedAt) / 1000
    const { user, system } = process.cpuUsage(this.#cpu)
    this.#count(this.#observer.takeRecords())
    this.#observer.disconnect()
    const cpuSeconds = (user + system) / 1e6
    return {
      records,
      seconds,
      recordsPerSecond: records / seconds,
      cpuSecondsPerMillion: (cpuSeconds * 1e6) / records,
      peakRssMB: process.resourceUsage().maxRSS / 1024,
      gcShare: this.#gcMs / 1000 / seconds,
    }
  }

  #count(entries: readonly { readonly duration: number }[]): void {
    for (const entry of entries) this.#gcMs += entry.duration
  }
}
