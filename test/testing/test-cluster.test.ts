import { once } from 'node:events'
import { connect as connectSocket } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterEach, describe, expect, test } from 'vitest'
import { ApiVersions, Metadata, Produce, ZERO_UUID } from '../../src/protocol/apis.js'
import { TestCluster, type TestClusterOptions } from '../../src/testing/index.js'
import { batch, produceRequest, RawClient } from './raw-client.js'

const opened: { close(): unknown }[] = []

afterEach(async () => {
  for (const each of opened.splice(0).toReversed()) await each.close()
})

async function start(options: TestClusterOptions = {}): Promise<TestCluster> {
  const cluster = await TestCluster.start({ topics: { orders: { partitions: 2 } }, ...options })
  opened.push(cluster)
  return cluster
}

async function connect(cluster: TestCluster, broker = 1): Promise<RawClient> {
  const client = await RawClient.connect(cluster.bootstrapServers[broker - 1]!)
  opened.push(client)
  return client
}

const values = (cluster: TestCluster, topic = 'orders') =>
  cluster.records(topic).map(({ value }) => String(value))

describe('a test cluster', () => {
  test('stores what is produced and gives it back decoded', async () => {
    const cluster = await start()
    const client = await connect(cluster)
    const { producerId } = await client.initProducerId()
    const bytes = batch({
      values: ['one', 'two'],
      keys: ['k', null],
      headers: [
        ['source', 'test'],
        ['none', null],
      ],
      producerId,
      timestamp: 1_700_000_000_000,
    })
    expect(await client.produce(bytes, { partition: 1 })).toMatchObject({ errorCode: 0, baseOffset: 0n })
    const headers = [
      ['source', Buffer.from('test')],
      ['none', null],
    ]
    const common = {
      partition: 1,
      headers,
      timestamp: 1_700_000_000_000,
      producerId,
      epoch: 0,
      transactional: false,
    }
    expect(cluster.records('orders')).toEqual([
      { ...common, offset: 0n, key: Buffer.from('k'), value: Buffer.from('one'), sequence: 0 },
      { ...common, offset: 1n, key: null, value: Buffer.from('two'), sequence: 1 },
    ])
  })

  test('gives back each record with its own sequence, also across the wrap', async () => {
    const cluster = await start()
    const client = await connect(cluster)
    await client.produce(batch({ values: ['a', 'b', 'c'], producerId: 7n, epoch: 2, sequence: 2 ** 31 - 2 }))
    await client.produce(batch({ values: ['d'] }))
    expect(cluster.records('orders').map(({ epoch, sequence }) => [epoch, sequence])).toEqual([
      [2, 2 ** 31 - 2],
      [2, 2 ** 31 - 1],
      [2, 0],
      [-1, -1],
    ])
  })

  test('gives back records that were compressed', async () => {
    const cluster = await start()
    const client = await connect(cluster)
    const values = ['a', 'b'.repeat(1000)]
    const body = gzipSync(batch({ values }).subarray(61))
    expect(await client.produce(batch({ values, attributes: 1, body }))).toMatchObject({ errorCode: 0 })
    expect(cluster.records('orders').map(({ value }) => value?.toString())).toEqual(values)
  })

  test('answers the first zstd batch, and what follows it, once the decoder has started', async () => {
    const cluster = await start()
    const client = await connect(cluster)
    const values = ['a', 'b']
    // A frame of one raw block: magic, window of 1 KiB, its length and type, the records as they are.
    const records = batch({ values }).subarray(61)
    const header = Buffer.from([
      0x28,
      0xb5,
      0x2f,
      0xfd,
      0,
      0,
      (records.length << 3) | 1,
      records.length >>> 5,
      0,
    ])
    const body = Buffer.concat([header, records])
    const sent = [
      client.send(Produce, 12, produceRequest(batch({ values, attributes: 4, body }))),
      client.send(Produce, 12, produceRequest(batch({ values: ['c'] }))),
    ]
    const answered = [(await client.frame()).readInt32BE(0), (await client.frame()).readInt32BE(0)]
    expect(answered).toEqual(sent)
    expect(cluster.records('orders').map(({ value }) => value?.toString())).toEqual(['a', 'b', 'c'])
  })

  test('has its own copy of what was sent', async () => {
    const cluster = await start({ listen: false })
    const [host, port] = cluster.bootstrapServers[0]!.split(':')
    const client = new RawClient(cluster.connect({ host: host!, port: Number(port) }))
    opened.push(client)
    const bytes = batch({ values: ['kept'] })
    await client.produce(bytes)
    bytes.fill(0)
    expect(values(cluster)).toEqual(['kept'])
  })

  test('stamps records with its own time where the topic wants it', async () => {
    const clock = { wallNow: () => 1_800_000_000_000, setTimer: () => ({ cancel: () => {} }) }
    const cluster = await start({ clock, topics: { orders: { messageTimestampType: 'LogAppendTime' } } })
    const client = await connect(cluster)
    expect(await client.produce(batch({ timestamp: 1 }))).toMatchObject({
      logAppendTimeMs: 1_800_000_000_000n,
    })
    expect(cluster.records('orders')[0]).toMatchObject({ timestamp: 1_800_000_000_000 })
  })

  test('serves many connections and requests that come in pieces', async () => {
    const cluster = await start()
    const [one, two] = [await connect(cluster), await connect(cluster)]
    expect(cluster.connectionCount(1)).toBe(2)
    const frame = Buffer.concat(
      Produce.encodeRequest(9, 0, 'raw', produceRequest(batch({ values: ['slow'] }))),
    )
    for (const byte of frame) {
      two.duplex.write(Buffer.from([byte]))
      await new Promise((resolve) => setImmediate(resolve))
    }
    await two.answer(Produce, 9, 0)
    const ids = [1, 2, 3].map((i) => one.send(Produce, 9, produceRequest(batch({ values: [`quick ${i}`] }))))
    for (const id of ids) await one.answer(Produce, 9, id)
    expect(values(cluster)).toEqual(['slow', 'quick 1', 'quick 2', 'quick 3'])
  })

  test('writes down the requests it gets', async () => {
    const cluster = await start({ brokers: 2 })
    const client = await connect(cluster, cluster.describePartition('orders', 1).leader)
    const broker = cluster.describePartition('orders', 1).leader
    await client.metadata(['orders', 'absent'])
    const two = ['a', 'b']
    await client.produce(batch({ values: two, producerId: 4n, epoch: 1 }), { partition: 1 })
    await client.produce(batch({ values: two, producerId: 4n, epoch: 1, sequence: 9 }), { partition: 1 })
    await client.produce(Buffer.from('rubbish'), { topic: 'absent', partition: 3 })
    const common = { broker, clientId: 'raw', fault: undefined }
    const received = { topic: 'orders', partition: 1, producerId: 4n, epoch: 1, recordCount: 2 }
    expect(cluster.requests).toMatchObject([
      { ...common, api: 'Metadata', version: 13, topics: ['orders', 'absent'], batches: [] },
      {
        ...common,
        api: 'Produce',
        version: 12,
        batches: [{ ...received, baseSequence: 0, outcome: 'NONE' }],
      },
      { ...common, batches: [{ ...received, baseSequence: 9, outcome: 'OUT_OF_ORDER_SEQUENCE_NUMBER' }] },
      { topics: ['absent'], batches: [{ topic: 'absent', partition: 3, producerId: -1n, sizeInBytes: 7 }] },
    ])
    cluster.requests.length = 0
    await client.apiVersions()
    expect(cluster.requests.map(({ api }) => api)).toEqual(['ApiVersions'])
  })

  test('refuses options that cannot be', async () => {
    await expect(TestCluster.start({ brokers: 0 })).rejects.toThrow(RangeError)
    await expect(TestCluster.start({ topics: { t: { partitions: 0 } } })).rejects.toThrow('t: 0 partitions')
    await expect(TestCluster.start({ topics: { t: { replicationFactor: 2 } } })).rejects.toThrow(
      'with 1 brokers',
    )
  })

  test('leaves nothing behind when it is closed', async () => {
    const cluster = await TestCluster.start()
    const client = await RawClient.connect(cluster.bootstrapServers[0]!)
    await cluster[Symbol.asyncDispose]()
    await client.ended
    await cluster.close()
    await expect(RawClient.connect(cluster.bootstrapServers[0]!)).rejects.toThrow('ECONNREFUSED')
  })
})

