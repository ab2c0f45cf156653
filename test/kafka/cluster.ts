/**
 * Real Apache Kafka for the tests: `describeKafka` is a describe whose tests get a cluster of Kafka's own brokers and
 * Kafka's own programs to look at it with. Where Kafka cannot run, the titles of the tests that are left out say why;
 * with CI=true they fail. KAFKA_VERSION chooses the version, KAFKA_BOOTSTRAP a cluster that is already there.
 */
import { randomBytes } from 'node:crypto'
import fs from 'node:fs'
import { request } from 'node:http'
import os from 'node:os'
import path from 'node:path'
import { afterAll, beforeAll, describe, inject } from 'vitest'
import { parseDump, type DumpedBatch } from './dump-log.js'
import type { KafkaSecurity, OwnerRequest, Readiness } from './global-setup.js'
import { kill, pause, restart, resume } from './launcher/chaos.mjs'
import { describe as describeCluster } from './launcher/describe.mjs'
import { javaCommand } from './launcher/java.mjs'
import { load } from './launcher/state.mjs'
import { token } from './launcher/token.mjs'
import type { ClusterDescription } from './launcher/types.js'
import { atLeast, DEFAULT_VERSION } from './launcher/versions.mjs'
import { run, type RunOptions } from './run.js'

export interface KafkaOptions {
  /** 1, or 3 with replication factor 3 and min.insync.replicas 2. */
  readonly brokers: 1 | 3
  /** A version that the test is about; otherwise KAFKA_VERSION's, or the newest. */
  readonly version?: string
  /** More broker settings; a cluster is shared by those who want the same. */
  readonly conf?: Readonly<Record<string, string>>
  /** The listeners with TLS and SASL as well. */
  readonly security?: KafkaSecurity
  /** Loggers at DEBUG, for tests that read the brokers' logs. */
  readonly debug?: readonly string[]
  /** A cluster that nobody else uses, to kill, pause or put a proxy before; stopped after the last test. */
  readonly own?: boolean
}

export interface NewTopic {
  readonly name: string
  readonly partitions: number
  /** Default: the broker's, which is 3 on three brokers and 1 on one. */
  readonly replicationFactor?: number
  readonly config?: Readonly<Record<string, string>>
}

/** A record as Kafka's own consumer read it. */
export interface ConsumedRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly timestampType: 'CreateTime' | 'LogAppendTime'
  readonly key: Buffer | null
  readonly value: Buffer | null
  readonly headers: readonly (readonly [string, Buffer | null])[]
}

export type Isolation = 'read_uncommitted' | 'read_committed'

/** A send and what became of it, in the order of the sends. Values are unique; no tab and no line break in either. */
export interface SentRecord {
  readonly key: string
  readonly value: string
  /** `unknown`: failed with mayHaveBeenWritten; `failed`: certainly not written. */
  readonly outcome: 'acknowledged' | 'unknown' | 'failed'
  readonly partition?: number
  readonly offset?: bigint | number
}

/** What Kafka's own consumer found, compared with what the producer was told; Verify.java says what each counts. */
export interface Verdict {
  readonly sent: number
  readonly records: number
  readonly missing: number
  readonly duplicates: number
  readonly reordered: number
  readonly misplaced: number
  readonly unexpected: number
  readonly unknownStored: number
  readonly firstProblems: readonly string[]
}

export class RealKafka {
  readonly version: string
  readonly brokers: number
  readonly bootstrapServers: string
  /** False for the cluster of KAFKA_BOOTSTRAP: its brokers and files are out of reach. */
  readonly owned: boolean
  readonly #dir: string | undefined
  readonly #classes: string
  readonly #created: string[] = []

  constructor(options: KafkaOptions, ready: { version: string; classes: string }, dir: string | undefined) {
    this.version = ready.version
    this.brokers = options.brokers
    this.owned = dir !== undefined
    this.#dir = dir
    this.#classes = ready.classes
    this.bootstrapServers =
      dir === undefined ? (process.env['KAFKA_BOOTSTRAP'] ?? '') : this.describe().bootstrap['PLAINTEXT']!
  }

