/**
 * A broker that knows nothing of a producer takes whatever sequence comes first. While a topic is new its leader may
 * refuse one request and take the next: what was in the first must not end up behind it.
 */
import { Producer } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'
import { expect, test } from 'vitest'

const quiet = { debug() {}, info() {}, warn() {}, error() {} }

test.each(['NOT_LEADER_OR_FOLLOWER', 'UNKNOWN_TOPIC_OR_PARTITION', 'NOT_ENOUGH_REPLICAS'])(
  "the records of a producer's first request stay the first when it is refused with %s",
  async (code) => {
    await using cluster = await TestCluster.start({ topics: { fresh: { partitions: 1 } } })
    cluster.fail({ api: 'Produce' }, { error: code })
    await using producer = new Producer({
      bootstrapServers: cluster.bootstrapServers,
      batchSize: 1, // every record is a request
      logger: quiet,
    })
    const values = Array.from({ length: 20 }, (_, i) => `value-${i}`)
    const sends = values.map((value) => producer.send({ topic: 'fresh', value }))
    const sent = await Promise.all(sends)
    expect(sent.map(({ offset }) => Number(offset))).toEqual(values.map((_, i) => i))
    const stored = cluster.records('fresh')
    expect(stored.map(({ value }) => String(value))).toEqual(values)
    // No epoch had to be spent on it.
    expect(new Set(stored.map(({ epoch }) => epoch))).toEqual(new Set([0]))
  },
)

test('requests are pipelined once the first one is acknowledged', async () => {
  await using cluster = await TestCluster.start({ topics: { fresh: { partitions: 1 } } })
  await using producer = new Producer({
    bootstrapServers: cluster.bootstrapServers,
    batchSize: 1,
    logger: quiet,
  })
  cluster.fail({ api: 'Produce', nth: 2 }, 'drop-answer')
  const sent = Array.from({ length: 20 }, (_, i) => producer.send({ topic: 'fresh', value: `value-${i}` }))
  await sent[0]
  // The second has no answer, and yet the four after it go.
  await expect.poll(() => cluster.requests.filter(({ api }) => api === 'Produce').length).toBe(6)
  expect(await producer.close({ timeoutMs: 0 })).toBe(19)
})
