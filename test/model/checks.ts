/** What must hold of every run, whatever happened in it. Each check returns its violations in words. */
import type { ReceivedBatch } from '../../src/testing/broker/request-context.js'
import type { StoredRecord } from '../../src/testing/test-cluster.js'
import { deliveryTimeoutOf } from './producer-config.js'
import type { Run, Sent } from './run-schedule.js'

function numberOf({ value }: StoredRecord): number {
  return Number.parseInt(value!.toString('latin1'), 10)
}

/** What is stored is what was sent, whatever became of the sender's memory meanwhile. */
function* integrity(run: Run): Generator<string> {
  const { sent } = run
  for (const { topic, records } of everStored(run)) {
    for (const stored of records) {
      const record = sent[numberOf(stored)]
      const place = `${topic}-${stored.partition}@${stored.offset}`
      if (record === undefined || record.value !== stored.value!.toString('latin1')) {
        yield `${place} holds ${stored.value!.toString('latin1').slice(0, 40)}, which nobody sent`
        continue
      }
      const key = stored.key?.toString('latin1') ?? null
      if (key !== record.key) yield `${place} has the key ${key}, record ${record.number} has ${record.key}`
      const headers = stored.headers.map(([name, value]) => `${name}=${value?.toString('latin1')}`).join(' ')
      const wanted = record.headers.map(([name, value]) => `${name}=${value}`).join(' ')
      if (headers !== wanted)
        yield `${place} has the headers ${headers}, record ${record.number} has ${wanted}`
    }
  }
}

interface Log {
  readonly topic: string
  readonly records: readonly StoredRecord[]
}

/** What the topics hold at the end, and what they held before something of it was lost. */
function everStored({ logs, losses }: Run): Log[] {
  return [...[...logs].map(([topic, records]) => ({ topic, records })), ...losses]
}

/** The numbers of stored records by "topic partition", in the order of the log. */
function storedNumbers({ topic, records }: Log): Map<string, number[]> {
  const stored = new Map<string, number[]>()
  for (const record of records) {
    const place = `${topic} ${record.partition}`
    const numbers = stored.get(place) ?? []
    stored.set(place, numbers)
    numbers.push(numberOf(record))
  }
  return stored
}

/**
 * Records of which there is nothing to ask: a broker that lost its log or its memory takes whatever sequence comes first, so
 * what is under way then may be stored twice, or in another order. It ends when nothing is under way and the broker has
 * acknowledged a record that was sent after the loss: then it knows the producer again.
 */
function excused({ sent, losses, schedule }: Run, place: string): ReadonlySet<number> {
  const excusedNumbers = new Set<number>()
  const patience = deliveryTimeoutOf(schedule.producer)
  const ofPlace = sent
    .filter(({ topic, metadata }) =>
      metadata === null ? place.startsWith(`${topic} `) : place === `${topic} ${metadata.partition}`,
    )
    .map(({ number, sentAt, settledAt, settlements, error }) => {
      // A forgotten one is not watched: it is over at the latest then.
      const isSettled = settlements > 0
      const until = isSettled ? settledAt : sentAt + patience
      return { number, sentAt, until, isAcknowledged: isSettled && error === null }
    })
  for (const { at, topic, partition } of losses) {
    if (partition === null ? !place.startsWith(`${topic} `) : place !== `${topic} ${partition}`) continue
    const isKnownAgain = (time: number): boolean =>
      ofPlace.some((one) => one.isAcknowledged && one.sentAt > at && one.until <= time) &&
      ofPlace.every(({ sentAt, until }) => sentAt > time || until <= time)
    const ends = ofPlace.map(({ until }) => until).filter((time) => time > at && isKnownAgain(time))
    const end = Math.min(...ends, Infinity)
    for (const { number, sentAt, until } of ofPlace)
      if (until >= at && sentAt <= end) excusedNumbers.add(number)
  }
  return excusedNumbers
}

