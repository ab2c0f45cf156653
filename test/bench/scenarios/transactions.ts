/**
 * Transactions of a thousand records, one after the other, to real Kafka: this package beside Kafka's own producer, in the
 * same loop and in kafka-producer-perf-test. That tool ends a transaction after so many milliseconds and not records, so
 * the time is sought at which it comes closest to a thousand.
 */
import { spawnSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { interleave, progress, type Options, type Scenario } from '../bench.js'
import { engineLabel, ourCommand } from '../contenders.js'
import { withKafka, type Kafka } from '../kafka-target.js'
import { runClient, type Words } from '../processes.js'
import { middle, type Section } from '../section.js'

const PER_TRANSACTION = 1000
const RECORDS = 500_000
const WARMUP = 200_000
const TRIES_MS = [1, 2, 3, 4, 6, 8, 12]

// Compiled files run in build/bench/scenarios.
const source = join(__dirname, '../../../test/bench/clients/java/TransactionsClient.java')
const classes = join(__dirname, '../java-transactions')
/** All of Kafka's, for its tools. */
const jars = join(process.env['KAFKA_CACHE'] ?? join(homedir(), '.cache', 'kafka-cluster'), '4.2.0', '*')

interface Result {
  readonly recordsPerSecond: number
  readonly recordsPerTransaction: number
  /** Not known of the tool. */
  readonly cpuSecondsPerMillion?: number
}

interface Way {
  readonly name: string
  readonly run: (words: Words) => Promise<Result>
}

const java = ['java', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', ...['-cp', `${classes}:${jars}`]]

function tool(words: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync('java', [...java.slice(1), ...words], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${words[0]} failed: ${stderr.trim().split('\n').at(-1)}`)
  return stdout
}

function compile(): void {
  mkdirSync(classes, { recursive: true })
  const { status, stderr } = spawnSync('javac', ['-d', classes, '-cp', jars, source], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`javac failed: ${stderr.trim().split('\n').at(-1)}`)
}

/** In transactions v2 a new producer's epoch counts its transactions. */
function transactionsOf(transactionalId: string, bootstrap: string): number {
  const words = ['--bootstrap-server', bootstrap, 'describe', '--transactional-id', transactionalId]
  const table = tool(['org.apache.kafka.tools.TransactionsCommand', ...words])
  const row = table.split('\n').find((line) => line.includes(transactionalId))
  return Number(row?.trim().split(/\s+/)[3])
}

function perfTest({ bootstrapServers, topic, size, records }: Words, durationMs: number): Result {
  const id = `perf-${topic}`
  const total = Number(records) + WARMUP
  const output = tool([
    'org.apache.kafka.tools.ProducerPerformance',
    ...['--bootstrap-server', String(bootstrapServers), '--topic', String(topic)],
    ...['--num-records', String(total), '--warmup-records', String(WARMUP), '--record-size', String(size)],
    ...['--throughput', '-1', '--transactional-id', id, '--transaction-duration-ms', String(durationMs)],
  ])
  const steady = /steady state records sent, ([\d.]+) records\/sec/.exec(output)?.[1]
  if (steady === undefined) throw new Error(`kafka-producer-perf-test told nothing: ${output.slice(-200)}`)
  return {
    recordsPerSecond: Number(steady),
    recordsPerTransaction: total / transactionsOf(id, String(bootstrapServers)),
  }
}

/** The milliseconds with which the tool's transactions come closest to a thousand records. */
function calibrate(kafka: Kafka, size: number): number {
  let best = { ms: Number.NaN, distance: Infinity }
  for (const ms of TRIES_MS) {
    const result = perfTest({ ...kafka.target().words, size, records: RECORDS / 5 }, ms)
    const distance = Math.abs(Math.log(result.recordsPerTransaction / PER_TRANSACTION))
    progress(
      `perf-test, ${size} bytes, ${ms} ms: ${result.recordsPerTransaction.toFixed(0)} records a transaction`,
    )
    if (distance < best.distance) best = { ms, distance }
    if (result.recordsPerTransaction > 1.5 * PER_TRANSACTION) break
  }
  return best.ms
}

function ways(options: Options, kafka: Kafka, size: number): Way[] {
  const of = (command: readonly string[]) => (words: Words) =>
    runClient<Result>(command, { ...words, warmupRecords: WARMUP, perTransaction: PER_TRANSACTION })
  const all: Way[] = options.engines.map((engines) => ({
    name: `kafka-producer, ${engineLabel(engines)}`,
    run: of(ourCommand(options.node, engines, 'transactions')),
  }))
  if (!options.peers.includes('java')) return all
  compile()
  const ms = calibrate(kafka, size)
  return [
    ...all,
    { name: 'Java 4.2, the same loop', run: of([...java, 'TransactionsClient']) },
    {
      name: `kafka-producer-perf-test, transactions of ${ms} ms`,
      run: (words) => Promise.resolve(perfTest(words, ms)),
    },
  ]
}

async function measureSize(options: Options, kafka: Kafka, size: number): Promise<Section> {
  const records = options.records ?? Math.ceil(RECORDS * options.share)
  const { runs, notes } = await interleave(
    `transactions, ${size} bytes`,
    options.rounds,
    ways(options, kafka, size),
    (way) => way.run({ ...kafka.target().words, size, records }),
  )
  return {
    title: `${size}-byte values in transactions of ${PER_TRANSACTION} records (median of ${options.rounds})`,
    rowsAre: 'client',
    columns: ['records/s', 'records/transaction', 'transactions/s', 'CPU-s per million'],
    rows: [...runs].map(([way, all]) => ({
      label: way.name,
      figures: [
        middle(all, (one) => one.recordsPerSecond),
        middle(all, (one) => one.recordsPerTransaction),
        middle(all, (one) => one.recordsPerSecond / one.recordsPerTransaction),
        middle(all, (one) => one.cpuSecondsPerMillion ?? Number.NaN),
      ],
    })),
    notes: [...options.leftOut, ...notes],
    bars: ['records/s'],
  }
}

export const transactionsScenario: Scenario = {
  name: 'transactions',
  summary: 'transactions of 1,000 records to real Kafka 4.2 on this machine',
  run: (options) =>
    withKafka(async (kafka) => {
      const sections: Section[] = []
      for (const size of options.sizes) sections.push(await measureSize(options, kafka, size))
      return sections
    }),
}
