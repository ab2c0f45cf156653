/**
 * The promise of the package, on Kafka's own brokers: what `send` was given is in the log once, in order per key, in
 * batches that Kafka's own tools accept. Three brokers, replication factor 3, two in-sync replicas at least.
 */
import { beforeAll, expect, test } from 'vitest'
import { json, Producer, type RecordMetadata } from 'kafka-producer'
import { describeKafka, describeFiles, type SentRecord } from '../kafka/cluster.js'
import { seededRandom } from '../kafka/random.js'

interface OrderPaidEvent {
  readonly type: 'OrderPaidEvent'
  readonly orderId: string
  readonly amount: number
}

const ORDERS = 200_000
const CUSTOMERS = 5_000
const PARTITIONS = 6

interface Order {
  readonly key: string
  readonly value: OrderPaidEvent
}

/** Keyed by customer; the order id counts through all of them. */
function makeOrders(): Order[] {
  const random = seededRandom(3)
  return Array.from({ length: ORDERS }, (_, i) => ({
    key: `customer-${Math.floor(random() * CUSTOMERS)}`,
    value: { type: 'OrderPaidEvent', orderId: `order-${i}`, amount: Math.floor(random() * 1_000_000) },
  }))
}

describeKafka('200,000 keyed OrderPaidEvents with acks=all on three brokers', { brokers: 3 }, (kafka) => {
  const orders = makeOrders()
  let topic: string
  let acknowledged: RecordMetadata[]

  beforeAll(async () => {
    topic = await kafka().createTopic('orders', PARTITIONS, {
      replicationFactor: 3,
      config: { 'min.insync.replicas': '2' },
    })
    acknowledged = await sendAll()
  }, 120_000)

  /** Every record through `send`, a promise each, one flush; a pause now and then, as an application's own work makes. */
  async function sendAll(): Promise<RecordMetadata[]> {
    const producer = new Producer<string, OrderPaidEvent>({
      bootstrapServers: kafka().bootstrapServers,
      clientId: 'orders',
      acks: 'all',
      valueSerializer: json(),
    })
    try {
      const sent: Promise<RecordMetadata>[] = []
      for (const { key, value } of orders) {
        const delivered = producer.send({ topic, key, value })
        sent.push(delivered)
        if (sent.length % 1_000 === 0) await delivered
      }
      await producer.flush()
      return await Promise.all(sent)
    } finally {
      expect(await producer.close()).toBe(0)
    }
  }

  test('the offsets of the acknowledgements count up in every partition', () => {
    expect(acknowledged).toHaveLength(ORDERS)
    const next = Array.from({ length: PARTITIONS }, () => 0)
    expect(acknowledged.filter((m) => m.offset !== BigInt(next[m.partition]!++))).toEqual([])
  })

  test("Kafka's console consumer reads back exactly these, in order per key", async () => {
    const expected = new Map<string, string[]>()
    for (const { key, value } of orders) {
      const ofKey = expected.get(key)
      if (ofKey) ofKey.push(JSON.stringify(value))
      else expected.set(key, [JSON.stringify(value)])
    }
    const positions = new Map<string, number>()
    const problems: string[] = []
    let lines = 0
    await kafka().consoleConsume(topic, ORDERS, (line) => {
      lines++
      const [, , key = '', value] = line.split('\t')
      const position = positions.get(key) ?? 0
      positions.set(key, position + 1)
      if (value !== expected.get(key)?.[position]) problems.push(line)
    })
    expect(problems.slice(0, 5)).toEqual([])
    expect(lines).toBe(ORDERS)
  })

  test('up to the end of the log there is nothing else, and each record is where it was acknowledged', async () => {
    const sent = orders.map(({ key, value }, i): SentRecord => {
      const { partition, offset } = acknowledged[i]!
      return { key, value: JSON.stringify(value), outcome: 'acknowledged', partition, offset }
    })
    expect(await kafka().verify(topic, sent)).toEqual({
      sent: ORDERS,
      records: ORDERS,
      missing: 0,
      duplicates: 0,
      reordered: 0,
      misplaced: 0,
      unexpected: 0,
      unknownStored: 0,
      firstProblems: [],
    })
  })

  describeFiles('the batches in the log', () => {
    test("are valid to Kafka's log dump, of one producer, with sequences from 0 without a gap", async () => {
      const batches = await kafka().dumpLog(topic)
      const producerId = batches[0]?.producerId
      expect(producerId).toBeGreaterThanOrEqual(0)
      const next = Array.from({ length: PARTITIONS }, () => 0)
      for (const b of batches) {
        const first = next[b.partition]!
        const last = first + b.count - 1
        expect(b).toMatchObject({
          magic: 2,
          isvalid: true,
          compresscodec: 'none',
          producerId,
          producerEpoch: 0,
        })
        expect(b).toMatchObject({ isTransactional: false, isControl: false })
        expect(b).toMatchObject({
          baseOffset: first,
          lastOffset: last,
          baseSequence: first,
          lastSequence: last,
        })
        next[b.partition] = last + 1
      }
      expect(next.reduce((a, b) => a + b)).toBe(ORDERS)
    })
  })
})
