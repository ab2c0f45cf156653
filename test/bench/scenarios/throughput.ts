/** Records per second and CPU per record at full speed, for every size of value and of batch, in interleaved rounds. */
import { measure, printLine, type Options, type Run, type Scenario } from '../bench.js'
import { ours, peer } from '../contenders.js'
import { figure, markdownTable, median } from '../table.js'

/** What a window holds by default: some seconds of the Java client. */
function windowRecords(size: number): number {
  return size < 512 ? 6_000_000 : 2_000_000
}

export async function throughput(name: string, options: Options, keyed: boolean): Promise<string> {
  const sections: string[] = []
  for (const size of options.sizes) {
    for (const batchSize of options.batchSizes) {
      const runs = await measureRounds(name, options, { size, batchSize, keyed })
      const what = `${size} B values${keyed ? ', string keys, one header' : ''}, ${batchSize / 1024} KiB batches`
      sections.push(`**${what}** (${options.loop}, median of ${options.rounds})\n\n${table(runs)}`)
    }
  }
  return sections.join('\n\n')
}

async function measureRounds(
  scenario: string,
  options: Options,
  shape: { readonly size: number; readonly batchSize: number; readonly keyed: boolean },
): Promise<Run[]> {
  const contenders = [
    ...options.peers.map((name) => peer(name, options.loop)),
    ...ours(options.node, options.loop),
  ]
  const runs: Run[] = []
  for (let round = 1; round <= options.rounds; round++) {
    for (const contender of contenders) {
      const run = await measure(
        contender,
        {
          ...shape,
          records: options.records ?? windowRecords(shape.size),
          warmupMs: options.warmupMs,
          outstanding: options.outstanding,
        },
        { check: options.check },
      )
      printLine({ scenario, loop: contender.loop, round, ...shape, ...run })
      runs.push(run)
    }
  }
  return runs
}

function table(runs: readonly Run[]): string {
  const names = [...new Set(runs.map((run) => run.client))]
  const medians = new Map(names.map((name) => [name, mediansOf(runs.filter((run) => run.client === name))]))
  const java = medians.get('Java 4.2')
  return markdownTable(
    ['client', 'CPU-s per million', 'of Java', 'records/s', 'of Java', 'peak RSS, MB', 'GC, % of time'],
    [...medians].map(([name, one]) => [
      name,
      figure(one.cpu),
      java ? figure(one.cpu / java.cpu) : '-',
      figure(one.speed),
      java ? figure(one.speed / java.speed) : '-',
      figure(Math.round(one.rss)),
      figure(one.gc * 100),
    ]),
  )
}

function mediansOf(runs: readonly Run[]): { cpu: number; speed: number; rss: number; gc: number } {
  return {
    cpu: median(runs.map((run) => run.cpuSecondsPerMillion)),
    speed: median(runs.map((run) => run.recordsPerSecond)),
    rss: median(runs.map((run) => run.peakRssMB)),
    gc: median(runs.map((run) => run.gcShare ?? Number.NaN)),
  }
}

export const throughputScenario: Scenario = {
  name: 'throughput',
  summary: 'values without keys, sticky partitioner',
  run: (options) => throughput('throughput', options, false),
}
