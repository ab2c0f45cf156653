/**
 * The builder of record batches against two judges that had no part in it: the reader of src/records/read-record-batch.ts,
 * and bytes that Kafka's own builder made.
 */
import { readFileSync } from 'node:fs'
import path from 'node:path'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Headers, Payload } from '../../src/record.js'
import { readRecordBatch, type ReadRecord } from '../../src/records/read-record-batch.js'
import { RecordBatchBuilder, type RecordCursor } from '../../src/records/record-batch.js'
import { payloadSize } from '../../src/records/record-bytes.js'
import { RecordDraft } from '../../src/records/record-draft.js'

interface Given {
  readonly timestamp: number
  readonly key: Payload
  readonly value: Payload
  readonly headers?: Headers | undefined
}

const idle = { producerId: -1n, producerEpoch: -1, baseSequence: -1 }

/** One for all, as in the producer. */
const draft = new RecordDraft()

function drafted({ timestamp, key, value, headers }: Given): RecordDraft {
  draft.set('orders', timestamp, key, value, headers)
  return draft
}

function append(
  builder: RecordBatchBuilder,
  { timestamp, key, value, headers }: Given,
  limit?: number,
): boolean {
  return builder.tryAppend(limit ?? builder.buffer.length, drafted({ timestamp, key, value, headers }))
}

/** A builder full of whatever was in its memory before, as a pooled buffer is. */
function built(records: readonly Given[], bytes = 65_536): RecordBatchBuilder {
  const builder = new RecordBatchBuilder(Buffer.alloc(bytes, 0xa5))
  for (const record of records) if (!append(builder, record)) throw new Error('no room')
  return builder
}

function bytesOf(payload: Payload): Buffer | null {
  return payload === null ? null : Buffer.from(payload as string)
}

function expected(records: readonly Given[]): ReadRecord[] {
  return records.map(({ timestamp, key, value, headers = [] }, index) => ({
    offset: BigInt(index),
    timestamp,
    key: bytesOf(key),
    value: bytesOf(value),
    headers: (Array.isArray(headers) ? (headers as [string, Payload][]) : Object.entries(headers)).map(
      ([name, bytes]) => [name, bytesOf(bytes)] as const,
    ),
  }))
}

function read(builder: RecordBatchBuilder): ReadRecord[] {
  return readRecordBatch(builder.finish(idle, false)).records
}

function summaries(
  builder: RecordBatchBuilder,
): Pick<RecordCursor, 'end' | 'timestamp' | 'keySize' | 'valueSize'>[] {
  const all = []
  const record = builder.read()
  while (record.next()) {
    const { end, timestamp, keySize, valueSize } = record
    all.push({ end, timestamp, keySize, valueSize })
  }
  return all
}

const anyText = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 70 }),
  fc.string({ maxLength: 70 }),
  fc.constantFrom('', 'x'.repeat(48), 'x'.repeat(49), 'é'.repeat(24), 'é'.repeat(25), '🚀'.repeat(20)),
)
const anyPayload: fc.Arbitrary<Payload> = fc.oneof(
  { weight: 3, arbitrary: anyText },
  { weight: 2, arbitrary: fc.uint8Array({ maxLength: 200 }) },
  { weight: 1, arbitrary: fc.constant(null) },
)
const anyHeaders: fc.Arbitrary<Headers | undefined> = fc.oneof(
  fc.constant(undefined),
  fc.array(fc.tuple(fc.oneof(anyText, fc.constant('again')), anyPayload), { maxLength: 4 }),
  fc.dictionary(fc.string({ maxLength: 8 }), anyPayload, { maxKeys: 4 }),
)
const anyTimestamp = fc.oneof(
  fc.integer({ min: 0, max: 2 ** 52 - 1 }),
  fc.integer({ min: 1_700_000_000_000, max: 1_700_000_000_100 }),
  fc.constantFrom(0, 2 ** 30 - 1, 2 ** 30, 2 ** 31 - 1, 2 ** 31, 2 ** 32, 2 ** 52 - 1),
)
const anyRecord: fc.Arbitrary<Given> = fc.record({
  timestamp: anyTimestamp,
  key: anyPayload,
  value: anyPayload,
  headers: anyHeaders,
})
const anyRecords = fc.array(anyRecord, { minLength: 1, maxLength: 12 })

