/** What must hold of every run with transactions, whatever happened in it. Each check returns its violations in words. */
import { inspect } from 'node:util'
import { IllegalStateError, KafkaError, TimeoutError } from '../../src/errors.js'
import { errorByName } from '../../src/protocol/error-codes.js'
import {
  addOffsetsToTxnReactions,
  addPartitionsToTxnReactions,
  coordinatorReaction,
  endTxnReactions,
  findCoordinatorReactions,
  initTransactionsReactions,
  produceReaction,
  txnOffsetCommitReactions,
} from '../../src/protocol/reactions.js'
import type { ApiName } from '../../src/testing/faults.js'
import type { ReceivedRequest } from '../../src/testing/broker/request-context.js'
import {
  isCommitted,
  isIllegal,
  mayCommit,
  Thrown,
  type Application,
  type Call,
  type ModelTransaction,
  type SentOffsets,
} from './application.js'
import { deliveryTimeoutOf } from './producer-config.js'
import type { TransactionRun } from './run-transactions.js'
import type { TransactionStep } from './transaction-schedule.js'

/** What the application knows of how a transaction ended. 'open': it was told that nobody knows. */
type Knowledge = 'committed' | 'not committed' | 'open'

function knowledgeOf(transaction: ModelTransaction): Knowledge {
  if (isCommitted(transaction)) return 'committed'
  if (isAborted(transaction)) return 'not committed'
  const commits = transaction.calls.filter((call) => mayCommit(call) && !isIllegal(call.error))
  const told = commits.toSorted((a, b) => endOf(a) - endOf(b))
  // Whoever is told to ask again gets the outcome; what is asked after that is no question about this commit any more.
  const outcome = told.find((call) => !isLate(call)) ?? told.at(-1)
  if (outcome === undefined) return 'not committed'
  const { endedAt, error } = outcome
  const isOpen = endedAt === -1 || (error instanceof KafkaError && error.mayHaveBeenWritten)
  return isOpen ? 'open' : 'not committed'
}

function isLate({ error }: Call): boolean {
  return error instanceof TimeoutError && error.mayHaveBeenWritten
}

function isAborted({ calls }: ModelTransaction): boolean {
  return calls.some(({ name, endedAt, error }) => name === 'abort' && endedAt !== -1 && error === null)
}

function endOf({ endedAt }: Call): number {
  return endedAt === -1 ? Infinity : endedAt
}

/** Offsets that the transaction commits if it is committed. */
function mayBeCommitted({ error }: SentOffsets): boolean {
  return error === null || error instanceof TimeoutError
}

/**
 * Topics of which nothing can be asked: the end of a log is lost, or what a broker knew of producers, and with it markers and
 * transactions; or, with classic transactions, they were created again, and the new log knows neither the producers' epochs nor, with
 * classic transactions, whether a record belongs to one. So one that was given up and arrives late opens a transaction
 * that nobody ends.
 */
function excusedTopics({ hanging, losses, schedule }: TransactionRun): ReadonlySet<string> {
  const isClassic =
    schedule.transactionVersion === 1 || schedule.steps.some((step) => step.do === 'transaction-version')
  const isLost = ({ topic }: { topic: string }): boolean => losses.some((loss) => loss.topic === topic)
  const recreated = isClassic ? hanging.filter(isLost) : []
  const damaged = losses.filter(({ partition }) => partition !== null)
  return new Set([...recreated, ...damaged].map(({ topic }) => topic))
}

