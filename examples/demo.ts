/**
 * The whole producer in ten seconds: orders with acks=all from one producer, click logs with acks=1 from another, what
 * went where, and the records read back as proof.
 *
 *   npm run demo                                    a cluster of three brokers in this process
 *   KAFKA_BOOTSTRAP=localhost:9092 npm run demo     your cluster; topics demo-orders and demo-clicks
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer, json, type RecordMetadata } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'

interface OrderPaidEvent {
  readonly type: 'OrderPaidEvent'
  readonly orderId: string
  readonly customer: string
  readonly amount: number
}

interface Click {
  readonly page: string
  readonly at: number
}

const ORDERS = 'demo-orders'
const CLICKS = 'demo-clicks'
const ROUNDS = 80
const ORDERS_PER_ROUND = 250
const CLICKS_PER_ROUND = 750
const ROUND_MS = 40
const CUSTOMERS = 500
const PAGES = ['/', '/cart', '/checkout', '/thanks']

const count = new Intl.NumberFormat('en-US')

/** What the brokers acknowledged of one topic: the tally of the progress line, the table and the proof. */
class Acknowledged {
  sent = 0
  confirmed = 0
  failed = 0
  /** Offset -> the order sent there, by partition, in the order of the acknowledgements. */
  readonly partitions = new Map<number, Map<bigint, string>>()

  add({ partition, offset }: RecordMetadata, what: string): void {
    this.confirmed++
    const offsets = this.partitions.get(partition)
    if (offsets === undefined) this.partitions.set(partition, new Map([[offset, what]]))
    else offsets.set(offset, what)
  }
}

async function main(): Promise<void> {
  const bootstrap = process.env['KAFKA_BOOTSTRAP']
  const cluster = bootstrap === undefined ? await startCluster() : undefined
  const bootstrapServers = bootstrap ?? cluster?.bootstrapServers ?? []
  console.log(
    cluster === undefined
      ? `Kafka at ${bootstrap}`
      : `A cluster of 3 brokers in this process, at ${String(bootstrapServers)}`,
  )

  const orderProducer = new Producer<string, OrderPaidEvent>({
    bootstrapServers,
    clientId: 'demo-orders',
    acks: 'all', // an order must survive the loss of a broker
    valueSerializer: json(),
  })
  const clickProducer = new Producer<null, Click>({
    bootstrapServers,
    clientId: 'demo-clicks',
    acks: 1, // a few clicks may be lost
    enableIdempotence: false,
    valueSerializer: json(),
  })

  const orders = new Acknowledged()
  const clicks = new Acknowledged()
  const failures = new Set<string>()
  orderProducer.on('deliveryError', (error) => failures.add(error.message))
  clickProducer.on('deliveryError', (error) => failures.add(error.message))

  const started = performance.now()
  try {
    await orderProducer.connect()
    await clickProducer.connect()
    for (let round = 0; round < ROUNDS && failures.size === 0; round++) {
      for (let i = 0; i < ORDERS_PER_ROUND; i++) sendOrder(orderProducer, orders)
      for (let i = 0; i < CLICKS_PER_ROUND; i++) sendClick(clickProducer, clicks)
      showProgress(orders, clicks, performance.now() - started, round === ROUNDS - 1)
      await sleep(ROUND_MS)
    }
    await Promise.all([orderProducer.flush(), clickProducer.flush()])
    showProgress(orders, clicks, performance.now() - started, true)
  } finally {
    await Promise.all([orderProducer.close(), clickProducer.close()])
  }

  printTable(ORDERS, 'acks=all', orders)
  printTable(CLICKS, 'acks=1', clicks)
  if (failures.size > 0) {
    for (const message of failures) console.error(message)
    console.error(`Do the topics exist? kafka-topics.sh --create --topic ${ORDERS} --partitions 6 ...`)
    process.exitCode = 1
  } else if (cluster === undefined) {
    proveByOffsets(orders)
  } else {
    readBack(cluster, orders, clicks)
  }
  await cluster?.close()
}

function startCluster(): Promise<TestCluster> {
  return TestCluster.start({
    brokers: 3,
    topics: { [ORDERS]: { partitions: 6, minInsyncReplicas: 2 }, [CLICKS]: { partitions: 3 } },
  })
}

function sendOrder(producer: Producer<string, OrderPaidEvent>, orders: Acknowledged): void {
  const orderId = `order-${++orders.sent}`
  const customer = `customer-${orders.sent % CUSTOMERS}`
  const value: OrderPaidEvent = { type: 'OrderPaidEvent', orderId, customer, amount: orders.sent * 10 }
  // The key is the customer: the orders of one customer stay in one partition, and in order.
  producer.send({ topic: ORDERS, key: customer, value }, (error, metadata) => {
    if (error === null) orders.add(metadata, orderId)
    else orders.failed++
  })
}

