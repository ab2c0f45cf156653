/** What brokers of the test cluster lose, and what they have not heard of. */
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestCluster } from '../../src/testing/index.js'
import { batch, RawClient } from './raw-client.js'

let cluster: TestCluster
let client: RawClient
let producerId: bigint

beforeEach(async () => {
  cluster = await TestCluster.start({ brokers: 2, topics: { orders: { partitions: 1 } } })
  client = await RawClient.connect(cluster.bootstrapServers[0]!)
  producerId = (await client.initProducerId()).producerId
})

afterEach(async () => {
  client.close()
  await cluster.close()
})

const values = () => cluster.records('orders').map(({ value }) => String(value))
const produce = (value: string, sequence: number) =>
  client.produce(batch({ values: [value], producerId, sequence }))

test('a log that is cut keeps what is before the offset, and knows of producers only that', async () => {
  await produce('a', 0)
  await produce('b', 1)
  await produce('c', 2)
  cluster.truncateLog('orders', 0, 2)
  expect(values()).toEqual(['a', 'b'])
  expect(cluster.describeLog('orders', 0).endOffset).toBe(2n)
  expect(await produce('b', 1)).toMatchObject({ errorCode: 0, baseOffset: 1n })
  expect(await produce('d', 3)).toMatchObject({ errorCode: 45 })
  expect(await produce('c', 2)).toMatchObject({ errorCode: 0, baseOffset: 2n })
  cluster.truncateLog('orders', 0, 0)
  expect(await produce('e', 9)).toMatchObject({ errorCode: 0, baseOffset: 0n })
  expect(values()).toEqual(['e'])
  expect(() => cluster.truncateLog('orders', 0, -1)).toThrow(RangeError)
})

test('a producer that is forgotten is not recognised, and may go on with any sequence', async () => {
  await produce('a', 0)
  expect(await produce('c', 5)).toMatchObject({ errorCode: 45 })
  cluster.forgetProducers('orders', 0)
  expect(await produce('c', 5)).toMatchObject({ errorCode: 0 })
  expect(await produce('c', 5)).toMatchObject({ errorCode: 0, baseOffset: 1n })
  expect(values()).toEqual(['a', 'c'])
})

test('a broker whose metadata is frozen tells of topics and leaders as they were', async () => {
  const other = await RawClient.connect(cluster.bootstrapServers[1]!)
  const told = async (asked: RawClient) => {
    const [topic] = (await asked.metadata(['orders'])).topics
    return { id: topic!.topicId, epochs: topic!.partitions.map(({ leaderEpoch }) => leaderEpoch) }
  }
  const before = await told(client)
  cluster.freezeMetadata(1)
  cluster.deleteTopic('orders')
  cluster.createTopic('orders', { partitions: 2 })
  cluster.moveLeader('orders', 0)
  expect(await told(client)).toEqual(before)
  const after = await told(other)
  expect(after.id).not.toBe(before.id)
  expect(after.epochs).toEqual([1, 0])
  cluster.thawMetadata(1)
  expect(await told(client)).toEqual(after)
  other.close()
})
