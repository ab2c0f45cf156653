/**
 * A process that is stopped, or busy, for longer than its timeouts must not take its own pause for dead brokers. The
 * sender is a process of its own, on the built package; the brokers are in this one and go on.
 */
import { fork, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { TestCluster } from 'kafka-producer/testing'

interface Report {
  readonly sent: number
  readonly failures: readonly string[]
  readonly disconnects: number
  readonly undelivered: number
}

/** Longer than requestTimeoutMs and deliveryTimeoutMs of the sender together. */
const STALL_MS = 4000

let cluster: TestCluster
let sender: ChildProcess

beforeEach(async () => {
  cluster = await TestCluster.start({ topics: { ticks: { partitions: 1 } } })
  // Slow enough that requests are under way at any moment.
  cluster.fail({ api: 'Produce', times: Infinity }, { delayMs: 50 })
  sender = fork(join(__dirname, 'stalled-sender.mjs'), [cluster.bootstrapServers.join(','), 'ticks'])
  await acknowledgements(1)
})

afterEach(async () => {
  sender.kill('SIGKILL')
  await cluster.close()
})

async function acknowledgements(count: number): Promise<void> {
  for (let seen = 0; seen < count; seen++) await once(sender, 'message')
}

async function finish(): Promise<Report> {
  sender.send({ finish: true })
  for (;;) {
    const [message] = (await once(sender, 'message')) as [Partial<Report>]
    if (message.sent !== undefined) return message as Report
  }
}

function expectNothingLost(report: Report): void {
  expect(report).toMatchObject({ failures: [], disconnects: 0, undelivered: 0 })
  const stored = cluster.records('ticks').map(({ value }) => Number(value))
  expect(stored).toEqual(Array.from({ length: report.sent }, (_, i) => i))
}

test('a process stopped for longer than its timeouts loses no record and no connection', async () => {
  sender.kill('SIGSTOP')
  await new Promise((resolve) => {
    setTimeout(resolve, STALL_MS)
  })
  sender.kill('SIGCONT')
  await acknowledgements(2)
  expectNothingLost(await finish())
}, 20_000)

test('a process busy for longer than its timeouts loses no record and no connection', async () => {
  sender.send({ block: STALL_MS })
  await acknowledgements(2)
  expectNothingLost(await finish())
}, 20_000)
