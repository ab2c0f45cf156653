/** Answers that leave something out: what a coordinator said nothing of has not been done. The brokers are a function. */
import { expect, test } from 'vitest'
import { Backoff } from '../../../src/time/backoff.js'
import type { Connection } from '../../../src/network/connection/connection.js'
import { TransactionRequests } from '../../../src/producer/transactions/transaction-requests.js'
import { ManualClock, settled } from '../../network/manual-clock.js'

interface Asked {
  readonly api: string
  readonly body: unknown
}

function bench(...answers: object[]): {
  requests: TransactionRequests
  asked: Asked[]
  clock: ManualClock
} {
  const clock = new ManualClock()
  const asked: Asked[] = []
  const connection = {
    isOpen: true,
    isStale: false,
    nodeId: 1,
    request: (api: { name: string }, body: object) => {
      if (api.name === 'FindCoordinator')
        return Promise.resolve({ coordinators: [{ errorCode: 0, nodeId: 1, host: 'broker', port: 9092 }] })
      asked.push({ api: api.name, body })
      const answer = answers.shift()
      return answer === undefined ? new Promise(() => {}) : Promise.resolve(answer)
    },
  } as unknown as Connection
  const backoff = new Backoff(100, 100, () => 0.5)
  const requests = new TransactionRequests('checkout', 60_000, {
    cluster: {
      anyConnection: () => Promise.resolve(connection),
      connectAt: () => Promise.resolve(connection),
    },
    clock,
    backoff,
    shortBackoff: backoff,
  })
  return { requests, asked, clock }
}

const asker = {
  identity: { producerId: 7n, producerEpoch: 0 },
  isV2: false,
  isWanted: () => true,
  onLost: () => {},
}

test('AddPartitionsToTxn: a partition without a word is asked for again', async () => {
  const partition = (partitionIndex: number): object => ({ partitionIndex, partitionErrorCode: 0 })
  const { requests, asked, clock } = bench(
    { resultsByTopicV3AndBelow: [] },
    { resultsByTopicV3AndBelow: [{ name: 'orders', resultsByPartition: [partition(0)] }] },
    { resultsByTopicV3AndBelow: [{ name: 'orders', resultsByPartition: [partition(0), partition(1)] }] },
  )
  let isDone = false
  const added = requests
    .addPartitions(asker, [
      { topic: 'orders', partition: 0 },
      { topic: 'orders', partition: 1 },
    ])
    .then(() => {
      isDone = true
    })
  await settled()
  expect(isDone).toBe(false)
  expect(requests.lastError?.message).toContain('AddPartitionsToTxn without a word on orders-0, orders-1')
  await clock.advance(150)
  expect(isDone).toBe(false)
  expect(requests.lastError?.message).toContain('without a word on orders-1')
  await clock.advance(150)
  await added
  expect(asked).toHaveLength(3)
})

test('TxnOffsetCommit: an offset without a word is sent again, alone', async () => {
  const { requests, asked, clock } = bench(
    { topics: [{ name: 'orders', partitions: [{ partitionIndex: 0, errorCode: 0 }] }] },
    { topics: [{ name: 'orders', partitions: [{ partitionIndex: 1, errorCode: 0 }] }] },
  )
  const offset = (partitionIndex: number): object => ({
    partitionIndex,
    committedOffset: 1n,
    committedLeaderEpoch: -1,
    committedMetadata: '',
  })
  const topics = [{ name: 'orders', partitions: [offset(0), offset(1)] }] as never
  const sent = requests.commitOffsets(asker, topics, { groupId: 'readers' })
  await settled()
  await clock.advance(150)
  await sent
  expect(asked.map(({ body }) => (body as { topics: unknown }).topics)).toMatchObject([
    [{ partitions: [{ partitionIndex: 0 }, { partitionIndex: 1 }] }],
    [{ partitions: [{ partitionIndex: 1 }] }],
  ])
})

test.each([
  { producerId: -1n, producerEpoch: 0 },
  { producerId: 7n, producerEpoch: -1 },
])('InitProducerId: an identity that is negative is asked for again (%o)', async (nonsense) => {
  const { requests, asked, clock } = bench(
    { errorCode: 0, ...nonsense },
    { errorCode: 0, producerId: 7n, producerEpoch: 3 },
  )
  const given = requests.initProducerId({ producerId: -1n, producerEpoch: -1 })
  await settled()
  expect(requests.lastError).toMatchObject({ name: 'ProtocolError', retriable: true })
  await clock.advance(150)
  expect(await given).toEqual({ producerId: 7n, producerEpoch: 3 })
  expect(asked).toHaveLength(2)
})

test('EndTxn: a negative epoch for the next transaction is asked for again', async () => {
  const { requests, asked, clock } = bench(
    { errorCode: 0, producerId: 7n, producerEpoch: -1 },
    { errorCode: 0, producerId: 7n, producerEpoch: 1 },
  )
  const ended = requests.endTxn({ ...asker, isV2: true }, true, () => {})
  await clock.advance(150)
  expect(await ended).toEqual({ producerId: 7n, producerEpoch: 1 })
  expect(asked).toHaveLength(2)
})
