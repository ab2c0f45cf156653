/**
 * One run of the cut campaign: a producer, some sends to one partition, and one TCP connection that is reset at the n-th
 * Produce request. Everything that is chosen comes from the seed and the number of the run.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer, type ProducerConfig } from 'kafka-producer'
import type { SentRecord } from '../kafka/cluster.js'
import { seededRandom } from '../kafka/random.js'

const codecs = ['none', 'gzip', 'snappy', 'lz4', 'zstd'] as const

export interface CutPlan {
  readonly run: number
  /** `burst`: all sends in one turn of the event loop; `spaced`: 20 to 50 ms apart. */
  readonly load: 'burst' | 'spaced'
  /** Before the broker got the request, or after it appended and before its answer. */
  readonly cut: 'before' | 'after'
  /** Which Produce request is cut, from 1. */
  readonly nth: number
  /** Milliseconds before each send. */
  readonly pauses: readonly number[]
  readonly valueBytes: number
  readonly batchSize: number
  readonly lingerMs: number
  readonly maxInFlight: number
  readonly codec: (typeof codecs)[number]
}

export function planCut(seed: number, run: number): CutPlan {
  const random = seededRandom(Math.imul(seed, 0x9e3779b1) + run)
  const between = (low: number, high: number): number => low + Math.floor(random() * (high - low + 1))
  const pick = <T>(choices: readonly T[]): T => choices[between(0, choices.length - 1)] as T
  const load = pick(['burst', 'spaced'] as const)
  const count = load === 'burst' ? between(5, 20) : between(20, 40)
  // With 1 every record is a batch and so a request; a burst in larger batches makes a few requests only.
  const batchSize = load === 'burst' ? pick([1, 1, 512]) : pick([1, 16_384])
  return {
    run,
    load,
    cut: pick(['before', 'after'] as const),
    nth: between(1, batchSize === 512 ? 3 : count),
    pauses: Array.from({ length: count }, () => (load === 'burst' ? 0 : between(20, 50))),
    valueBytes: between(16, 200),
    batchSize,
    lingerMs: pick([0, 5]),
    maxInFlight: pick([1, 2, 5, 5]),
    codec: pick(codecs),
  }
}

/** How long a run goes on sending after its plan when its cut has not come, in sends. */
const MOST_EXTRA_SENDS = 100

/**
 * Sends as planned, and on until the cut has struck. Returns every record with what became of it, in the order of the
 * sends; throws when the cut never came, since then nothing was shown.
 */
export async function runCut(
  plan: CutPlan,
  config: ProducerConfig,
  to: { readonly topic: string; readonly partition: number },
  hasStruck: () => boolean,
): Promise<SentRecord[]> {
  const producer = new Producer({
    acks: 'all',
    enableIdempotence: true,
    batchSize: plan.batchSize,
    lingerMs: plan.lingerMs,
    maxInFlightRequestsPerConnection: plan.maxInFlight,
    compressionType: plan.codec,
    ...config,
  })
  const sent: Promise<SentRecord>[] = []
  const send = (): void => {
    const key = `run-${plan.run}`
    const value = `${key}-${sent.length}`.padEnd(plan.valueBytes, '.')
    sent.push(
      producer.send({ ...to, key, value }).then(
        ({ partition, offset }) => ({ key, value, outcome: 'acknowledged', partition, offset }),
        () => ({ key, value, outcome: 'failed' }),
      ),
    )
  }
  try {
    for (const pause of plan.pauses) {
      if (pause > 0) await sleep(pause)
      send()
    }
    for (let extra = 0; !hasStruck(); extra++) {
      if (extra === MOST_EXTRA_SENDS)
        throw new Error(`request ${plan.nth} never came: ${JSON.stringify(plan)}`)
      await Promise.all(sent)
      if (!hasStruck()) send()
    }
    return await Promise.all(sent)
  } finally {
    await producer.close()
  }
}

export interface Tally {
  readonly runs: number
  readonly sent: number
  readonly acknowledged: number
  /** How many of each load, place of the cut and codec. */
  readonly kinds: string
}

/** Runs all plans, one after another in each of some lanes. */
export async function runCuts(
  plans: readonly CutPlan[],
  lanes: number,
  one: (plan: CutPlan, lane: number) => Promise<readonly SentRecord[]>,
): Promise<Tally> {
  const kinds = new Map<string, number>()
  let sent = 0
  let acknowledged = 0
  let next = 0
  const lane = async (number: number): Promise<void> => {
    for (let plan = plans[next++]; plan !== undefined; plan = plans[next++]) {
      const records = await one(plan, number)
      sent += records.length
      acknowledged += records.filter((record) => record.outcome === 'acknowledged').length
      for (const kind of [`${plan.load} cut ${plan.cut}`, plan.codec]) {
        kinds.set(kind, (kinds.get(kind) ?? 0) + 1)
      }
    }
  }
  await Promise.all(Array.from({ length: lanes }, (_, number) => lane(number)))
  const byName = [...kinds].sort(([a], [b]) => (a < b ? -1 : 1))
  return {
    runs: plans.length,
    sent,
    acknowledged,
    kinds: byName.map(([kind, count]) => `${count} ${kind}`).join(', '),
  }
}
