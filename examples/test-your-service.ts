/**
 * Tests for code that sends to Kafka, without a Kafka: TestCluster speaks the real protocol on loopback, keeps what
 * it was sent, and fails when it is told to. Here with Node's own test runner; any other works the same.
 *
 *   npm run build:examples && node --test build/examples/test-your-service.js
 */
import assert from 'node:assert/strict'
import { after, before, test } from 'node:test'
import { KafkaError, Producer, json } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'

// The code under test: a checkout that announces what was paid, and says whether it could.
interface OrderPaidEvent {
  readonly type: 'OrderPaidEvent'
  readonly orderId: string
  readonly amount: number
}

class Checkout {
  readonly #producer: Producer<string, OrderPaidEvent>

  constructor(producer: Producer<string, OrderPaidEvent>) {
    this.#producer = producer
  }

  async pay(orderId: string, amount: number): Promise<'announced' | 'not announced'> {
    try {
      const value: OrderPaidEvent = { type: 'OrderPaidEvent', orderId, amount }
      await this.#producer.send({ topic: 'orders', key: orderId, value })
      return 'announced'
    } catch (error) {
      if (error instanceof KafkaError) return 'not announced'
      throw error
    }
  }
}

let cluster: TestCluster
let producer: Producer<string, OrderPaidEvent>
let checkout: Checkout

before(async () => {
  cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
  producer = new Producer({ bootstrapServers: cluster.bootstrapServers, valueSerializer: json() })
  checkout = new Checkout(producer)
})

after(async () => {
  await producer.close()
  await cluster.close()
})

const announced = (orderId: string): unknown[] =>
  cluster
    .records('orders')
    .filter((record) => record.key?.toString() === orderId)
    .map((record) => JSON.parse(String(record.value)) as unknown)

test('a payment is announced under the key of its order', async () => {
  assert.equal(await checkout.pay('order-1', 42_000), 'announced')
  assert.deepEqual(announced('order-1'), [{ type: 'OrderPaidEvent', orderId: 'order-1', amount: 42_000 }])
})

test('a broker that is short of replicas for a moment costs time, not events', async () => {
  const undo = cluster.fail({ api: 'Produce', times: 2 }, { error: 'NOT_ENOUGH_REPLICAS' })
  assert.equal(await checkout.pay('order-2', 1), 'announced')
  assert.equal(announced('order-2').length, 1)
  undo()
})

test('a checkout that may not write says so', async () => {
  const undo = cluster.fail({ api: 'Produce' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
  assert.equal(await checkout.pay('order-3', 1), 'not announced')
  assert.equal(announced('order-3').length, 0)
  undo()
})
