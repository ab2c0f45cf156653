import { barrier } from '../../fault-barrier.js'
import { expect, test } from 'vitest'
import { BatchCompression } from '../../../src/producer/batching/batch-compression.js'
import type { Compressor } from '../../../src/records/compression.js'
import { BATCH_HEADER_SIZE } from '../../../src/records/record-bytes.js'
import type { QueuedBatch } from '../../../src/producer/batching/partition-queue.js'
import { madeBatch } from '../made-batch.js'

const BATCH_SIZE = 10_061

interface Logged {
  readonly message: string
}

/** Compresses to a share of the size. */
function compression(
  share: number,
  compress: Compressor['compress'] = (bytes) => new Uint8Array(Math.floor(bytes.length * share)),
): { compression: BatchCompression; logged: Logged[] } {
  const logged: Logged[] = []
  const logger = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (message: string) => logged.push({ message }),
  }
  return {
    compression: new BatchCompression({ type: 'lz4', id: 3, engine: 'test', compress }, logger, barrier),
    logged,
  }
}

const closedBatch = (): QueuedBatch => madeBatch(0, 100)

const ignore = (): void => {}

test('batches of a topic may take more records as theirs turn out to compress, and no other topic', () => {
  const { compression: quarter } = compression(0.25)
  expect(quarter.limitFor('orders', BATCH_SIZE)).toBe(BATCH_SIZE)
  let last = BATCH_SIZE
  for (let i = 0; i < 40; i++) {
    quarter.start(closedBatch(), ignore)
    const limit = quarter.limitFor('orders', BATCH_SIZE)
    expect(limit).toBeGreaterThanOrEqual(last)
    last = limit
  }
  // 10,000 bytes on the wire at a quarter of the size, with 5 % kept back.
  expect(last).toBeGreaterThan(BATCH_HEADER_SIZE + 37_000)
  expect(last).toBeLessThan(BATCH_HEADER_SIZE + 40_000)
  expect(quarter.limitFor('clicks', BATCH_SIZE)).toBe(BATCH_SIZE)
})

test('a worse ratio is believed at once', () => {
  let share = 0.1
  const { compression: varying } = compression(0, (bytes) => new Uint8Array(Math.floor(bytes.length * share)))
  for (let i = 0; i < 40; i++) varying.start(closedBatch(), ignore)
  share = 0.9
  varying.start(closedBatch(), ignore)
  expect(varying.limitFor('orders', BATCH_SIZE)).toBeLessThan(BATCH_SIZE * 1.1)
})

test('a batch that a broker finds too large corrects the ratio', () => {
  const { compression: half } = compression(0.5)
  for (let i = 0; i < 40; i++) half.start(closedBatch(), ignore)
  expect(half.limitFor('orders', BATCH_SIZE)).toBeGreaterThan(BATCH_SIZE)
  half.wasTooLarge(closedBatch())
  expect(half.limitFor('orders', BATCH_SIZE)).toBe(BATCH_SIZE)
})

test('what compression would make larger goes as it is', () => {
  const { compression: worse } = compression(1.2)
  const results: unknown[] = []
  worse.start(closedBatch(), (compressed) => results.push(compressed))
  expect(results).toEqual([null])
})

test('a batch gets its bytes later where a compressor works off the main thread', async () => {
  let finish: (bytes: Uint8Array) => void = ignore
  const { compression: slow } = compression(0, () => new Promise((resolve) => (finish = resolve)))
  const results: unknown[] = []
  const done = new Promise<void>((resolve) =>
    slow.start(closedBatch(), (compressed) => {
      results.push(compressed)
      resolve()
    }),
  )
  expect(results).toEqual([])
  finish(new Uint8Array(10))
  await done
  expect(results).toEqual([{ codecId: 3, bytes: new Uint8Array(10) }])
})

test.each([
  [
    'throws',
    () => {
      throw new Error('broken')
    },
  ],
  ['rejects', () => Promise.reject(new Error('broken'))],
] as const)('a codec that %s is reported, and the batch goes as it is', async (_, compress) => {
  const { compression: broken, logged } = compression(0, compress)
  const compressed = await new Promise((resolve) => broken.start(closedBatch(), resolve))
  expect([compressed, logged.length]).toEqual([null, 1])
})
