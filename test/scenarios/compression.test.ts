/** Batches that wait for a codec which works off the main thread. */
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { TimeoutError } from '../../src/index.js'
import { batches, failure, frozenArena, requests, stored, turnsUntil } from './arena.js'

/** A gzip engine that is done when the test says so. */
function slowGzip() {
  const atWork: (() => void)[] = []
  const compress = (bytes: Uint8Array): Promise<Uint8Array> =>
    new Promise((resolve) => atWork.push(() => resolve(gzipSync(bytes))))
  const config = { compressionType: 'gzip', codecs: { gzip: { compress } } } as const
  return { atWork, config }
}

test('a batch goes when its codec is done, though nothing else happens then', async () => {
  const { clock, cluster, producer } = await frozenArena()
  const { atWork, config } = slowGzip()
  const sent = producer(config).send({ topic: 'orders', value: 'a' })
  await turnsUntil(() => atWork.length === 1)
  // Metadata and the producer id are there, and no timer is due for long: only the codec can make the batch go.
  await turnsUntil(() => requests(cluster, 'InitProducerId').length === 1)
  await clock.advance(1_000)
  expect(batches(cluster)).toEqual([])
  atWork[0]!()
  await turnsUntil(() => stored(cluster).length === 1)
  expect(await sent).toMatchObject({ offset: 0n })
})

test('a codec that never finishes costs its batch the delivery timeout, and keeps no memory', async () => {
  const { clock, cluster, log, producer } = await frozenArena()
  const given: Uint8Array[] = []
  const results: ((bytes: Uint8Array) => void)[] = []
  const compress = (bytes: Uint8Array): Uint8Array | Promise<Uint8Array> => {
    given.push(bytes)
    return given.length === 1 ? new Promise((resolve) => void results.push(resolve)) : gzipSync(bytes)
  }
  // Room for one batch alone.
  const one = producer({
    compressionType: 'gzip',
    codecs: { gzip: { compress } },
    batchSize: 1000,
    bufferMemory: 1000,
    requestTimeoutMs: 1000,
    deliveryTimeoutMs: 5000,
    maxBlockMs: 60_000,
  })
  const stuck = failure(one.send({ topic: 'orders', value: 'a'.repeat(500) }))
  await turnsUntil(() => given.length === 1)
  const before = Buffer.from(given[0]!)
  await clock.advance(5000)
  const error = await stuck
  expect(error).toBeInstanceOf(TimeoutError)
  expect(error.message).toContain('its codec has not finished')
  expect(one.metrics().bufferAvailableBytes).toBe(1000)

  const sent = Promise.all(
    ['b', 'c'].map((letter) => one.send({ topic: 'orders', value: letter.repeat(500) })),
  )
  await turnsUntil(() => stored(cluster).length > 0)
  await clock.advance(1000)
  await sent
  expect(stored(cluster)).toEqual(['b'.repeat(500), 'c'.repeat(500)])
  expect(Buffer.from(given[0]!)).toEqual(before)
  expect(given.filter((bytes) => Buffer.from(bytes).equals(before))).toHaveLength(1)

  // What it ends with at last changes nothing.
  results[0]!(gzipSync(before))
  await clock.advance(1000)
  expect(one.metrics().bufferAvailableBytes).toBe(1000)
  expect(stored(cluster)).toHaveLength(2)
  expect(log.filter((line) => line.startsWith('error'))).toEqual([])
})

test('batches of a partition keep their order, whichever the codec ends first', async () => {
  const { clock, cluster, producer } = await frozenArena()
  const { atWork, config } = slowGzip()
  const orders = producer({ ...config, batchSize: 80 })
  const values = ['a', 'b', 'c'].map((letter) => letter.repeat(30))
  const sent = Promise.all(values.map((value) => orders.send({ topic: 'orders', value })))
  // The last batch is open until it is drained, which is after the others.
  await turnsUntil(() => atWork.length >= 2)
  await clock.advance(1_000)
  atWork[1]!()
  await clock.advance(1_000)
  expect(batches(cluster)).toEqual([])
  atWork[0]!()
  await turnsUntil(() => stored(cluster).length === 2 && atWork.length === 3)
  atWork[2]!()
  await turnsUntil(() => stored(cluster).length === 3)
  await sent
  expect(stored(cluster)).toEqual(values)
})
