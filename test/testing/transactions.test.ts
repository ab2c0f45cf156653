/** What becomes of a transaction in TestCluster: what readers see, what time does to it, what its brokers do to it. */
import { afterEach, describe, expect, test } from 'vitest'
import { AddPartitionsToTxn, FindCoordinator, Produce } from '../../src/protocol/apis.js'
import { errorName } from '../../src/protocol/error-codes.js'
import { readBatchHeader, readRecordBatch } from '../../src/records/read-record-batch.js'
import { markerBatch } from '../../src/testing/coordinators/control-records.js'
import { TestCluster, type ApiName, type TestClusterOptions } from '../../src/testing/index.js'
import { ManualClock } from './manual-clock.js'
import { batch, produceRequest, RawClient } from './raw-client.js'
import { TransactionTalk } from './transaction-talk.js'

const opened: { close(): unknown }[] = []

afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()))
})

async function start(options: TestClusterOptions = {}): Promise<TestCluster> {
  const cluster = await TestCluster.start({ topics: { orders: { partitions: 3 } }, ...options })
  opened.push(cluster)
  return cluster
}

async function connect(cluster: TestCluster, nodeId = 1): Promise<RawClient> {
  const client = await RawClient.connect(cluster.bootstrapServers[nodeId - 1]!)
  opened.push(client)
  return client
}

async function talkTo(cluster: TestCluster, nodeId = 1, name = 'one'): Promise<TransactionTalk> {
  const client = await connect(cluster, nodeId)
  return new TransactionTalk({ client, topic: 'orders', firstPartition: 0, name })
}

/** What a talk noted since the last call. */
function notes(talk: TransactionTalk): string[] {
  return talk.notes.splice(0)
}

function seen(cluster: TestCluster, isolation?: 'read_committed' | 'read_uncommitted'): string[] {
  const records =
    isolation === undefined ? cluster.records('orders') : cluster.records('orders', { isolation })
  return records.map(({ partition, offset }) => `${partition}:${offset}`)
}

const once = { once: true }

/** Waits until the coordinator has taken up the EndTxn that is on its way. */
async function decided(cluster: TestCluster, nodeId = 1): Promise<void> {
  const client = await connect(cluster, nodeId)
  while (cluster.describeTransaction('tx-one')?.state === 'Ongoing') await client.apiVersions()
}

describe('readers', () => {
  test('see all records without markers, and with read_committed only those that are committed', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.produce(0)
    await talk.produce(0, { sequence: 1 })
    expect(seen(cluster)).toEqual(['0:0', '0:1'])
    expect(seen(cluster, 'read_uncommitted')).toEqual(['0:0', '0:1'])
    expect(seen(cluster, 'read_committed')).toEqual([])
    await talk.end(true)
    expect(seen(cluster, 'read_committed')).toEqual(['0:0', '0:1'])
    await talk.produce(0)
    await talk.end(false)
    await talk.produce(0)
    await talk.end(true)
    expect(seen(cluster)).toEqual(['0:0', '0:1', '0:3', '0:5'])
    expect(seen(cluster, 'read_committed')).toEqual(['0:0', '0:1', '0:5'])
    expect(cluster.records('orders')[0]).toMatchObject({ transactional: true, epoch: 0, sequence: 0 })
  })

  test('see nothing from the first record of an open transaction on, whoever wrote it', async () => {
    const cluster = await start()
    const [one, two] = [await talkTo(cluster), await talkTo(cluster, 1, 'two')]
    const client = await connect(cluster)
    await client.produce(batch())
    await one.init()
    await two.init()
    await one.produce(0)
    await client.produce(batch())
    await two.produce(0)
    await two.end(true)
    expect(seen(cluster, 'read_committed')).toEqual(['0:0'])
    expect(cluster.describeLog('orders', 0)).toMatchObject({ endOffset: 5n, lastStableOffset: 1n })
    await one.end(false)
    expect(seen(cluster, 'read_committed')).toEqual(['0:0', '0:2', '0:3'])
    expect(cluster.describeLog('orders', 0)).toEqual({
      endOffset: 6n,
      lastStableOffset: 6n,
      markers: [
        { type: 'COMMIT', offset: 4n, producerId: two.me.producerId, epoch: 1 },
        { type: 'ABORT', offset: 5n, producerId: one.me.producerId, epoch: 1 },
      ],
    })
  })

  test('find markers in every partition of the transaction, and in no other', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.add([1])
    await talk.produce(0)
    await talk.end(true)
    const ends = [0, 1, 2].map((partition) => cluster.describeLog('orders', partition).endOffset)
    expect(ends).toEqual([2n, 1n, 0n])
  })

  test('markers have the bytes that Kafka gives them', () => {
    const commit = {
      producerId: 4611686018427387904n,
      producerEpoch: 32766,
      isCommit: true,
      coordinatorEpoch: 9,
      transactionVersion: 2,
    }
    const now = 1_760_000_000_000
    const bytes = Buffer.from(markerBatch(commit, 7, 3, now))
    // Printed by MemoryRecords.withEndTransactionMarker of Kafka 4.2.0.
    expect(bytes.toString('hex')).toBe(
      '00000000000000070000004200000003020bd59e9000300000000000000199c82cc00000000199c82cc00040000000000000007ffeffffffff000000012000000008000000010c00000000000900',
    )
    const abort = Buffer.from(markerBatch({ ...commit, isCommit: false }, 7, 3, now))
    expect(abort.toString('hex')).toBe(
      '0000000000000007000000420000000302ffeb48d800300000000000000199c82cc00000000199c82cc00040000000000000007ffeffffffff000000012000000008000000000c00000000000900',
    )
    expect(readBatchHeader(abort)).toMatchObject({ isControl: true, isTransactional: true, baseOffset: 7n })
    expect(readRecordBatch(abort).records).toHaveLength(1)
  })
})

