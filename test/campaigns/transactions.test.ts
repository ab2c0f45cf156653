/**
 * Transactions while what they depend on is killed (SIGKILL). First brokers: of three real ones that which coordinates, or
 * that which leads a partition, dies during commits; each transaction must be all there or not at all, as its producer
 * was told. Then the process itself: examples/exactly-once.ts is killed at random and started again, and what it reads
 * must come out exactly once. Kafka's own consumer with read_committed is the witness. `npm run campaign -- transactions`
 * kills 200 brokers.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer, TimeoutError, type KafkaError, type Logger } from 'kafka-producer'
import { expect, test } from 'vitest'
import { describeKafka, type RealKafka } from '../kafka/cluster.js'
import { seededRandom } from '../kafka/random.js'
import { asked, report } from './campaign.js'

const seed = asked('SEED', 1)
const runs = asked('RUNS', 3)
const records = asked('RECORDS', 500)
const kills = Math.max(3, Math.floor(records / 100))

const PARTITIONS = 6
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }
/** Brokers are missed sooner than by default, so that the next kill need not wait so long. */
const QUICK = { 'broker.session.timeout.ms': '1500', 'broker.heartbeat.interval.ms': '200' }

/** Commits that are under way when a broker dies. */
const COMMITTERS = 3
const RECORDS_EACH = 24
/** A commit takes so long without a kill that hits it. */
const UNDISTURBED_MS = 300

type Told = 'committed' | 'aborted'

class Committer {
  readonly #producer: Producer
  readonly #topic: string
  readonly #name: string
  /** What was told of each transaction. */
  readonly told: Told[] = []
  /** How many commits took longer than they do undisturbed, and how many had to be asked about again. */
  hit = 0
  askedAgain = 0
  longestMs = 0

  constructor(kafka: RealKafka, topic: string, name: string) {
    this.#topic = topic
    this.#name = name
    this.#producer = new Producer({
      bootstrapServers: kafka.bootstrapServers,
      transactionalId: `${topic}-${name}`,
      requestTimeoutMs: 5_000,
      maxBlockMs: 10_000,
      logger: silent,
    })
  }

  async init(): Promise<void> {
    await this.#patiently(() => this.#producer.initTransactions())
  }

  /** A transaction over all partitions; its records are on their way when `endNow` is fulfilled. */
  async transact(end: 'commit' | 'abort', endNow: Promise<unknown>): Promise<void> {
    const producer = this.#producer
    producer.beginTransaction()
    const sent = Array.from({ length: RECORDS_EACH }, (_, i) =>
      producer.send({
        topic: this.#topic,
        partition: i % PARTITIONS,
        value: `${this.#name} ${this.told.length} ${i}`,
      }),
    )
    await endNow
    const startedAt = performance.now()
    this.told.push((await this.#isCommitted(end)) ? 'committed' : 'aborted')
    await Promise.allSettled(sent)
    const tookMs = performance.now() - startedAt
    this.longestMs = Math.max(this.longestMs, tookMs)
    if (tookMs > UNDISTURBED_MS) this.hit++
  }

  async leaderOf(topic: string, partition: number): Promise<number> {
    for (;;) {
      const leader = (await this.#producer.partitionsFor(topic))[partition]?.leader?.id
      if (leader !== undefined) return leader
      await sleep(100)
    }
  }

  async close(): Promise<void> {
    await this.#producer.close()
  }

  /** Ends the transaction; one that cannot be committed is aborted. */
  async #isCommitted(end: 'commit' | 'abort'): Promise<boolean> {
    try {
      if (end === 'commit') {
        await this.#patiently(() => this.#producer.commitTransaction())
        return true
      }
    } catch (error) {
      if (!(error as KafkaError).abortable) throw error
    }
    await this.#patiently(() => this.#producer.abortTransaction())
    return false
  }

  /** After a timeout only the same call tells how it ended. */
  async #patiently(call: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await call()
      } catch (error) {
        if (!(error instanceof TimeoutError)) throw error
        this.askedAgain++
      }
    }
  }
}

