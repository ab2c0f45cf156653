/**
 * A fault of this package itself, wherever nothing catches it: it ends the producer, and nothing else. Each test makes
 * one inner function throw once, as a slip in it would.
 */
import { expect, onTestFinished, test, vi } from 'vitest'
import type { KafkaError, Producer } from '../../src/index.js'
import { Cluster } from '../../src/network/cluster.js'
import { FrameReader } from '../../src/network/connection/frame-reader.js'
import { RequestPipeline } from '../../src/network/connection/request-pipeline.js'
import { Metadata } from '../../src/network/metadata.js'
import { RecordAccumulator } from '../../src/producer/batching/record-accumulator.js'
import { WaitingRecords } from '../../src/producer/intake/waiting-records.js'
import { ProduceCall } from '../../src/producer/sending/produce-call.js'
import { Sender } from '../../src/producer/sending/sender.js'
import { OpenTransaction } from '../../src/producer/transactions/open-transaction.js'
import { arena, failure, frozenArena, turnsUntil } from './arena.js'

const slip = new TypeError("Cannot read properties of undefined (reading 'slip')")

/** A prototype, and one of its methods that throws once. */
function slipIn<K extends string>(part: Record<K, unknown>, method: K): void {
  let isDue = true
  const own = part[method] as (...args: unknown[]) => unknown
  const spy = vi.spyOn(part as Record<string, () => unknown>, method)
  onTestFinished(() => spy.mockRestore())
  spy.mockImplementation(function (this: unknown, ...args: unknown[]) {
    if (!isDue) return own.apply(this, args)
    isDue = false
    throw slip
  })
}

/** Requests of this API cannot be made, once. */
function slipInRequest(api: string): void {
  let isDue = true
  const part = RequestPipeline.prototype as unknown as Record<'request', (...args: unknown[]) => unknown>
  const own = part.request
  const spy = vi.spyOn(part, 'request')
  onTestFinished(() => spy.mockRestore())
  spy.mockImplementation(function (this: unknown, ...args: unknown[]) {
    if (!isDue || (args[0] as { name: string }).name !== api) return own.apply(this, args)
    isDue = false
    throw slip
  })
}

/** What ends the process, and how often the producer said that it is unusable. */
function watched(producer: Producer): { readonly uncaught: unknown[]; readonly fatal: KafkaError[] } {
  const uncaught: unknown[] = []
  const fatal: KafkaError[] = []
  const note = (error: unknown): void => void uncaught.push(error)
  process.on('uncaughtException', note).on('unhandledRejection', note)
  onTestFinished(() => void process.off('uncaughtException', note).off('unhandledRejection', note))
  producer.on('fatal', (error) => fatal.push(error))
  return { uncaught, fatal }
}

async function expectEnded(
  producer: Producer,
  { uncaught, fatal }: ReturnType<typeof watched>,
  calls: readonly Promise<unknown>[],
): Promise<void> {
  const outcomes = await Promise.allSettled(calls)
  const expected = { code: 'INTERNAL_ERROR', fatal: true }
  for (const outcome of outcomes) expect(outcome).toMatchObject({ status: 'rejected', reason: expected })
  await turnsUntil(() => fatal.length > 0)
  expect(fatal[0]).toMatchObject({ ...expected, cause: slip })
  expect(await failure(producer.send({ topic: 'orders', value: 'later' }))).toMatchObject(expected)
  await producer.close()
  await new Promise((resolve) => setImmediate(resolve))
  expect(fatal).toHaveLength(1)
  expect(uncaught).toEqual([])
}

const alone: readonly (readonly [where: string, slips: () => void])[] = [
  ['the next turn of the event loop', () => slipIn(RecordAccumulator.prototype, 'takeExpired')],
  ['a metadata response', () => slipIn(Metadata.prototype, 'update')],
  ['a request for metadata', () => slipInRequest('Metadata')],
  ['a request for a producer id', () => slipInRequest('InitProducerId')],
  ['a Produce request', () => slipInRequest('Produce')],
  ['a Produce response', () => slipIn(ProduceCall.prototype, 'take')],
  ['what a socket reads', () => slipIn(FrameReader.prototype, 'push')],
]