describe('topics', () => {
  test('are described with their replicas, leaders and ids', async () => {
    const cluster = await start({ brokers: 3, topics: { orders: { partitions: 6, replicationFactor: 2 } } })
    const client = await connect(cluster, 2)
    const answer = await client.metadata(['orders'])
    expect(answer.brokers.map(({ host, port }) => `${host}:${port}`)).toEqual(cluster.bootstrapServers)
    const [topic] = answer.topics
    expect(topic!.topicId).not.toBe(ZERO_UUID)
    expect(topic!.partitions).toHaveLength(6)
    expect(new Set(topic!.partitions.map(({ leaderId }) => leaderId))).toEqual(new Set([1, 2, 3]))
    for (const { replicaNodes, isrNodes, leaderId, leaderEpoch } of topic!.partitions) {
      expect(replicaNodes).toHaveLength(2)
      expect(isrNodes).toEqual(replicaNodes)
      expect(leaderId).toBe(replicaNodes[0])
      expect(leaderEpoch).toBe(0)
    }
  })

  test('are created when they are asked for, but not for the one who asks first', async () => {
    const cluster = await start({ numPartitions: 4 })
    const client = await connect(cluster)
    expect((await client.metadata(['new'], false)).topics[0]).toMatchObject({ errorCode: 3 })
    expect((await client.metadata(['new'], true)).topics[0]).toMatchObject({ errorCode: 3, partitions: [] })
    const [topic] = (await client.metadata(['new'], true)).topics
    expect(topic).toMatchObject({ errorCode: 0 })
    expect(topic!.partitions).toHaveLength(4)
  })

  test('are not created where the cluster is told not to', async () => {
    const client = await connect(await start({ autoCreateTopics: false }))
    await client.metadata(['new'], true)
    expect((await client.metadata(['new'], true)).topics[0]).toMatchObject({ errorCode: 3 })
  })

  test('get a new id when they are deleted and created again', async () => {
    const cluster = await start()
    const client = await connect(cluster)
    const id = async () => (await client.metadata(['orders'])).topics[0]!.topicId
    const old = await id()
    await client.produce(batch({ values: ['old'] }), { version: 13, topicId: old })
    cluster.deleteTopic('orders')
    expect(() => cluster.records('orders')).toThrow('topic orders does not exist')
    expect(() => cluster.deleteTopic('orders')).toThrow('does not exist')
    expect(await client.produce(batch())).toMatchObject({ errorCode: 3 })
    cluster.createTopic('orders', { partitions: 1 })
    expect(() => cluster.createTopic('orders')).toThrow('exists already')
    expect(await client.produce(batch(), { version: 13, topicId: old })).toMatchObject({ errorCode: 100 })
    const fresh = { version: 13, topicId: await id() }
    expect(await client.produce(batch({ values: ['new'] }), fresh)).toMatchObject({
      errorCode: 0,
      baseOffset: 0n,
    })
    expect(values(cluster)).toEqual(['new'])
  })

  test('can grow, but not shrink', async () => {
    const cluster = await start()
    const client = await connect(cluster)
    expect(await client.produce(batch(), { partition: 3 })).toMatchObject({ errorCode: 3 })
    cluster.addPartitions('orders', 4)
    expect(await client.produce(batch(), { partition: 3 })).toMatchObject({ errorCode: 0 })
    expect(() => cluster.addPartitions('orders', 3)).toThrow(RangeError)
  })

  test('are all listed on request, in version 0 by an empty list', async () => {
    const cluster = await start({ topics: { a: {}, b: {} } })
    const client = await connect(cluster)
    const names = async (topics: [] | null, version: number) => {
      const request = { topics, allowAutoTopicCreation: true }
      const more = { includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false }
      return (await client.request(Metadata, version, { ...request, ...more })).topics.map(({ name }) => name)
    }
    expect(await names(null, 5)).toEqual(['a', 'b'])
    expect(await names([], 5)).toEqual([])
    expect(await names([], 0)).toEqual(['a', 'b'])
  })
})