  /** Ports, processes, folders and logs as they are at this moment. */
  describe(): ClusterDescription {
    return describeCluster(load(this.#ownDir()))
  }

  /** The addresses of a listener of a cluster with `security`, such as 'SASL_SSL'. */
  listener(name: string): string {
    const servers = this.describe().bootstrap[name]
    if (servers === undefined) throw new Error(`the cluster has no listener ${name}`)
    return servers
  }

  /** A certificate or key in PEM or PKCS#12 of a cluster with `security`: 'ca.pem', 'client.p12'. */
  certificate(name: string): Buffer {
    return fs.readFileSync(path.join(this.#ownDir(), 'certs', name))
  }

  /** A bearer token for the OAUTHBEARER listeners of a cluster with `security`. */
  token(options: { readonly unsecured?: boolean; readonly audience?: string } = {}): string {
    return token(this.#ownDir(), options)
  }

  /** SIGKILL. */
  async kill(id: number): Promise<void> {
    await kill(load(this.#ownDir()), id)
  }

  /** SIGSTOP: the broker keeps its connections and answers nothing. */
  pause(id: number): void {
    pause(load(this.#ownDir()), id)
  }

  resume(id: number): void {
    resume(load(this.#ownDir()), id)
  }

  /** Stops the broker if it runs (`hard`: without a goodbye), starts it, and waits until it knows the cluster. */
  async restart(id: number, options: { readonly hard?: boolean } = {}): Promise<void> {
    await restart(load(this.#ownDir()), id, options)
  }

  async stop(): Promise<void> {
    await askOwner({ ask: 'stop', dir: this.#ownDir() })
  }

  /** A name that no other test uses. */
  topicName(prefix: string): string {
    return `${prefix}-${randomBytes(4).toString('hex')}`
  }

  /** Returns when every partition has its leader and all its replicas. */
  async createTopics(topics: readonly NewTopic[]): Promise<void> {
    await this.program('Topics', [this.bootstrapServers], {
      input: topics
        .map(({ name, partitions, replicationFactor = -1, config = {} }) =>
          [
            'create',
            name,
            partitions,
            replicationFactor,
            ...Object.entries(config).map(([k, v]) => `${k}=${v}`),
          ].join(' '),
        )
        .join('\n'),
    })
    this.#created.push(...topics.map(({ name }) => name))
  }

  /** Creates a topic under a name of its own, which is returned. */
  async createTopic(prefix: string, partitions: number, more: Partial<NewTopic> = {}): Promise<string> {
    const name = this.topicName(prefix)
    await this.createTopics([{ ...more, name, partitions }])
    return name
  }

  /** Deletes a topic and creates another one of its name; returns when that has its leader and all its replicas. */
  async recreateTopic(name: string, partitions: number): Promise<void> {
    await this.program('Topics', [this.bootstrapServers], { input: `delete ${name}` })
    await this.createTopics([{ name, partitions }])
  }

  /** What a cluster that lives on would keep of this test file. */
  async deleteCreatedTopics(): Promise<void> {
    const input = [...new Set(this.#created.splice(0))].map((name) => `delete ${name}`)
    if (input.length > 0) await this.program('Topics', [this.bootstrapServers], { input: input.join('\n') })
  }

  /** All that the topics hold now, partition by partition in the order of the log. */
  async consume(
    topics: string | readonly string[],
    isolation: Isolation = 'read_uncommitted',
  ): Promise<ConsumedRecord[]> {
    const records: ConsumedRecord[] = []
    const bytes = (hex: string | null) => (hex === null ? null : Buffer.from(hex, 'hex'))
    await this.program('Consume', [this.bootstrapServers, isolation, ...[topics].flat()], {
      onLine: (line) => {
        const r = JSON.parse(line) as Omit<ConsumedRecord, 'key' | 'value' | 'headers'> & {
          key: string | null
          value: string | null
          headers: [string, string | null][]
        }
        records.push({
          ...r,
          key: bytes(r.key),
          value: bytes(r.value),
          headers: r.headers.map(([name, value]) => [name, bytes(value)]),
        })
      },
    })
    return records.sort((a, b) =>
      a.topic < b.topic ? -1 : a.topic > b.topic ? 1 : a.partition - b.partition || a.offset - b.offset,
    )
  }

  /** What a consumer group has committed: the offset by partition, as in `orders-0`. */
  async groupOffsets(groupId: string): Promise<Map<string, number>> {
    const offsets = new Map<string, number>()
    await this.program('GroupOffsets', [this.bootstrapServers, groupId], {
      onLine: (line) => {
        const [topic, partition, offset] = line.split('\t')
        offsets.set(`${topic}-${partition}`, Number(offset))
      },
    })
    return offsets
  }

  /** Compares the log with what the producer was told; hundreds of thousands of records are no burden. */
  async verify(
    topic: string,
    sent: readonly SentRecord[],
    isolation: Isolation = 'read_uncommitted',
  ): Promise<Verdict> {
    const file = path.join(os.tmpdir(), `${topic}-${randomBytes(4).toString('hex')}.sent`)
    const lines = sent.map(
      (r) => `${r.key}\t${r.value}\t${r.outcome}\t${r.partition ?? -1}\t${r.offset ?? -1}\n`,
    )
    try {
      fs.writeFileSync(file, lines.join(''))
      return JSON.parse(
        await this.program('Verify', [this.bootstrapServers, isolation, topic, file]),
      ) as Verdict
    } finally {
      fs.rmSync(file, { force: true })
    }
  }

  /**
   * The batches of a topic as Kafka's log dump tool sees them in the broker's files, partition by partition; with
   * `markers`, what the markers of transactions say.
   */
  async dumpLog(
    topic: string,
    partition?: number,
    { markers = false }: { readonly markers?: boolean } = {},
  ): Promise<DumpedBatch[]> {
    const logDirs = this.describe().brokers.map((b) => b.logDir)
    const files: string[] = []
    const partitions = new Set(
      logDirs.flatMap((dir) =>
        fs
          .readdirSync(dir)
          .flatMap((name) => (name.startsWith(`${topic}-`) ? [Number(name.slice(topic.length + 1))] : [])),
      ),
    )
    for (const p of [...partitions].sort((a, b) => a - b)) {
      if (partition !== undefined && p !== partition) continue
      // A follower may be a step behind: the longest replica has all that was acknowledged.
      const replicas = logDirs.map((dir) => segments(path.join(dir, `${topic}-${p}`)))
      files.push(...replicas.reduce((a, b) => (b.bytes > a.bytes ? b : a)).files)
    }
    if (files.length === 0) throw new Error(`no broker has a log of ${topic}`)
    const deep = markers ? ['--deep-iteration'] : []
    return parseDump(await this.tool('kafka.tools.DumpLogSegments', [...deep, '--files', files.join(',')]))
  }

  /** What Kafka's console consumer prints for `count` records: partition, offset, key and value, tab-separated. */
  async consoleConsume(topic: string, count: number, onLine: (line: string) => void): Promise<void> {
    const cls = atLeast(this.version, '3.8')
      ? 'org.apache.kafka.tools.consumer.ConsoleConsumer'
      : 'kafka.tools.ConsoleConsumer'
    const property = atLeast(this.version, '4.2') ? '--formatter-property' : '--property'
    const print = ['partition', 'offset', 'key'].flatMap((what) => [property, `print.${what}=true`])
    await this.tool(
      cls,
      ['--bootstrap-server', this.bootstrapServers, '--topic', topic, '--from-beginning', ...print].concat(
        // The timeout is for a topic that holds too little; the count of lines then tells.
        ['--max-messages', String(count), '--timeout-ms', '30000'],
      ),
      { onLine },
    )
  }

  /** Runs a command-line class of Kafka's own to its end; its stdout. */
  tool(cls: string, args: readonly string[], options?: RunOptions): Promise<string> {
    return run(javaCommand(this.version, cls, args), options)
  }

  /** Runs one of the programs in test/kafka/java to its end; its stdout. */
  program(name: string, args: readonly string[], options?: RunOptions): Promise<string> {
    return run(javaCommand(this.version, name, args, { classes: [this.#classes] }), options)
  }

  #ownDir(): string {
    if (this.#dir === undefined) throw new Error('the cluster of KAFKA_BOOTSTRAP is not ours to touch')
    return this.#dir
  }
}

function segments(dir: string): { files: string[]; bytes: number } {
  if (!fs.existsSync(dir)) return { files: [], bytes: -1 }
  const names = fs.readdirSync(dir).filter((name) => name.endsWith('.log'))
  const files = names.sort().map((name) => path.join(dir, name))
  return { files, bytes: files.reduce((sum, file) => sum + fs.statSync(file).size, 0) }
}

/** A running cluster, shared or one's own; throws where Kafka cannot run. Test files use `describeKafka`. */
async function realKafka(options: KafkaOptions): Promise<RealKafka> {
  const ready = await readiness(options)
  if ('missing' in ready) throw new Error(`real Kafka is needed (CI=true), but: ${ready.missing}`)
  if (process.env['KAFKA_BOOTSTRAP']) return new RealKafka(options, ready, undefined)
  const { brokers, conf = {}, own = false, security, debug = [] } = options
  const { version } = ready
  const dir = (await askOwner({ ask: 'cluster', version, brokers, conf, own, security, debug })) as string
  return new RealKafka(options, ready, dir)
}

const readiness = async ({ version = DEFAULT_VERSION }: KafkaOptions): Promise<Readiness> =>
  (await askOwner({ ask: 'readiness', version })) as Readiness

/**
 * A `describe` for tests against real Kafka; `kafka()` is the cluster, from beforeAll on. With KAFKA_BOOTSTRAP, tests
 * that want a cluster of their own or settings of their own are left out, and their titles say so.
 */
export function describeKafka(
  title: string,
  options: KafkaOptions,
  body: (kafka: () => RealKafka) => void,
): void {
  describe(title, { timeout: 180_000 }, async () => {
    const { own, conf, security, version } = options
    const isElsewhere = process.env['KAFKA_BOOTSTRAP'] && (own || conf || security || version)
    const reason = isElsewhere ? loudly(NOT_OURS) : await whyNoKafka(options)
    let cluster: RealKafka | undefined
    const kafka = () => {
      if (cluster === undefined) throw new Error('the cluster is there from beforeAll on')
      return cluster
    }
    if (reason !== undefined) {
      describe.skip(`(left out: ${reason})`, () => body(kafka))
      return
    }
    beforeAll(async () => {
      cluster = await realKafka(options)
    }, 1_200_000)
    afterAll(async () => {
      if (cluster?.owned === false) await cluster.deleteCreatedTopics()
      else if (own) await cluster?.stop()
    }, 120_000)
    body(kafka)
  })
}

/** Within `describeKafka`: tests that look into the brokers' files; left out, by their title, with KAFKA_BOOTSTRAP. */
export function describeFiles(title: string, body: () => void): void {
  if (process.env['KAFKA_BOOTSTRAP']) describe.skip(`${title} (left out: ${loudly(NOT_OURS)})`, body)
  else describe(title, body)
}

const NOT_OURS = 'KAFKA_BOOTSTRAP names a cluster whose brokers and files these tests cannot touch'

function loudly(reason: string): string {
  process.stderr.write(`\nLEFT OUT: ${reason}\n`)
  return reason
}

async function whyNoKafka(options: KafkaOptions): Promise<string | undefined> {
  const ready = await readiness(options)
  if (!('missing' in ready)) return undefined
  // In CI the tests stay in, and fail with the reason when they ask for their cluster.
  return process.env['CI'] === 'true' ? undefined : ready.missing
}

/** A call to the run's owner of clusters; without a time limit, since a first one may fetch jars. */
function askOwner(asked: OwnerRequest): Promise<unknown> {
  const url = inject('realKafkaOwner') as string | undefined
  if (url === undefined) throw new Error("test/kafka/global-setup.ts is not among vitest's globalSetup files")
  return new Promise((resolve, reject) => {
    const call = request(url, { method: 'POST' }, (response) => {
      let text = ''
      response.setEncoding('utf8').on('data', (chunk: string) => (text += chunk))
      response.on('end', () =>
        response.statusCode === 200 ? resolve(JSON.parse(text)) : reject(new Error(text)),
      )
    })
    call.on('error', reject)
    call.end(JSON.stringify(asked))
  })
}
