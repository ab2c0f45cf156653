/** What this package is meant to reach, each held against the figures of the report's parts. */
import type { PartName } from './report.js'
import { figure, type Section } from './section.js'

type Measured = (part: PartName) => readonly Section[]

interface Target {
  readonly text: string
  /** At most or at least so much. */
  readonly limit: readonly ['<=' | '>=', number]
  readonly of: (measured: Measured) => number
}

/** The figure of the first row whose section and label match; NaN where it was not measured. */
function cell(
  part: PartName,
  section: RegExp,
  label: RegExp,
  column: number,
): (measured: Measured) => number {
  return (measured) => {
    const rows = measured(part).find(({ title }) => section.test(title))?.rows ?? []
    // JSON has null where there was no number.
    return (
      (rows.find((row) => label.test(row.label))?.figures[column] as number | null | undefined) ?? Number.NaN
    )
  }
}

type Cell = ReturnType<typeof cell>

function ratio(one: Cell, other: Cell): Cell {
  return (measured) => one(measured) / other(measured)
}

function most(part: PartName, label: RegExp, column: number): Cell {
  return (measured) =>
    Math.max(
      ...measured(part).flatMap(({ rows }) =>
        rows.filter((row) => label.test(row.label)).map(({ figures }) => figures[column] ?? Number.NaN),
      ),
    )
}

const alone = /^kafka-producer, promises, packages alone/
const native = /^kafka-producer, promises, native/
const callbacks = /^kafka-producer, callbacks, native/
const go = /^franz-go/
const CPU = 0
const CPU_OF_JAVA = 1
const SPEED_OF_JAVA = 3
const GC_SHARE = 5

const shapes = [
  ['100 B, 16 KiB batches', /^100 B values, 16 KiB/, 0.6],
  ['1 KiB, 16 KiB batches', /^1024 B values, 16 KiB/, 1],
  ['100 B, 128 KiB batches', /^100 B values, 128 KiB/, 0.6],
  ['1 KiB, 128 KiB batches', /^1024 B values, 128 KiB/, 1],
] as const
const codecs = ['gzip', 'snappy', 'lz4', 'zstd'] as const
/** gzip and zstd have no engine in an optional package. */
const fastLabel = (codec: string): RegExp =>
  codec === 'snappy' || codec === 'lz4'
    ? /^kafka-producer, native.*Node 24/
    : /^kafka-producer, packages alone.*Node 24/