describe('while the markers are being written', () => {
  test('what begins the next transaction is told CONCURRENT_TRANSACTIONS', async () => {
    const clock = new ManualClock()
    const cluster = await start({ clock, transactionMarkerDelayMs: 5 })
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.produce(0)
    expect(notes(talk)).toEqual(['p0/0', '0'])
    const ended = talk.end(true)
    await decided(cluster)
    const other = await talkTo(cluster)
    other.me = { ...talk.me, epoch: 1 }
    await other.init(once)
    await other.add([1], once)
    await other.addOffsets(once)
    await other.produce(1, once)
    await other.produce(1, { ...once, version: 11 })
    await other.commitOffsets(once)
    await other.end(true, once)
    await other.end(false, once)
    await other.end(true, { ...once, version: 4 })
    expect(notes(other)).toEqual([
      'CONCURRENT_TRANSACTIONS',
      'CONCURRENT_TRANSACTIONS',
      'CONCURRENT_TRANSACTIONS',
      'CONCURRENT_TRANSACTIONS',
      'NOT_ENOUGH_REPLICAS',
      'CONCURRENT_TRANSACTIONS',
      'CONCURRENT_TRANSACTIONS',
      'CONCURRENT_TRANSACTIONS',
      'CONCURRENT_TRANSACTIONS',
    ])
    expect(seen(cluster, 'read_committed')).toEqual([])
    clock.advance(4)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'PrepareCommit', epoch: 1 })
    clock.advance(1)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'CompleteCommit', partitions: [] })
    await ended
    expect(notes(talk)).toEqual(['p0/1'])
    expect(seen(cluster, 'read_committed')).toEqual(['0:0'])
  })

  test('a batch that was sent back is not overtaken by the one after it', async () => {
    const clock = new ManualClock()
    const cluster = await start({ clock, transactionMarkerDelayMs: 5 })
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.produce(0)
    const ended = talk.end(true)
    await decided(cluster)
    const next = await talkTo(cluster)
    next.me = talk.later(1)
    await next.produce(1, once)
    clock.advance(5)
    await ended
    await next.produce(1, { sequence: 1 })
    await next.produce(1)
    await next.produce(1, { sequence: 1 })
    expect(notes(next)).toEqual(['CONCURRENT_TRANSACTIONS', 'OUT_OF_ORDER_SEQUENCE_NUMBER', '0', '1'])
  })

  const holdUps: [string, (cluster: TestCluster) => unknown, (cluster: TestCluster) => unknown][] = [
    [
      'has no leader',
      (cluster) => cluster.moveLeader('orders', 0, -1),
      (cluster) => cluster.moveLeader('orders', 0, 1),
    ],
    [
      'has too few replicas in sync',
      (cluster) => cluster.setIsr('orders', 0, [1]),
      (cluster) => cluster.setIsr('orders', 0, [1, 2]),
    ],
    [
      'is led by a broker that hangs',
      (cluster) => cluster.pauseBroker(1),
      (cluster) => cluster.resumeBroker(1),
    ],
  ]

  test.each(holdUps)('the transaction waits for a partition that %s', async (_, hold, letGo) => {
    const cluster = await start({
      brokers: 2,
      topics: { orders: { partitions: 2, minInsyncReplicas: 2 } },
    })
    cluster.moveLeader('orders', 0, 1)
    cluster.moveLeader('orders', 1, 2)
    cluster.moveCoordinator('transaction', 'tx-one', 2)
    const [talk, leader] = [await talkTo(cluster, 2), await talkTo(cluster, 1)]
    await talk.init()
    leader.me = talk.me
    await leader.produce(0)
    await talk.produce(1)
    hold(cluster)
    const ended = talk.end(true)
    await decided(cluster, 2)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'PrepareCommit' })
    // The other partition does not wait for this one.
    expect(seen(cluster, 'read_committed')).toEqual(['1:0'])
    letGo(cluster)
    await ended
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'CompleteCommit' })
    expect(seen(cluster, 'read_committed')).toEqual(['0:0', '1:0'])
  })

  test('a partition whose topic is deleted is not waited for', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.produce(0)
    cluster.moveLeader('orders', 0, -1)
    const ended = talk.end(true)
    await decided(cluster)
    cluster.deleteTopic('orders')
    await ended
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'CompleteCommit' })
  })

  test('a marker that comes after a later epoch is dropped', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.add([0])
    await talk.produce(0, { attributes: 0, epoch: 5 })
    await talk.end(true, { version: 4 })
    expect(notes(talk)).toEqual(['p0/0', 'NONE', '0', 'NONE'])
    expect(cluster.describeLog('orders', 0).markers).toEqual([])
  })
})

