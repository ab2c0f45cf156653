/** What each codec and engine costs and saves on JSON events, from `send` to the socket, next to kafkajs. */
import { measure, printLine, type Options, type Run, type Scenario } from '../bench.js'
import { client, type Contender } from '../contenders.js'
import { hasPeer } from '../clients/peers.js'
import { runClient } from '../processes.js'
import { figure, markdownTable, median } from '../table.js'

const RECORDS = 300_000
const types = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

interface Row {
  readonly label: string
  readonly type: string
  readonly engine: string
  readonly contender: Contender
}

type CompressionRun = Run & {
  readonly bytes: number
  readonly allBytes: number
  readonly loopDelayP99Ms: number
}

async function rowsFor(options: Options): Promise<Row[]> {
  const program = [options.node, client('compression')]
  const ours: Contender = { name: 'kafka-producer', command: program, loop: 'task', share: 1 }
  const { engines } = await runClient<{ engines: { type: string; name: string }[] }>(program, { engine: '?' })
  const rows = [{ type: 'none', name: '' }, ...engines].map(({ type, name }) => ({
    label: name === '' ? type : `${type}, ${name}`,
    type,
    engine: name,
    contender: ours,
  }))
  if (!hasPeer('kafkajs')) return rows
  const command = [process.execPath, client('compression-kafkajs')]
  const kafkajs: Contender = { name: 'kafkajs 2.2.4', command, loop: 'array', share: 0.2 }
  return [
    ...rows,
    ...types.map((type) => ({ label: `kafkajs: ${type}`, type, engine: '', contender: kafkajs })),
  ]
}

async function run(options: Options): Promise<string> {
  const rows = await rowsFor(options)
  const sections: string[] = []
  for (const batchSize of options.batchSizes) {
    const runs = new Map<Row, CompressionRun[]>(rows.map((row) => [row, []]))
    for (let round = 1; round <= options.rounds; round++) {
      for (const row of rows) {
        const { type, engine, contender } = row
        const load = {
          type,
          engine,
          batchSize,
          size: 1024,
          records: options.records ?? RECORDS,
          outstanding: options.outstanding,
        }
        const one = (await measure(contender, load, { check: options.check })) as CompressionRun
        printLine({ scenario: 'compression', round, ...load, ...one })
        runs.get(row)!.push(one)
      }
    }
    const what = `JSON events of 1 KiB, ${batchSize / 1024} KiB batches`
    sections.push(`**${what}** (median of ${options.rounds})\n\n${table(runs)}`)
  }
  return sections.join('\n\n')
}

function table(runs: ReadonlyMap<Row, readonly CompressionRun[]>): string {
  const middle = (all: readonly CompressionRun[], of: (one: CompressionRun) => number): string =>
    figure(median(all.map(of)))
  return markdownTable(
    ['codec, engine', 'MB/s', 'CPU-s per GB', 'CPU-s per million', 'ratio', 'event loop delay p99, ms'],
    [...runs].map(([{ label }, all]) => [
      label,
      middle(all, (one) => one.bytes / 1e6 / one.seconds),
      middle(all, (one) => (one.cpuSecondsPerMillion * one.records) / 1e6 / (one.bytes / 1e9)),
      middle(all, (one) => one.cpuSecondsPerMillion),
      middle(all, (one) => one.allBytes / one.sink.bytes),
      middle(all, (one) => one.loopDelayP99Ms),
    ]),
  )
}

export const compressionScenario: Scenario = {
  name: 'compression',
  summary: 'JSON events by each codec and engine, next to kafkajs with its codec plugins',
  run,
}
