/**
 * At most once, at least once, exactly once: three producers send the same records while the same connections break, and
 * the log shows what each of them made of it.
 *
 *   npm run build:examples && node build/examples/delivery-semantics.js
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer, type ProducerConfig } from 'kafka-producer'
import { TestCluster, type FaultAction } from 'kafka-producer/testing'

interface Semantics {
  readonly name: string
  readonly options: Pick<ProducerConfig, 'acks' | 'enableIdempotence'>
}

const semantics: readonly Semantics[] = [
  { name: 'at most once', options: { acks: 0, enableIdempotence: false } },
  { name: 'at least once', options: { acks: 'all', enableIdempotence: false } },
  { name: 'exactly once', options: {} }, // the default: acks 'all', idempotent
]

const RECORDS = 20

/** The connection is reset, and the broker never had the request. */
const cutBefore: FaultAction = 'close'
/** The broker appends, and the connection is reset before the answer. */
const cutAfter: FaultAction = { cutAfterBytes: 0 }

/** What happens to the first request with a payment. */
const faults = [
  { number: 3, action: cutBefore },
  { number: 8, action: cutAfter },
  { number: 12, action: cutBefore },
  { number: 17, action: cutAfter },
]

/** The connections break on purpose, so there is nothing to warn of. */
const logger = { debug() {}, info() {}, warn() {}, error() {} }

async function main(): Promise<void> {
  console.log(
    `${RECORDS} payments each. Before the broker has them, the connection is cut at payments 3 and 12;`,
  )
  console.log('after it has stored them and before it answers, at payments 8 and 17.\n')
  console.log(row('', ['sent', 'acknowledged', 'stored', 'lost', 'doubled']))
  for (const { name, options } of semantics) {
    const { acknowledged, stored } = await sendUnderFaults(options)
    const lost = acknowledged.filter((payment) => !stored.includes(payment))
    const doubled = acknowledged.filter((payment) => stored.indexOf(payment) !== stored.lastIndexOf(payment))
    const counts = [RECORDS, acknowledged.length, stored.length, lost.length, doubled.length]
    console.log(row(name, counts) + list('lost', lost) + list('doubled', doubled))
  }
}

/** Sends the payments one after another; returns those that were acknowledged, and the log. */
async function sendUnderFaults(
  options: Semantics['options'],
): Promise<{ acknowledged: string[]; stored: string[] }> {
  await using cluster = await TestCluster.start({ topics: { payments: { partitions: 1 } } })
  const acknowledged: string[] = []
  const producer = new Producer({ bootstrapServers: cluster.bootstrapServers, logger, ...options })
  let number = 0
  for (const fault of [...faults, { number: RECORDS, action: undefined }]) {
    // The brokers count requests, and by now all that were sent have arrived.
    if (fault.action !== undefined) cluster.fail({ api: 'Produce', nth: fault.number - number }, fault.action)
    const cut = fault.action === undefined ? undefined : disconnected(producer)
    while (number < fault.number) {
      const value = `payment-${++number}`
      await producer.send({ topic: 'payments', value })
      acknowledged.push(value)
    }
    // With acks 0 a send is over before its connection is: the next one would fall into the same hole.
    await cut
  }
  await producer.close()
  // With acks 0 the last records may still be on their way; a broker has all of them when it sees the connection end.
  while (cluster.connectionCount(1) > 0) await sleep(1)
  return { acknowledged, stored: cluster.records('payments').map(({ value }) => String(value)) }
}

function disconnected(producer: Producer): Promise<void> {
  return new Promise((resolve) => {
    const listener = (): void => {
      producer.off('disconnect', listener)
      resolve()
    }
    producer.on('disconnect', listener)
  })
}

function row(name: string, cells: readonly (number | string)[]): string {
  return name.padEnd(14) + cells.map((cell) => String(cell).padStart(14)).join('')
}

function list(what: string, payments: readonly string[]): string {
  return payments.length === 0 ? '' : `   ${what}: ${payments.join(', ')}`
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
