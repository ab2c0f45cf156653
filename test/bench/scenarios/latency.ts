/** From `send` to the acknowledgement by real Kafka, without linger: at 2,000 records/s, and awaited one by one. */
import { interleave, type Options, type Scenario } from '../bench.js'
import {
  client,
  engineLabel,
  goCommand,
  javaCommand,
  nodeFor,
  ourCommand,
  type PeerName,
} from '../contenders.js'
import { withKafka, type Kafka } from '../kafka-target.js'
import { runClient, type Words } from '../processes.js'
import { middle, type Section } from '../section.js'

const RATE = 2000
const SECONDS = 10
const WARMUP_MS = 3000

interface LatencyLine {
  readonly recordsPerSecond: number
  readonly p50Ms: number
  readonly p99Ms: number
  readonly maxMs: number
  readonly cpuSecondsPerMillion: number
}

interface Sender {
  readonly name: string
  readonly command: readonly string[]
  readonly words: Words
}

function senders(options: Options): Sender[] {
  return [
    ...options.peers.map((name) => ({ name, ...howToStart(name) })),
    ...options.engines.map((engines) => ({
      name: `kafka-producer, ${engineLabel(engines)}`,
      command: ourCommand(options.node, engines, 'latency'),
      words: {},
    })),
  ]
}

function howToStart(name: PeerName): { command: readonly string[]; words: Words } {
  if (name === 'java') return { command: javaCommand(), words: {} }
  if (name === 'franz-go') return { command: goCommand(), words: {} }
  return { command: [nodeFor(name), client('latency')], words: { library: name } }
}

async function section(options: Options, kafka: Kafka, loop: 'paced' | 'awaited'): Promise<Section> {
  const what = loop === 'paced' ? `${RATE} records/s` : 'each awaited before the next'
  const load = {
    loop,
    rate: RATE,
    seconds: Math.max(2, Math.round(SECONDS * options.share)),
    warmupMs: Math.round(WARMUP_MS * Math.max(options.share, 0.5)),
    size: 100,
  }
  const { runs, notes } = await interleave(`latency, ${what}`, options.rounds, senders(options), (sender) =>
    runClient<LatencyLine>(sender.command, { ...load, ...sender.words, ...kafka.target().words }),
  )
  return {
    title: `100 B values, linger 0, real Kafka ${kafka.version}, ${what} (median of ${options.rounds})`,
    rowsAre: 'client',
    columns: ['p50, ms', 'p99, ms', 'worst p99 of a round', 'records/s', 'CPU-s per million'],
    rows: [...runs].map(([{ name }, all]) => ({
      label: name,
      figures: [
        middle(all, (one) => one.p50Ms),
        middle(all, (one) => one.p99Ms),
        Math.max(...all.map((one) => one.p99Ms)),
        middle(all, (one) => one.recordsPerSecond),
        middle(all, (one) => one.cpuSecondsPerMillion),
      ],
    })),
    notes: [...options.leftOut, ...notes],
    bars: loop === 'paced' ? ['p50, ms', 'p99, ms'] : ['records/s'],
  }
}

export const latencyScenario: Scenario = {
  name: 'latency',
  summary: `p50 and p99 to real Kafka at ${RATE} records/s, and of an awaited send in a loop`,
  run: (options) =>
    withKafka(async (kafka) => [
      await section(options, kafka, 'paced'),
      await section(options, kafka, 'awaited'),
    ]),
}