describe('the coordinator aborts', () => {
  test.each([1, 2] as const)(
    'a transaction that runs longer than its timeout, at transaction.version %i',
    async (transactionVersion) => {
      const clock = new ManualClock()
      const cluster = await start({ clock, transactionVersion })
      const talk = await talkTo(cluster)
      await talk.init({ timeoutMs: 1000 })
      await talk.produce(0)
      clock.advance(999)
      expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'Ongoing', epoch: 0 })
      clock.advance(1)
      expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'CompleteAbort', epoch: 1 })
      expect(seen(cluster, 'read_committed')).toEqual([])
      await talk.produce(0, { sequence: 1 })
      await talk.produce(1)
      await talk.add([1])
      await talk.end(true, { version: 4 })
      // What classic transactions fence is out for good; the others can come back with the epoch they had.
      const back = transactionVersion === 2 ? 'p0/1' : 'PRODUCER_FENCED'
      await talk.init({ as: talk.me })
      await talk.init()
      expect(notes(talk)).toEqual([
        'p0/0',
        '0',
        'INVALID_PRODUCER_EPOCH',
        'INVALID_PRODUCER_EPOCH',
        'PRODUCER_FENCED',
        'PRODUCER_FENCED',
        back,
        'p0/2',
      ])
    },
  )

  test('no transaction that has ended in time, and none of the next', async () => {
    const clock = new ManualClock()
    const cluster = await start({ clock })
    const talk = await talkTo(cluster)
    await talk.init({ timeoutMs: 1000 })
    await talk.produce(0)
    clock.advance(900)
    await talk.end(true)
    expect(clock.pending).toBe(0)
    await talk.produce(0)
    clock.advance(900)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'Ongoing' })
    clock.advance(100)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'CompleteAbort' })
  })

  test('a transaction that ran out of time while the coordinator hung, once it is back', async () => {
    const clock = new ManualClock()
    const cluster = await start({ clock })
    const talk = await talkTo(cluster)
    await talk.init({ timeoutMs: 1000 })
    await talk.produce(0)
    cluster.pauseBroker(1)
    clock.advance(2000)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'Ongoing' })
    cluster.resumeBroker(1)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'CompleteAbort' })
  })

  test('nothing any more when the cluster is closed, and leaves no timer', async () => {
    const clock = new ManualClock()
    const cluster = await start({ clock, transactionMarkerDelayMs: 5 })
    const [one, two] = [await talkTo(cluster), await talkTo(cluster, 1, 'two')]
    await one.init()
    await two.init()
    await one.produce(0)
    await two.produce(0)
    const ended = one.end(true)
    await decided(cluster)
    const [, ending] = await Promise.allSettled([cluster.close(), ended])
    expect(ending).toMatchObject({ reason: { message: expect.stringContaining('the connection ended') } })
    expect(clock.pending).toBe(0)
  })

  test('a transactional id is forgotten after seven days without a transaction', async () => {
    const clock = new ManualClock()
    const cluster = await start({ clock })
    const talk = await talkTo(cluster)
    await talk.init()
    const first = talk.me.producerId
    clock.advance(7 * 86_400_000 - 1)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'Empty', producerId: first })
    clock.advance(1)
    expect(cluster.describeTransaction('tx-one')).toBeUndefined()
    await talk.end(false)
    await talk.init({ as: talk.me })
    expect(notes(talk)).toEqual(['p0/0', 'INVALID_PRODUCER_ID_MAPPING', 'p1/0'])
  })
})

