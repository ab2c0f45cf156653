/**
 * Three real brokers (replication factor 3, min.insync.replicas 2) are killed, paused, restarted and cut off while records
 * go out. With the default options Kafka's own consumer finds every acknowledged record once and in order. A second
 * producer lives through the same with acks=1 and without idempotence: what that costs is only reported.
 */
import { expect, test } from 'vitest'
import { describeKafka, type Verdict } from '../kafka/cluster.js'
import { FaultProxy } from '../kafka/proxy.js'
import { asked, report } from './campaign.js'
import { Chaos, type Blow } from './chaos.js'
import { Load } from './chaos-load.js'

const PARTITIONS = 6
const REQUEST_TIMEOUT_MS = 2_500
const RECORDS_PER_SECOND = 1_000
const SMALL = 20_000

const seed = asked('SEED', 1)
const records = asked('RECORDS', SMALL)
/** Restarting all brokers takes longer than a test run has. */
const blows: readonly Blow[] = records > SMALL ? ['kill', 'pause', 'cut', 'roll'] : ['kill', 'pause', 'cut']
const timeout = 240_000 + (records / RECORDS_PER_SECOND) * 4_000

function describeLoad(name: string, load: Load, verdict: Verdict): void {
  const errors = [...load.errors].map(([code, count]) => `${count} ${code}`)
  const counts = Object.entries(verdict).flatMap(([what, count]) =>
    typeof count === 'number' ? `${what} ${count}` : [],
  )
  report(
    `  ${name}: acknowledged ${load.acknowledged}, failed ${errors.join(', ') || 'none'}; ${counts.join(', ')}`,
  )
  const { recordRetryTotal } = load.producer.metrics()
  report(`    records sent again ${recordRetryTotal}, longest wait ${(load.longestMs / 1000).toFixed(1)} s`)
}

describeKafka('three brokers in chaos', { brokers: 3, own: true }, (kafka) => {
  test(`every acknowledged one of ${records} records is stored once, in order`, { timeout }, async () => {
    const topics = ['exact', 'loose'].map((name) => ({
      name: kafka().topicName(name),
      partitions: PARTITIONS,
    }))
    const [exactTopic = '', looseTopic = ''] = topics.map(({ name }) => name)
    await kafka().createTopics(topics)
    await using proxy = await FaultProxy.start(kafka().describe().proxy)
    const config = {
      bootstrapServers: proxy.bootstrapServers,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      logger: { debug() {}, info() {}, warn() {}, error() {} },
    }
    const exact = new Load({ ...config, clientId: 'exact' }, exactTopic, RECORDS_PER_SECOND)
    const loose = new Load(
      { ...config, clientId: 'loose', acks: 1, enableIdempotence: false },
      looseTopic,
      RECORDS_PER_SECOND,
    )
    const chaos = new Chaos({
      seed,
      kafka: kafka(),
      proxy,
      partitions: PARTITIONS,
      requestTimeoutMs: REQUEST_TIMEOUT_MS,
      leaderOf: async (partition) => (await exact.producer.partitionsFor(exactTopic))[partition]?.leader?.id,
    })
    try {
      while (exact.records.length < records || chaos.done.length < blows.length) {
        await chaos.strike(blows)
        // The next blow falls when everything from before this point has ended.
        await exact.producer.flush()
      }
    } finally {
      await Promise.all([exact.stop(), loose.stop()])
    }
    report(`chaos, seed ${seed}: ${chaos.done.join('; ')}`)
    const verdict = await kafka().verify(exactTopic, exact.records)
    describeLoad('acks=all, idempotent', exact, verdict)
    describeLoad('acks=1, not idempotent', loose, await kafka().verify(looseTopic, loose.records))
    expect(verdict).toMatchObject({ missing: 0, duplicates: 0, reordered: 0, misplaced: 0, unexpected: 0 })
    expect(verdict.firstProblems).toEqual([])
    // Nothing lasted as long as deliveryTimeoutMs, so nothing had a reason to fail.
    expect(exact.acknowledged).toBe(exact.records.length)
  })
})
