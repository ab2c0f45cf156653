/** Records that fail while nothing listens to deliveryError: they leave a trace in the log. */
import { expect, test } from 'vitest'
import type { Logger } from '../../src/index.js'
import { failure, frozenArena } from './arena.js'

interface Warning {
  readonly message: string
  readonly fields: Readonly<Record<string, unknown>> | undefined
}

/** A logger that keeps warnings of failed records. */
function collect(): { warnings: Warning[]; logger: Logger } {
  const warnings: Warning[] = []
  const nothing = (): void => {}
  const warn: Logger['warn'] = (message, fields) => {
    if (message.startsWith('records failed')) warnings.push({ message, fields })
  }
  return { warnings, logger: { debug: nothing, info: nothing, warn, error: nothing } }
}

const tooLarge = { topic: 'orders', value: 'x'.repeat(2_000) }
const limits = { batchSize: 1_000, maxRequestSize: 1_000 }

test('are warned of at once, then every ten seconds with their number, and the rest at close', async () => {
  const { clock, producer } = await frozenArena()
  const { logger, warnings } = collect()
  const orders = producer({ ...limits, logger })
  await orders.partitionsFor('orders')
  const fail = (): Promise<unknown> => failure(orders.send(tooLarge))
  await fail()
  expect(warnings.map(({ fields }) => fields)).toEqual([
    {
      topic: 'orders',
      code: 'RECORD_TOO_LARGE',
      error: expect.stringContaining('maxRequestSize') as string,
      records: 1,
    },
  ])
  await Promise.all([fail(), fail()])
  await clock.advance(9_000)
  await fail()
  expect(warnings).toHaveLength(1)
  await clock.advance(1_000)
  await fail()
  expect(warnings.map(({ fields }) => fields?.['records'])).toEqual([1, 4])
  await fail()
  await orders.close()
  expect(warnings.map(({ fields }) => fields?.['records'])).toEqual([1, 4, 1])
})

test('are not warned of where a callback or a listener was told', async () => {
  const { producer } = await frozenArena()
  const { logger, warnings } = collect()
  const interceptors = [{ onAcknowledgement: (): void => {} }]
  for (const config of [{}, { interceptors }]) {
    const orders = producer({ ...limits, ...config, logger })
    await new Promise((resolve) => {
      orders.send(tooLarge, resolve)
    })
    const heard: unknown[] = []
    orders.on('deliveryError', (error) => heard.push(error))
    await failure(orders.send(tooLarge))
    expect(heard).toHaveLength(1)
    await orders.close()
  }
  expect(warnings).toEqual([])
})

test('are warned of wherever they fail: in a batch, in the halves of one, before there is one', async () => {
  const { cluster, producer } = await frozenArena()
  const interceptors = [{ onAcknowledgement: (): void => {} }]
  for (const config of [{}, { interceptors }]) {
    const { logger, warnings } = collect()
    const orders = producer({ ...config, logger })
    await orders.partitionsFor('orders')
    const undo = cluster.fail({ api: 'Produce', times: Infinity }, { error: 'MESSAGE_TOO_LARGE' })
    await Promise.all([1, 2].map((i) => failure(orders.send({ topic: 'orders', value: `${i}` }))))
    undo()
    void orders.send({ topic: 'unknown', value: 'waits' })
    await orders.close({ timeoutMs: 0 })
    expect(warnings.map(({ fields }) => [fields?.['topic'], fields?.['records']])).toEqual([
      ['orders', 1],
      ['unknown', 2],
    ])
  }
})

test('close() counts what was under way when it was called; what failed before it was told elsewhere', async () => {
  const { cluster, producer } = await frozenArena()
  const orders = producer(limits)
  let lost = 0
  orders.on('deliveryError', () => lost++)
  await failure(orders.send(tooLarge))
  cluster.pauseBroker(1)
  void orders.send({ topic: 'orders', value: 'under way' })
  expect([await orders.close({ timeoutMs: 0 }), lost]).toEqual([1, 2])
})
