/** Records per second and CPU per record at full speed, for every size of value and of batch, in interleaved rounds. */
import {
  interleave,
  measure,
  sinkTarget,
  windowOf,
  type Options,
  type Run,
  type Scenario,
  type Target,
} from '../bench.js'
import { ours, peer, type Contender } from '../contenders.js'
import { middle, type Row, type Section } from '../section.js'

/** What a window holds by default: some seconds of the Java client. */
function defaultWindow(size: number): number {
  return size < 512 ? 6_000_000 : 2_000_000
}

export interface Shape {
  readonly size: number
  readonly batchSize: number
  readonly keyed: boolean
}

/** Every size by every batch size, each a section. */
export async function throughput(
  name: string,
  options: Options,
  keyed: boolean,
  target: () => Promise<Target> = () => sinkTarget({ check: options.check }),
): Promise<Section[]> {
  const sections: Section[] = []
  for (const size of options.sizes) {
    for (const batchSize of options.batchSizes) {
      sections.push(await section(name, options, { size, batchSize, keyed }, target))
    }
  }
  return sections
}

function contenders(options: Options): Contender[] {
  return [
    ...options.peers.flatMap((name) => peer(name, options.loop)),
    ...ours(options.node, options.loop, options.engines),
  ]
}

async function section(
  name: string,
  options: Options,
  shape: Shape,
  target: () => Promise<Target>,
): Promise<Section> {
  const { size, batchSize, keyed } = shape
  const what = `${size} B values${keyed ? ', string keys, one header' : ''}, ${batchSize / 1024} KiB batches`
  const load = {
    ...shape,
    records: windowOf(options, defaultWindow(size)),
    warmupMs: options.warmupMs,
    outstanding: options.outstanding,
  }
  const { runs, notes } = await interleave(
    `${name}, ${what}`,
    options.rounds,
    contenders(options),
    async (one) => measure(one, load, await target()),
  )
  return {
    title: `${what} (median of ${options.rounds})`,
    rowsAre: 'client',
    ...speedTable([...runs].map(([{ name }, all]) => ({ name, runs: all }))),
    notes: [...options.leftOut, ...notes],
    bars: ['CPU-s per million'],
  }
}

/** What of each client there is to say, beside the Java client where it is there. */
export function speedTable(clients: readonly { readonly name: string; readonly runs: readonly Run[] }[]): {
  columns: readonly string[]
  rows: Row[]
} {
  const cpu = (runs: readonly Run[]): number => middle(runs, (run) => run.cpuSecondsPerMillion)
  const speed = (runs: readonly Run[]): number => middle(runs, (run) => run.recordsPerSecond)
  const java = clients.find(({ name }) => name.startsWith('Java'))?.runs ?? []
  return {
    columns: ['CPU-s per million', 'of Java', 'records/s', 'of Java', 'peak RSS, MB', 'GC, % of time'],
    rows: clients.map(({ name, runs }) => ({
      label: name,
      figures: [
        cpu(runs),
        cpu(runs) / cpu(java),
        speed(runs),
        speed(runs) / speed(java),
        Math.round(middle(runs, (run) => run.peakRssMB)),
        middle(runs, (run) => run.gcShare ?? Number.NaN) * 100,
      ],
    })),
  }
}

export const throughputScenario: Scenario = {
  name: 'throughput',
  summary: 'values without keys, sticky partitioner',
  run: (options) => throughput('throughput', options, false),
}
