/** What a Producer is before anything is sent, and what it tells of itself. What it does: test/scenarios/. */
import { expect, test } from 'vitest'
import { ConfigError, Producer } from '../src/index.js'
import { arena, failure, frozenArena } from './scenarios/arena.js'

test('a config with problems is refused with all of them', () => {
  const build = (): Producer => new Producer({ bootstrapServers: '', acks: 3, lingerMS: 1 } as never)
  expect(build).toThrow(ConfigError)
  expect(build).toThrow(/bootstrapServers[^]*acks[^]*lingerMs|lingerMS[^]*/)
})

test('a new producer has no connection, no timer and nothing in its memory', async () => {
  const { clock, cluster, producer } = await frozenArena()
  const orders = producer({ bufferMemory: 1_000_000 })
  expect(clock.timers).toBe(0)
  expect(cluster.requests).toEqual([])
  expect(orders.metrics()).toEqual({
    recordSendTotal: 0,
    recordErrorTotal: 0,
    recordRetryTotal: 0,
    batchSplitTotal: 0,
    compressionEngine: null,
    requestTotal: 0,
    requestsInFlight: 0,
    bufferTotalBytes: 1_000_000,
    bufferAvailableBytes: 1_000_000,
    waitingRecords: 0,
  })
})

test('metrics count records, requests, retries and failures', async () => {
  const { cluster, producer } = await arena()
  const orders = producer()
  await orders.send({ topic: 'orders', value: 'v' })
  cluster.fail({ api: 'Produce' }, { error: 'NOT_ENOUGH_REPLICAS' })
  await orders.send({ topic: 'orders', value: 'v' })
  cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
  await failure(orders.send({ topic: 'orders', value: 'v' }))
  expect(orders.metrics()).toMatchObject({ recordRetryTotal: 1, recordErrorTotal: 1, requestTotal: 4 })
})

test('an idle producer that has sent leaves only housekeeping that keeps no process alive', async () => {
  const { clock, producer } = await frozenArena()
  await producer().send({ topic: 'orders', value: 'v' })
  await clock.advance(1000)
  expect(clock.foregroundTimers).toBe(0)
})

test('await using closes it', async () => {
  const { cluster, producer } = await arena()
  {
    await using orders = producer()
    await orders.send({ topic: 'orders', value: 'v' })
  }
  expect(cluster.connectionCount(1)).toBe(0)
})

test('send and the send of a handle are no async functions: the promise returned is the one that is handled', async () => {
  const { producer } = await arena()
  const orders = producer()
  const names = [orders.send, orders.topic('orders').send].map((send) => send.constructor.name) // oxlint-disable-line typescript/unbound-method
  expect(names).toEqual(['Function', 'Function'])
})
