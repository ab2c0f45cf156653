/**
 * A service that takes orders, one on a line of standard input (`order-17 42000`), and announces each with an
 * OrderPaidEvent. On SIGTERM, SIGINT or the end of its input it takes no more orders, delivers what it has, and exits.
 *
 *   npm run build:examples
 *   printf 'order-17 42000\norder-18 1250\n' | KAFKA_BOOTSTRAP=localhost:9092 node build/examples/order-service.js
 *
 * Without KAFKA_BOOTSTRAP it starts a cluster in this process.
 */
import { createInterface } from 'node:readline'
import { Producer, json } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'

interface OrderPaidEvent {
  readonly type: 'OrderPaidEvent'
  readonly orderId: string
  readonly amount: number
}

/** The orders whose announcement failed: a real service writes them to a table or a file, to announce them later. */
const unannounced: string[] = []

async function main(): Promise<void> {
  const bootstrap = process.env['KAFKA_BOOTSTRAP']
  const cluster = bootstrap === undefined ? await startCluster() : undefined
  const producer = new Producer<string, OrderPaidEvent>({
    bootstrapServers: bootstrap ?? cluster?.bootstrapServers ?? [],
    clientId: 'order-service',
    acks: 'all',
    valueSerializer: json(),
  })
  // Every record that is lost is told here, also one that nothing in this file waits for.
  let lost = 0
  producer.on('deliveryError', (error, { topic, partition }) => {
    lost++
    console.error(`${error.code}: ${topic}-${partition}: ${error.message}`)
  })
  await producer.connect() // a wrong address is told at start-up, not at the first order

  const input = createInterface({ input: process.stdin })
  const stop = (): void => input.close()
  process.once('SIGTERM', stop)
  process.once('SIGINT', stop)

  console.log('taking orders')
  for await (const line of input) {
    const order = parseOrder(line)
    if (order === undefined) console.error(`not an order: ${line}`)
    // Not awaited: the orders of the next milliseconds share this one's batch, and leave in order all the same.
    else void announce(producer, order)
  }

  console.log('shutting down')
  await producer.close({ timeoutMs: 10_000 }) // delivers what is under way; what it cannot deliver fails
  await cluster?.close()
  console.log(lost === 0 ? 'every order was announced' : `not announced: ${unannounced.join(', ')}`)
  if (lost > 0) process.exitCode = 1 // by this count, for close() tells only of what was under way when it was called
}

async function announce(producer: Producer<string, OrderPaidEvent>, order: OrderPaidEvent): Promise<void> {
  try {
    const { topic, partition, offset } = await producer.send({
      topic: 'orders',
      key: order.orderId, // the events of one order stay in order
      value: order,
      headers: { source: 'order-service' },
    })
    console.log(`${order.orderId} paid: ${topic}-${partition} at offset ${offset}`)
  } catch {
    // The producer has retried for deliveryTimeoutMs, and the listener of deliveryError has said why it gave up.
    unannounced.push(order.orderId)
  }
}

function parseOrder(line: string): OrderPaidEvent | undefined {
  const [, orderId, amount] = /^(\S+)\s+(\d+)$/.exec(line.trim()) ?? []
  if (orderId === undefined) return undefined
  return { type: 'OrderPaidEvent', orderId, amount: Number(amount) }
}

function startCluster(): Promise<TestCluster> {
  return TestCluster.start({ brokers: 3, topics: { orders: { partitions: 6, minInsyncReplicas: 2 } } })
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
