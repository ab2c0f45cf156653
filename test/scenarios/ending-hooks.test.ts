/**
 * Code of the application that runs in the midst of a `send` and ends the producer or its transaction. The record comes too
 * late for it: it rejects with what a `send` at that moment would get, and the close or commit neither waits for it nor
 * counts it.
 */
import { describe, expect, test } from 'vitest'
import type { KafkaError, Producer, ProducerConfig } from '../../src/index.js'
import { arena, failure, stored } from './arena.js'

type End = (producer: Producer<string, string>) => Promise<unknown>

/** A hook of each kind that runs `end` for the record 'ends'. */
const hooks: Record<string, (end: () => void) => Partial<ProducerConfig<string, string>>> = {
  partitioner: (end) => ({
    partitioner: ({ value }) => {
      if (value === 'ends') end()
      return 0
    },
  }),
  serializer: (end) => ({
    valueSerializer: (value) => {
      if (value === 'ends') end()
      return value
    },
  }),
  'asynchronous serializer': (end) => ({
    valueSerializer: (value) => {
      if (value === 'ends') end()
      return Promise.resolve(value)
    },
  }),
  interceptor: (end) => ({
    interceptors: [
      {
        onSend: (record) => {
          if (record.value === 'ends') end()
          return record
        },
      },
    ],
  }),
}

async function ended(
  hook: string,
  config: Partial<ProducerConfig<string, string>>,
  end: End,
  isWarm: boolean,
) {
  const { cluster, producer } = await arena()
  let outcome: Promise<unknown> | undefined
  const orders: Producer<string, string> = producer<string, string>({
    ...config,
    ...hooks[hook]!(() => {
      outcome ??= end(orders)
    }),
  })
  if (isWarm) await orders.partitionsFor('orders')
  return { cluster, orders, outcome: () => outcome }
}

describe.each(Object.keys(hooks))('a %s', (hook) => {
  test.each([true, false])('that closes the producer (metadata is there: %s)', async (isWarm) => {
    const { cluster, orders, outcome } = await ended(hook, {}, (producer) => producer.close(), isWarm)
    const before = orders.send({ topic: 'orders', value: 'before' })
    const error = await failure<KafkaError>(orders.send({ topic: 'orders', value: 'ends' }))
    expect(error).toMatchObject({ name: 'ProducerClosedError', mayHaveBeenWritten: false })
    await before
    expect(await outcome()).toBe(0)
    expect(stored(cluster)).toEqual(['before'])
  })

  test.each(['commitTransaction', 'abortTransaction'] as const)('that calls %s', async (call) => {
    const config = { transactionalId: 'orders-1' }
    const { cluster, orders, outcome } = await ended(hook, config, (producer) => producer[call](), true)
    await orders.initTransactions()
    orders.beginTransaction()
    await orders.send({ topic: 'orders', value: 'before' })
    const error = await failure<KafkaError>(orders.send({ topic: 'orders', value: 'ends' }))
    expect(error).toMatchObject({ name: 'IllegalStateError', mayHaveBeenWritten: false })
    expect(await outcome()).toBeUndefined()
    const committed = cluster.records('orders', { isolation: 'read_committed' })
    expect(committed.map(({ value }) => String(value))).toEqual(
      call === 'commitTransaction' ? ['before'] : [],
    )
  })
})

test('a logger that aborts while an abort begins joins it', async () => {
  const { producer } = await arena()
  const quiet = (): void => {}
  const outcomes: Promise<unknown>[] = []
  const orders: Producer = producer({
    transactionalId: 'orders-1',
    logger: {
      debug: (message, fields) => {
        if (message === 'transaction state' && fields?.['to'] === 'ABORTING_TRANSACTION')
          outcomes.push(orders.abortTransaction())
      },
      info: quiet,
      warn: quiet,
      error: quiet,
    },
  })
  await orders.initTransactions()
  orders.beginTransaction()
  await orders.send({ topic: 'orders', value: 'v' })
  await orders.abortTransaction()
  expect(outcomes).toHaveLength(1)
  await Promise.all(outcomes)
  orders.beginTransaction()
  await orders.abortTransaction()
})

test('a partitioner that sends to its own topic when metadata comes overtakes nothing', async () => {
  const { cluster, producer } = await arena()
  const orders: Producer<string, string> = producer<string, string>({
    partitioner: ({ value }) => {
      if (value === 'first') void orders.send({ topic: 'orders', value: 'audit' })
      return 0
    },
  })
  const sent = ['first', 'second'].map((value) => orders.send({ topic: 'orders', value }))
  await Promise.all(sent)
  await orders.flush()
  expect(stored(cluster)).toEqual(['first', 'second', 'audit'])
})

test('a partitioner that sends to its own topic when room comes overtakes nothing', async () => {
  const { cluster, producer } = await arena()
  let isWaiting = false
  const orders: Producer<string, string> = producer<string, string>({
    ...{ batchSize: 1000, bufferMemory: 4000, maxRequestSize: 4000 },
    partitioner: ({ value }) => {
      if (isWaiting && value?.startsWith('5')) void orders.send({ topic: 'orders', value: 'audit' })
      return 0
    },
  })
  await orders.partitionsFor('orders')
  const values = Array.from({ length: 7 }, (_, i) => `${i}`.padEnd(900, '.'))
  const sent = values.map((value) => orders.send({ topic: 'orders', value }))
  isWaiting = true
  await Promise.all(sent)
  await orders.flush()
  expect(stored(cluster)).toEqual([...values, 'audit'])
})
