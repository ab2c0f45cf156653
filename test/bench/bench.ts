/** What a scenario works with: the options of the command, interleaved rounds, and one measured run of one client. */
import type { ProfiledFunction } from './clients/profile.js'
import type { Contender, Engines, LoopName, PeerName } from './contenders.js'
import type { Measurement } from './meter.js'
import { runClient, Sink, type Words } from './processes.js'
import type { SinkReport } from './sink/main.js'
import type { Section } from './section.js'

export interface Options {
  readonly rounds: number
  readonly sizes: readonly number[]
  readonly batchSizes: readonly number[]
  /** Records of each window; by default such that the window lasts seconds. */
  readonly records: number | undefined
  /** Of the default records and seconds; 1, or less for a quick look. */
  readonly share: number
  readonly warmupMs: number
  readonly outstanding: number
  readonly loop: LoopName
  /** The peers that are there. */
  readonly peers: readonly PeerName[]
  /** Why other peers are not measured, a line each. */
  readonly leftOut: readonly string[]
  /** With the packages alone, with the optional faster ones, or both. */
  readonly engines: readonly Engines[]
  /** The sink verifies every batch; its cost then disturbs the clients, so figures are not to be used. */
  readonly check: boolean
  /** The Node that runs this package. */
  readonly node: string
}

export interface Scenario {
  readonly name: string
  /** One line for --help. */
  readonly summary: string
  /** Prints a JSON line for each run, and returns the medians. */
  run(options: Options): Promise<Section[]>
}

/** What a client printed, and what its sink saw, where there was one. */
export interface Run extends ClientLine {
  readonly client: string
  readonly sink?: SinkReport
}

interface ClientLine extends Measurement {
  readonly runtime: string
  readonly warmupRecords: number
  /** With a profile: the functions, the greatest first. */
  readonly functions?: readonly ProfiledFunction[]
}

/** Where a client sends to. */
export interface Target {
  /** Of the sink, 0 where there is none. */
  readonly pid: number
  /** The client's arguments: bootstrapServers, topic, and what else it needs to get there. */
  readonly words: Words
  /** What arrived; undefined where nobody counts. */
  readonly stop: () => Promise<SinkReport | undefined>
  readonly kill: () => void
}

/** A fresh sink for every run. */
export async function sinkTarget(options: Words): Promise<Target> {
  const sink = await Sink.start(options)
  const { bootstrapServers, ca, pid } = sink.address
  return {
    pid,
    words: { bootstrapServers: bootstrapServers.join(','), ...(ca === undefined ? {} : { ca }) },
    stop: () => sink.stop(),
    kill: () => sink.kill(),
  }
}

/** By default of several `records`, those of one window. */
export function windowOf(options: Options, records: number): number {
  return options.records ?? Math.ceil(records * options.share)
}

/** Runs a client against `target`, and proves by the sink's count that every record arrived once. */
export async function measure(
  contender: Contender,
  load: Words & { readonly records: number },
  target: Target,
): Promise<Run> {
  const records = Math.ceil(load.records * contender.share)
  try {
    const line = await runClient<ClientLine>(contender.command, {
      ...load,
      ...contender.words,
      records,
      loop: contender.loop,
      ...target.words,
    })
    const report = await target.stop()
    if (report === undefined) return { client: contender.name, ...line }
    assertArrived(contender.name, records + line.warmupRecords, report)
    return { client: contender.name, ...line, sink: report }
  } finally {
    target.kill()
  }
}

export function assertArrived(client: string, sent: number, report: SinkReport): void {
  if (report.records !== sent) {
    throw new Error(`${client} sent ${sent} records, the sink counted ${report.records}`)
  }
  if (report.errorCount !== undefined && report.errorCount > 0) {
    throw new Error(`${client}: ${report.errorCount} wrong batches\n${report.errors?.join('\n')}`)
  }
}

export interface Rounds<C, R> {
  readonly runs: ReadonlyMap<C, readonly R[]>
  /** Whom it was not measured, and why. */
  readonly notes: readonly string[]
}

/**
 * Contender after contender, then the next round, so that what else the machine does meets all of them alike. One that
 * fails is left out from then on and noted; that of this package fails the command as well, at its end.
 */
export async function interleave<C extends { readonly name: string }, R extends object>(
  what: string,
  rounds: number,
  contenders: readonly C[],
  run: (contender: C) => Promise<R>,
): Promise<Rounds<C, R>> {
  const runs = new Map<C, R[]>(contenders.map((contender) => [contender, []]))
  const notes: string[] = []
  for (let round = 1; round <= rounds; round++) {
    for (const contender of contenders) {
      const known = runs.get(contender)
      if (known === undefined) continue
      const startedAt = performance.now()
      try {
        const one = await run(contender)
        known.push(one)
        process.stdout.write(
          `${JSON.stringify({ scenario: what, round, contender: contender.name, ...one })}\n`,
        )
        progress(`${what}, round ${round} of ${rounds}: ${contender.name}, ${seconds(startedAt)} s`)
      } catch (error) {
        const reason = error instanceof Error ? error.message : String(error)
        progress(`${what}, round ${round} of ${rounds}: ${contender.name} FAILED: ${reason}`)
        notes.push(`${contender.name} failed and is left out: ${reason.split('\n')[0]}`)
        runs.delete(contender)
        if (contender.name.startsWith('kafka-producer')) process.exitCode = 1
      }
    }
  }
  return { runs, notes }
}

function seconds(startedAt: number): string {
  return ((performance.now() - startedAt) / 1000).toFixed(1)
}

export function progress(line: string): void {
  process.stderr.write(`${new Date().toISOString().slice(11, 19)} ${line}\n`)
}
