import { expect, test } from 'vitest'
import { BatchCompression } from '../../src/producer/batch-compression.js'
import type { Compressor } from '../../src/records/compression.js'
import { BATCH_HEADER_SIZE } from '../../src/records/record-batch.js'
import { madeBatch } from './made-batch.js'

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
  const ignore = (): void => {}
  const logger = {
    debug: ignore,
    info: ignore,
    warn: ignore,
    error: (message: string) => logged.push({ message }),
  }
  return {
    compression: new BatchCompression({ type: 'lz4', id: 3, engine: 'test', compress }, logger),
    logged,
  }
}

function closedBatch(records = 100): ReturnType<typeof madeBatch> {
  const batch = madeBatch(0, records)
  batch.compression = 'todo'
  return batch
}

test('batches of a topic may take more records as theirs turn out to compress, and no other topic', () => {
  const { compression: quarter } = compression(0.25)
  expect(quarter.limitFor('orders', BATCH_SIZE)).toBe(BATCH_SIZE)
  let last = BATCH_SIZE
  for (let i = 0; i < 40; i++) {
    quarter.start(closedBatch(), () => {})
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
  for (let i = 0; i < 40; i++) varying.start(closedBatch(), () => {})
  share = 0.9
  varying.start(closedBatch(), () => {})
  expect(varying.limitFor('orders', BATCH_SIZE)).toBeLessThan(BATCH_SIZE * 1.1)
})

test('a batch that a broker finds too large corrects the ratio', () => {
  const { compression: half } = compression(0.5)
  for (let i = 0; i < 40; i++) half.start(closedBatch(), () => {})
  expect(half.limitFor('orders', BATCH_SIZE)).toBeGreaterThan(BATCH_SIZE)
  half.wasTooLarge(closedBatch())
  expect(half.limitFor('orders', BATCH_SIZE)).toBe(BATCH_SIZE)
})

test('what compression would make larger goes as it is', () => {
  const { compression: worse } = compression(1.2)
  const batch = closedBatch()
  worse.start(batch, () => {})
  expect([batch.compression, batch.compressed]).toEqual(['done', null])
})

test('a batch keeps its buffer while a compressor off the main thread reads it', async () => {
  let finish: (bytes: Uint8Array) => void = () => {}
  const { compression: slow } = compression(0, () => new Promise((resolve) => (finish = resolve)))
  const batch = closedBatch()
  const ready = new Promise<void>((resolve) => slow.start(batch, resolve))
  batch.isDone = true
  expect([batch.compression, batch.isReleasable]).toEqual(['at-work', false])
  finish(new Uint8Array(10))
  await ready
  expect([batch.compression, batch.isReleasable]).toEqual(['done', true])
  expect(batch.wireSize).toBe(BATCH_HEADER_SIZE + 10)
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
  const batch = closedBatch()
  await new Promise<void>((resolve) => broken.start(batch, resolve))
  expect([batch.compression, batch.compressed, logged.length]).toEqual(['done', null, 1])
})