test.each(alone)('a slip in %s ends the producer alone', async (_where, slips) => {
  const { log, producer } = await arena()
  const one = producer({ maxBlockMs: 5000 })
  const seen = watched(one)
  slips()
  const sends = ['a', 'b'].map((value) => one.send({ topic: 'orders', value }))
  await expectEnded(one, seen, sends)
  expect(log).toContain('error: a fault in the producer itself; please report it')
})

test('a slip in the attempt to connect to a leader', async () => {
  const { producer } = await arena()
  const one = producer()
  await one.send({ topic: 'orders', value: 'before' })
  const seen = watched(one)
  const spy = vi.spyOn(Cluster.prototype, 'connect').mockRejectedValue(slip)
  onTestFinished(() => spy.mockRestore())
  const none = vi.spyOn(Cluster.prototype, 'connection').mockReturnValue(undefined)
  onTestFinished(() => none.mockRestore())
  await expectEnded(one, seen, [one.send({ topic: 'orders', value: 'a' })])
})

test('a slip in the callback of a socket that has taken a request', async () => {
  const { producer } = await arena()
  const one = producer()
  await one.send({ topic: 'orders', value: 'before' })
  const seen = watched(one)
  slipIn(RecordAccumulator.prototype, 'release')
  await Promise.allSettled([one.send({ topic: 'orders', value: 'a' })])
  await expectEnded(one, seen, [])
})

test('a slip in a timer', async () => {
  const { clock, producer } = await frozenArena()
  const one = producer({ lingerMs: 50 })
  const seen = watched(one)
  const before = one.send({ topic: 'orders', value: 'before' })
  await clock.advance(50)
  await before
  const sent = one.send({ topic: 'orders', value: 'a' })
  for (let turn = 0; turn < 5; turn++) await new Promise((resolve) => setImmediate(resolve))
  slipIn(RecordAccumulator.prototype, 'takeExpired')
  await clock.advance(50)
  await expectEnded(one, seen, [sent])
})

test('a slip after an asynchronous serializer', async () => {
  const { producer } = await arena()
  const one = producer({ valueSerializer: (value) => Promise.resolve(value as Buffer) })
  const seen = watched(one)
  slipIn(WaitingRecords.prototype, 'serialized')
  await expectEnded(one, seen, [one.send({ topic: 'orders', value: 'a' })])
})

const transactional: readonly (readonly [where: string, slips: () => void])[] = [
  ['a request for the coordinator', () => slipInRequest('FindCoordinator')],
  ['a request for a producer id', () => slipInRequest('InitProducerId')],
  ['a request to add partitions', () => slipInRequest('AddPartitionsToTxn')],
  ['a response to a request to add partitions', () => slipIn(OpenTransaction.prototype, 'register')],
  ['a request to end it', () => slipInRequest('EndTxn')],
]

test.each(transactional)('a slip in %s of a transaction', async (_where, slips) => {
  const { producer } = await arena({ topics: { orders: { partitions: 1 } }, transactionVersion: 1 })
  const one = producer({ transactionalId: 'checkout' })
  const seen = watched(one)
  slips()
  const committed = one.transaction((tx) => void tx.send({ topic: 'orders', value: 'a' }))
  await expectEnded(one, seen, [committed])
})

test('a slip where a failed transaction drops its records', async () => {
  const { cluster, producer } = await arena()
  const one = producer({ transactionalId: 'checkout' })
  const seen = watched(one)
  slipIn(Sender.prototype, 'dropUnsent')
  cluster.fail({ api: 'Produce' }, { error: 'INVALID_RECORD' })
  const committed = one.transaction((tx) => void tx.send({ topic: 'orders', value: 'a' }))
  await expectEnded(one, seen, [committed])
})