function* atomicity(run: TransactionRun): Generator<string> {
  const { applications, committed, offsets, losses } = run
  const excused = excusedTopics(run)
  const gone = new Set<number>()
  for (const { records } of losses)
    for (const { value } of records) gone.add(Number.parseInt(value!.toString('latin1'), 10))
  const places = new Map<number, string[]>()
  for (const [topic, records] of committed) {
    for (const { partition, offset, value } of records) {
      const number = Number.parseInt(value!.toString('latin1'), 10)
      places.set(number, [...(places.get(number) ?? []), `${topic}-${partition}@${offset}`])
    }
  }
  const visibleOffsets = new Set<string>()
  for (const [group, all] of offsets)
    for (const { partition } of all) visibleOffsets.add(`${group} ${partition}`)

  for (const { name, transactions, outside } of applications) {
    for (const [index, transaction] of [outside, ...transactions].entries()) {
      const which = `transaction ${index} of ${name}`
      const known = transaction === outside ? 'not committed' : knowledgeOf(transaction)
      let seen = 0
      let missing = 0
      for (const { number, topic, error, metadata } of transaction.sends) {
        if (excused.has(topic)) continue
        const at = places.get(number) ?? []
        if (at.length > 1) yield `${which}: record ${number} is visible twice: ${at.join(', ')}`
        if (error !== null) {
          const failure = inspect(error)
          if (at.length > 0) yield `${which}: record ${number} failed, and is visible: ${failure}`
          if (known === 'committed' && !(error instanceof IllegalStateError))
            yield `${which} was committed though record ${number} failed: ${failure}`
          continue
        }
        if (at.length > 0) seen++
        else if (!gone.has(number)) missing++
        const { partition, offset } = metadata ?? { partition: -1, offset: -1n }
        if (at.length > 0 && offset >= 0n && !at.includes(`${topic}-${partition}@${offset}`))
          yield `${which}: record ${number} was acknowledged at ${topic}-${partition}@${offset}, and is at ${at.join(', ')}`
      }
      for (const one of transaction.offsets) {
        for (const partition of one.partitions) {
          const isVisible = visibleOffsets.has(`${one.group} ${partition}`)
          if (mayBeCommitted(one)) {
            if (isVisible) seen++
            else missing++
          } else if (isVisible) {
            yield `${which}: offset ${partition} of ${one.group} failed, and is committed: ${String(one.error)}`
          }
        }
      }
      if (known === 'committed' && missing > 0)
        yield `${which} was committed, but only ${seen} of ${seen + missing} records and offsets are visible`
      if (known === 'not committed' && seen > 0)
        yield `${which} was not committed, but ${seen} of ${seen + missing} records and offsets are visible`
      if (known === 'open' && seen > 0 && missing > 0)
        yield `${which} is visible in part: ${seen} of ${seen + missing} records and offsets`
      if (known === 'committed' && isAborted(transaction)) yield `${which} was committed and aborted`
    }
  }
}

/** What is stored is what was sent, whatever became of the sender's memory meanwhile. */
function* integrity({ applications, committed }: TransactionRun): Generator<string> {
  const values = new Map<number, string>()
  for (const { transactions, outside } of applications)
    for (const { sends } of [outside, ...transactions])
      for (const { number, value } of sends) values.set(number, value)
  for (const [topic, records] of committed) {
    for (const { partition, offset, value } of records) {
      const text = value!.toString('latin1')
      if (values.get(Number.parseInt(text, 10)) !== text)
        yield `${topic}-${partition}@${offset} holds ${text.slice(0, 40)}, which nobody sent`
    }
  }
}

function* order({ applications, committed, losses }: TransactionRun): Generator<string> {
  const idOf = new Map<number, string>()
  const fromHooks = new Set<number>()
  for (const { transactionalId, transactions, outside } of applications)
    for (const { sends } of [outside, ...transactions])
      for (const { number, isFromHook } of sends) {
        idOf.set(number, transactionalId)
        if (isFromHook) fromHooks.add(number)
      }
  for (const [topic, records] of committed) {
    // The log of a new topic takes any sequence first, and so what was in flight in another order.
    if (losses.some((loss) => loss.topic === topic)) continue
    const last = new Map<string, number>()
    for (const { partition, value } of records) {
      const number = Number.parseInt(value!.toString('latin1'), 10)
      if (fromHooks.has(number)) continue
      const place = `${topic}-${partition} ${idOf.get(number)}`
      if ((last.get(place) ?? -1) >= number)
        yield `${place}: record ${number} comes after record ${last.get(place)}`
      last.set(place, number)
    }
  }
}