function sendClick(producer: Producer<null, Click>, clicks: Acknowledged): void {
  const page = PAGES[clicks.sent++ % PAGES.length] ?? '/'
  producer.send({ topic: CLICKS, value: { page, at: Date.now() } }, (error, metadata) => {
    if (error === null) clicks.add(metadata, page)
    else clicks.failed++
  })
}

let shownAt = -Infinity

/** One line that rewrites itself on a terminal; a line each second elsewhere. */
function showProgress(orders: Acknowledged, clicks: Acknowledged, elapsedMs: number, isLast: boolean): void {
  if (!process.stdout.isTTY && !isLast && elapsedMs - shownAt < 1000) return
  shownAt = elapsedMs
  const tally = ({ sent, confirmed }: Acknowledged): string =>
    `${count.format(sent).padStart(6)} sent ${count.format(confirmed).padStart(6)} acknowledged`
  const line = `${(elapsedMs / 1000).toFixed(1).padStart(5)} s   orders ${tally(orders)}   clicks ${tally(clicks)}`
  process.stdout.write(process.stdout.isTTY && !isLast ? `\r${line}` : `\r${line}\n`)
}

function printTable(topic: string, acks: string, { confirmed, failed, partitions }: Acknowledged): void {
  console.log(`\n${topic} (${acks}): ${count.format(confirmed)} acknowledged, ${count.format(failed)} failed`)
  for (const [partition, offsets] of [...partitions].sort(([a], [b]) => a - b)) {
    const [first, last] = range(offsets)
    console.log(
      `  partition ${partition}: ${count.format(offsets.size).padStart(6)} records, ` +
        `offset ${first} (${offsets.get(first)}) to ${last} (${offsets.get(last)})`,
    )
  }
}

function range(offsets: Map<bigint, string>): [first: bigint, last: bigint] {
  const all = [...offsets.keys()].sort((a, b) => (a < b ? -1 : 1))
  return [all[0] ?? -1n, all.at(-1) ?? -1n]
}

/** The cluster's own logs against what was acknowledged: every record there once, where the producer was told. */
function readBack(cluster: TestCluster, orders: Acknowledged, clicks: Acknowledged): void {
  const stored = cluster.records(ORDERS)
  const last = new Map<string, number>()
  let wrong = Math.abs(stored.length - orders.sent)
  for (const record of stored) {
    const order = JSON.parse(String(record.value)) as OrderPaidEvent
    if (orders.partitions.get(record.partition)?.get(record.offset) !== order.orderId) wrong++
    const number = Number(order.orderId.slice('order-'.length))
    if (number <= (last.get(order.customer) ?? 0)) wrong++
    last.set(order.customer, number)
  }
  const storedClicks = cluster.records(CLICKS).length
  wrong += Math.abs(storedClicks - clicks.sent)
  console.log(
    `\nRead back: ${count.format(stored.length)} of ${count.format(orders.sent)} orders, ` +
      `${count.format(storedClicks)} of ${count.format(clicks.sent)} clicks.`,
  )
  if (wrong === 0) {
    console.log(
      'Proof: each order is stored once, at the offset that was acknowledged, in order for each customer.',
    )
  } else {
    console.error(`${wrong} records are missing, doubled or out of place.`)
    process.exitCode = 1
  }
}

/** A producer cannot read: the acknowledged offsets are the proof, and Kafka's own consumer shows the records. */
function proveByOffsets(orders: Acknowledged): void {
  const offsets = [...orders.partitions.values()].reduce((sum, partition) => sum + partition.size, 0)
  if (offsets === orders.sent) {
    console.log(`\nProof: ${count.format(offsets)} orders were acknowledged, each at an offset of its own.`)
  } else {
    console.error(
      `\n${count.format(orders.sent)} orders were sent, but ${count.format(offsets)} have an offset.`,
    )
    process.exitCode = 1
  }
  console.log('Read them back with Kafka itself:')
  for (const [partition, stored] of orders.partitions) {
    const [first, last] = range(stored)
    console.log(
      `  kafka-console-consumer.sh --bootstrap-server ${process.env['KAFKA_BOOTSTRAP']} --topic ${ORDERS} ` +
        `--partition ${partition} --offset ${first} --max-messages ${last - first + 1n}`,
    )
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