const all: readonly Target[] = [
  ...(
    [
      ['lean', ''],
      ['lean-newer', ', newer Node'],
    ] as const
  ).flatMap(([part, where]) =>
    shapes.flatMap(([shape, section, limit]): Target[] => [
      {
        text: `${shape}, packages alone${where}: CPU, of Java's`,
        limit: ['<=', limit],
        of: cell(part, section, alone, CPU_OF_JAVA),
      },
      {
        text: `${shape}, native packages${where}: CPU, of Java's`,
        limit: ['<=', 0.5],
        of: cell(part, section, native, CPU_OF_JAVA),
      },
      {
        text: `${shape}, native packages${where}: CPU, of franz-go's`,
        limit: ['<=', 1],
        of: ratio(cell(part, section, native, CPU), cell(part, section, go, CPU)),
      },
      {
        text: `${shape}${where}: callbacks' CPU, of promises'`,
        limit: ['<=', 1],
        of: ratio(cell(part, section, callbacks, CPU), cell(part, section, native, CPU)),
      },
    ]),
  ),
  {
    text: "100 B, 16 KiB batches: records/s, of Java's",
    limit: ['>=', 1],
    of: cell('lean', /^100 B values, 16 KiB/, native, SPEED_OF_JAVA),
  },
  {
    text: '100 B, 16 KiB batches: garbage collection, % of the time',
    limit: ['<=', 5],
    of: cell('lean', /^100 B values, 16 KiB/, native, GC_SHARE),
  },
  ...(['100', '1024'] as const).flatMap((size): Target[] => [
    {
      text: `${size} B, each awaited by its own task: CPU, of Java's`,
      limit: ['<=', 1],
      of: cell('task', new RegExp(`^${size} B`), /^kafka-producer, native/, CPU_OF_JAVA),
    },
    {
      text: `${size} B, string keys and a header: CPU, of that without`,
      limit: ['<=', 1.5],
      of: ratio(
        cell('keyed', new RegExp(`^${size} B`), native, CPU),
        cell('lean', new RegExp(`^${size} B values, 16 KiB`), native, CPU),
      ),
    },
    {
      text: `${size} B to real Kafka: records/s, of Java's`,
      limit: ['>=', 1],
      of: cell('real', new RegExp(`^${size} B`), native, SPEED_OF_JAVA),
    },
    {
      text: `${size} B to real Kafka: CPU, of Java's`,
      limit: ['<=', 1],
      of: cell('real', new RegExp(`^${size} B`), native, CPU_OF_JAVA),
    },
  ]),
  {
    text: "Latency at 2,000 records/s: p50, of Java's",
    limit: ['<=', 1],
    of: ratio(cell('latency', /records\/s/, /^kafka-producer/, 0), cell('latency', /records\/s/, /^java/, 0)),
  },
  {
    text: "Latency at 2,000 records/s: p99, of franz-go's",
    limit: ['<=', 1],
    of: ratio(cell('latency', /records\/s/, /^kafka-producer/, 1), cell('latency', /records\/s/, go, 1)),
  },
  ...(['java', 'franz-go'] as const).map((peer): Target => ({
    text: `Sends awaited one by one: records/s, of ${peer}'s`,
    limit: ['>=', 1],
    of: ratio(
      cell('latency', /awaited/, /^kafka-producer/, 3),
      cell('latency', /awaited/, new RegExp(`^${peer}`), 3),
    ),
  })),
  ...(['partition', 'topic', 'broker', 'on their way'] as const).map((what): Target => ({
    text: `Growth (${what}): the most that a record costs, of the first`,
    limit: ['<=', 1.25],
    of: most('partitions', new RegExp(what), 1),
  })),
  ...(['awaited', 'not awaited'] as const).flatMap((how) =>
    (['late', 'no answers'] as const).map((end): Target => {
      const row = new RegExp(`^kafka-producer, ${how}, .*${end}`)
      return {
        text: `Stall (${how}, ${end}): peak memory, of idle + 2 x bufferMemory + 120 MB`,
        limit: ['<=', 1],
        of: ratio(cell('stall', /./, row, 3), cell('stall', /./, row, 4)),
      }
    }),
  ),
  {
    text: 'Event loop at 100,000 records/s: p99, ms',
    limit: ['<=', 3],
    of: cell('event-loop', /records\/s/, /^kafka-producer/, 1),
  },
  ...codecs.flatMap((codec): Target[] => {
    const section = new RegExp(`^${codec},`)
    return [
      {
        text: `${codec}, packages alone, Node 20: CPU, of kafkajs's`,
        limit: ['<=', 1],
        of: ratio(
          cell('compression', section, /^kafka-producer, packages alone.*Node 20/, CPU),
          cell('compression', section, /^kafkajs, Node 20/, CPU),
        ),
      },
      {
        text: `${codec}, packages alone, Node 24: CPU, of @platformatic/kafka's`,
        limit: ['<=', 1],
        of: ratio(
          cell('compression', section, /^kafka-producer, packages alone.*Node 24/, CPU),
          cell('compression', section, /^platformatic/, CPU),
        ),
      },
      {
        text: `${codec}, fastest engine, Node 24: CPU, of @platformatic/kafka's`,
        limit: ['<=', 1],
        of: ratio(
          cell('compression', section, fastLabel(codec), CPU),
          cell('compression', section, /^platformatic/, CPU),
        ),
      },
    ]
  }),
  ...(['the sink', 'real Kafka'] as const).flatMap((end) =>
    (['packages alone', 'native packages'] as const).flatMap((engines): Target[] => {
      const row = new RegExp(`^kafka-producer.*${engines}, TLS`)
      return [
        {
          text: `TLS to ${end}, ${engines}: records/s, of plaintext's`,
          limit: ['>=', 0.7],
          of: cell('tls', new RegExp(end), row, 1),
        },
        {
          text: `TLS to ${end}, ${engines}: CPU, of Java's over TLS`,
          limit: ['<=', 1],
          of: cell('tls', new RegExp(end), row, 3),
        },
      ]
    }),
  ),
  ...(['100', '1024'] as const).map((size): Target => ({
    text: `${size} B in transactions of 1,000: records/s, of kafka-producer-perf-test's`,
    limit: ['>=', 1],
    of: ratio(
      cell('transactions', new RegExp(`^${size}-byte`), /^kafka-producer, packages alone/, 0),
      cell('transactions', new RegExp(`^${size}-byte`), /^kafka-producer-perf-test/, 0),
    ),
  })),
  { text: 'Start: import, ms', limit: ['<=', 40], of: cell('startup', /./, /^kafka-producer/, 0) },
  ...(['confluent', 'kafkajs'] as const).map((peer): Target => ({
    text: `Start: first ack, of ${peer}'s`,
    limit: ['<=', 1],
    of: ratio(cell('startup', /./, /^kafka-producer/, 1), cell('startup', /./, new RegExp(`^${peer}`), 1)),
  })),
]

/** A Markdown table: each target, what was measured, and whether it is met. */
export function targets(measured: Measured): string {
  const rows = all.map(({ text, limit: [sense, limit], of }) => {
    const value = of(measured)
    const met = sense === '<=' ? value <= limit : value >= limit
    const verdict = Number.isFinite(value) ? (met ? 'yes' : '**no**') : 'not measured'
    const bound = `${sense === '<=' ? 'at most' : 'at least'} ${limit}`
    return `| ${text} | ${bound} | ${figure(value)} | ${verdict} |`
  })
  return ['| target | | measured | met |', '| --- | --- | ---: | --- |', ...rows].join('\n')
}
