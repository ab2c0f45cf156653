/** Batches that wait for a codec which works off the main thread. */
import { gzipSync } from 'node:zlib'
import { expect, test } from 'vitest'
import { batches, frozenArena, requests, stored, turnsUntil } from './arena.js'

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
