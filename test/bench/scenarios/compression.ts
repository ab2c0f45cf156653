/** What each codec and engine costs and saves on JSON events, from `send` to the socket, on each Node that is there. */
import { interleave, measure, sinkTarget, windowOf, type Options, type Run, type Scenario } from '../bench.js'
import {
  client,
  engineLabel,
  newerNodeIfThere,
  ourCommand,
  type Contender,
  type Engines,
} from '../contenders.js'
import { hasPeer } from '../clients/peers.js'
import { nodeVersion, type Words } from '../processes.js'
import { middle, type Section } from '../section.js'

const RECORDS = 300_000
const WARMUP_RECORDS = 60_000
const types = ['gzip', 'snappy', 'lz4', 'zstd'] as const
/** gzip and zstd have no other engine beside Node's own. */
const typesOf: Readonly<Record<Engines, readonly string[]>> = {
  alone: types,
  fast: ['none', 'snappy', 'lz4'],
}

interface Way {
  readonly contender: Contender
  readonly words: Words & { readonly type: string }
}

type CompressionRun = Run & {
  readonly engine?: string | null
  readonly bytes: number
  readonly allBytes: number
  readonly loopDelayP99Ms: number
}

function ways(options: Options, node: string): Way[] {
  const version = nodeVersion(node)
  const ours = options.engines.flatMap((engines) =>
    typesOf[engines].map((type) => {
      const name = `kafka-producer, ${engineLabel(engines)}, Node ${version}`
      const command = ourCommand(node, engines, 'compression')
      return { contender: { name, command, loop: 'lean', share: 1 }, words: { type } }
    }),
  )
  const peers = (['kafkajs', 'platformatic'] as const)
    .filter((library) => options.peers.includes(library))
    .filter((library) => library === 'kafkajs' || node === newerNodeIfThere())
    .flatMap((library) =>
      types.map((type) => {
        const name = `${library}, Node ${version}`
        const command = [node, client('compression-arrays')]
        const share = library === 'kafkajs' ? 0.2 : 0.7
        return { contender: { name, command, loop: 'array', share }, words: { type, library } }
      }),
    )
  return [...ours, ...peers]
}

async function run(options: Options): Promise<Section[]> {
  const newer = newerNodeIfThere()
  const nodes = newer === undefined || newer === options.node ? [options.node] : [options.node, newer]
  const batchSize = options.batchSizes.at(-1) ?? 131_072
  const load = {
    size: 1024,
    batchSize,
    records: windowOf(options, RECORDS),
    outstanding: options.outstanding,
  }
  const named = nodes
    .flatMap((node) => ways(options, node))
    .map(({ contender, words }) => ({ name: `${contender.name}, ${words.type}`, contender, words }))
  const { runs, notes } = await interleave('compression', options.rounds, named, async (way) => {
    const words = { ...load, ...way.words, warmupRecords: Math.ceil(WARMUP_RECORDS * way.contender.share) }
    return (await measure(way.contender, words, await sinkTarget({ check: options.check }))) as CompressionRun
  })
  const missing = [
    ...options.leftOut,
    ...(newer === undefined ? ['no newer Node: npm install --prefix test/bench/peers'] : []),
    ...(hasPeer('kafkajs') ? [] : ['no kafkajs: npm install --prefix test/bench/peers']),
  ]
  return ['none', ...types].map((type) => ({
    title: `${type}, JSON events of 1 KiB, ${batchSize / 1024} KiB batches (median of ${options.rounds})`,
    rowsAre: 'client, engine',
    columns: ['CPU-s per million', 'CPU-s per GB', 'MB/s', 'ratio', 'event loop delay p99, ms'],
    rows: [...runs]
      .filter(([way]) => way.words.type === type)
      .map(([way, all]) => ({
        label: `${way.contender.name}${all[0]?.engine ? ` (${all[0].engine})` : ''}`,
        figures: [
          middle(all, (one) => one.cpuSecondsPerMillion),
          middle(all, (one) => (one.cpuSecondsPerMillion * one.records) / 1e6 / (one.bytes / 1e9)),
          middle(all, (one) => one.bytes / 1e6 / one.seconds),
          middle(all, (one) => one.allBytes / (one.sink?.bytes ?? Number.NaN)),
          middle(all, (one) => one.loopDelayP99Ms),
        ],
      })),
    notes: type === 'none' ? missing : notes.filter((note) => note.includes(`, ${type} `)),
    bars: type === 'none' ? [] : ['CPU-s per million'],
  }))
}

export const compressionScenario: Scenario = {
  name: 'compression',
  summary: 'JSON events by each codec and engine, next to kafkajs and @platformatic/kafka',
  run,
}
