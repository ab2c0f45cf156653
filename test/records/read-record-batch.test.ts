import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { compressSync } from 'snappy'
import { describe, expect, test } from 'vitest'
import { ProtocolError } from '../../src/errors.js'
import { decoderStarts } from '../../src/records/compression.js'
import {
  batchEnd,
  readBatchHeader,
  readRecordBatch,
  RecordReader,
} from '../../src/records/read-record-batch.js'
import { batch, record } from '../testing/raw-client.js'

const code = (read: () => unknown): string => {
  try {
    read()
  } catch (error) {
    if (error instanceof ProtocolError) return error.code
    throw error
  }
  return 'none'
}

describe('readRecordBatch', () => {
  test('reads every field of header and records', () => {
    const bytes = batch({
      values: ['one', 'two'],
      keys: ['k', null],
      headers: [['h', null]],
      producerId: 12n,
      epoch: 3,
      sequence: 45,
      timestamp: 1_700_000_000_000,
      baseOffset: 99n,
      attributes: 0x10,
    })
    bytes.writeInt32BE(8, 12)
    const { header, records } = readRecordBatch(bytes)
    expect(header).toEqual({
      baseOffset: 99n,
      sizeInBytes: bytes.length,
      partitionLeaderEpoch: 8,
      compression: 'none',
      isLogAppendTime: false,
      isTransactional: true,
      isControl: false,
      lastOffsetDelta: 1,
      baseTimestamp: 1_700_000_000_000,
      maxTimestamp: 1_700_000_000_000,
      producerId: 12n,
      producerEpoch: 3,
      baseSequence: 45,
      recordCount: 2,
    })
    expect(records).toEqual([
      {
        offset: 99n,
        timestamp: 1_700_000_000_000,
        key: Buffer.from('k'),
        value: Buffer.from('one'),
        headers: [['h', null]],
      },
      {
        offset: 100n,
        timestamp: 1_700_000_000_000,
        key: null,
        value: Buffer.from('two'),
        headers: [['h', null]],
      },
    ])
  })

  test('tells null, empty and absent apart', () => {
    const body = Buffer.from([...record(0, '', ''), ...record(1, null, null)])
    const { records } = readRecordBatch(batch({ values: ['', ''], body }))
    expect(records.map(({ key, value }) => [key?.length, value?.length])).toEqual([
      [0, 0],
      [undefined, undefined],
    ])
  })

  test('reads timestamps from their deltas, far and negative ones too', () => {
    // Size, attributes, timestamp delta, offset delta, no key, no value, no headers.
    const before = [12, 0, 1, 0, 1, 1, 0]
    const far = [0x80, 0x80, 0x80, 0x80, 0x80, 0x40]
    const later = [22, 0, ...far, 2, 1, 1, 0]
    const body = Buffer.from([...before, ...later])
    const { records } = readRecordBatch(batch({ values: ['', ''], body, timestamp: 1000 }))
    expect(records.map(({ timestamp }) => timestamp)).toEqual([999, 1000 + 2 ** 40])
  })

  test('gives every record the time of the append where the batch says so', () => {
    const bytes = batch({ values: ['a', 'b'], attributes: 0x08, timestamp: 5 })
    expect(readRecordBatch(bytes).records.map(({ timestamp }) => timestamp)).toEqual([5, 5])
  })

  test.each([
    ['gzip', 1, (records: Buffer) => gzipSync(records)],
    ['snappy', 2, (records: Buffer) => compressSync(records)],
    ['lz4', 3, storedLz4],
    ['zstd', 4, storedZstd],
  ])('reads records compressed with %s', async (name, codec, compress) => {
    await decoderStarts(codec)
    const values = ['a', 'b'.repeat(500)]
    const plain = batch({ values, timestamp: 5 })
    const bytes = batch({
      values,
      timestamp: 5,
      attributes: codec,
      body: compress(Buffer.from(plain.subarray(61))),
    })
    expect(readBatchHeader(bytes).compression).toBe(name)
    expect(readRecordBatch(bytes).records).toEqual(readRecordBatch(plain).records)
  })

  test('says of which codec compressed records are that make no sense', () => {
    const bytes = batch({ attributes: 1 })
    expect(() => readRecordBatch(bytes)).toThrow('the records cannot be decompressed with gzip')
    expect(code(() => readRecordBatch(bytes))).toBe('PROTOCOL_ERROR')
    expect(code(() => readRecordBatch(batch({ attributes: 6 })))).toBe('PROTOCOL_ERROR')
  })

  test('notices every single bit that is flipped behind the leader epoch', () => {
    const bytes = batch({ values: ['some', 'values'], keys: ['and', 'keys'] })
    for (let bit = 16 * 8; bit < bytes.length * 8; bit++) {
      const flipped = Buffer.from(bytes)
      flipped[bit >> 3]! ^= 1 << (bit & 7)
      expect(code(() => readRecordBatch(flipped))).toMatch(/CORRUPT_MESSAGE|INVALID_RECORD/)
    }
  })

  test('notices where bytes are missing, or too many', () => {
    const bytes = batch()
    for (let length = 0; length < bytes.length; length++) {
      expect(code(() => readRecordBatch(bytes.subarray(0, length)))).toBe('CORRUPT_MESSAGE')
    }
    expect(code(() => readRecordBatch(Buffer.concat([bytes, Buffer.alloc(1)])))).toBe('INVALID_RECORD')
  })

  test.each([
    { magic: 1 },
    { lastOffsetDelta: -1 },
    { lastOffsetDelta: 1 },
    { recordCount: 0 },
    { recordCount: 2, lastOffsetDelta: 1 },
    { body: Buffer.from([...record(0, 'k', 'v'), 0]) },
  ])('refuses a batch with %o', (options) => {
    expect(code(() => readRecordBatch(batch(options)))).toBe('INVALID_RECORD')
  })

  test('never reads beyond the batch nor throws anything but a ProtocolError, whatever the records are', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 60 }), fc.integer({ min: 1, max: 4 }), (body, count) => {
        const bytes = batch({ body, recordCount: count, lastOffsetDelta: count - 1 })
        const padded = Buffer.concat([bytes, Buffer.alloc(100, 1)]).subarray(0, bytes.length)
        expect(code(() => readRecordBatch(padded))).toMatch(/none|INVALID_RECORD|PROTOCOL_ERROR/)
      }),
    )
  })

  test('believes no count: a huge one costs nothing', () => {
    const bytes = batch({ recordCount: 0x7fffffff, lastOffsetDelta: 0x7ffffffe })
    expect(code(() => readRecordBatch(bytes))).toBe('INVALID_RECORD')
  })
})