describe('the version of transactions', () => {
  const featuresOf = async (client: RawClient) => {
    const { finalizedFeatures, finalizedFeaturesEpoch } = await client.apiVersions()
    return [finalizedFeatures[0]!.maxVersionLevel, finalizedFeaturesEpoch]
  }

  test('is 2 unless the options say 1, and can be changed while the cluster runs', async () => {
    const cluster = await start()
    const client = await connect(cluster)
    expect(await featuresOf(client)).toEqual([2, 1n])
    expect(await featuresOf(await connect(await start({ transactionVersion: 1 })))).toEqual([1, 1n])
    cluster.setTransactionVersion(1)
    expect(await featuresOf(client)).toEqual([1, 2n])
    cluster.setTransactionVersion(1)
    expect(await featuresOf(client)).toEqual([1, 2n])
    cluster.setTransactionVersion(2)
    expect(await featuresOf(client)).toEqual([2, 3n])
  })

  test('is 1 or 2, and a delay is not negative', async () => {
    await expect(start({ transactionVersion: 3 as 2 })).rejects.toThrow(
      'transactionVersion is 3, must be 1 or 2',
    )
    await expect(start({ transactionMarkerDelayMs: -1 })).rejects.toThrow('must be 0 or more')
    const cluster = await start()
    expect(() => cluster.setTransactionVersion(0 as 1)).toThrow(RangeError)
  })
})

