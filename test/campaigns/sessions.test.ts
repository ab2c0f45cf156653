/**
 * Sessions of 3 s (connections.max.reauth.ms) under load: every connection logs in again and again, no record fails, and
 * nobody hangs up. The broker's own log is the witness, Kafka's own consumer the other. `npm run campaign -- sessions`
 * takes a minute for each mechanism.
 */
import fs from 'node:fs'
import { expect, test } from 'vitest'
import { Producer, type Logger, type SaslOptions } from 'kafka-producer'
import { describeKafka, type RealKafka, type SentRecord } from '../kafka/cluster.js'
import { asked, report } from './campaign.js'

const SESSION_MS = 3000
const RECORDS_PER_SECOND = 5000
const PARTITIONS = 3

const seconds = asked('SECONDS', 8)
const timeout = 120_000 + seconds * 3000
const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** What the broker wrote about the connections of its listener with SASL over TLS. */
class BrokerLog {
  readonly #file: string
  readonly #port: string
  #from: number

  constructor(kafka: RealKafka) {
    this.#file = kafka.describe().brokers[0]!.log
    this.#port = kafka.listener('SASL_SSL').split(':')[1]!
    this.#from = fs.statSync(this.#file).size
  }

  /** Since it was made. */
  read(): { renewals: number; failures: number; expired: number; disconnects: number } {
    const lines = fs.readFileSync(this.#file).subarray(this.#from).toString().split('\n')
    const count = (words: RegExp): number => lines.filter((line) => words.test(line)).length
    return {
      renewals: count(/Successfully re-authenticated with /),
      failures: count(/Failed (re-)?authentication with /),
      expired: count(/Disconnecting expired channel/),
      disconnects: count(new RegExp(`channelId=[\\d.]+:${this.#port}-.* disconnected`)),
    }
  }
}

/** Calls `act` evenly; the number of calls. */
async function atPace(perSecond: number, act: (index: number) => void): Promise<number> {
  const start = performance.now()
  let done = 0
  for (;;) {
    const elapsed = Math.min((performance.now() - start) / 1000, seconds)
    for (; done < elapsed * perSecond; done++) act(done)
    if (elapsed >= seconds) return done
    await new Promise((resolve) => setTimeout(resolve, 10))
  }
}

const debug = ['org.apache.kafka.common.network.Selector', 'kafka.network']

describeKafka('sessions of 3 s', { brokers: 1, security: { reauthMs: SESSION_MS }, debug }, (kafka) => {
  test.each(['PLAIN', 'SCRAM-SHA-512', 'OAUTHBEARER'] as const)(
    `are renewed with %s for ${seconds} s at ${RECORDS_PER_SECOND} records/s: no record fails, nobody hangs up`,
    { timeout },
    async (mechanism) => {
      const topic = await kafka().createTopic('a-session', PARTITIONS)
      const sasl: SaslOptions =
        mechanism === 'OAUTHBEARER'
          ? { mechanism, token: () => kafka().token() }
          : { mechanism, username: 'alice', password: () => 'alice-secret' }
      const log = new BrokerLog(kafka())
      const sent: SentRecord[] = []
      const failed = new Map<string, number>()
      const lost: unknown[] = []
      let connections = 0
      let longestMs = 0
      const producer = new Producer({
        bootstrapServers: kafka().listener('SASL_SSL'),
        ssl: { ca: kafka().certificate('ca.pem') },
        sasl,
        logger: silent,
      })
      try {
        producer.on('connect', () => connections++)
        producer.on('disconnect', (event) => lost.push(event))
        const count = await atPace(RECORDS_PER_SECOND, (i) => {
          const record = { key: `${i % 100}`, value: `${i}` }
          const sentAt = performance.now()
          producer.send({ topic, ...record }, (error, told) => {
            longestMs = Math.max(longestMs, performance.now() - sentAt)
            if (error === null) sent[i] = { ...record, outcome: 'acknowledged', ...at(told) }
            else failed.set(error.code, (failed.get(error.code) ?? 0) + 1)
          })
        })
        await producer.flush()
        const seen = log.read()
        const verdict = await kafka().verify(topic, sent)
        report(
          `sessions with ${mechanism}: ${count} records in ${seconds} s, failed ${[...failed].join(' ') || 'none'}, ` +
            `longest wait ${longestMs.toFixed(0)} ms; ${connections} connections\n` +
            `  broker's log: ${seen.renewals} re-authentications, ${seen.failures} failed ones, ` +
            `${seen.expired} expired connections, ${seen.disconnects} disconnects\n` +
            `  Kafka's consumer: ${verdict.records} records, missing ${verdict.missing}, ` +
            `duplicates ${verdict.duplicates}, reordered ${verdict.reordered}`,
        )
        expect([...failed]).toEqual([])
        expect(lost).toEqual([])
        expect(verdict).toMatchObject({ records: count, missing: 0, duplicates: 0, reordered: 0 })
        expect(seen).toMatchObject({ failures: 0, expired: 0, disconnects: 0 })
        // Each session is renewed before 95 % of it are over.
        expect(seen.renewals).toBeGreaterThanOrEqual(Math.floor((seconds * 1000) / SESSION_MS))
      } finally {
        await producer.close({ timeoutMs: 5000 })
      }
      // That it would have been seen: the broker tells of the end of these connections.
      await expect.poll(() => log.read().disconnects, { timeout: 10_000 }).toBe(connections)
    },
  )
})

function at(
  told: { readonly partition: number; readonly offset: bigint } | undefined | null,
): Partial<SentRecord> {
  return told === undefined || told === null ? {} : { partition: told.partition, offset: told.offset }
}