describe('leaders and replicas', () => {
  test('only the leader takes records, and the others say who it is from version 10 on', async () => {
    const cluster = await start({ brokers: 3 })
    const leader = cluster.moveLeader('orders', 0, 3)
    expect(leader).toBe(3)
    const client = await connect(cluster, 1)
    const ask = (version: number) => client.request(Produce, version, produceRequest(batch()))
    const refused = await ask(10)
    const port = Number(cluster.bootstrapServers[2]!.split(':')[1])
    expect(refused.nodeEndpoints).toEqual([{ nodeId: 3, host: '127.0.0.1', port, rack: null }])
    expect(refused.responses[0]!.partitionResponses[0]).toMatchObject({
      errorCode: 6,
      currentLeader: { leaderId: 3, leaderEpoch: 1 },
    })
    const older = await ask(9)
    expect(older.nodeEndpoints).toEqual([])
    expect(older.responses[0]!.partitionResponses[0]!.currentLeader).toEqual({
      leaderId: -1,
      leaderEpoch: -1,
    })
    expect(await (await connect(cluster, 3)).produce(batch())).toMatchObject({ errorCode: 0 })
  })

  test('a leader that moves takes log and producer state along, and the epoch goes up', async () => {
    const cluster = await start({ brokers: 2 })
    const before = cluster.describePartition('orders', 0)
    const first = batch({ values: ['one'], producerId: 1n })
    await (await connect(cluster, before.leader)).produce(first)
    const next = cluster.moveLeader('orders', 0)
    expect(next).not.toBe(before.leader)
    expect(cluster.describePartition('orders', 0)).toMatchObject({ leader: next, leaderEpoch: 1 })
    const client = await connect(cluster, next)
    expect(await client.produce(first)).toMatchObject({ errorCode: 0, baseOffset: 0n })
    expect(await client.produce(batch({ values: ['two'], producerId: 1n, sequence: 1 }))).toMatchObject({
      baseOffset: 1n,
    })
    expect(values(cluster)).toEqual(['one', 'two'])
  })

  test('a partition may have no leader', async () => {
    const cluster = await start({ brokers: 2 })
    expect(cluster.moveLeader('orders', 0, -1)).toBe(-1)
    const client = await connect(cluster)
    const partition = (await client.metadata(['orders'])).topics[0]!.partitions[0]
    expect(partition).toMatchObject({ errorCode: 5, leaderId: -1, leaderEpoch: 1 })
    const refused = await client.request(Produce, 12, produceRequest(batch()))
    expect(refused.nodeEndpoints).toEqual([])
    expect(refused.responses[0]!.partitionResponses[0]).toMatchObject({ errorCode: 6 })
  })

  test('only a replica that lives can be made the leader', async () => {
    const cluster = await start({ brokers: 3, topics: { orders: { partitions: 1, replicationFactor: 2 } } })
    const { replicas } = cluster.describePartition('orders', 0)
    const other = [1, 2, 3].find((id) => !replicas.includes(id))!
    expect(() => cluster.moveLeader('orders', 0, other)).toThrow(`broker ${other} cannot lead`)
    expect(() => cluster.moveLeader('orders', 5)).toThrow('there is no partition 5')
  })

  test('acks=all needs min ISR, acks=1 does not', async () => {
    const cluster = await start({ brokers: 3, topics: { orders: { minInsyncReplicas: 2 } } })
    const { leader, replicas } = cluster.describePartition('orders', 0)
    const client = await connect(cluster, leader)
    cluster.setIsr('orders', 0, [leader])
    expect(await client.produce(batch())).toMatchObject({ errorCode: 19, logStartOffset: 0n })
    expect(await client.produce(batch(), { acks: 1 })).toMatchObject({ errorCode: 0 })
    cluster.setIsr('orders', 0, replicas)
    expect(await client.produce(batch())).toMatchObject({ errorCode: 0, baseOffset: 1n })
    const follower = replicas.find((id) => id !== leader)!
    expect(() => cluster.setIsr('orders', 0, [follower])).toThrow('cannot be in sync')
  })

  test('min ISR is never more than there are replicas', async () => {
    const cluster = await start({ topics: { orders: { minInsyncReplicas: 3 } } })
    expect(await (await connect(cluster)).produce(batch())).toMatchObject({ errorCode: 0 })
  })
})