describe('what is built', () => {
  test('is read back as it was given', () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        expect(read(built(records))).toEqual(expected(records))
      }),
      { numRuns: 300 },
    )
  })

  test('carries its state in the header', () => {
    const state = { producerId: 2n ** 62n, producerEpoch: 32_767, baseSequence: 2_147_483_647 }
    const builder = built([
      { timestamp: 50, key: null, value: 'a' },
      { timestamp: 10, key: null, value: 'b' },
      { timestamp: 60, key: null, value: 'c' },
      { timestamp: 20, key: null, value: 'd' },
    ])
    expect(readRecordBatch(builder.finish(state, true)).header).toEqual({
      ...state,
      baseOffset: 0n,
      sizeInBytes: builder.size,
      partitionLeaderEpoch: -1,
      compression: 'none',
      isLogAppendTime: false,
      isTransactional: true,
      isControl: false,
      lastOffsetDelta: 3,
      baseTimestamp: 50,
      maxTimestamp: 60,
      recordCount: 4,
    })
  })

  test('can be finished again under another state, the records unchanged', () => {
    const builder = built([{ timestamp: 5, key: 'k', value: 'v' }])
    const once = Buffer.from(builder.finish({ producerId: 1n, producerEpoch: 0, baseSequence: 9 }, false))
    const again = builder.finish({ producerId: 1n, producerEpoch: 1, baseSequence: 0 }, false)
    expect(readRecordBatch(again).header).toMatchObject({ producerEpoch: 1, baseSequence: 0 })
    expect(again.subarray(61)).toEqual(once.subarray(61))
    expect(Buffer.from(builder.finish({ producerId: 1n, producerEpoch: 0, baseSequence: 9 }, false))).toEqual(
      once,
    )
  })

  test('is walked record by record with sizes, times and places', () => {
    fc.assert(
      fc.property(anyRecords, (records) => {
        const builder = built(records)
        const walked = summaries(builder)
        expect(
          walked.map(({ timestamp, keySize, valueSize }) => ({ timestamp, keySize, valueSize })),
        ).toEqual(
          records.map(({ timestamp, key, value }) => ({
            timestamp,
            keySize: payloadSize(key),
            valueSize: payloadSize(value),
          })),
        )
        expect(walked.at(-1)!.end).toBe(builder.size)
      }),
      { numRuns: 100 },
    )
  })
})

interface Fixture {
  readonly about: string
  readonly producerId: string
  readonly producerEpoch: number
  readonly baseSequence: number
  readonly isTransactional: boolean
  readonly records: readonly {
    readonly timestamp: number
    readonly key: string | null
    readonly value: string | null
    readonly headers: readonly (readonly [string, string | null])[]
  }[]
  readonly batch: string
}

