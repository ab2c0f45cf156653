/**
 * One connection is reset at a random Produce request, before the broker has it or after the append and before the
 * answer; what is in the log afterwards must be exactly what was sent. `npm run campaign -- cut` does it a thousand times.
 */
import type { ProducerConfig } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'
import { describe, expect, test } from 'vitest'
import { tcpConnect, type Address } from '../../src/network/connection/transport.js'
import { seamsKey } from '../../src/producer/seams.js'
import { describeKafka, type SentRecord } from '../kafka/cluster.js'
import { cutAt, FaultProxy } from '../kafka/proxy.js'
import { asked, report } from './campaign.js'
import { planCut, runCut, runCuts, type CutPlan, type Tally } from './cut-run.js'

const seed = asked('SEED', 1)
const runs = asked('RUNS', 20)
const first = asked('FIRST', 0)
const plans = Array.from({ length: runs }, (_, i) => planCut(seed, first + i))
/** Each run waits most of its time. */
const LANES = Math.min(20, runs)
const timeout = 120_000 + runs * 2_000

function summary(where: string, { runs, kinds, sent, acknowledged }: Tally, result: string): void {
  report(
    `cut, seed ${seed}, ${where}: ${runs} runs (${kinds}); ${sent} sent, ${acknowledged} acknowledged; ${result}`,
  )
}

/** A difference between what was sent and what is stored, or null. */
function differenceOf(plan: CutPlan, sent: readonly SentRecord[], stored: readonly string[]): string | null {
  const wanted = sent.map(({ value }) => value)
  const isToldRight = sent.every(
    ({ outcome, offset }, i) => outcome === 'acknowledged' && offset === BigInt(i),
  )
  if (isToldRight && stored.length === wanted.length && stored.every((value, i) => value === wanted[i]))
    return null
  const told = sent.map(({ outcome, offset }) => (outcome === 'acknowledged' ? `@${offset}` : outcome))
  const short = (values: readonly string[]): string =>
    values.map((value) => value.replace(/\.*$/, '')).join(' ')
  return `${JSON.stringify(plan)}\n  told ${told.join(' ')}\n  stored ${short(stored)}`
}

/** All plans on a test cluster each; the runs in which the log is not exactly what was sent. */
async function onTestClusters(
  more: Partial<ProducerConfig>,
): Promise<{ tally: Tally; differences: string[] }> {
  const differences: string[] = []
  const tally = await runCuts(plans, LANES, async (plan) => {
    await using cluster = await TestCluster.start({ topics: { cut: { partitions: 1 } } })
    cluster.fail({ api: 'Produce', nth: plan.nth }, plan.cut === 'before' ? 'close' : { cutAfterBytes: 0 })
    const produced = (): number => cluster.requests.filter(({ api }) => api === 'Produce').length
    const config = { bootstrapServers: cluster.bootstrapServers, ...more }
    const sent = await runCut(plan, config, { topic: 'cut', partition: 0 }, () => produced() >= plan.nth)
    const stored = cluster.records('cut').map(({ value }) => String(value))
    const difference = differenceOf(plan, sent, stored)
    if (difference !== null) differences.push(difference)
    return sent
  })
  return { tally, differences }
}

describe('on the test cluster', () => {
  test(`${runs} runs with one cut connection each end exact`, { timeout }, async () => {
    const { tally, differences } = await onTestClusters({})
    summary('test cluster', tally, `${differences.length} runs inexact`)
    expect(differences).toEqual([])
    expect(tally.acknowledged).toBe(tally.sent)
  })

  test('the same runs without idempotence do not, and the comparison sees it', { timeout }, async () => {
    const { tally, differences } = await onTestClusters({ enableIdempotence: false })
    summary('test cluster, enableIdempotence false', tally, `${differences.length} runs inexact`)
    const cutAfter = plans.filter(({ cut }) => cut === 'after')
    expect(differences.length).toBeGreaterThanOrEqual(cutAfter.length)
  })
})

// With settings, if none at all: a cluster of KAFKA_BOOTSTRAP may have more brokers than the proxy stands before.
describeKafka('on Kafka', { brokers: 1, conf: {} }, (kafka) => {
  test(`${runs} runs with one cut connection each end exact`, { timeout }, async () => {
    // A partition for each lane, so that one reader sees all runs; each run has its producer and its proxy.
    const topic = await kafka().createTopic('cut', LANES)
    const target = Number(kafka().bootstrapServers.split(',')[0]?.split(':')[1])
    const all: SentRecord[] = []
    const tally = await runCuts(plans, LANES, async (plan, partition) => {
      await using proxy = await FaultProxy.start([{ listen: 0, target }], cutAt(plan.nth, `cut-${plan.cut}`))
      const port = Number(proxy.bootstrapServers.split(':')[1])
      const config = {
        bootstrapServers: kafka().bootstrapServers,
        // Whatever the broker advertises, the way there leads through this run's proxy.
        [seamsKey]: { connect: (address: Address) => tcpConnect({ ...address, ip: '127.0.0.1', port }) },
      }
      const sent = await runCut(plan, config, { topic, partition }, () => proxy.cuts > 0)
      expect(proxy.cuts).toBe(1)
      all.push(...sent)
      return sent
    })
    const { firstProblems, ...verdict } = await kafka().verify(topic, all)
    const counts = Object.entries(verdict).map(([name, count]) => `${name} ${count}`)
    summary(`Kafka ${kafka().version}`, tally, counts.join(', '))
    expect(firstProblems).toEqual([])
    expect(verdict.records).toBe(tally.sent)
    expect(tally.acknowledged).toBe(tally.sent)
  })
})
