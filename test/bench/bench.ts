/** What a scenario works with: the options of the command, and one measured run of one client against a fresh sink. */
import type { ProfiledFunction } from './clients/profile.js'
import type { Contender, LoopName, PeerName } from './contenders.js'
import type { Measurement } from './meter.js'
import { runClient, Sink, type Words } from './processes.js'
import type { SinkReport } from './sink/main.js'

export interface Options {
  readonly rounds: number
  readonly sizes: readonly number[]
  readonly batchSizes: readonly number[]
  /** Records of each window; by default such that the window lasts seconds. */
  readonly records: number | undefined
  readonly warmupMs: number
  readonly outstanding: number
  readonly loop: LoopName
  /** The peers that are there; those asked for and missing were reported. */
  readonly peers: readonly PeerName[]
  /** The sink verifies every batch; its cost then disturbs the clients, so figures are not to be used. */
  readonly check: boolean
  /** The Node that runs this package. */
  readonly node: string
}

export interface Scenario {
  readonly name: string
  /** One line for --help. */
  readonly summary: string
  /** Prints a JSON line for each run, and returns the Markdown of its result. */
  run(options: Options): Promise<string>
}

/** What a client printed, and what its sink saw. */
export interface Run extends ClientLine {
  readonly client: string
  readonly sink: SinkReport
}

interface ClientLine extends Measurement {
  readonly runtime: string
  readonly warmupRecords: number
  /** With a profile: the functions, the greatest first. */
  readonly functions?: readonly ProfiledFunction[]
}

/** Runs a client against a sink of its own, and proves by the sink's count that every record arrived once. */
export async function measure(
  contender: Contender,
  load: Words & { readonly records: number },
  sinkOptions: Words,
): Promise<Run> {
  const records = Math.ceil(load.records * contender.share)
  const sink = await Sink.start(sinkOptions)
  try {
    const { bootstrapServers } = sink.address
    const line = await runClient<ClientLine>(contender.command, {
      ...load,
      records,
      loop: contender.loop,
      bootstrapServers: bootstrapServers.join(','),
    })
    const report = await sink.stop()
    const sent = records + line.warmupRecords
    if (report.records !== sent) {
      throw new Error(`${contender.name} sent ${sent} records, the sink counted ${report.records}`)
    }
    if (report.errorCount !== undefined && report.errorCount > 0) {
      throw new Error(`${contender.name}: ${report.errorCount} wrong batches\n${report.errors?.join('\n')}`)
    }
    return { client: contender.name, ...line, sink: report }
  } finally {
    sink.kill()
  }
}

/** One JSON line on stdout. */
export function printLine(line: object): void {
  process.stdout.write(`${JSON.stringify(line)}\n`)
}
