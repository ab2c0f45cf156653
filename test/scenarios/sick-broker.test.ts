/** One broker of three that is up and cannot help: what any broker may answer is asked of another one. */
import { describe, expect, test } from 'vitest'
import type { FaultMatch } from '../../src/testing/index.js'
import { frozenArena, requests, stored } from './arena.js'

const replicated = { brokers: 3, topics: { orders: { partitions: 3 } } }
const patient = { retryBackoffMs: 100, retryBackoffMaxMs: 1000 }

describe.each([1, 2, 3])('broker %i, the first one that is connected to,', (sick) => {
  test.each<[FaultMatch['api'], string, string | undefined]>([
    ['InitProducerId', 'COORDINATOR_LOAD_IN_PROGRESS', undefined],
    ['InitProducerId', 'COORDINATOR_NOT_AVAILABLE', undefined],
    ['InitProducerId', 'UNKNOWN_SERVER_ERROR', undefined],
    ['Metadata', 'LEADER_NOT_AVAILABLE', undefined],
    ['Metadata', 'UNKNOWN_TOPIC_OR_PARTITION', undefined],
    ['FindCoordinator', 'COORDINATOR_NOT_AVAILABLE', 'checkout'],
    ['FindCoordinator', 'REQUEST_TIMED_OUT', 'checkout'],
  ])('answers every %s with %s: another one helps', async (api, error, transactionalId) => {
    const { clock, cluster, producer } = await frozenArena(replicated)
    cluster.fail({ api, broker: sick, times: Infinity }, { error })
    const bootstrapServers = [cluster.bootstrapServers[sick - 1]!]
    const config = {
      ...patient,
      bootstrapServers,
      maxBlockMs: 5000,
      deliveryTimeoutMs: 5000,
      requestTimeoutMs: 4000,
    }
    const orders = producer(transactionalId === undefined ? config : { ...config, transactionalId })
    const send = (): Promise<unknown> => orders.send({ topic: 'orders', value: 'v' })
    const sent = transactionalId === undefined ? send() : orders.transaction(async () => void (await send()))
    await clock.advance(2000)
    await sent
    expect(stored(cluster)).toEqual(['v'])
    // Once more where no other broker was known: that is found out meanwhile.
    const atSick = requests(cluster, api).filter(({ broker }) => broker === sick)
    expect(atSick.length).toBeGreaterThan(0)
    expect(atSick.length).toBeLessThanOrEqual(api === 'FindCoordinator' ? 2 : 1)
  })
})

test('a coordinator that one broker names wrongly is asked for at another', async () => {
  const { clock, cluster, producer } = await frozenArena(replicated)
  // Whichever broker it is: the first answer sends the request to one that is not the coordinator (any more).
  cluster.fail({ api: 'InitProducerId', times: 2 }, { error: 'NOT_COORDINATOR' })
  const orders = producer({ ...patient, transactionalId: 'checkout' })
  const ready = orders.initTransactions()
  await clock.advance(2000)
  await ready
  const asked = requests(cluster, 'FindCoordinator').map(({ broker }) => broker)
  expect(asked).toHaveLength(3)
  expect(new Set(asked).size).toBeGreaterThan(1)
})

test('a single broker is simply asked again', async () => {
  const { clock, cluster, producer } = await frozenArena()
  cluster.fail({ api: 'InitProducerId', times: 3 }, { error: 'COORDINATOR_LOAD_IN_PROGRESS' })
  const sent = producer(patient).send({ topic: 'orders', value: 'v' })
  await clock.advance(2000)
  await sent
  expect(requests(cluster, 'InitProducerId')).toHaveLength(4)
})
