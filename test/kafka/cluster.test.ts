/** The harness itself: a verifier that cannot fail would prove nothing. The records come from Kafka's console producer. */
import { expect, test } from 'vitest'
import { describeKafka, describeFiles, type RealKafka, type SentRecord } from './cluster.js'
import { atLeast } from './launcher/versions.mjs'
import { cutAt, FaultProxy } from './proxy.js'

async function produce(
  kafka: RealKafka,
  topic: string,
  records: readonly (readonly [string, string])[],
  bootstrapServers = kafka.bootstrapServers,
  properties: readonly string[] = [],
) {
  const [reader, producer] = atLeast(kafka.version, '4.2')
    ? ['--reader-property', '--command-property']
    : ['--property', '--producer-property']
  await kafka.tool(
    `${atLeast(kafka.version, '4.0') ? 'org.apache.kafka.tools' : 'kafka.tools'}.ConsoleProducer`,
    ['--bootstrap-server', bootstrapServers, '--topic', topic, reader, 'parse.key=true'].concat(
      properties.flatMap((p) => [producer, p]),
    ),
    { input: records.map(([key, value]) => `${key}\t${value}\n`) },
  )
}

describeKafka('the harness on one broker', { brokers: 1 }, (kafka) => {
  test('the verifier has no complaint about records that are all there, once and in order', async () => {
    const topic = await kafka().createTopic('exact', 1)
    const sent = Array.from({ length: 500 }, (_, i): SentRecord => ({
      key: `key-${i % 7}`,
      value: `value-${i}`,
      outcome: i % 50 === 3 ? 'unknown' : 'acknowledged',
      partition: 0,
      offset: BigInt(i),
    }))
    await produce(
      kafka(),
      topic,
      sent.map(({ key, value }) => [key, value]),
    )
    expect(await kafka().verify(topic, sent)).toEqual({
      sent: 500,
      records: 500,
      missing: 0,
      duplicates: 0,
      reordered: 0,
      misplaced: 0,
      unexpected: 0,
      unknownStored: 10,
      firstProblems: [],
    })
  })

  test('the verifier finds what is missing, doubled, out of order, misplaced and not to be expected', async () => {
    const topic = await kafka().createTopic('faulty', 1)
    await produce(kafka(), topic, [
      ['a', 'a0'],
      ['a', 'a2'], // before a1
      ['a', 'a1'],
      ['b', 'b0'],
      ['b', 'b0'], // again
      ['other', 'c0'], // sent with key c
      ['d', 'd0'], // failed for certain
      ['e', 'e0'], // never sent
    ])
    const acknowledged = (key: string, value: string, offset = -1n): SentRecord => ({
      key,
      value,
      outcome: 'acknowledged',
      partition: 0,
      offset,
    })
    const verdict = await kafka().verify(topic, [
      acknowledged('a', 'a0', 5n), // stored at 0
      acknowledged('a', 'a1'),
      acknowledged('a', 'a2'),
      acknowledged('b', 'b0'),
      acknowledged('b', 'b1'), // not stored
      { key: 'b', value: 'b2', outcome: 'unknown' }, // not stored, which is fine
      acknowledged('c', 'c0'),
      { key: 'd', value: 'd0', outcome: 'failed' },
    ])
    expect(verdict).toMatchObject({
      sent: 8,
      records: 8,
      missing: 1,
      duplicates: 1,
      reordered: 1,
      misplaced: 2,
      unexpected: 2,
      unknownStored: 0,
    })
    expect(verdict.firstProblems).toHaveLength(7)
  })

  test('the consumer program gives back every byte', async () => {
    const topic = await kafka().createTopic('bytes', 2)
    await produce(kafka(), topic, [['k\u00e9y', 'v\u4e16']])
    expect(await kafka().consume(topic)).toMatchObject([
      { topic, offset: 0, key: Buffer.from('k\u00e9y'), value: Buffer.from('v\u4e16'), headers: [] },
    ])
  })

  describeFiles("the brokers' files", () => {
    test('the log dump is read batch by batch', async () => {
      const topic = await kafka().createTopic('dump', 3)
      const records = Array.from({ length: 100 }, (_, i) => [`key-${i}`, `value-${i}`] as const)
      await produce(kafka(), topic, records)
      const batches = await kafka().dumpLog(topic)
      expect(batches.reduce((sum, b) => sum + b.count, 0)).toBe(100)
      expect(new Set(batches.map((b) => b.partition))).toEqual(new Set([0, 1, 2]))
      for (const b of batches) {
        expect(b).toMatchObject({ magic: 2, isvalid: true, compresscodec: 'none', producerEpoch: 0 })
        expect(b).toMatchObject({ isTransactional: false, isControl: false, baseOffset: b.baseSequence })
        expect(b.lastOffset - b.baseOffset + 1).toBe(b.count)
        expect(b.producerId).toBeGreaterThanOrEqual(0)
      }
      const one = await kafka().dumpLog(topic, 1)
      expect(one).toEqual(batches.filter((b) => b.partition === 1))
    })
  })
})

describeKafka("a cluster of the test file's own", { brokers: 1, own: true }, (kafka) => {
  test('what is sent through the proxy takes no way around it, and a cut after the append shows as a cut', async () => {
    const topic = await kafka().createTopic('proxied', 1)
    await using proxy = await FaultProxy.start(kafka().describe().proxy, cutAt(2, 'cut-after'))
    const records = Array.from(
      { length: 50 },
      (_, i) => [`key-${i % 3}`, `value-${i}`.padEnd(1000, '.')] as const,
    )
    // Batches of about four records: the second request is one of many, and Java's idempotence has work to do.
    await produce(kafka(), topic, records, proxy.bootstrapServers, ['batch.size=4096', 'linger.ms=100'])
    expect(proxy.cuts).toBe(1)
    expect(proxy.produceRequests).toBeGreaterThan(3)
    const sent = records.map(([key, value]) => ({ key, value, outcome: 'acknowledged' }) satisfies SentRecord)
    expect(await kafka().verify(topic, sent)).toMatchObject({ records: 50, firstProblems: [] })
  })

  test('a broker that was killed is gone, and back after a restart with all it had', async () => {
    const topic = await kafka().createTopic('killed', 1)
    await produce(kafka(), topic, [['key', 'value']])
    await kafka().kill(1)
    expect(kafka().describe().brokers[0]).toMatchObject({ id: 1, alive: false })
    await kafka().restart(1)
    expect(kafka().describe().brokers[0]).toMatchObject({ id: 1, alive: true })
    expect(await kafka().consume(topic)).toMatchObject([{ value: Buffer.from('value') }])
  })
})
