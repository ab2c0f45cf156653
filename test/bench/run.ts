/**
 * The command: `npm run bench -- <scenario...> [options]`. JSON lines on stdout while it runs, Markdown tables at its
 * end, and how far it is on stderr. `npm run bench -- report` runs all of them and writes docs/performance.md.
 */
import { cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import type { Options, Scenario } from './bench.js'
import { missing, peerNames, prepare, type Engines, type LoopName, type PeerName } from './contenders.js'
import { nodeVersion } from './processes.js'
import { planned, writeReport } from './report.js'
import { compressionScenario } from './scenarios/compression.js'
import { eventLoopScenario } from './scenarios/event-loop.js'
import { keyedScenario } from './scenarios/keyed.js'
import { latencyScenario } from './scenarios/latency.js'
import { memoryScenario } from './scenarios/memory.js'
import { partitionsScenario } from './scenarios/partitions.js'
import { realScenario } from './scenarios/real.js'
import { stallScenario } from './scenarios/stall.js'
import { startupScenario } from './scenarios/startup.js'
import { throughputScenario } from './scenarios/throughput.js'
import { tlsScenario } from './scenarios/tls.js'
import { transactionsScenario } from './scenarios/transactions.js'
import { markdown } from './section.js'

const scenarios: readonly Scenario[] = [
  throughputScenario,
  keyedScenario,
  realScenario,
  latencyScenario,
  partitionsScenario,
  stallScenario,
  eventLoopScenario,
  compressionScenario,
  tlsScenario,
  transactionsScenario,
  startupScenario,
  memoryScenario,
]
const loopNames: readonly LoopName[] = ['lean', 'task']
const engineNames: readonly Engines[] = ['alone', 'fast']
const REPORT = 'report'

const help = `npm run bench -- <scenario...> [options]
npm run bench -- report [part...] [options]

${scenarios.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`).join('\n')}
  ${REPORT.padEnd(12)} all of them beside all peers, into docs/performance.md; or these parts of it:
  ${''.padEnd(12)} ${planned.join(', ')}

  --quick            3 rounds, a third of the records, shorter warm-up: to see that it runs, never for publication
  --rounds N         interleaved rounds, 5
  --size N,...       bytes of a value, 100,1024
  --batch N,...      batch.size, 16384
  --records N        records in a measured window, by default some seconds' worth
  --loop NAME        lean: one record in 64 is awaited; task: each by its own task
  --outstanding N    records on their way at a time, 10000
  --warmup MS        before the window, 8000: a JVM's compiler is still at work after 2 s
  --peers NAME,...   ${peerNames.join(', ')}, or none; default: java, where it is there
  --engines NAME,... alone: the packages that come along; fast: the optional native ones too; default: both
  --check            the sink verifies each batch; for correctness, not for figures
  --node PATH        the Node that runs kafka-producer
`

/** A known word of a list given on the command line. */
function known<T extends string>(what: string, word: string, words: readonly T[]): T {
  const found = words.find((one) => one === word)
  if (found === undefined) throw new Error(`no ${what} ${word}; there are ${words.join(', ')}`)
  return found
}

function list(text: string): string[] {
  return text.split(',').filter((word) => word !== '' && word !== 'none')
}

function numbers(text: string): number[] {
  return list(text).map((word) => {
    const value = Number(word)
    if (!Number.isInteger(value) || value < 1) throw new Error(`${word} is not a whole number above 0`)
    return value
  })
}

function one(text: string): number {
  const [value] = numbers(text)
  if (value === undefined) throw new Error('a number is missing')
  return value
}

/** Those that can run here, ready to be started; what keeps the others from it is said in the results. */
function presentPeers(asked: readonly PeerName[]): { peers: PeerName[]; leftOut: string[] } {
  const peers: PeerName[] = []
  const leftOut: string[] = []
  for (const name of asked) {
    const why = missing(name) ?? preparing(name)
    if (why === undefined) {
      peers.push(name)
      continue
    }
    leftOut.push(`${name} is not measured: ${why}`)
    process.stderr.write(`${name} is not measured: ${why}\n`)
  }
  return { peers, leftOut }
}

function preparing(name: PeerName): string | undefined {
  try {
    prepare(name)
    return undefined
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      quick: { type: 'boolean', default: false },
      rounds: { type: 'string' },
      size: { type: 'string' },
      batch: { type: 'string' },
      records: { type: 'string' },
      loop: { type: 'string', default: 'lean' },
      outstanding: { type: 'string', default: '10000' },
      warmup: { type: 'string' },
      peers: { type: 'string' },
      engines: { type: 'string' },
      check: { type: 'boolean', default: false },
      node: { type: 'string', default: process.execPath },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    return
  }
  const isReport = positionals[0] === REPORT
  const byName = new Map(scenarios.map((scenario) => [scenario.name, scenario]))
  const chosen = positionals.length > 0 ? positionals : ['throughput']
  if (!isReport) for (const name of chosen) known('scenario', name, [...byName.keys()])
  const parts = isReport ? chosen.slice(1).map((part) => known('part', part, planned)) : []

  const { quick } = values
  if (isReport && quick) throw new Error('--quick figures are not for publication: run the report without it')
  const asked = list(values.peers ?? (isReport ? peerNames.join(',') : 'java'))
  const options: Options = {
    rounds: one(values.rounds ?? (quick ? '3' : '5')),
    sizes: numbers(values.size ?? '100,1024'),
    batchSizes: numbers(values.batch ?? '16384'),
    records: values.records === undefined ? undefined : one(values.records),
    share: quick ? 1 / 3 : 1,
    warmupMs: one(values.warmup ?? (quick ? '1000' : '8000')),
    outstanding: one(values.outstanding),
    loop: known('loop', values.loop, loopNames),
    ...presentPeers(asked.map((name) => known('peer', name, peerNames))),
    engines: list(values.engines ?? 'alone,fast').map((name) => known('engines', name, engineNames)),
    check: values.check,
    node: values.node,
  }
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  const machine = `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), ${gigabytes} GB`

  if (isReport) {
    await writeReport(parts, options, byName, machine)
    return
  }
  const texts: string[] = []
  for (const name of chosen) {
    const sections = (await byName.get(name)?.run(options)) ?? []
    texts.push([`### ${name}`, ...sections.map(markdown)].join('\n\n'))
  }
  const date = new Date().toISOString().slice(0, 10)
  process.stdout.write(`\n${texts.join('\n\n')}\n\n${machine}, Node ${nodeVersion(options.node)}, ${date}\n`)
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
