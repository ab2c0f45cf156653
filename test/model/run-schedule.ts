/** Drives a producer through a schedule and writes down what its user saw, and when. */
import type { KafkaError } from '../../src/errors.js'
import { Producer } from '../../src/index.js'
import type { Seams } from '../../src/producer/seams.js'
import type { RecordMetadata } from '../../src/record.js'
import type { ProducerMetrics } from '../../src/metrics.js'
import type { ReceivedRequest } from '../../src/testing/broker/request-context.js'
import type { StoredRecord } from '../../src/testing/test-cluster.js'
import { inspector } from '../producer/places.js'
import { configOf, deliveryTimeoutOf, hooksOf, seededRandom, type OnHook } from './producer-config.js'
import type { Schedule, SendKind, Step } from './schedule.js'
import { inVirtualTime, type VirtualTime } from './virtual-time.js'
import { World, type Loss } from './world.js'

/** One record as its sender saw it. The number is the order of the `send` calls, and the record's name in the log. */
export interface Sent {
  readonly number: number
  readonly topic: string
  readonly kind: SendKind
  /** What is to be stored of it. */
  readonly value: string
  readonly key: string | null
  readonly headers: readonly (readonly [name: string, value: string])[]
  readonly sentAt: number
  readonly isAfterClose: boolean
  /** How often it was settled; a forgotten one is not watched. */
  settlements: number
  settledAt: number
  error: KafkaError | null
  metadata: RecordMetadata | null
}

/** A flush or a close, and the records sent before it. */
export interface Awaited {
  readonly calledAt: number
  readonly sentBefore: number
  readonly timeoutMs: number | null
  endedAt: number
  /** What close resolved with. */
  result: number
}

export interface Run {
  readonly schedule: Schedule
  readonly sent: readonly Sent[]
  readonly flushes: readonly Awaited[]
  readonly closes: readonly Awaited[]
  readonly deliveryErrors: number
  /** What each topic holds at the end. */
  readonly logs: ReadonlyMap<string, readonly StoredRecord[]>
  readonly losses: readonly Loss[]
  readonly journal: readonly ReceivedRequest[]
  /** What is left when close has resolved. */
  readonly left: { readonly timers: number; readonly sockets: number }
  readonly metrics: ProducerMetrics
  readonly problems: readonly string[]
}

/** A value that its serializer takes so long for. */
interface SlowValue {
  readonly value: string | Buffer
  readonly ms: number
}

/** After everything is well again a partition takes a record within lingerMs and this. */
const SOON_MS = 2000
/** A record that a partition does not take is sent again after that. */
const PROBE_PAUSE_MS = 20

function makeProducer(schedule: Schedule, world: World, seams: Seams, onHook: OnHook): Producer {
  const { mode, isHooked, ...plan } = schedule.producer
  const modes = {
    idempotent: { acks: 'all', enableIdempotence: true },
    'acks=all': { acks: 'all', enableIdempotence: false },
    'acks=1': { acks: 1 },
    'acks=0': { acks: 0 },
  } as const
  return new Producer({
    ...configOf(plan, world, seams, onHook),
    ...(isHooked ? hooksOf(onHook) : {}),
    ...modes[mode],
    clientId: 'model',
  })
}

export function runSchedule(schedule: Schedule): Promise<Run> {
  return inVirtualTime((time) => run(schedule, time))
}

