/** Whether a service that sends can still answer its requests: the delay of its event loop at a steady rate. */
import { interleave, sinkTarget, type Options, type Scenario } from '../bench.js'
import { calls } from '../clients/codec-calls.js'
import { client, engineLabel, newerNodeIfThere, nodeFor, ourCommand, type NodePeer } from '../contenders.js'
import { nodeVersion, runClient, type Words } from '../processes.js'
import { middle, type Section } from '../section.js'

const SECONDS = 6
const RATE = 100_000
/** 21 MB/s of JSON events: what gzip can do with a quarter of a core. */
const COMPRESSED_RATE = 20_000

interface LoopLine {
  readonly recordsPerSecond: number
  readonly cpuShare: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly p999Ms: number
  readonly maxMs: number
}

interface Way {
  readonly name: string
  readonly command: readonly string[]
  readonly words: Words
}

function plainWays(options: Options): Way[] {
  const words = { rate: RATE, size: 100, batchSize: 16_384 }
  const nodePeers = options.peers.filter((name): name is NodePeer => name !== 'java' && name !== 'franz-go')
  return [
    {
      name: 'the same loop, sending nothing',
      command: [options.node, client('event-loop')],
      words: { ...words, library: 'none' },
    },
    ...options.engines.map((engines) => ({
      name: `kafka-producer, ${engineLabel(engines)}`,
      command: ourCommand(options.node, engines, 'event-loop'),
      words,
    })),
    ...nodePeers.map((library) => ({
      name: `${library}, arrays`,
      command: [nodeFor(library), client('event-loop')],
      words: { ...words, library },
    })),
  ]
}

function compressedWays(options: Options): Way[] {
  const words = { rate: COMPRESSED_RATE, size: 1024, batchSize: 131_072 }
  const newer = newerNodeIfThere()
  const nodes = { gzip: options.node, snappy: options.node, lz4: options.node, zstd: newer }
  const none = {
    name: 'kafka-producer, none',
    command: ourCommand(options.node, 'fast', 'event-loop'),
    words,
  }
  const ways = Object.entries(nodes).flatMap(([type, node]) =>
    node === undefined
      ? []
      : calls.map((call) => ({
          name: `kafka-producer, ${type}, ${call}, Node ${nodeVersion(node)}`,
          command: ourCommand(node, 'fast', 'event-loop'),
          words: { ...words, type, call },
        })),
  )
  return [none, ...ways]
}

async function section(options: Options, title: string, ways: readonly Way[]): Promise<Section> {
  const seconds = Math.max(2, Math.round(SECONDS * options.share))
  const { runs, notes } = await interleave(`event-loop, ${title}`, options.rounds, ways, async (way) => {
    const target = await sinkTarget({})
    try {
      return await runClient<LoopLine>(way.command, { seconds, ...way.words, ...target.words })
    } finally {
      target.kill()
    }
  })
  return {
    title: `${title} (median of ${options.rounds})`,
    rowsAre: 'client',
    columns: ['delay p50, ms', 'p99, ms', 'p99.9, ms', 'most, ms', 'cores busy', 'records/s'],
    rows: [...runs].map(([{ name }, all]) => ({
      label: name,
      figures: [
        middle(all, (one) => one.p50Ms),
        middle(all, (one) => one.p99Ms),
        middle(all, (one) => one.p999Ms),
        middle(all, (one) => one.maxMs),
        middle(all, (one) => one.cpuShare),
        middle(all, (one) => one.recordsPerSecond),
      ],
    })),
    notes,
    bars: ['p99, ms'],
  }
}

async function run(options: Options): Promise<Section[]> {
  const plain = await section(
    options,
    `${RATE.toLocaleString('en-US')} records/s of 100 B`,
    plainWays(options),
  )
  const title = `${COMPRESSED_RATE.toLocaleString('en-US')} JSON events/s of 1 KiB, 128 KiB batches, fast engines`
  return [plain, await section(options, title, compressedWays(options))]
}

export const eventLoopScenario: Scenario = {
  name: 'event-loop',
  summary: 'delay of the event loop at a steady rate, and what compressing on the thread pool does to it',
  run,
}