describe('batchEnd', () => {
  test('finds where batches end that follow each other, and -1 for one that is not whole', () => {
    const [one, two] = [batch({ values: ['a'] }), batch({ values: ['bcd'] })]
    const bytes = Buffer.concat([one, two])
    expect(batchEnd(bytes, 0)).toBe(one.length)
    expect(batchEnd(bytes, one.length)).toBe(bytes.length)
    expect(batchEnd(bytes, bytes.length)).toBe(-1)
    expect(batchEnd(bytes.subarray(0, bytes.length - 1), one.length)).toBe(-1)
    expect(batchEnd(bytes.subarray(0, one.length + 16), one.length)).toBe(-1)
  })

  test('knows a batch of an older format, but no magic beyond 2', () => {
    expect(batchEnd(batch({ magic: 1 }), 0)).toBe(batch().length)
    expect(code(() => batchEnd(batch({ magic: 3 }), 0))).toBe('CORRUPT_MESSAGE')
  })
})

describe('RecordReader', () => {
  test('walks records and leaves their bytes where they are', () => {
    const bytes = batch({ values: ['one', 'two'], keys: ['k', null] })
    const cursor = new RecordReader(bytes, 61, bytes.length, 2)
    expect(cursor.next()).toBe(true)
    expect(cursor.value()!.buffer).toBe(bytes.buffer)
    expect([cursor.offsetDelta, cursor.keyLength, cursor.valueLength]).toEqual([0, 1, 3])
    expect(cursor.next()).toBe(true)
    expect([cursor.offsetDelta, cursor.key(), String(Buffer.from(cursor.value()!))]).toEqual([1, null, 'two'])
    expect(cursor.next()).toBe(false)
  })
})

/** An LZ4 frame of one stored block. */
function storedLz4(records: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeUInt32LE(0x8000_0000 + records.length)
  return Buffer.concat([Buffer.from('04224d18604082', 'hex'), length, records, Buffer.alloc(4)])
}

/** A zstd frame of one raw block, with a window of 1 KiB. */
function storedZstd(records: Buffer): Buffer {
  const block = Buffer.alloc(3)
  block.writeUIntLE((records.length << 3) | 1, 0, 3)
  return Buffer.concat([Buffer.from('28b52ffd0000', 'hex'), block, records])
}