/** What each transaction should look like to read_committed, and does not. */
function differences(topic: string, committers: readonly Committer[], seen: readonly string[]): string[] {
  const counts = new Map<string, number>()
  for (const value of seen) counts.set(value, (counts.get(value) ?? 0) + 1)
  const wrong: string[] = []
  for (const [name, { told }] of committers.entries()) {
    for (const [number, outcome] of told.entries()) {
      const wanted = outcome === 'committed' ? 1 : 0
      const found = Array.from({ length: RECORDS_EACH }, (_, i) => counts.get(`${name} ${number} ${i}`) ?? 0)
      if (found.some((count) => count !== wanted)) {
        wrong.push(`${topic}: transaction ${number} of ${name} was ${outcome}; stored ${found.join(' ')}`)
      }
    }
  }
  return wrong
}

describeKafka('three brokers', { brokers: 3, own: true, conf: QUICK }, (kafka) => {
  const timeout = 120_000 + runs * 30_000
  test(`killed ${runs} times during commits: all or nothing`, { timeout }, async () => {
    const random = seededRandom(seed)
    const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1))
    const topic = await kafka().createTopic('commits', PARTITIONS)
    const committers = Array.from({ length: COMMITTERS }, (_, i) => new Committer(kafka(), topic, String(i)))
    await Promise.all(committers.map((one) => one.init()))
    const killed = { coordinator: 0, leader: 0 }
    try {
      for (let run = 0; run < runs; run++) {
        const what = random() < 0.5 ? 'coordinator' : 'leader'
        killed[what]++
        const id = await (what === 'coordinator'
          ? committers[0]!.leaderOf('__transaction_state', 0)
          : committers[0]!.leaderOf(topic, between(0, PARTITIONS - 1)))
        // Before, during or just after the end of each: its records take some milliseconds, and so does it.
        const transactions = committers.map((one) =>
          one.transact(random() < 0.8 ? 'commit' : 'abort', sleep(between(10, 60))),
        )
        await sleep(between(10, 80))
        await kafka().kill(id)
        await Promise.all(transactions)
        await kafka().restart(id)
        // With all of them back, one more that nothing disturbs.
        await Promise.all(committers.map((one) => one.transact('commit', Promise.resolve())))
      }
    } finally {
      await Promise.all(committers.map((one) => one.close()))
    }
    const seen = await kafka().consume(topic, 'read_committed')
    const wrong = differences(
      topic,
      committers,
      seen.map(({ value }) => String(value)),
    )
    const told = committers.flatMap((one) => one.told)
    const sum = (of: (one: Committer) => number): number => committers.reduce((all, one) => all + of(one), 0)
    const committed = told.filter((outcome) => outcome === 'committed').length
    report(
      `transactions, seed ${seed}, Kafka ${kafka().version}: ${runs} kills (${killed.coordinator} coordinators, ` +
        `${killed.leader} partition leaders); ${told.length} transactions: ${committed} committed, ` +
        `${told.length - committed} aborted; ${sum((one) => one.hit)} were delayed by a kill, the longest ` +
        `${(Math.max(...committers.map((one) => one.longestMs)) / 1000).toFixed(1)} s; ` +
        `${sum((one) => one.askedAgain)} calls made again; ${seen.length} records with read_committed, ` +
        `${wrong.length} transactions neither all there nor all away`,
    )
    expect(wrong).toEqual([])
    expect(seen).toHaveLength(committed * RECORDS_EACH)
  })
})

const example = path.join(__dirname, '../../build/examples/exactly-once.js')

/** The example as a process, and what it said. */
class Processor {
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>
  stdout = ''
  stderr = ''

  constructor(env: Readonly<Record<string, string>>) {
    this.#process = spawn(process.execPath, [example], { env: { ...process.env, ...env } })
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.#ended = once(this.#process, 'close')
  }