function* settlement({ applications, schedule, successors }: TransactionRun): Generator<string> {
  const { maxBlockMs } = schedule.producer
  const deliveryTimeout = deliveryTimeoutOf(schedule.producer)
  for (const application of applications) {
    const { name, calls, transactions, outside } = application
    // Successors have other timeouts.
    const isSuccessor = successors.includes(application)
    const all = [outside, ...transactions]
    const block = isSuccessor ? 60_000 : maxBlockMs
    for (const call of calls) {
      const { name: what, calledAt, endedAt, error } = call
      if (endedAt === -1) yield `${name}: ${what} of ${calledAt} never ended`
      else if (what !== 'transaction' && endedAt - calledAt > block)
        yield `${name}: ${what} of ${calledAt} ended after ${endedAt - calledAt} ms: ${String(error)}`
      yield* oddities(name, error)
    }
    for (const { calls: own } of all) {
      if (own.some((call) => call.name === 'commit')) continue
      for (const { thrown, error } of own)
        if (thrown !== null && error instanceof KafkaError && error.mayHaveBeenWritten)
          yield `${name}: transaction() was never asked to commit, and says that it may be: ${String(error)}`
    }
    for (const { sends, offsets } of all) {
      for (const { number, calledAt, endedAt, error, settlements } of sends) {
        if (settlements !== 1) yield `${name}: record ${number} was settled ${settlements} times`
        else if (!isSuccessor && endedAt - calledAt > deliveryTimeout)
          yield `${name}: record ${number} was settled after ${endedAt - calledAt} ms: ${String(error)}`
        yield* oddities(name, error)
      }
      for (const { calledAt, endedAt, error } of offsets) {
        if (endedAt === -1) yield `${name}: sendOffsetsToTransaction of ${calledAt} never ended`
        else if (endedAt - calledAt > block)
          yield `${name}: sendOffsetsToTransaction of ${calledAt} ended after ${endedAt - calledAt} ms`
        yield* oddities(name, error)
      }
    }
  }
}

function* oddities(name: string, error: unknown): Generator<string> {
  if (error === null || error instanceof Thrown) return
  if (!(error instanceof KafkaError))
    yield `${name}: an error that is none of ours: ${(error as Error).stack}`
  else if (error.message.includes('cannot follow')) yield `${name}: ${error.message}`
}

const tables: Partial<Record<ApiName, typeof endTxnReactions>> = {
  FindCoordinator: findCoordinatorReactions,
  InitProducerId: initTransactionsReactions,
  AddPartitionsToTxn: addPartitionsToTxnReactions,
  AddOffsetsToTxn: addOffsetsToTxnReactions,
  TxnOffsetCommit: txnOffsetCommitReactions,
  EndTxn: endTxnReactions,
}

const ENDS: ReadonlySet<ApiName> = new Set(['FindCoordinator', 'InitProducerId', 'EndTxn'])

function isDeadly({ api, fault }: ReceivedRequest): boolean {
  if (typeof fault !== 'object' || !('error' in fault)) return false
  const errno = typeof fault.error === 'number' ? fault.error : errorByName(fault.error)!.errno
  if (api === 'Produce') return produceReaction(errno) === 'fatal'
  const table = tables[api]
  if (table === undefined) return false
  const reaction = coordinatorReaction(table, errno)
  // Who is to end the transaction, and is told to abort it, has nothing left that it could do.
  return reaction === 'fatal' || (reaction === 'abortable' && ENDS.has(api))
}

/** What is sent before such a step may arrive after what is sent later, over another connection. */
function holdsUp(step: TransactionStep): boolean {
  if (step.do === 'fault')
    return typeof step.action === 'object' && ('throttleMs' in step.action || 'delayMs' in step.action)
  return step.do === 'stall' || step.do === 'pause'
}

