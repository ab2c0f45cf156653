import { expect, test } from 'vitest'
import { KafkaError } from '../../../src/errors.js'
import { markHandled, OwnPromise, RecordPromises } from '../../../src/producer/batching/record-promises.js'
import type { RecordMetadata } from '../../../src/record.js'

function metadata(offset: bigint): RecordMetadata {
  return {
    topic: 'orders',
    partition: 0,
    offset,
    timestamp: 1,
    serializedKeySize: -1,
    serializedValueSize: 1,
  }
}

function error(code: string): KafkaError {
  return new KafkaError('no', { code })
}

test('each promise of a batch gets its own delivery, in the order in which they were made', async () => {
  const promises = new RecordPromises()
  const made = [promises.add(), promises.add(), promises.add()]
  const deliveries = [metadata(4n), metadata(5n), metadata(6n)]
  promises.fulfil(deliveries)
  const got = await Promise.all(made)
  got.forEach((one, index) => expect(one).toBe(deliveries[index]))
})

test('each promise of a batch gets its own error, and none is taken for an unhandled one', async () => {
  const promises = new RecordPromises()
  const made = [promises.add(), promises.add()]
  for (const promise of made) markHandled(promise)
  promises.reject([error('ONE'), error('TWO')])
  await expect(made[1]).rejects.toMatchObject({ code: 'TWO' })
  await expect(made[0]).rejects.toMatchObject({ code: 'ONE' })
})

test('a promise of a batch can be handed on to a promise of its own', async () => {
  const promises = new RecordPromises()
  const made = [promises.add(), promises.add()]
  const own = [new OwnPromise(), new OwnPromise()]
  promises.fulfil(own.map(({ promise }) => promise))
  for (const promise of made) markHandled(promise)
  own[1]!.callback(error('TWO'), metadata(-1n))
  own[0]!.callback(null, metadata(7n))
  expect(await made[0]).toEqual(metadata(7n))
  await expect(made[1]).rejects.toMatchObject({ code: 'TWO' })
})

test('a promise of its own that fails is not taken for an unhandled one', async () => {
  const { promise, callback } = new OwnPromise()
  callback(error('NO'), metadata(-1n))
  await new Promise(setImmediate)
  await expect(promise).rejects.toMatchObject({ code: 'NO' })
})
