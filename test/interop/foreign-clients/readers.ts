/**
 * Other people's Kafka clients as readers of what we wrote: Kafka's own of 4.2 and of 2.1 (the oldest that brokers of
 * 4.x serve), librdkafka through Python, and franz-go. Each is fetched the first time, into node_modules/.cache;
 * `npm install` knows nothing of them.
 */
import fs from 'node:fs'
import path from 'node:path'
import { compileCommand, javaCommand } from '../../kafka/launcher/java.mjs'
import { CACHE } from '../../kafka/launcher/versions.mjs'
import type { RealKafka } from '../../kafka/cluster.js'
import { run } from '../../kafka/run.js'

const OLD_KAFKA = '2.1.1'
const FETCH_MS = 900_000

const sources = __dirname
const cache = path.resolve(__dirname, '../../../node_modules/.cache/foreign-clients')
const javaSources = path.resolve(__dirname, '../../kafka/java')

/** A record as a reader saw it; keys and values in hex. */
export interface ReadBack {
  readonly partition: number
  readonly offset: number
  readonly key: string | null
  readonly value: string | null
}

export interface Topic {
  readonly name: string
  readonly partitions: number
  /** How many records it holds. */
  readonly records: number
}

export interface Reader {
  readonly name: string
  /** Fetches and builds it; rejects with what is missing. */
  readonly prepare: () => Promise<void>
  readonly read: (kafka: RealKafka, topic: Topic) => Promise<ReadBack[]>
}

/** Prints `partition offset key value` a line, given bootstrap servers, topic, partitions and records. */
async function readLines(command: readonly [string, ...string[]], kafka: RealKafka, topic: Topic) {
  const records: ReadBack[] = []
  const bytes = (hex: string) => (hex === '-' ? null : hex)
  const args = [kafka.bootstrapServers, topic.name, String(topic.partitions), String(topic.records)]
  await run([...command, ...args], {
    onLine: (line) => {
      const [partition, offset, key, value] = line.split(' ')
      records.push({
        partition: Number(partition),
        offset: Number(offset),
        key: bytes(key!),
        value: bytes(value!),
      })
    },
  })
  return records
}

const kafkaOfToday: Reader = {
  name: "Kafka's consumer of the broker's version",
  prepare: () => Promise.resolve(),
  read: async (kafka, { name }) =>
    (await kafka.consume(name)).map(({ partition, offset, key, value }) => ({
      partition,
      offset,
      key: key?.toString('hex') ?? null,
      value: value?.toString('hex') ?? null,
    })),
}

const oldClasses = path.join(cache, `kafka-${OLD_KAFKA}`)

const kafkaOfOld: Reader = {
  name: `Kafka's consumer ${OLD_KAFKA}`,
  async prepare() {
    if (!fs.existsSync(path.join(CACHE, OLD_KAFKA, '.complete'))) {
      const launcher = path.resolve(__dirname, '../../kafka/kafka.mjs')
      await run([process.execPath, launcher, 'install', OLD_KAFKA, '--no-cds'], { timeoutMs: FETCH_MS })
    }
    fs.mkdirSync(oldClasses, { recursive: true })
    const programs = ['Consume.java', 'ReadToEnd.java'].map((file) => path.join(javaSources, file))
    await run(compileCommand(OLD_KAFKA, programs, oldClasses))
  },
  async read(kafka, { name }) {
    const records: ReadBack[] = []
    const args = [kafka.bootstrapServers, 'read_uncommitted', name]
    await run(javaCommand(OLD_KAFKA, 'Consume', args, { classes: [oldClasses] }), {
      onLine: (line) => records.push(JSON.parse(line) as ReadBack),
    })
    return records
  },
}

const venv = path.join(cache, 'librdkafka')

const librdkafka: Reader = {
  name: 'librdkafka',
  async prepare() {
    const python = path.join(venv, 'bin', 'python')
    if (!fs.existsSync(python)) await run(['python3', '-m', 'venv', venv])
    const requirements = path.join(sources, 'librdkafka', 'requirements.txt')
    await run([python, '-m', 'pip', 'install', '--quiet', '-r', requirements], { timeoutMs: FETCH_MS })
  },
  read: (kafka, topic) =>
    readLines([path.join(venv, 'bin', 'python'), path.join(sources, 'librdkafka', 'read.py')], kafka, topic),
}

const franzGoProgram = path.join(cache, 'franz-go')

const franzGo: Reader = {
  name: 'franz-go',
  async prepare() {
    const folder = path.join(sources, 'franz-go')
    await run(['go', 'build', '-C', folder, '-o', franzGoProgram, '.'], { timeoutMs: FETCH_MS })
  },
  read: (kafka, topic) => readLines([franzGoProgram], kafka, topic),
}

export const readers: readonly Reader[] = [kafkaOfToday, kafkaOfOld, librdkafka, franzGo]
