/** Things that are no records, or that throw when they are read: each is refused, and nothing else is hurt. */
import { once } from 'node:events'
import { Readable } from 'node:stream'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from 'vitest'
import type { ProducerRecord } from '../../src/index.js'
import { arena, failure, stored } from './arena.js'

function revoked(): ProducerRecord {
  const { proxy, revoke } = Proxy.revocable({ topic: 'orders', value: 'v' }, {})
  revoke()
  return proxy
}

function throwing(name: keyof ProducerRecord): ProducerRecord {
  return Object.defineProperty({ topic: 'orders', value: 'v' }, name, {
    enumerable: true,
    get: () => {
      throw new Error(`the getter of ${name} failed`)
    },
  })
}

const odd: readonly [title: string, make: () => unknown, message: RegExp][] = [
  ['a revoked proxy', revoked, /revoked/],
  ['a record whose topic throws', () => throwing('topic'), /the getter of topic failed/],
  ['a record whose value throws', () => throwing('value'), /the getter of value failed/],
  ['a record whose partition throws', () => throwing('partition'), /the getter of partition failed/],
  ['undefined', () => undefined, /undefined/],
]

describe.each(odd)('%s', (_title, make, message) => {
  const refused = { name: 'SerializationError', message: expect.stringMatching(message) as string }
  const record = (): ProducerRecord => make() as ProducerRecord

  test('rejects where it is sent, by promise and by callback', async () => {
    const { cluster, producer } = await arena()
    const orders = producer()
    expect(await failure(orders.send(record()))).toMatchObject(refused)
    const told = await new Promise((resolve) => {
      orders.send(record(), resolve)
    })
    expect(told).toMatchObject(refused)
    await orders.send({ topic: 'orders', value: 'good' })
    expect(stored(cluster)).toEqual(['good'])
  })

  test('rejects with interceptors and serializers', async () => {
    const { producer } = await arena()
    const orders = producer<string, string>({
      interceptors: [{ onSend: (given) => given }],
      valueSerializer: (value) => value,
    })
    expect(await failure(orders.send(record() as ProducerRecord<string, string>))).toMatchObject(refused)
  })

  test('rejects in a transaction, which then fails', async () => {
    const { producer } = await arena()
    const orders = producer({ transactionalId: 'tx' })
    const error = await failure(orders.transaction((tx) => void tx.send(record())))
    expect(error).toMatchObject({ code: 'TRANSACTION_ABORTED', cause: refused })
  })

  test('destroys a stream with its error', async () => {
    const { producer } = await arena()
    const stream = producer().writable()
    const failed = once(stream, 'error')
    stream.write(record())
    expect((await failed)[0]).toMatchObject(refused)
    expect(stream.destroyed).toBe(true)
  })
})

test('pipeline rejects with the error of a chunk that is no record', async () => {
  const { producer } = await arena()
  const source = Readable.from([{ value: 'good' }, 5])
  expect(await failure(pipeline(source, producer().writable({ topic: 'orders' })))).toMatchObject({
    name: 'SerializationError',
  })
})

test('a topic handle rejects a record that cannot be read', async () => {
  const { producer } = await arena()
  const handle = producer().topic('orders')
  for (const record of [revoked(), throwing('value')]) {
    expect(await failure(handle.send(record))).toMatchObject({ name: 'SerializationError' })
  }
})

test('a serializer or partitioner that throws what cannot be shown rejects its record', async () => {
  const { producer } = await arena()
  const throwOdd = (): never => {
    // eslint-disable-next-line @typescript-eslint/only-throw-error -- that is what is tested
    throw revoked()
  }
  for (const config of [{ valueSerializer: throwOdd }, { partitioner: throwOdd }]) {
    const error = await failure(producer(config).send({ topic: 'orders', value: 'v' }))
    expect(error).toMatchObject({ message: expect.stringContaining('cannot be shown') as string })
  }
})

test('a record that a closed producer refuses is told of with its topic', async () => {
  const { producer } = await arena()
  const orders = producer()
  await orders.close()
  const told = await new Promise((resolve) => {
    orders.send({ topic: 'orders', value: 'v' }, (_error, metadata) => resolve(metadata.topic))
  })
  expect(told).toBe('orders')
})