  /** It has said that it committed something; or has ended. */
  async committed(): Promise<void> {
    while (this.stdout === '') {
      const { stdout } = this.#process
      const isOver = await Promise.race([
        stdout === null ? true : once(stdout, 'data').then(() => false),
        this.#ended.then(() => true),
      ])
      if (isOver) throw new Error(`the processor ended by itself: ${this.stderr}`)
    }
  }

  async kill(signal: NodeJS.Signals): Promise<number | null> {
    this.#process.kill(signal)
    await this.#ended
    return this.#process.exitCode
  }
}

const GROUPS = { 'group.min.session.timeout.ms': '500' }

describeKafka('read-process-write', { brokers: 1, own: true, conf: GROUPS }, (kafka) => {
  const timeout = 120_000 + kills * 20_000
  test(
    `${records} records come out exactly once, though the processor is killed ${kills} times`,
    { timeout },
    async () => {
      const random = seededRandom(seed)
      const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1))
      const [input, output] = [
        await kafka().createTopic('payments', 3),
        await kafka().createTopic('receipts', 3),
      ]
      const env = {
        KAFKA_BOOTSTRAP: kafka().bootstrapServers,
        KAFKA_INPUT: input,
        KAFKA_OUTPUT: output,
        SESSION_TIMEOUT_MS: '1000',
      }
      await using source = new Producer({ bootstrapServers: kafka().bootstrapServers })
      let fed = 0
      let killed = 0
      /** Payment after payment: a share of them for each life of the processor, so that it is never without work. */
      const feed = async (): Promise<void> => {
        const share = (records * (killed + 1)) / (kills + 1)
        while (fed < share) {
          await source.send({ topic: input, key: `customer-${fed % 20}`, value: `${++fed}` })
          if (fed % 10 === 0) await sleep(between(1, 20))
        }
      }
      for (; killed < kills; killed++) {
        const processor = new Processor(env)
        const feeding = feed()
        feeding.catch(() => {}) // it is awaited below, unless the processor fails first
        // At work, two times in three; otherwise anywhere between its start and its first commits.
        if (random() < 2 / 3) {
          await processor.committed()
          await sleep(between(0, 150))
        } else await sleep(between(0, 1500))
        await processor.kill('SIGKILL')
        await feeding
      }
      await feed()
      const last = new Processor(env)
      for (let done = 0; done < records;) {
        done = [...(await kafka().groupOffsets(`receipts-of-${input}`)).values()].reduce((a, b) => a + b, 0)
      }
      expect(await last.kill('SIGTERM')).toBe(0)

      const paid = (await kafka().consume(output, 'read_committed')).map(({ value }) =>
        Number(String(value).replace('received: ', '')),
      )
      const numbers = Array.from({ length: records }, (_, i) => i + 1)
      const found = new Set(paid)
      const missing = numbers.filter((number) => !found.has(number)).length
      let disordered = 0
      const latest = new Map<number, number>()
      for (const number of paid) {
        if (number < (latest.get(number % 20) ?? 0)) disordered++
        latest.set(number % 20, number)
      }
      const log = await kafka().dumpLog(output, undefined, { markers: true })
      const markers = (kind: 'COMMIT' | 'ABORT'): number => log.filter(({ marker }) => marker === kind).length
      report(
        `read-process-write, seed ${seed}, Kafka ${kafka().version}: ${records} records in, ${kills} kills; ` +
          `${markers('COMMIT')} commit markers, ${markers('ABORT')} abort markers; read_committed: ${paid.length} ` +
          `records out, missing ${missing}, doubled ${paid.length - found.size}, out of order ${disordered}`,
      )
      expect({ missing, doubled: paid.length - found.size, disordered }).toEqual({
        missing: 0,
        doubled: 0,
        disordered: 0,
      })
      expect(paid.toSorted((a, b) => a - b)).toEqual(numbers)
    },
  )
})