describe('brokers', () => {
  test('that stop drop their connections, refuse new ones, and are led past', async () => {
    const cluster = await start({ brokers: 2, topics: { orders: { partitions: 2, minInsyncReplicas: 2 } } })
    const led = [0, 1].find((index) => cluster.describePartition('orders', index).leader === 1)!
    const client = await connect(cluster, 1)
    await cluster.stopBroker(1)
    await client.ended
    await expect(RawClient.connect(cluster.bootstrapServers[0]!)).rejects.toThrow('ECONNREFUSED')
    await expect(cluster.stopBroker(1)).rejects.toThrow('stopped already')
    expect(cluster.describePartition('orders', led)).toMatchObject({ leader: 2, leaderEpoch: 1, isr: [2] })
    const other = await connect(cluster, 2)
    const answer = await other.metadata(['orders'])
    expect(answer.brokers.map(({ nodeId }) => nodeId)).toEqual([2])
    expect(answer.topics[0]!.partitions[led]).toMatchObject({ leaderId: 2, offlineReplicas: [1] })
    expect(await other.produce(batch(), { partition: led })).toMatchObject({ errorCode: 19 })
  })

  test('that start again have their port, and are in sync', async () => {
    const cluster = await start({ brokers: 2 })
    const servers = cluster.bootstrapServers
    await cluster.stopBroker(1)
    await cluster.stopBroker(2)
    expect(cluster.describePartition('orders', 0)).toMatchObject({ leader: -1, isr: [2] })
    await cluster.startBroker(1)
    expect(cluster.describePartition('orders', 0)).toMatchObject({ leader: -1, isr: [2] })
    await cluster.startBroker(2)
    await expect(cluster.startBroker(2)).rejects.toThrow('runs already')
    expect(cluster.bootstrapServers).toEqual(servers)
    expect(cluster.describePartition('orders', 0)).toMatchObject({ leader: 2 })
    expect(cluster.describePartition('orders', 0).isr).toContain(2)
    expect(await (await connect(cluster, 2)).produce(batch())).toMatchObject({ errorCode: 0 })
  })

  test('that are paused take connections and say nothing until they go on', async () => {
    const cluster = await start()
    const before = await connect(cluster)
    cluster.pauseBroker(1)
    const during = await connect(cluster)
    const ids = [before, during].map((client) => client.send(Produce, 12, produceRequest(batch())))
    // The event loop goes round often enough for a broker that listens to answer.
    for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
    expect(cluster.requests).toEqual([])
    cluster.resumeBroker(1)
    await before.answer(Produce, 12, ids[0]!)
    await during.answer(Produce, 12, ids[1]!)
    expect(cluster.records('orders')).toHaveLength(2)
  })

  test('that were paused when they stopped are awake when they start', async () => {
    const cluster = await start()
    cluster.pauseBroker(1)
    await cluster.stopBroker(1)
    await cluster.startBroker(1)
    expect(await (await connect(cluster)).apiVersions()).toMatchObject({ errorCode: 0 })
  })

  test('that do not exist cannot be hurt', async () => {
    const cluster = await start()
    expect(() => cluster.pauseBroker(2)).toThrow('there is no broker 2')
    await expect(cluster.stopBroker(0)).rejects.toThrow('there is no broker 0')
  })

  test('close a connection that sends a frame of no possible size', async () => {
    const cluster = await start()
    for (const size of [-1, 0x7fffffff]) {
      const client = await connect(cluster)
      const prefix = Buffer.alloc(4)
      prefix.writeInt32BE(size)
      client.duplex.write(prefix)
      expect(await client.ended).toBe('end')
    }
  })

  test('close a connection that asks for an API they do not have', async () => {
    const client = await connect(await start())
    const frame = Buffer.concat(Produce.encodeRequest(3, 0, 'raw', produceRequest(null)))
    frame.writeInt16BE(999, 4)
    client.duplex.write(frame)
    expect(await client.ended).toBe('end')
  })

  test('bear clients that reset the connection', async () => {
    const cluster = await start()
    const [host, port] = cluster.bootstrapServers[0]!.split(':')
    const socket = connectSocket(Number(port), host)
    await once(socket, 'connect')
    const client = await connect(cluster)
    await client.apiVersions()
    socket.resetAndDestroy()
    while (cluster.connectionCount(1) > 1) await client.apiVersions()
    expect(await client.produce(batch())).toMatchObject({ errorCode: 0 })
  })
})

