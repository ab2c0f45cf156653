/** Whether a record costs the same however many partitions, topics, brokers and records on their way there are. */
import { interleave, measure, sinkTarget, windowOf, type Options, type Scenario } from '../bench.js'
import { ours } from '../contenders.js'
import type { Words } from '../processes.js'
import { middle, type Section } from '../section.js'

const RECORDS = 2_000_000
const SIZE = 100
const SMALL_BATCH = 8192
/** Records of 100 bytes: those of two batches of 8 KiB, and some more: the loop may wait for one of the batch before. */
const PER_PARTITION = 200
/** Room for so many on their way to each of 1,000 partitions. */
const MUCH_MEMORY = 128 * 2 ** 20
/** Longer than a round over all partitions takes, so that it is the size that closes batches, as with one partition. */
const LONG_LINGER_MS = 1000

interface Growth {
  readonly name: string
  readonly sink: Words
  readonly load: Words
}

interface Series {
  readonly title: string
  readonly steps: readonly Growth[]
}

const series: readonly Series[] = [
  {
    title: `partitions, records to each in turn, ${PER_PARTITION} on their way for each`,
    steps: [1, 10, 100, 1000].map((partitions) => ({
      name: count(partitions, 'partition'),
      sink: { partitions },
      load: {
        spread: partitions,
        outstanding: PER_PARTITION * partitions,
        batchSize: SMALL_BATCH,
        lingerMs: LONG_LINGER_MS,
        bufferMemory: MUCH_MEMORY,
      },
    })),
  },
  {
    title: 'partitions, sticky partitioner, 10,000 on their way',
    steps: [1, 100, 1000].map((partitions) => ({
      name: count(partitions, 'partition'),
      sink: { partitions },
      load: { outstanding: 10_000 },
    })),
  },
  {
    title: 'topics of 6 partitions, records to each in turn, 2,000 on their way for each, 20,000 at least',
    steps: [1, 10, 50].map((topics) => ({
      name: count(topics, 'topic'),
      sink: { topics, partitions: 6 },
      load: { topics, outstanding: Math.max(20_000, 2000 * topics), bufferMemory: MUCH_MEMORY },
    })),
  },
  {
    title: 'brokers, 12 partitions, 10,000 on their way',
    steps: [1, 3, 12].map((brokers) => ({
      name: count(brokers, 'broker'),
      sink: { brokers, partitions: 12 },
      load: { outstanding: 10_000 },
    })),
  },
  {
    title: 'records on their way, 6 partitions',
    steps: [1000, 10_000, 100_000].map((outstanding) => ({
      name: `${outstanding.toLocaleString('en-US')} on their way`,
      sink: { partitions: 6 },
      load: { outstanding },
    })),
  },
]

function count(number: number, what: string): string {
  return `${number.toLocaleString('en-US')} ${what}${number === 1 ? '' : 's'}`
}

async function section(options: Options, { title, steps }: Series): Promise<Section> {
  const { runs, notes } = await interleave(title, options.rounds, steps, async (step) => {
    const [contender] = ours(options.node, 'lean', options.engines.slice(-1))
    if (contender === undefined) throw new Error('no engines to measure with')
    const load = {
      size: SIZE,
      batchSize: 16_384,
      records: windowOf(options, RECORDS),
      warmupMs: options.warmupMs,
      ...step.load,
    }
    return measure(contender, load, await sinkTarget({ check: options.check, ...step.sink }))
  })
  const [first = []] = runs.values()
  const cost = middle(first, (run) => run.cpuSecondsPerMillion)
  return {
    title: `${title} (median of ${options.rounds})`,
    rowsAre: 'kafka-producer, promises, 100 B values',
    columns: ['CPU-s per million', 'of the first', 'records/s', 'records per batch', 'peak RSS, MB'],
    rows: [...runs].map(([{ name }, all]) => ({
      label: name,
      figures: [
        middle(all, (run) => run.cpuSecondsPerMillion),
        middle(all, (run) => run.cpuSecondsPerMillion) / cost,
        middle(all, (run) => run.recordsPerSecond),
        middle(all, (run) => (run.sink?.records ?? Number.NaN) / (run.sink?.batches ?? Number.NaN)),
        Math.round(middle(all, (run) => run.peakRssMB)),
      ],
    })),
    notes,
    bars: [],
  }
}

async function run(options: Options): Promise<Section[]> {
  const sections: Section[] = []
  for (const one of series) sections.push(await section(options, one))
  return sections
}

export const partitionsScenario: Scenario = {
  name: 'partitions',
  summary: 'whether a record costs the same with more partitions, topics, brokers and records on their way',
  run,
}
