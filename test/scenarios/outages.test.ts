/** What is said while things go wrong: enough to know, and no flood. */
import { expect, test } from 'vitest'
import { failure, frozenArena } from './arena.js'

test('an outage is told of when it begins, and then every 30 s, however many servers and requests it is about', async () => {
  const { clock, cluster, log, producer } = await frozenArena({
    brokers: 3,
    topics: { orders: { partitions: 3 } },
  })
  const orders = producer({ deliveryTimeoutMs: 600_000, reconnectBackoffMs: 50, reconnectBackoffMaxMs: 1000 })
  const first = orders.send({ topic: 'orders', value: 'a' })
  await clock.advance(1000)
  await first
  const before = log.length
  await Promise.all([1, 2, 3].map((broker) => cluster.stopBroker(broker)))
  const lost = orders.send({ topic: 'orders', value: 'b' })
  const warnings = () => log.slice(before).filter((line) => line.startsWith('warn'))
  const line = 'warn: a broker cannot be reached'
  await clock.advance(29_000)
  expect(warnings()).toEqual([line])
  await clock.advance(31_000)
  expect(warnings()).toEqual([line, line])
  await clock.advance(700_000)
  expect(await failure(lost)).toMatchObject({ code: 'TIMEOUT' })
  const told = warnings().length
  await clock.advance(120_000)
  expect(warnings().length - told).toBeLessThanOrEqual(4)
})
