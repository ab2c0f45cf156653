/** What arrives is what was sent, byte for byte, at every level of acks; read with Kafka's own consumer. */
import { expect, test } from 'vitest'
import { Producer, type Headers, type ProducerRecord } from 'kafka-producer'
import { describeKafka, type ConsumedRecord } from '../kafka/cluster.js'
import { seededRandom } from '../kafka/random.js'

const PARTITIONS = 3
/** Brokers refuse what lies in the future, so all timestamps around this one are past. */
const BASE_TIME = Date.UTC(2020, 0, 1)

describeKafka('every kind of record', { brokers: 3 }, (kafka) => {
  for (const acks of ['all', 1, 0] as const) {
    test(`acks=${acks} delivers keys, values, headers and timestamps byte for byte`, async () => {
      const topic = await kafka().createTopic(`acks-${acks}`, PARTITIONS, {
        config: { 'retention.ms': '-1' },
      })
      // With acks=0 nobody says that a new leader is not at its post yet: the consumer has an answer from each first.
      expect(await kafka().consume(topic)).toEqual([])
      const records = someRecords(topic)
      const producer = new Producer({ bootstrapServers: kafka().bootstrapServers, acks })
      const metadata = await sendInOrder(producer, records)
      expect(await producer.close()).toBe(0)

      const stored = await storedAtLeast(topic, records.length)
      const nextOffset = Array.from({ length: PARTITIONS }, () => 0)
      const expected = records.map((r) => ({
        topic,
        partition: r.partition,
        offset: nextOffset[r.partition]!++,
        timestamp: r.timestamp,
        timestampType: 'CreateTime',
        key: bytesOf(r.key ?? null),
        value: bytesOf(r.value),
        headers: pairsOf(r.headers),
      }))
      expect(stored).toEqual(expected.toSorted((a, b) => a.partition - b.partition || a.offset - b.offset))
      expect(metadata).toEqual(
        expected.map((r) => ({
          topic,
          partition: r.partition,
          offset: acks === 0 ? -1n : BigInt(r.offset),
          timestamp: r.timestamp,
          serializedKeySize: r.key?.length ?? -1,
          serializedValueSize: r.value?.length ?? -1,
        })),
      )
    })
  }

  test('a record without a timestamp gets the time of its send, to the millisecond', async () => {
    const topic = await kafka().createTopic('now', 1)
    const producer = new Producer({ bootstrapServers: kafka().bootstrapServers })
    const before = Date.now()
    const sent = producer.send({ topic, value: 'now' })
    const after = Date.now()
    const { timestamp } = await sent
    await producer.close()
    expect(timestamp).toBeGreaterThanOrEqual(before)
    expect(timestamp).toBeLessThanOrEqual(after)
    expect(await kafka().consume(topic)).toMatchObject([{ timestamp, timestampType: 'CreateTime' }])
  })

  test('on a topic with LogAppendTime the metadata has the time of the broker', async () => {
    const config = { 'message.timestamp.type': 'LogAppendTime' }
    const topic = await kafka().createTopic('append-time', 1, { config })
    const producer = new Producer({ bootstrapServers: kafka().bootstrapServers })
    const { timestamp, offset } = await producer.send({ topic, value: 'late', timestamp: BASE_TIME })
    await producer.close()
    expect(timestamp).not.toBe(BASE_TIME)
    expect(offset).toBe(0n)
    expect(await kafka().consume(topic)).toMatchObject([{ timestamp, timestampType: 'LogAppendTime' }])
  })

  test('a record larger than batchSize travels in a batch of its own', async () => {
    const topic = await kafka().createTopic('large', 1)
    const random = seededRandom(5)
    const value = Buffer.from(Uint8Array.from({ length: 700_000 }, () => Math.floor(random() * 256)))
    const producer = new Producer({ bootstrapServers: kafka().bootstrapServers })
    const metadata = await Promise.all([
      producer.send({ topic, value: 'before' }),
      producer.send({ topic, value }),
      producer.send({ topic, value: 'after' }),
    ])
    await producer.close()
    expect(metadata.map(({ offset }) => offset)).toEqual([0n, 1n, 2n])
    const stored = await kafka().consume(topic)
    expect(stored.map((r) => r.value?.length)).toEqual([6, value.length, 5])
    expect(stored[1]?.value?.equals(value)).toBe(true)
  })

  test('callbacks get the same as promises, and a partition that does not exist is an error with their number', async () => {
    const topic = await kafka().createTopic('callbacks', PARTITIONS)
    const producer = new Producer({ bootstrapServers: kafka().bootstrapServers })
    const called = await new Promise((resolve) => {
      producer.send({ topic, partition: 2, key: 'k', value: 'v' }, (error, metadata) =>
        resolve([error, metadata]),
      )
    })
    expect(called).toMatchObject([null, { topic, partition: 2, offset: 0n, serializedKeySize: 1 }])
    await expect(producer.send({ topic, partition: PARTITIONS, value: 'v' })).rejects.toThrow(
      new RegExp(`\\b${PARTITIONS}\\b`),
    )
    expect(await producer.close()).toBe(0)
  })

  /** With acks=0 the last records may be on their way still when the producer is done; there is no event to wait for. */
  async function storedAtLeast(topic: string, count: number): Promise<ConsumedRecord[]> {
    for (let tries = 0; ; tries++) {
      const stored = await kafka().consume(topic)
      if (stored.length >= count || tries === 10) return stored
    }
  }
})

type PartitionedRecord = ProducerRecord & { readonly partition: number; readonly timestamp: number }

async function sendInOrder(producer: Producer, records: readonly PartitionedRecord[]) {
  const sent = records.map((record) => producer.send(record))
  await producer.flush()
  return Promise.all(sent)
}

/** Every kind of key, value and header list, over all partitions, with timestamps that go back as well as forth. */
function someRecords(topic: string): PartitionedRecord[] {
  const binary = Buffer.from(Array.from({ length: 256 }, (_, i) => i))
  const payloads = [
    '',
    'text',
    'G\u00fc\u00e9 \u4e16\u754c \u{1f4b3}',
    binary,
    Buffer.alloc(0),
    new Uint8Array(5_000).fill(7),
  ]
  const headerLists: (Headers | undefined)[] = [
    undefined,
    {},
    { source: 'checkout' },
    { 'tr\u00e4ce': binary, empty: '', none: null },
    [
      ['again', 'first'],
      ['again', Buffer.from('second')],
      ['', 'no name'],
    ],
  ]
  const records: PartitionedRecord[] = []
  for (const key of [undefined, null, ...payloads]) {
    for (const value of [null, ...payloads]) {
      for (const headers of headerLists) {
        const i = records.length
        // Powers of two in both directions: time deltas of every varint length within a batch.
        const timestamp = BASE_TIME + (i % 2 === 0 ? 1 : -1) * 2 ** (i % 36)
        records.push({ topic, partition: i % PARTITIONS, key, value, headers, timestamp })
      }
    }
  }
  return records
}

const bytesOf = (payload: string | Uint8Array | null): Buffer | null =>
  payload === null ? null : Buffer.from(payload)

function pairsOf(headers: Headers | undefined): [string, Buffer | null][] {
  const pairs = headers === undefined ? [] : Array.isArray(headers) ? headers : Object.entries(headers)
  return pairs.map(([name, value]: readonly [string, string | Uint8Array | null]) => [name, bytesOf(value)])
}
