/**
 * docs/performance.md from measurements: each part of the plan fills the place between its two comments, and leaves its
 * figures as JSON and its charts as SVG in docs/performance/. Parts that are not run stay as they were.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { progress, type Options, type Scenario } from './bench.js'
import { barChart, lineChart } from './chart.js'
import { newerNodeIfThere } from './contenders.js'
import { nodeVersion } from './processes.js'
import { markdown, type Section } from './section.js'
import { targets } from './targets.js'

interface Part {
  readonly scenario: string
  readonly options?: Partial<Options>
  /** Of the peers that are there; default: all that the scenario knows. */
  readonly peers?: readonly string[]
  /** This package on the newer Node that comes with the peers. */
  readonly isOnNewerNode?: true
}

const BIG_BATCHES = [131_072]

const plan = {
  lean: {
    scenario: 'throughput',
    options: { batchSizes: [16_384, 131_072] },
    peers: ['java', 'franz-go'],
  },
  'lean-newer': {
    scenario: 'throughput',
    options: { batchSizes: [16_384, 131_072] },
    peers: ['java', 'franz-go'],
    isOnNewerNode: true,
  },
  task: { scenario: 'throughput', options: { loop: 'task' }, peers: ['java', 'franz-go'] },
  keyed: { scenario: 'keyed', peers: ['java', 'franz-go'] },
  libraries: {
    scenario: 'throughput',
    options: { engines: ['alone', 'fast'] },
    peers: ['confluent', 'platformatic', 'kafkajs'],
  },
  real: {
    scenario: 'real',
    options: { batchSizes: [16_384], engines: ['alone', 'fast'] },
    peers: ['java', 'franz-go'],
  },
  latency: { scenario: 'latency', options: { engines: ['alone'] } },
  partitions: { scenario: 'partitions' },
  // Memory hardly differs from round to round, and what stalls takes its time.
  stall: { scenario: 'stall', options: { rounds: 1 } },
  transactions: { scenario: 'transactions' },
  'event-loop': { scenario: 'event-loop', options: { engines: ['alone'] } },
  compression: { scenario: 'compression', options: { batchSizes: BIG_BATCHES } },
  tls: { scenario: 'tls', options: { batchSizes: [16_384] }, peers: ['java', 'franz-go'] },
  startup: { scenario: 'startup' },
} as const satisfies Readonly<Record<string, Part>>

export type PartName = keyof typeof plan
export const planned = Object.keys(plan) as PartName[]

const root = join(__dirname, '..', '..')
const page = join(root, 'docs', 'performance.md')
const folder = join(root, 'docs', 'performance')

export async function writeReport(
  parts: readonly PartName[],
  options: Options,
  scenarios: ReadonlyMap<string, Scenario>,
  machine: string,
): Promise<void> {
  const startedAt = performance.now()
  mkdirSync(folder, { recursive: true })
  const chosen = parts.length > 0 ? parts : planned
  for (const [index, name] of chosen.entries()) {
    const part: Part = plan[name]
    const scenario = scenarios.get(part.scenario)
    if (scenario === undefined) throw new Error(`no scenario ${part.scenario}`)
    const minutes = ((performance.now() - startedAt) / 60_000).toFixed(1)
    progress(`== ${name}, part ${index + 1} of ${chosen.length}, after ${minutes} minutes`)
    const peers = options.peers.filter((peer) => part.peers?.includes(peer) ?? true)
    const leftOut = options.leftOut.filter(
      (line) => part.peers?.some((peer) => line.startsWith(`${peer} `)) ?? true,
    )
    const node = part.isOnNewerNode === true ? newerNodeIfThere() : options.node
    if (node === undefined) {
      progress(`== ${name} is left out: there is no newer Node`)
      continue
    }
    try {
      const sections = await scenario.run({ ...options, ...part.options, node, peers, leftOut })
      const date = new Date().toISOString().slice(0, 10)
      await write(name, sections, `${machine}, Node ${nodeVersion(node)}, ${date}`)
    } catch (error) {
      // The other parts are worth having.
      progress(`== ${name} FAILED: ${error instanceof Error ? error.message : String(error)}`)
      process.exitCode = 1
    }
  }
  progress(`docs/performance.md is written; ${((performance.now() - startedAt) / 60_000).toFixed(1)} minutes`)
}

function readSections(name: PartName): readonly Section[] {
  const file = join(folder, `${name}.json`)
  return existsSync(file) ? (JSON.parse(readFileSync(file, 'utf8')) as { sections: Section[] }).sections : []
}

/** At once after each part, so that an interrupted report keeps what it has. */
async function write(name: PartName, sections: readonly Section[], machine: string): Promise<void> {
  for (const old of readdirSync(folder)) {
    if (old === `${name}.json` || new RegExp(`^${name}-\\d+\\.svg$`).test(old)) rmSync(join(folder, old))
  }
  const texts: string[] = []
  let charts = 0
  const draw = (title: string, svg: string): void => {
    const file = `${name}-${++charts}.svg`
    writeFileSync(join(folder, file), svg)
    texts.push(`![${title}](performance/${file})`)
  }
  for (const section of sections) {
    if (section.rows.length === 0) continue
    texts.push(markdown(section))
    for (const column of section.bars) draw(`${section.title}: ${column}`, barChart(section, column))
    if (section.curves !== undefined) draw(section.curves.title, lineChart(section.curves))
  }
  await writePretty(join(folder, `${name}.json`), JSON.stringify({ machine, sections }))
  await fill(name, [...texts, `${machine}.`])
  const measured = new Map(planned.map((part) => [part, readSections(part)]))
  await fill('targets', [targets((part) => measured.get(part) ?? [])])
}

/** Puts texts between two comments of the page. */
async function fill(name: PartName | 'targets', texts: readonly string[]): Promise<void> {
  const text = readFileSync(page, 'utf8')
  const begin = `<!-- bench: ${name} -->`
  const end = `<!-- end: ${name} -->`
  const from = text.indexOf(begin)
  const to = text.indexOf(end)
  if (from < 0 || to < from) throw new Error(`docs/performance.md has no place for ${name}`)
  const body = [begin, ...texts, end].join('\n\n')
  await writePretty(page, text.slice(0, from) + body + text.slice(to + end.length))
}

/** As `npm run check` wants it. */
async function writePretty(file: string, text: string): Promise<void> {
  const { format, resolveConfig } = await import('prettier')
  writeFileSync(file, await format(text, { ...(await resolveConfig(file)), filepath: file }))
}