describe('older brokers', () => {
  const ranges = async (client: RawClient, version = 4) =>
    (await client.apiVersions(version)).apiKeys.map(({ apiKey, minVersion, maxVersion }) => [
      apiKey,
      minVersion,
      maxVersion,
    ])

  test('by default the versions are those of Kafka 4.2', async () => {
    expect(await ranges(await connect(await start()))).toEqual([
      [0, 0, 13],
      [3, 0, 13],
      [10, 0, 6],
      [18, 0, 4],
      [22, 0, 5],
      [24, 0, 5],
      [25, 0, 4],
      [26, 0, 5],
      [28, 0, 5],
    ])
  })

  test('are played with the versions that are given', async () => {
    const transactions = {
      AddPartitionsToTxn: null,
      AddOffsetsToTxn: null,
      EndTxn: null,
      TxnOffsetCommit: null,
    }
    const cluster = await start({ versions: { Produce: [3, 8], InitProducerId: null, ...transactions } })
    const client = await connect(cluster)
    expect(await ranges(client)).toEqual([
      [0, 3, 8],
      [3, 0, 13],
      [10, 0, 6],
      [18, 0, 4],
    ])
    expect(await client.produce(batch(), { version: 8 })).toMatchObject({ errorCode: 0 })
    client.send(Produce, 9, produceRequest(batch()))
    expect(await client.ended).toBe('end')
    const another = await connect(cluster)
    await expect(another.initProducerId()).rejects.toThrow('the connection ended')
  })

  test('answer an ApiVersions request that is too new in the oldest form', async () => {
    const client = await connect(await start({ versions: { ApiVersions: [0, 2] } }))
    const id = client.send(ApiVersions, 4, {
      clientSoftwareName: 'raw',
      clientSoftwareVersion: '1',
    })
    expect(await client.answer(ApiVersions, 0, id)).toMatchObject({
      errorCode: 35,
      apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 2 }],
    })
    expect((await client.apiVersions(2)).errorCode).toBe(0)
  })
})
