/** A broker that refuses who we are: the sends that need it fail at once, the others do not notice. */
import {
  AuthenticationError,
  type KafkaError,
  Producer,
  type Logger,
  type SaslMechanism,
} from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'
import { expect, test } from 'vitest'

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

/** Refuses these ports; to the others it says nothing, and the test cluster asks for nothing. */
function refusing(ports: ReadonlySet<number>): SaslMechanism {
  return {
    mechanism: 'TEST',
    authenticate: (_, { port }) =>
      ports.has(port) ? Promise.reject(new AuthenticationError('who are you?')) : Promise.resolve(),
  }
}

async function outcome(promise: Promise<unknown>): Promise<unknown> {
  return promise.then(
    () => 'delivered',
    (error: unknown) => error,
  )
}

test('only the sends that need the broker fail, and later ones try again', async () => {
  await using cluster = await TestCluster.start({ brokers: 3, topics: { orders: { partitions: 3 } } })
  const refused = new Set<number>()
  const config = { bootstrapServers: cluster.bootstrapServers, logger: silent }
  await using producer = new Producer({ ...config, sasl: refusing(refused) })
  const [first, second, third] = await producer.partitionsFor('orders')
  refused.add(second!.leader!.port)
  const send = (partition: number) => outcome(producer.send({ topic: 'orders', partition, value: 'v' }))
  // The bootstrap connection may be to that very broker, and is open already.
  const isOpen = (await send(second!.partition)) === 'delivered'
  if (isOpen) refused.delete(second!.leader!.port)
  if (isOpen) refused.add(third!.leader!.port)
  const [denied, allowed] = isOpen ? [third!, second!] : [second!, third!]

  const start = performance.now()
  const error = await send(denied.partition)
  expect(performance.now() - start).toBeLessThan(5000)
  expect(error).toBeInstanceOf(AuthenticationError)
  expect(error).toMatchObject({ retriable: false, mayHaveBeenWritten: false })
  expect((error as KafkaError).message).toMatch(/^TEST authentication with broker \d.* failed: who are you\?/)
  expect(await Promise.all([send(first!.partition), send(allowed.partition)])).toEqual([
    'delivered',
    'delivered',
  ])

  refused.clear()
  expect(await send(denied.partition)).toBe('delivered')
})

test('who is refused everywhere learns it from send, connect and partitionsFor', async () => {
  await using cluster = await TestCluster.start({ brokers: 2, topics: { orders: { partitions: 2 } } })
  const everywhere = new Set(cluster.bootstrapServers.map((server) => Number(server.split(':').at(-1))))
  await using producer = new Producer({
    bootstrapServers: cluster.bootstrapServers,
    logger: silent,
    sasl: refusing(everywhere),
  })
  const start = performance.now()
  for (const error of [
    await outcome(producer.send({ topic: 'orders', value: 'v' })),
    await outcome(producer.connect()),
    await outcome(producer.partitionsFor('orders')),
  ]) {
    expect(error).toBeInstanceOf(AuthenticationError)
  }
  expect(performance.now() - start).toBeLessThan(10_000)
})
