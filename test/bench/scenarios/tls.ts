/** What encryption costs: records of 1 KiB over TLS and in plaintext, to the sink, beside the Java client over TLS. */
import { interleave, measure, sinkTarget, windowOf, type Options, type Run, type Scenario } from '../bench.js'
import { ours, peer, type Contender } from '../contenders.js'
import { withKafka } from '../kafka-target.js'
import { middle, type Section } from '../section.js'

const RECORDS = 1_000_000
const SIZE = 1024
/** A broker on the same machine takes the records several times more slowly. */
const REAL_SHARE = 0.3

interface Way {
  readonly name: string
  readonly contender: Contender
  readonly tls: boolean
}

function ways(options: Options): Way[] {
  const peers = options.peers.filter((name) => name === 'java' || name === 'franz-go' || name === 'confluent')
  const contenders = [
    ...peers.flatMap((name) => peer(name, 'lean')),
    ...ours(options.node, 'lean', options.engines).filter(({ loop }) => loop === 'lean'),
  ]
  return contenders.flatMap((contender) =>
    [false, true].map((tls) => ({
      name: `${contender.name}, ${tls ? 'TLS' : 'plaintext'}`,
      contender,
      tls,
    })),
  )
}

function section(title: string, runs: ReadonlyMap<Way, readonly Run[]>, notes: readonly string[]): Section {
  const cpu = (all: readonly Run[]): number => middle(all, (run) => run.cpuSecondsPerMillion)
  const speed = (all: readonly Run[]): number => middle(all, (run) => run.recordsPerSecond)
  const runsOf = (found: (way: Way) => boolean): readonly Run[] =>
    [...runs].find(([way]) => found(way))?.[1] ?? []
  const java = runsOf((way) => way.tls && way.contender.name.startsWith('Java'))
  return {
    title,
    rowsAre: 'client',
    columns: ['records/s', 'of its plaintext', 'CPU-s per million', 'of Java over TLS', 'CPU-s of the sink'],
    rows: [...runs].map(([way, all]) => ({
      label: way.name,
      figures: [
        speed(all),
        speed(all) / speed(runsOf((other) => !other.tls && other.contender === way.contender)),
        cpu(all),
        way.tls ? cpu(all) / cpu(java) : Number.NaN,
        middle(all, ({ sink }) => (sink === undefined ? Number.NaN : (sink.cpuSeconds * 1e6) / sink.records)),
      ],
    })),
    notes,
    bars: ['CPU-s per million'],
  }
}

async function run(options: Options): Promise<Section[]> {
  const [batchSize = 16_384] = options.batchSizes
  const load = { size: SIZE, batchSize, warmupMs: options.warmupMs, outstanding: options.outstanding }
  const what = `1 KiB values, ${batchSize / 1024} KiB batches`
  const toSink = await interleave('tls, sink', options.rounds, ways(options), async ({ contender, tls }) =>
    measure(
      contender,
      { ...load, records: windowOf(options, RECORDS) },
      await sinkTarget({ check: options.check, tls }),
    ),
  )
  const toKafka = await withKafka((kafka) =>
    interleave('tls, real Kafka', options.rounds, ways(options), ({ contender, tls }) =>
      measure(
        contender,
        { ...load, records: windowOf(options, RECORDS * REAL_SHARE) },
        kafka.target(tls ? 'SSL' : 'PLAINTEXT'),
      ),
    ),
  )
  return [
    section(`${what}, to the sink (median of ${options.rounds})`, toSink.runs, [
      ...options.leftOut,
      ...toSink.notes,
    ]),
    section(`${what}, to real Kafka (median of ${options.rounds})`, toKafka.runs, toKafka.notes),
  ]
}

export const tlsScenario: Scenario = {
  name: 'tls',
  summary: 'records of 1 KiB over TLS and in plaintext, to the sink and to real Kafka',
  run,
}