const fixtures = readFileSync(path.join(__dirname, '../fixtures/records/batches.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Fixture)

const fromHex = (hex: string | null): Buffer | null => (hex === null ? null : Buffer.from(hex, 'hex'))

describe("Kafka's own builder makes the same bytes", () => {
  test.each(fixtures)(
    '$about',
    ({ producerId, producerEpoch, baseSequence, isTransactional, records, batch }) => {
      const state = { producerId: BigInt(producerId), producerEpoch, baseSequence }
      const given = records.map(({ timestamp, key, value, headers }) => ({
        timestamp,
        key: fromHex(key),
        value: fromHex(value),
        headers: headers.map(([name, bytes]) => [name, fromHex(bytes)] as const),
      }))
      const asText = given.map((record) => {
        const text = record.value?.toString() ?? null
        return {
          ...record,
          value: text !== null && Buffer.from(text).equals(record.value!) ? text : record.value,
        }
      })
      for (const form of [given, asText]) {
        const bytes = Buffer.from(built(form).finish(state, isTransactional))
        expect(bytes.toString('hex')).toBe(batch)
      }
    },
  )
})

describe('a limit', () => {
  test('is kept to the byte, and a record beyond it leaves no trace', () => {
    fc.assert(
      fc.property(anyRecords, anyRecord, (records, last) => {
        const size = built([...records, last]).size
        const builder = built(records)
        const before = builder.size
        expect(append(builder, last, size - 1)).toBe(false)
        expect(builder).toMatchObject({ size: before, recordCount: records.length })
        expect(read(builder)).toEqual(expected(records))
        expect(append(builder, last, size)).toBe(true)
        expect(builder.size).toBe(size)
        expect(read(builder)).toEqual(expected([...records, last]))
      }),
      { numRuns: 100 },
    )
  })

  test('that the first record does not fit leaves the base timestamp to the one that does', () => {
    const builder = new RecordBatchBuilder(Buffer.alloc(100))
    expect(append(builder, { timestamp: 999, key: null, value: 'x'.repeat(100) })).toBe(false)
    expect(append(builder, { timestamp: 5, key: null, value: 'x' })).toBe(true)
    expect(read(builder).map(({ timestamp }) => timestamp)).toEqual([5])
  })

  test('with its sizeBound as the limit always holds one record, with little to spare', () => {
    fc.assert(
      fc.property(anyRecord, (record) => {
        const bound = drafted(record).sizeBound
        const { size } = built([record])
        expect(size).toBeLessThanOrEqual(bound)
        expect(bound - size).toBeLessThanOrEqual(18)
      }),
      { numRuns: 100 },
    )
  })
})

describe('copyRecord', () => {
  test('moves any part of a batch into another, every record as it was', () => {
    fc.assert(
      fc.property(anyRecords, anyRecords, fc.nat(), (into, records, seed) => {
        const middle = seed % (records.length + 1)
        const source = built(records)
        const target = built(into)
        const record = source.read()
        for (let index = 0; record.next(); index++) if (index >= middle) target.copyRecord(record)
        const whole = [...into, ...records.slice(middle)]
        expect(read(target)).toEqual(expected(whole))
        expect(target).toMatchObject({ size: built(whole).size, recordCount: whole.length })
        expect(read(source)).toEqual(expected(records))
      }),
      { numRuns: 200 },
    )
  })

  test('begins an empty batch with the time of the first record copied', () => {
    const source = built([
      { timestamp: 1_000_000, key: 'k', value: 'a' },
      { timestamp: 7, key: null, value: null, headers: { h: null } },
    ])
    const target = built([])
    const record = source.read()
    record.next()
    record.next()
    target.copyRecord(record)
    expect(Buffer.from(target.finish(idle, false))).toEqual(
      Buffer.from(
        built([{ timestamp: 7, key: null, value: null, headers: { h: null } }]).finish(idle, false),
      ),
    )
  })
})

describe('numbers of every width', () => {
  // Where a zigzag varint grows by a byte, from both sides, and where 32-bit arithmetic ends.
  const edges = [6, 13, 20, 27, 30, 31, 32, 34, 41, 48, 51].flatMap((bits) => [
    2 ** bits - 1,
    2 ** bits,
    2 ** bits + 1,
  ])

  test.each(edges)('a time %i ms later, and as much earlier', (difference) => {
    const records = [difference, 0, difference * 2 - 1].map((timestamp) => ({
      timestamp,
      key: null,
      value: '',
    }))
    const builder = built(records)
    expect(read(builder).map(({ timestamp }) => timestamp)).toEqual(records.map(({ timestamp }) => timestamp))
    expect(summaries(builder).map(({ timestamp }) => timestamp)).toEqual(
      records.map(({ timestamp }) => timestamp),
    )
  })

  test.each([63, 64, 8191, 8192, 1_048_575, 1_048_576])('a value of %i bytes', (size) => {
    const value = Buffer.alloc(size, 7)
    const builder = built([{ timestamp: 0, key: value, value }], size * 2 + 200)
    expect(summaries(builder)).toMatchObject([{ keySize: size, valueSize: size }])
    expect(read(builder)[0]!.value?.length).toBe(size)
  })

  test('ten thousand records, whose offset deltas take one to three bytes', () => {
    const records = Array.from({ length: 10_000 }, (_, i) => ({ timestamp: i, key: null, value: String(i) }))
    expect(read(built(records, 200_000)).at(-1)).toMatchObject({ offset: 9_999n, value: Buffer.from('9999') })
  })
})

test('text with half a surrogate pair becomes the replacement character, as in every UTF-8 encoder', () => {
  for (const value of ['\ud800', `${'x'.repeat(60)}\udfff`]) {
    expect(read(built([{ timestamp: 0, key: value, value }]))[0]).toMatchObject({
      key: Buffer.from(value),
      value: Buffer.from(value),
    })
  }
})