/** Whether an application may have found itself unusable; nothing else than this makes a producer so. */
function mayBeFatal(run: TransactionRun, application: Application, error: KafkaError): boolean {
  const { applications, successors, journal, closes, schedule } = run
  const { name, transactionalId, transactions } = application
  // A broker said something after which there is no way on.
  if (journal.some((request) => request.clientId === name && isDeadly(request))) return true
  // The answer with the last epoch, or the next id, got lost, and coordinators fail where they are asked again.
  if (schedule.firstEpoch > 0 && error.message.startsWith('InitProducerId ')) return true
  // Another producer took over.
  const isSuccessor = successors.includes(application)
  const same = new Set(
    applications
      .filter((one) => one.transactionalId === transactionalId && (isSuccessor || !successors.includes(one)))
      .map((one) => one.name),
  )
  const isInit = ({ api, fault }: ReceivedRequest): boolean =>
    api === 'InitProducerId' &&
    fault !== 'close' &&
    fault !== 'drop-request' &&
    !(typeof fault === 'object' && 'error' in fault)
  const own = journal.findIndex((request) => request.clientId === name && request.api === 'InitProducerId')
  const isFenced = journal.some(
    (request, at) => at > own && isInit(request) && request.clientId !== name && same.has(request.clientId!),
  )
  if (own !== -1 && isFenced) return true
  // Or its own InitProducerId did, which was held up on the way and had been asked again: there is no cure for that.
  const inits = journal.filter((request) => request.clientId === name && isInit(request)).length
  const isHeldUp = schedule.steps.some(holdsUp)
  // EndTxn under the epoch before it is taken for one that was made again, and the abort that fenced it for its answer.
  const isFencing = error.code === 'PRODUCER_FENCED' || error.code === 'INVALID_TXN_STATE'
  if (isFencing && inits > 1 && isHeldUp) return true
  // The transaction took too long.
  const closedAt = closes.find((one) => one.application === application)?.endedAt ?? Infinity
  return transactions.some(({ begunAt }, at) => {
    const end = transactions[at + 1]?.begunAt ?? closedAt
    return end - begunAt >= schedule.producer.transactionTimeoutMs
  })
}

function* fatality(run: TransactionRun): Generator<string> {
  for (const application of run.applications) {
    const { name, fatal, calls, transactions } = application
    const told = [
      ...fatal,
      ...calls.map(({ error }) => error),
      ...transactions.flatMap(({ sends, offsets }) => [...sends, ...offsets].map(({ error }) => error)),
    ].find((error): error is KafkaError => error instanceof KafkaError && error.fatal)
    if (told !== undefined && (told.code === 'INTERNAL_ERROR' || !mayBeFatal(run, application, told)))
      yield `${name} is unusable for no good reason: ${told.name}: ${told.message}`
    if (fatal.length > 1) yield `${name}: 'fatal' was emitted ${fatal.length} times`
  }
}

function* leftovers(run: TransactionRun): Generator<string> {
  const { closes, openSockets, hanging, schedule, successors } = run
  const { maxBlockMs } = schedule.producer
  for (const { application, calledAt, endedAt, timeoutMs, left } of closes) {
    const { name } = application
    if (endedAt === -1 || left === null) {
      yield `${name}: the close of ${calledAt} never ended`
      continue
    }
    const due = calledAt + Math.min(timeoutMs ?? Infinity, deliveryTimeoutOf(schedule.producer) + maxBlockMs)
    if (endedAt > due && !successors.includes(application))
      yield `${name}: the close of ${calledAt} (timeoutMs ${timeoutMs}) ended at ${endedAt}`
    const { metrics, timers } = left
    if (timers > 0) yield `${name}: ${timers} timers are left after close`
    if (metrics.bufferAvailableBytes !== metrics.bufferTotalBytes)
      yield `${name}: ${metrics.bufferTotalBytes - metrics.bufferAvailableBytes} bytes of bufferMemory were not given back`
    if (metrics.waitingRecords > 0) yield `${name}: ${metrics.waitingRecords} records still wait`
    if (metrics.requestsInFlight > 0)
      yield `${name}: ${metrics.requestsInFlight} requests are in flight after close`
  }
  if (openSockets > 0) yield `${openSockets} sockets are left after close`
  const excused = excusedTopics(run)
  for (const { topic, partition } of hanging)
    if (!excused.has(topic)) yield `a transaction is still open in ${topic}-${partition}`
}

export function transactionViolations(run: TransactionRun): string[] {
  return [
    ...run.problems,
    ...integrity(run),
    ...atomicity(run),
    ...order(run),
    ...settlement(run),
    ...fatality(run),
    ...leftovers(run),
  ]
}
