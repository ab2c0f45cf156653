/** Real Kafka for a scenario: one broker of its own, compiled by the optimising compiler, its data thrown away after. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { progress, type Target } from './bench.js'

const launcher = join(__dirname, '..', '..', 'test', 'kafka', 'kafka.mjs')
const PORT = 27_600
const PARTITIONS = 6
/** What was measured may go: a run must not fill the disk for the next one. */
const FORGETFUL = [
  'log.retention.bytes=134217728',
  'log.segment.bytes=67108864',
  'log.retention.check.interval.ms=2000',
  'log.segment.delete.delay.ms=500',
  `num.partitions=${PARTITIONS}`,
]

interface Description {
  readonly version: string
  readonly bootstrap: Readonly<Record<string, string>>
  readonly certs?: { readonly ca: string }
}

export class Kafka {
  readonly version: string
  readonly #description: Description
  readonly #folder: string
  #topics = 0

  private constructor(description: Description, folder: string) {
    this.version = description.version
    this.#description = description
    this.#folder = folder
  }

  static start(): Kafka {
    progress('starting Kafka')
    const folder = mkdtempSync(join(tmpdir(), 'kafka-bench-'))
    const conf = FORGETFUL.flatMap((setting) => ['--conf', setting])
    const words = ['start', '--security', '--jit', 'c2', '--heap', '1g', '--port', String(PORT)]
    const description = JSON.parse(run([...words, '--dir', join(folder, 'data'), ...conf])) as Description
    return new Kafka(description, folder)
  }

  /** A topic of its own for a run. */
  target(listener: 'PLAINTEXT' | 'SSL' = 'PLAINTEXT'): Target {
    const bootstrapServers = this.#description.bootstrap[listener]
    if (bootstrapServers === undefined) throw new Error(`Kafka has no listener ${listener}`)
    const topic = `bench-run-${++this.#topics}`
    run([
      ...['tool', 'org.apache.kafka.tools.TopicCommand', '--create', '--topic', topic],
      ...[
        '--partitions',
        String(PARTITIONS),
        '--bootstrap-server',
        this.#description.bootstrap['PLAINTEXT'] ?? '',
      ],
    ])
    const ca = this.#description.certs?.ca
    return {
      pid: 0,
      words: { bootstrapServers, topic, ...(listener === 'SSL' && ca !== undefined ? { ca } : {}) },
      stop: () => Promise.resolve(undefined),
      kill: () => {},
    }
  }

  stop(): void {
    run(['stop', '--dir', join(this.#folder, 'data')])
    rmSync(this.#folder, { recursive: true, force: true })
  }
}

/** Starts Kafka, and stops it whatever happens. */
export async function withKafka<T>(work: (kafka: Kafka) => Promise<T>): Promise<T> {
  const kafka = Kafka.start()
  const stop = (): void => kafka.stop()
  const interrupted = (): void => process.exit(130)
  process.once('exit', stop).once('SIGINT', interrupted).once('SIGTERM', interrupted)
  try {
    return await work(kafka)
  } finally {
    process.off('exit', stop).off('SIGINT', interrupted).off('SIGTERM', interrupted)
    kafka.stop()
  }
}

function run(words: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(process.execPath, [launcher, ...words], { encoding: 'utf8' })
  if (status !== 0) throw new Error(`kafka.mjs ${words[0]}: ${stderr.trim().split('\n').at(-1)}`)
  return stdout
}