describe('coordinators', () => {
  const findAll = (client: RawClient, keys: readonly string[], keyType = 1, version = 6) =>
    client.request(FindCoordinator, version, { key: keys[0]!, keyType, coordinatorKeys: keys })

  test('are spread over the brokers by the key, and every broker says the same', async () => {
    const cluster = await start({ brokers: 3 })
    const keys = Array.from({ length: 12 }, (_, i) => `key-${i}`)
    for (const [keyType, type] of [
      [0, 'group'],
      [1, 'transaction'],
    ] as const) {
      const expected = keys.map((key) => cluster.coordinator(type, key))
      expect(new Set(expected).size).toBe(3)
      for (const nodeId of [1, 2, 3]) {
        const { coordinators } = await findAll(await connect(cluster, nodeId), keys, keyType)
        expect(coordinators.map((each) => each.nodeId)).toEqual(expected)
        expect(coordinators.map(({ host, port }) => `${host}:${port}`)).toEqual(
          expected.map((id) => cluster.bootstrapServers[id - 1]),
        )
      }
    }
  })

  test('one key at a time is asked for up to version 3', async () => {
    const cluster = await start()
    const client = await connect(cluster)
    for (const version of [0, 1, 2, 3]) {
      const keyType = version === 0 ? 0 : 1
      const answer = await findAll(client, ['tx'], keyType, version)
      expect(answer).toMatchObject({ errorCode: 0, nodeId: 1, errorMessage: version === 0 ? null : 'NONE' })
    }
    cluster.moveCoordinator('transaction', 'tx', -1)
    expect(await findAll(client, ['tx'], 1, 3)).toMatchObject({
      errorCode: 15,
      nodeId: -1,
      host: '',
      port: -1,
      errorMessage: 'COORDINATOR_NOT_AVAILABLE',
    })
  })

  test('of other types there are none', async () => {
    const client = await connect(await start())
    const error = async (keyType: number, version: number) =>
      errorName((await findAll(client, ['x'], keyType, version)).coordinators[0]!.errorCode)
    expect(await error(2, 6)).toBe('COORDINATOR_NOT_AVAILABLE')
    expect(await error(2, 5)).toBe('INVALID_REQUEST')
    expect(await error(3, 6)).toBe('INVALID_REQUEST')
  })

  test('other brokers say NOT_COORDINATOR, and a coordinator that moves takes everything along', async () => {
    const cluster = await start({ brokers: 2 })
    cluster.moveCoordinator('transaction', 'tx-one', 1)
    cluster.moveCoordinator('group', 'group-one', 1)
    const [one, two] = [await talkTo(cluster, 1), await talkTo(cluster, 2)]
    await one.init()
    await one.add([0])
    expect(cluster.moveCoordinator('transaction', 'tx-one')).toBe(2)
    await one.init(once)
    await one.add([1], once)
    await one.addOffsets(once)
    await one.end(true, once)
    expect(notes(one)).toEqual(['p0/0', 'NONE', ...Array.from({ length: 4 }, () => 'NOT_COORDINATOR')])
    two.me = one.me
    await two.commitOffsets(once)
    await two.add([0])
    await two.end(true)
    expect(notes(two)).toEqual(['NOT_COORDINATOR', 'NONE', 'p0/1'])
    expect(cluster.describeLog('orders', 0).markers).toHaveLength(1)
  })

  test('move on when their broker stops, and do not come back with it', async () => {
    const cluster = await start({ brokers: 3 })
    const before = cluster.coordinator('transaction', 'tx-one')
    await cluster.stopBroker(before)
    const after = cluster.coordinator('transaction', 'tx-one')
    expect(after).not.toBe(before)
    await cluster.startBroker(before)
    expect(cluster.coordinator('transaction', 'tx-one')).toBe(after)
    await Promise.all([1, 2, 3].map((id) => cluster.stopBroker(id)))
    expect(cluster.coordinator('transaction', 'tx-one')).toBe(-1)
    expect(() => cluster.moveCoordinator('group', 'x', 2)).toThrow('broker 2 cannot coordinate group x')
    await cluster.startBroker(2)
    expect(cluster.coordinator('transaction', 'tx-one')).toBe(2)
  })

  test('without one, a leader cannot let a transaction in', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.produce(1)
    cluster.moveCoordinator('transaction', 'tx-one', -1)
    await talk.produce(0, once)
    await talk.produce(0, { ...once, version: 11 })
    await talk.produce(1, { sequence: 1 })
    await talk.commitOffsets(once)
    expect(notes(talk)).toEqual([
      'p0/0',
      '0',
      'NOT_ENOUGH_REPLICAS',
      'NOT_ENOUGH_REPLICAS',
      '1',
      'COORDINATOR_NOT_AVAILABLE',
    ])
  })

  test('a request with batches of two transactional producers is refused as a whole', async () => {
    const client = await connect(await start())
    const request = produceRequest(null, { transactionalId: 'tx' })
    const partitionData = [1n, 2n].map((producerId, index) => ({
      index,
      records: batch({ producerId, attributes: 0x10 }),
    }))
    const answer = await client.request(Produce, 12, {
      ...request,
      topicData: [{ ...request.topicData[0]!, partitionData }],
    })
    const codes = answer.responses[0]!.partitionResponses.map(({ errorCode }) => errorName(errorCode))
    expect(codes).toEqual(['INVALID_PRODUCER_ID_MAPPING', 'INVALID_PRODUCER_ID_MAPPING'])
  })
})