const APPENDED = new Set(['NONE', 'REQUEST_TIMED_OUT', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'])
const DENIES_APPEND = new Set(['OUT_OF_ORDER_SEQUENCE_NUMBER', 'UNKNOWN_PRODUCER_ID', 'MESSAGE_TOO_LARGE'])

interface Lies {
  /** Partitions where an error on order was untrue of what is in the log: nobody can be exact after that. */
  readonly denied: ReadonlySet<string>
  /** By partition, how many records an error on order called duplicates. */
  readonly duplicates: ReadonlyMap<string, number>
}

/** A fault makes a broker answer what no sound broker would; where it told an untruth, less can be asked for. */
function liesIn({ journal, logs }: Run): Lies {
  const appended = new Set<string>()
  const denied = new Set<string>()
  const denials: [identity: string, place: string][] = []
  const duplicates = new Map<string, number>()
  for (const { batches, fault } of journal) {
    const forced = typeof fault === 'object' && 'error' in fault ? fault.error : undefined
    for (const batch of batches.flatMap((one) => named(one, logs))) {
      const place = `${batch.topic} ${batch.partition}`
      const identity = identityOf(batch)
      const { outcome } = batch
      if (outcome === null) continue
      if (APPENDED.has(outcome)) appended.add(identity)
      if (outcome !== forced) continue
      if (outcome === 'DUPLICATE_SEQUENCE_NUMBER') {
        duplicates.set(place, (duplicates.get(place) ?? 0) + batch.recordCount)
        // What is called a duplicate and was never stored leaves a gap that the producer cannot know of: what follows is
        // refused for that, begins a new epoch, and the late copy of an attempt that was given up may still fill the gap.
        if (!appended.has(identity)) denied.add(place)
      }
      if (DENIES_APPEND.has(outcome)) denials.push([identity, place])
    }
  }
  // Also what an earlier attempt, which was still under way when a later one was denied, has brought since.
  for (const [identity, place] of denials) if (appended.has(identity)) denied.add(place)
  return { denied, duplicates }
}

/** The batch by the names of the topics that it may be meant for: any, where it has the id of one that was deleted. */
function named(batch: ReceivedBatch, logs: Run['logs']): ReceivedBatch[] {
  if (logs.has(batch.topic)) return [batch]
  return [...logs.keys()].map((topic) => Object.assign({}, batch, { topic }))
}

function identityOf({ topic, partition, producerId, epoch, baseSequence }: ReceivedBatch): string {
  return `${topic} ${partition} ${producerId} ${epoch} ${baseSequence}`
}

function* delivery(run: Run, lies: Lies): Generator<string> {
  const { mode } = run.schedule.producer
  const at = new Map<string, Set<number>>()
  const everywhere = new Map<number, string>()
  for (const { topic, records } of everStored(run)) {
    for (const record of records) {
      const offset = `${topic} ${record.partition} ${record.offset}`
      at.set(offset, (at.get(offset) ?? new Set()).add(numberOf(record)))
      everywhere.set(numberOf(record), `${topic} ${record.partition}`)
    }
  }
  const unaccounted = new Map(lies.duplicates)
  for (const { number, topic, error, metadata, settlements } of run.sent) {
    if (settlements === 0) continue
    if (error !== null) {
      if (error.code === 'DUPLICATE_SEQUENCE_NUMBER')
        yield `record ${number} failed because the broker has it: ${error.message}`
      const place = everywhere.get(number)
      if (!error.mayHaveBeenWritten && place !== undefined && !lies.denied.has(place)) {
        yield `record ${number} failed with mayHaveBeenWritten false, and is in the log: ${error.name}: ${error.message}`
      }
      continue
    }
    if (mode === 'acks=0') continue
    const { partition, offset } = metadata!
    if (metadata!.topic !== topic) yield `record ${number} was acknowledged for topic ${metadata!.topic}`
    if (offset >= 0n) {
      const found = at.get(`${topic} ${partition} ${offset}`) ?? new Set()
      if (!found.has(number)) {
        const what = [...found].join(' and ') || 'nothing'
        yield `record ${number} was acknowledged at ${topic}-${partition}@${offset}, where ${what} is`
      }
    } else if (!everywhere.has(number)) {
      const place = `${topic} ${partition}`
      const left = unaccounted.get(place) ?? 0
      if (left === 0) yield `record ${number} was acknowledged without an offset, and is not in the log`
      unaccounted.set(place, left - 1)
    }
  }
}

function* onceAndInOrder(run: Run, lies: Lies): Generator<string> {
  const { mode, maxInFlight } = run.schedule.producer
  // A broker that comes back reads what somebody gave up long ago; only sequences tell it apart.
  const isOrderedWithout =
    maxInFlight === 1 &&
    mode !== 'acks=0' &&
    !run.schedule.steps.some((step) => step.do === 'pause' || step.do === 'stall')
  // It is sent after the record whose hook sends it, and accepted before.
  const isFromHook = (number: number): boolean => run.sent[number]?.kind === 'from-hook'
  const stored = everStored(run).flatMap((log) => Array.from(storedNumbers(log)))
  for (const [place, all] of stored) {
    const isExcused = excused(run, place)
    const numbers = all.filter((number) => !isExcused.has(number))
    if (mode === 'idempotent' && !lies.denied.has(place)) {
      if (new Set(numbers).size !== numbers.length) yield `${place} holds records twice: ${numbers.join(' ')}`
      else if (!isRising(numbers.filter((number) => !isFromHook(number))))
        yield `${place} is out of order: ${numbers.join(' ')}`
    } else if (isOrderedWithout && !isRising([...new Set(numbers)].filter((number) => !isFromHook(number)))) {
      yield `${place} is out of order with one request in flight: ${numbers.join(' ')}`
    }
  }
}

function isRising(numbers: readonly number[]): boolean {
  return numbers.every((number, i) => i === 0 || numbers[i - 1]! < number)
}

function* settlement({ sent, schedule, deliveryErrors }: Run): Generator<string> {
  const deliveryTimeout = deliveryTimeoutOf(schedule.producer)
  let failed = 0
  let refused = 0
  let isAllWatched = true
  for (const { number, kind, sentAt, settledAt, settlements, isAfterClose, error } of sent) {
    if (kind === 'forgotten') {
      isAllWatched = false
      continue
    }
    if (settlements !== 1) yield `record ${number} (${kind}) was settled ${settlements} times`
    if (settledAt - sentAt > deliveryTimeout) {
      yield `record ${number} was settled after ${settledAt - sentAt} ms, deliveryTimeoutMs is ${deliveryTimeout}: ${error?.message ?? 'acknowledged'}`
    }
    if (isAfterClose && error === null) yield `record ${number} was accepted after close`
    // Once it has closed, the producer has no listeners left to tell.
    if (isAfterClose) refused++
    else if (error !== null) failed++
  }
  if (isAllWatched && (deliveryErrors < failed || deliveryErrors > failed + refused)) {
    yield `${failed} records failed, 'deliveryError' was emitted ${deliveryErrors} times`
  }
}

function lastSettled(sent: readonly Sent[], count: number, from: number): number {
  return sent.slice(0, count).reduce((last, { settledAt }) => Math.max(last, settledAt), from)
}

function* flushAndClose({ sent, flushes, closes, schedule, metrics }: Run): Generator<string> {
  const deliveryTimeout = deliveryTimeoutOf(schedule.producer)
  // A batch may take records that were sent after the flush; where it is split they may end later than the others.
  const isExact = metrics.batchSplitTotal === 0 && sent.every(({ kind }) => kind !== 'forgotten')
  for (const { calledAt, endedAt, sentBefore } of flushes) {
    if (endedAt === -1) {
      yield `the flush of ${calledAt} never ended`
      continue
    }
    const last = lastSettled(sent, sentBefore, calledAt)
    const due = isExact ? last : calledAt + deliveryTimeout
    if (endedAt > due) yield `the flush of ${calledAt} ended at ${endedAt}, its last record at ${last}`
    if (endedAt < last) yield `the flush of ${calledAt} ended at ${endedAt} before its last record at ${last}`
  }
  for (const { calledAt, endedAt, timeoutMs } of closes) {
    if (endedAt === -1) yield `the close of ${calledAt} never ended`
    const due = calledAt + Math.min(timeoutMs ?? Infinity, deliveryTimeout)
    if (endedAt > due) yield `the close of ${calledAt} (timeoutMs ${timeoutMs}) ended at ${endedAt}`
  }
}

function* leftovers({ left, metrics }: Run): Generator<string> {
  if (left.timers > 0) yield `${left.timers} timers are left after close`
  if (left.sockets > 0) yield `${left.sockets} sockets are left after close`
  if (metrics.bufferAvailableBytes !== metrics.bufferTotalBytes) {
    yield `${metrics.bufferTotalBytes - metrics.bufferAvailableBytes} bytes of bufferMemory were not given back`
  }
  if (metrics.waitingRecords > 0) yield `${metrics.waitingRecords} records still wait`
  if (metrics.requestsInFlight > 0) yield `${metrics.requestsInFlight} requests are in flight after close`
}

export function violations(run: Run): string[] {
  const lies = liesIn(run)
  return [
    ...run.problems,
    ...integrity(run),
    ...delivery(run, lies),
    ...onceAndInOrder(run, lies),
    ...settlement(run),
    ...flushAndClose(run),
    ...leftovers(run),
  ]
}
