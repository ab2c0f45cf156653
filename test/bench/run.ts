/** The command: `npm run bench -- <scenario...> [options]`. JSON lines while it runs, Markdown tables at its end. */
import { cpus, totalmem } from 'node:os'
import { parseArgs } from 'node:util'
import type { Options, Scenario } from './bench.js'
import { compileJava, missing, type LoopName, type PeerName } from './contenders.js'
import { compressionScenario } from './scenarios/compression.js'
import { keyedScenario } from './scenarios/keyed.js'
import { memoryScenario } from './scenarios/memory.js'
import { startupScenario } from './scenarios/startup.js'
import { throughputScenario } from './scenarios/throughput.js'

const scenarios: readonly Scenario[] = [
  throughputScenario,
  keyedScenario,
  startupScenario,
  memoryScenario,
  compressionScenario,
]
const peerNames: readonly PeerName[] = ['java', 'kafkajs', 'platformatic']
const loopNames: readonly LoopName[] = ['lean', 'task']

const help = `npm run bench -- <scenario...> [options]

${scenarios.map(({ name, summary }) => `  ${name.padEnd(12)} ${summary}`).join('\n')}

  --rounds N         interleaved rounds, 5
  --size N,...       bytes of a value, 100,1024
  --batch N,...      batch.size, 16384
  --records N        records in a measured window, by default some seconds' worth
  --loop NAME        lean: one record in 64 is awaited; task: each by its own task
  --outstanding N    records on their way at a time, 10000
  --warmup MS        before the window, 2000
  --peers NAME,...   ${peerNames.join(', ')}, or none; default: java where it is there
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

/** Peers that were asked for but are not there are an error; of the default ones they are left out, and said so. */
function presentPeers(asked: string | undefined): PeerName[] {
  const names = list(asked ?? 'java').map((name) => known('peer', name, peerNames))
  return names.filter((name) => {
    const why = missing(name)
    if (why === undefined) return true
    if (asked !== undefined) throw new Error(`${name} cannot be measured: ${why}`)
    process.stderr.write(`left out ${name}: ${why}\n`)
    return false
  })
}

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: {
      rounds: { type: 'string', default: '5' },
      size: { type: 'string', default: '100,1024' },
      batch: { type: 'string', default: '16384' },
      records: { type: 'string' },
      loop: { type: 'string', default: 'lean' },
      outstanding: { type: 'string', default: '10000' },
      warmup: { type: 'string', default: '2000' },
      peers: { type: 'string' },
      check: { type: 'boolean', default: false },
      node: { type: 'string', default: process.execPath },
      help: { type: 'boolean', default: false },
    },
  })
  if (values.help) {
    process.stdout.write(help)
    return
  }
  const byName = new Map(scenarios.map((scenario) => [scenario.name, scenario]))
  const chosen = positionals.length > 0 ? positionals : ['throughput']
  for (const name of chosen) known('scenario', name, [...byName.keys()])

  const options: Options = {
    rounds: one(values.rounds),
    sizes: numbers(values.size),
    batchSizes: numbers(values.batch),
    records: values.records === undefined ? undefined : one(values.records),
    warmupMs: one(values.warmup),
    outstanding: one(values.outstanding),
    loop: known('loop', values.loop, loopNames),
    peers: presentPeers(values.peers),
    check: values.check,
    node: values.node,
  }
  if (options.peers.includes('java')) compileJava()

  const sections: string[] = []
  for (const name of chosen) {
    const scenario = byName.get(name)
    if (scenario) sections.push(`### ${name}\n\n${await scenario.run(options)}`)
  }
  const gigabytes = Math.round(totalmem() / 2 ** 30)
  const machine = `${cpus().length} cores (${cpus()[0]?.model ?? 'unknown'}), ${gigabytes} GB`
  const date = new Date().toISOString().slice(0, 10)
  process.stdout.write(`\n${sections.join('\n\n')}\n\n${machine}, Node ${process.versions.node}, ${date}\n`)
}

main().catch((error: unknown) => {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
})