describe('offsets of a group', () => {
  const committed = { topic: 'orders', partition: 0, offset: 42n, leaderEpoch: -1, metadata: 'so far' }

  test('count from the commit of the transaction on', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.commitOffsets()
    expect(cluster.describeTransaction('tx-one')!.partitions).toMatchObject([{ topic: '__consumer_offsets' }])
    expect(cluster.committedOffsets('group-one')).toEqual([])
    await talk.end(true)
    expect(cluster.committedOffsets('group-one')).toEqual([committed])
  })

  test('never count when it is aborted', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.commitOffsets()
    await talk.end(false)
    await talk.commitOffsets({ metadata: 'later' })
    await talk.end(true)
    expect(cluster.committedOffsets('group-one')).toEqual([{ ...committed, metadata: 'later' }])
  })

  test('are those of the latest request, not of the transaction that ends last', async () => {
    const cluster = await start()
    const [one, two] = [await talkTo(cluster), await talkTo(cluster, 1, 'two')]
    await one.init()
    await two.init()
    await one.commitOffsets({ metadata: 'first' })
    await two.commitOffsets({ metadata: 'second', groupId: 'group-one' })
    await two.end(true)
    await one.end(true)
    expect(cluster.committedOffsets('group-one')).toEqual([{ ...committed, metadata: 'second' }])
  })

  test('are listed by topic and partition, and wait for the coordinator of their group', async () => {
    const cluster = await start({ topics: { orders: {}, clicks: { partitions: 12 } } })
    const talk = await talkTo(cluster)
    const partitions = (...indexes: number[]) =>
      indexes.map((partitionIndex) => ({
        partitionIndex,
        committedOffset: 1n,
        committedLeaderEpoch: 3,
        committedMetadata: null,
      }))
    await talk.init()
    await talk.commitOffsets({
      topics: [
        { name: 'orders', partitions: partitions(0) },
        { name: 'clicks', partitions: partitions(11, 2) },
      ],
    })
    cluster.moveCoordinator('group', 'group-one', -1)
    const ended = talk.end(true)
    await decided(cluster)
    expect(cluster.committedOffsets('group-one')).toEqual([])
    cluster.moveCoordinator('group', 'group-one', 1)
    await ended
    expect(cluster.committedOffsets('group-one')).toEqual([
      { topic: 'clicks', partition: 2, offset: 1n, leaderEpoch: 3, metadata: '' },
      { topic: 'clicks', partition: 11, offset: 1n, leaderEpoch: 3, metadata: '' },
      { topic: 'orders', partition: 0, offset: 1n, leaderEpoch: 3, metadata: '' },
    ])
  })

  const generation = {
    generationId: 5,
    members: [{ memberId: 'm1', groupInstanceId: 'static-1' }, { memberId: 'm2' }],
  }
  const commits: [string, Parameters<TransactionTalk['commitOffsets']>[0], string][] = [
    ['a member in its generation', { generationId: 5, memberId: 'm2' }, 'NONE'],
    ['a static member', { generationId: 5, memberId: 'm1', groupInstanceId: 'static-1' }, 'NONE'],
    ['a member of the generation before', { generationId: 4, memberId: 'm2' }, 'ILLEGAL_GENERATION'],
    ['a member that names no generation', { memberId: 'm2' }, 'ILLEGAL_GENERATION'],
    ['somebody else', { generationId: 5, memberId: 'm3' }, 'UNKNOWN_MEMBER_ID'],
    [
      'another in the place of a static member',
      { generationId: 5, memberId: 'm2', groupInstanceId: 'static-1' },
      'FENCED_INSTANCE_ID',
    ],
    [
      'an instance that nobody is',
      { generationId: 5, memberId: 'm2', groupInstanceId: 'static-2' },
      'UNKNOWN_MEMBER_ID',
    ],
    ['a client from before members were named', {}, 'NONE'],
    ['a client of version 2', { version: 2 }, 'INVALID_TXN_STATE'],
  ]

  test.each(commits)('are taken from a group with members or not: %s', async (_, commit, expected) => {
    const cluster = await start()
    cluster.setGroup('group-one', generation)
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.commitOffsets(commit ?? {})
    expect(notes(talk)).toEqual(['p0/0', expected])
  })

  test('stay when the group changes', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    cluster.setGroup('group-one', {})
    await talk.init()
    await talk.commitOffsets()
    await talk.end(true)
    cluster.setGroup('group-one', generation)
    await talk.commitOffsets({ generationId: 1, memberId: 'm2' })
    await talk.commitOffsets({ generationId: 5, memberId: 'm2' })
    expect(notes(talk)).toEqual(['p0/0', 'NONE', 'p0/1', 'ILLEGAL_GENERATION', 'NONE'])
    expect(cluster.committedOffsets('group-one')).toEqual([committed])
  })
})