async function run(schedule: Schedule, time: VirtualTime): Promise<Run> {
  const world = await World.start(time, schedule)
  const clock = time.clock()
  const random = seededRandom(schedule.seed)
  const problems: string[] = []
  const armed: Extract<Step, { do: 'hook' }>[] = []
  let act = (_does: 'send' | 'flush'): void => {}
  const onHook: OnHook = (hook) => {
    const next = armed.findIndex(({ at }) => at === hook)
    if (next !== -1) act(armed.splice(next, 1)[0]!.does)
  }
  const seams = {
    clock,
    random,
    connect: world.connect,
    lookup: world.lookup,
    inspect: inspector((problem) => problems.push(problem)),
  }
  const producer = makeProducer(schedule, world, seams, onHook)
  const sent: Sent[] = []
  const flushes: Awaited[] = []
  const closes: Awaited[] = []
  let deliveryErrors = 0
  producer.on('deliveryError', () => deliveryErrors++)
  const fatal: KafkaError[] = []
  producer.on('fatal', (error) => {
    fatal.push(error)
    if (error.code === 'INTERNAL_ERROR') problems.push(error.message)
  })
  /** What follows from the outcome of a record that proves something. */
  const probes = new Map<number, (error: KafkaError | null) => void>()

  const settled = (record: Sent, error: KafkaError | null, metadata: RecordMetadata | null): void => {
    record.settlements++
    record.settledAt = time.now
    record.error = error
    record.metadata = metadata
    probes.get(record.number)?.(error)
  }

  const send = (step: Omit<Extract<Step, { do: 'send' }>, 'do' | 'count' | 'kind'>, kind: SendKind): Sent => {
    const number = sent.length
    const topic = world.topicName(step.topic)
    const record: Sent = {
      number,
      topic,
      kind,
      value: `${number}:`.padEnd(step.bytes, '.'),
      key: step.key === null ? null : `key-${step.key}`,
      headers: Array.from({ length: step.headers }, (_, i) => [`h${i}`, `${number}-${i}`] as const),
      sentAt: time.now,
      isAfterClose: closes.length > 0,
      settlements: 0,
      settledAt: -1,
      error: null,
      metadata: null,
    }
    sent.push(record)
    const given = payloadOf(record)
    const partition = step.isAhead
      ? world.partitionCount(topic)
      : world.partitionOrNull(step.topic, step.partition)
    const fields = {
      ...(partition === null ? {} : { partition }),
      ...(given.key === null ? {} : { key: given.key }),
      ...(step.headers === 0 ? {} : { headers: given.headers }),
    }
    const { value } = given
    const watch = (promise: Promise<RecordMetadata>): void => {
      promise.then(
        (metadata) => settled(record, null, metadata),
        (error: KafkaError) => settled(record, error, null),
      )
    }
    const callback = (error: KafkaError | null, metadata: RecordMetadata): void => {
      settled(record, error, metadata)
      if (isSending) problems.push(`record ${number}: its callback ran inside send`)
      if (kind === 'chained') send(step, 'callback')
      if (kind === 'throwing') throw new Error('a callback of the test throws')
    }
    const wasSending = isSending
    isSending = true
    const before = outermost
    // What is sent from a hook of this one belongs to no flush from there either.
    outermost ??= number
    if (kind === 'promise' || kind === 'reused' || kind === 'from-hook')
      watch(producer.send({ topic, value, ...fields }))
    else if (kind === 'forgotten') void producer.send({ topic, value, ...fields })
    else if (kind === 'slow-serializer' || kind === 'reused-slow') {
      const slow: SlowValue = { value, ms: (number * 7) % 23 }
      watch(producer.topic(topic, { valueSerializer: slowly }).send({ value: slow, ...fields }))
    } else producer.send({ topic, value, ...fields }, callback)
    isSending = wasSending
    outermost = before
    if (kind === 'reused' || kind === 'reused-slow') reuse(given)
    return record
  }
  let isSending = false
  /** The record whose `send` is being called; a flush from a hook of it waits for what came before. */
  let outermost: number | null = null
  const slowly = ({ value, ms }: SlowValue): Promise<string> => {
    // The bytes are the caller's; what a serializer gets is its own affair.
    const text = value.toString()
    return new Promise((resolve) => {
      time.setTimer(ms, () => resolve(text))
    })
  }

  const awaited = (list: Awaited[], timeoutMs: number | null, start: () => Promise<number>): void => {
    const one = {
      calledAt: time.now,
      sentBefore: outermost ?? sent.length,
      timeoutMs,
      endedAt: -1,
      result: -1,
    }
    list.push(one)
    start().then(
      (result) => {
        one.endedAt = time.now
        one.result = result
      },
      (error: unknown) => problems.push(`flush or close rejected: ${String(error)}`),
    )
  }
  const flush = (): void =>
    awaited(flushes, null, async () => {
      await producer.flush()
      return 0
    })
  const close = (timeoutMs: number | null): void =>
    awaited(closes, timeoutMs, () => producer.close(timeoutMs === null ? {} : { timeoutMs }))

  act = (does) => {
    if (does === 'flush') flush()
    else send({ topic: 0, partition: null, isAhead: false, key: 1, bytes: 0, headers: 1 }, 'from-hook')
  }

  /** Every partition takes a record soon, now that nothing is wrong any more. Returns what is wrong all the same. */
  const prove = async (): Promise<string[]> => {
    await world.mend()
    const untried = world.partitions()
    const until = time.now + schedule.producer.lingerMs + SOON_MS
    const waiting = new Map<string, KafkaError | null>()
    const probe = (topic: number, partition: number): void => {
      const place = `${world.topicName(topic)}-${partition}`
      const record = send({ topic, partition, isAhead: false, key: null, bytes: 0, headers: 0 }, 'promise')
      waiting.set(place, waiting.get(place) ?? null)
      probes.set(record.number, (error) => {
        if (error === null) waiting.delete(place)
        else {
          waiting.set(place, error)
          if (time.now < until) time.setTimer(PROBE_PAUSE_MS, () => probe(topic, partition))
        }
      })
    }
    for (const { topic, partition } of untried) probe(topic, partition)
    await time.run(() => waiting.size === 0 || fatal.length > 0, until)
    // Room that is taken by records of partitions which are gone comes back when their time is over.
    if (world.hasShrunk && producer.metrics().waitingRecords > 0) return []
    return [...waiting].map(
      ([place, error]) => `${place} takes no record though all is well: ${error?.message ?? 'not settled'}`,
    )
  }

  for (const step of schedule.steps) {
    switch (step.do) {
      case 'send':
        for (let i = 0; i < step.count; i++) send(step, step.kind)
        break
      case 'flush':
        flush()
        break
      case 'hook':
        armed.push(step)
        break
      case 'wait':
        await time.pass(step.ms)
        break
      case 'turns':
        for (let i = 0; i < step.count; i++) await time.turn()
        break
      case 'close':
        close(step.timeoutMs)
        break
      case 'fault':
      case 'move-leader':
      case 'set-isr':
      case 'pause':
      case 'resume':
      case 'stop':
      case 'start':
      case 'cut':
      case 'silence':
      case 'stall':
      case 'truncate':
      case 'add-partition':
      case 'recreate':
      case 'lose-log':
      case 'forget-producers':
      case 'freeze':
      case 'thaw':
      case 'heal':
        await world.act(step)
        break
    }
  }
  if (schedule.isHealedBeforeClose) await world.heal()
  // A batch that its codec keeps holds its partition until its time is over.
  const canProve = schedule.isProved && schedule.producer.compression !== 'stuck'
  if (schedule.isHealedBeforeClose && canProve && closes.length === 0) {
    const stuck = await prove()
    if (fatal.length === 0) problems.push(...stuck)
  }
  close(schedule.closeTimeoutMs)
  const limit = time.now + deliveryTimeoutOf(schedule.producer) + 1
  const isClosed = await time.run(() => closes.every(({ endedAt }) => endedAt !== -1), limit)
  if (!isClosed)
    problems.push(`close has not ended ${limit - closes.at(-1)!.calledAt} ms after it was called`)
  const left = { timers: clock.timers, sockets: world.openSockets }
  let metrics = producer.metrics()

  // What the network and stopped brokers still hold arrives now, and must not undo what the producer told.
  await world.heal()
  await time.run(() => false, Infinity)
  // A codec has the memory that it works on, also beyond the close.
  if (schedule.producer.compression !== 'none') metrics = producer.metrics()
  const logs = new Map(world.topicNames.map((name) => [name, world.cluster.records(name)]))
  await world.cluster.close()
  return {
    schedule,
    sent,
    flushes,
    closes,
    deliveryErrors,
    logs,
    losses: world.losses,
    journal: world.cluster.requests,
    left,
    metrics,
    problems: [...problems, ...time.thrown.map((error) => `thrown: ${(error as Error).stack}`)],
  }
}

interface Given {
  readonly value: string | Buffer
  readonly key: string | Buffer | null
  readonly headers: Record<string, string | Buffer>
}

/** What is handed to `send`: bytes where they are used again. */
function payloadOf({ kind, value, key, headers }: Sent): Given {
  if (kind !== 'reused' && kind !== 'reused-slow') return { value, key, headers: Object.fromEntries(headers) }
  return {
    value: Buffer.from(value),
    key: key === null ? null : Buffer.from(key),
    headers: Object.fromEntries(headers.map(([name, text]) => [name, Buffer.from(text)])),
  }
}

/** The caller has other uses for what it gave. */
function reuse({ value, key, headers }: Given): void {
  for (const part of [value, key, ...Object.values(headers)]) if (Buffer.isBuffer(part)) part.fill('x')
  for (const name of Object.keys(headers)) delete headers[name]
  headers['another'] = 'x'
}