describe('faults on order', () => {
  const asked: Record<string, (talk: TransactionTalk) => Promise<void>> = {
    FindCoordinator: (talk) => talk.find(1),
    InitProducerId: (talk) => talk.init(once),
    AddPartitionsToTxn: (talk) => talk.add([0], once),
    AddOffsetsToTxn: (talk) => talk.addOffsets(once),
    EndTxn: (talk) => talk.end(false, once),
    TxnOffsetCommit: (talk) => talk.commitOffsets(once),
  }
  const errors = ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'PRODUCER_FENCED', 'TRANSACTION_ABORTABLE']

  test.each(Object.keys(asked))('are answered by %s in place of being carried out', async (api) => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    const before = cluster.describeTransaction('tx-one')
    for (const error of errors) {
      cluster.fail({ api: api as ApiName }, { error })
      await asked[api]!(talk)
    }
    expect(notes(talk).slice(1)).toEqual(errors)
    expect(cluster.describeTransaction('tx-one')).toEqual(before)
    expect(cluster.requests.at(-1)).toMatchObject({ api, fault: { error: 'TRANSACTION_ABORTABLE' } })
    await asked[api]!(talk)
    expect(notes(talk)).not.toContain('TRANSACTION_ABORTABLE')
  })

  test('of one topic: all or nothing in AddPartitionsToTxn, others are served in TxnOffsetCommit', async () => {
    const cluster = await start({ topics: { orders: {}, clicks: {} } })
    const talk = await talkTo(cluster)
    await talk.init()
    cluster.fail({ api: 'AddPartitionsToTxn', topic: 'clicks' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
    cluster.fail({ api: 'TxnOffsetCommit', topic: 'clicks' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
    const answer = await talk.client.request(AddPartitionsToTxn, 3, {
      v3AndBelowTransactionalId: talk.transactionalId,
      v3AndBelowProducerId: talk.me.producerId,
      v3AndBelowProducerEpoch: talk.me.epoch,
      v3AndBelowTopics: ['orders', 'clicks'].map((name) => ({ name, partitions: [0] })),
    })
    const added = answer.resultsByTopicV3AndBelow.map(({ resultsByPartition: [each] }) =>
      errorName(each!.partitionErrorCode),
    )
    expect(added).toEqual(['OPERATION_NOT_ATTEMPTED', 'TOPIC_AUTHORIZATION_FAILED'])
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'Empty' })
    const row = {
      partitionIndex: 0,
      committedOffset: 1n,
      committedLeaderEpoch: -1,
      committedMetadata: null,
    }
    await talk.commitOffsets({
      topics: ['orders', 'clicks'].map((name) => ({ name, partitions: [row] })),
    })
    await talk.end(true)
    expect(notes(talk)).toEqual(['p0/0', 'NONE TOPIC_AUTHORIZATION_FAILED', 'p0/1'])
    expect(cluster.committedOffsets('group-one')).toMatchObject([{ topic: 'orders' }])
    expect(cluster.requests.find(({ api }) => api === 'TxnOffsetCommit')?.topics).toEqual([
      'orders',
      'clicks',
    ])
  })

  test('in a Produce request leave its partitions out of the transaction', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    cluster.fail({ api: 'Produce' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
    await talk.produce(0)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'Empty', partitions: [] })
    cluster.fail({ api: 'Produce' }, { error: 'REQUEST_TIMED_OUT' })
    await talk.produce(0)
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'Ongoing' })
    expect(notes(talk)).toEqual(['p0/0', 'TOPIC_AUTHORIZATION_FAILED', 'REQUEST_TIMED_OUT'])
  })

  test('an answer that is lost after EndTxn was carried out leaves a decided transaction', async () => {
    const cluster = await start()
    const talk = await talkTo(cluster)
    await talk.init()
    await talk.produce(0)
    cluster.fail({ api: 'EndTxn' }, { cutAfterBytes: 0 })
    await expect(talk.end(true)).rejects.toThrow('the connection ended')
    expect(cluster.describeTransaction('tx-one')).toMatchObject({ state: 'CompleteCommit', epoch: 1 })
    const again = await talkTo(cluster)
    again.me = talk.me
    await again.end(true)
    expect(again.me.epoch).toBe(1)
  })
})
