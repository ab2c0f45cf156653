import { describe, expect, expectTypeOf, it } from 'vitest'
import { ProtocolError, UnsupportedVersionError } from '../../src/errors.js'
import {
  array,
  between,
  boolean,
  bytes,
  float64,
  int16,
  int32,
  int64,
  int8,
  notIgnorable,
  nullable,
  records,
  since,
  string,
  tagged,
  until,
  uuid,
} from '../../src/protocol/kinds.js'
import { api, readRequestHeader, type RequestOf, type ResponseOf } from '../../src/protocol/schema.js'
import { Reader, Writer } from '../../src/protocol/wire.js'

const id = '00010203-0405-0607-0809-0a0b0c0d0e0f'

const Sample = api({
  name: 'Sample',
  key: 77,
  versions: [1, 4],
  flexibleFrom: 3,
  request: {
    flag: boolean,
    tiny: int8,
    ratio: float64,
    topicId: uuid,
    blob: bytes,
    maybeBlob: nullable(bytes),
    label: nullable(string, 2),
    old: until(2, int16, -7),
    some: between(2, 3, int32, -1),
    precious: notIgnorable(since(2, int64, -1n)),
    inner: { left: int8, right: array({ records }) },
    note: tagged(3, 5, nullable(string), null),
    hint: tagged(4, 1, { leader: int32, epoch: int32 }, { leader: -1, epoch: -1 }),
  },
  response: { names: array(string), maybe: nullable(array(int8)), tail: since(2, array({ x: int8 }), []) },
})
type SampleRequest = RequestOf<typeof Sample>

const sample: SampleRequest = {
  flag: true,
  tiny: -1,
  ratio: 0.5,
  topicId: id,
  blob: Buffer.from('blob'),
  maybeBlob: null,
  label: 'label',
  old: 3,
  some: 4,
  precious: -1n,
  inner: { left: 1, right: [{ records: Buffer.from('batch') }, { records: null }] },
  note: 'note',
  hint: { leader: 1, epoch: 2 },
}

const fallbacks = { old: -7, some: -1, precious: -1n, note: null, hint: { leader: -1, epoch: -1 } }

/** Hex with spaces between the fields. */
function packed(hex: string): string {
  return hex.replaceAll(' ', '')
}

function body(chunks: Uint8Array[]): Reader {
  const reader = new Reader(Buffer.concat(chunks))
  reader.skip(4)
  readRequestHeader(reader, (_, version) => version >= Sample.flexibleFrom)
  return reader
}

function reread(version: number, request: SampleRequest): SampleRequest {
  return Sample.decodeRequest(version, body(Sample.encodeRequest(version, 1, null, request)))
}

describe('api', () => {
  it('infers the types of both messages from the table', () => {
    expectTypeOf<ResponseOf<typeof Sample>>().toEqualTypeOf<{
      readonly names: readonly string[]
      readonly maybe: readonly number[] | null
      readonly tail: readonly { readonly x: number }[]
    }>()
    expectTypeOf<SampleRequest['precious']>().toEqualTypeOf<bigint>()
    expectTypeOf<SampleRequest['label']>().toEqualTypeOf<string | null>()
    expectTypeOf<SampleRequest['inner']['right'][number]['records']>().toEqualTypeOf<Uint8Array | null>()
  })

  it('reads a field that the version lacks as its fallback', () => {
    expect(reread(1, sample)).toEqual({ ...sample, ...fallbacks, old: 3 })
    expect(reread(2, sample)).toEqual({ ...sample, ...fallbacks, old: 3, some: 4 })
    expect(reread(3, sample)).toEqual({ ...sample, ...fallbacks, some: 4, note: 'note' })
    expect(reread(4, sample)).toEqual({ ...sample, ...fallbacks, note: 'note', hint: sample.hint })
  })

  it('keeps the fields in the order of the table, whatever the version', () => {
    for (const version of [1, 2, 3, 4]) {
      expect(Object.keys(reread(version, sample))).toEqual(Object.keys(sample))
    }
  })

  it('shares fallbacks that nobody can change', () => {
    const read = reread(1, sample)
    expect(Object.isFrozen(read.hint)).toBe(true)
    expect(reread(1, sample).hint).toBe(read.hint)
  })

  it('refuses to drop a value that must not get lost', () => {
    expect(() => Sample.encodeRequest(1, 1, null, { ...sample, precious: 5n })).toThrow(
      new UnsupportedVersionError('Sample v1 request: precious: this version cannot carry 5'),
    )
    expect(reread(2, { ...sample, precious: 5n }).precious).toBe(5n)
  })

  it('refuses to write null where the version has none', () => {
    expect(() => Sample.encodeRequest(1, 1, null, { ...sample, label: null })).toThrow(
      new UnsupportedVersionError('Sample v1 request: label: this version cannot carry null'),
    )
    expect(reread(2, { ...sample, label: null }).label).toBeNull()
    expect(reread(3, { ...sample, label: null }).label).toBeNull()
  })

  it('names the version range when asked for a version outside of it', () => {
    for (const version of [0, 5, 1.5]) {
      expect(() => Sample.encodeRequest(version, 1, null, sample)).toThrow(
        new UnsupportedVersionError(`Sample v${version}: versions 1 to 4 are known`),
      )
    }
  })

  it('writes the size of the frame first and the records by reference', () => {
    const batch = Buffer.alloc(1000)
    for (const version of [2, 3]) {
      const chunks = Sample.encodeRequest(version, 1, 'me', {
        ...sample,
        inner: { left: 1, right: [{ records: batch }] },
      })
      const whole = Buffer.concat(chunks)
      expect(whole.readInt32BE(0)).toBe(whole.length - 4)
      expect(chunks.length).toBe(version === 2 ? 2 : 3)
      expect(chunks[1]).toBe(batch)
    }
  })

  it('reads records and bytes as views of the frame', () => {
    const reader = body(Sample.encodeRequest(4, 1, null, sample))
    const frame = reader.raw(reader.remaining)
    const read = Sample.decodeRequest(4, new Reader(frame))
    expect(read.blob.buffer).toBe(frame.buffer)
    expect(read.inner.right[0]!.records!.buffer).toBe(frame.buffer)
  })

  it('writes request header v1, and v2 where the version is flexible', () => {
    const header = (version: number, clientId: string | null): string =>
      Buffer.concat(Sample.encodeRequest(version, 0x01020304, clientId, sample))
        .subarray(4, 4 + 8 + 2 + (clientId?.length ?? 0) + 1)
        .toString('hex')
    // The byte behind the client id is the first of the body, `flag`, or the empty section of tagged fields.
    expect(header(2, 'me')).toBe(packed('004d 0002 01020304 00026d65 01'))
    expect(header(3, 'me')).toBe(packed('004d 0003 01020304 00026d65 00'))
    expect(header(3, null)).toBe(packed('004d 0003 01020304 ffff 00'))
  })

  it('reads the header of a request and leaves the reader at the body', () => {
    const reader = new Reader(Buffer.from(packed('004d0003010203040000 01 2a0199 07'), 'hex'))
    const header = readRequestHeader(reader, (key, version) => key === 77 && version === 3)
    expect(header).toEqual({ apiKey: 77, apiVersion: 3, correlationId: 0x01020304, clientId: '' })
    expect(reader.int8()).toBe(7)
  })

  it('leaves a tagged field out while it has its fallback, and writes the others by ascending tag', () => {
    const frame = (request: SampleRequest): string =>
      Buffer.concat(Sample.encodeRequest(4, 1, null, request)).toString('hex')
    const untagged = frame({ ...sample, note: null, hint: fallbacks.hint })
    expect(untagged).toMatch(/00$/)
    const hint = packed('0109 00000001 00000002 00')
    const note = packed('0505 056e6f7465')
    const head = untagged.slice(8, -2)
    expect(frame(sample).slice(8)).toBe(head + '02' + hint + note)
    expect(frame({ ...sample, hint: { leader: -1, epoch: -1 } }).slice(8)).toBe(head + '01' + note)
  })

  it('passes over tagged fields that it does not know', () => {
    const bytesOf = (version: number): Buffer => {
      const reader = body(Sample.encodeRequest(version, 1, null, sample))
      return Buffer.from(reader.raw(reader.remaining))
    }
    // Version 3 knows `note`, tag 5. Before and behind it come tags that only a newer broker could mean.
    const known = bytesOf(3)
    const at = known.length - 1 - 2 - 5
    expect(known.subarray(at).toString('hex')).toBe(packed('01 0505 056e6f7465'))
    const extended = Buffer.concat([
      known.subarray(0, at),
      Buffer.from(packed('03 0402ffff 0505056e6f7465 ffffffff0f00'), 'hex'),
    ])
    expect(Sample.decodeRequest(3, new Reader(extended))).toEqual(Sample.decodeRequest(3, new Reader(known)))
  })

  it('has a response header v1 where the version is flexible', () => {
    expect(Sample.responseHeaderIsFlexible(2)).toBe(false)
    expect(Sample.responseHeaderIsFlexible(3)).toBe(true)
    const response = { names: ['a'], maybe: null, tail: [{ x: 7 }] }
    const frame = (version: number): string =>
      Buffer.concat(Sample.encodeResponse(version, 5, response)).toString('hex')
    expect(frame(1)).toBe(packed('0000000f 00000005 00000001 000161 ffffffff'))
    expect(frame(2)).toBe(packed('00000014 00000005 00000001 000161 ffffffff 00000001 07'))
    expect(frame(3)).toBe(packed('0000000d 00000005 00 02 0261 00 02 07 00 00'))
  })

  it('keeps response header v0 where the table says so', () => {
    const Old = api({
      name: 'Old',
      key: 78,
      versions: [0, 1],
      flexibleFrom: 1,
      flexibleResponseHeader: false,
      request: {},
      response: { errorCode: int16 },
    })
    expect(Old.responseHeaderIsFlexible(1)).toBe(false)
    const frame = Buffer.concat(Old.encodeResponse(1, 5, { errorCode: 2 }))
    expect(frame.toString('hex')).toBe(packed('00000007 00000005 0002 00'))
  })
})

describe('a malformed message', () => {
  function responseError(version: number, write: (writer: Writer) => void): string {
    const writer = new Writer()
    write(writer)
    try {
      Sample.decodeResponse(version, new Reader(Buffer.concat(writer.chunks())))
    } catch (error) {
      if (error instanceof ProtocolError) return error.message
      throw error
    }
    throw new Error('it was read')
  }

  it('is told with API, version, and the path to the field', () => {
    expect(responseError(1, (w) => w.int32(2147483647))).toBe(
      'Sample v1 response: names: array of 2147483647 in 0 bytes left',
    )
    expect(
      responseError(1, (w) => {
        w.int32(2)
        w.string('a')
        w.int16(500)
      }),
    ).toBe('Sample v1 response: names[1]: string of 500 bytes in 0 left')
    expect(
      responseError(3, (w) => {
        w.raw(Buffer.from([1, 0, 3, 9, 0]))
      }),
    ).toBe('Sample v3 response: tail[1].x: int8 in 0 bytes left')
  })

  it('is told when the trouble is null', () => {
    expect(responseError(1, (w) => w.int32(-1))).toBe(
      'Sample v1 response: names: null where an array is required',
    )
    expect(responseError(3, (w) => w.int8(0))).toBe(
      'Sample v3 response: names: null where an array is required',
    )
    expect(responseError(3, (w) => w.raw(Buffer.from([2, 0])))).toBe(
      'Sample v3 response: names[0]: null where a string is required',
    )
  })

  it('is not blamed for an error of another kind, which comes through as it is', () => {
    const trouble = new RangeError('no memory')
    const reader = {
      arrayLength: () => {
        throw trouble
      },
    } as unknown as Reader
    expect(() => Sample.decodeResponse(1, reader)).toThrow(trouble)
  })

  it('is told when bytes are left over', () => {
    expect(responseError(1, (w) => w.raw(Buffer.from([0, 0, 0, 0, 0, 0, 0, 0, 1, 2])))).toBe(
      'Sample v1 response: 2 surplus bytes',
    )
  })

  it('is told when the trouble is in tagged fields', () => {
    const prefix = [1, 1, 1]
    expect(responseError(3, (w) => w.raw(Buffer.from(prefix)))).toBe(
      'Sample v3 response: tagged fields: varint in 0 bytes left',
    )
    expect(responseError(3, (w) => w.raw(Buffer.from([...prefix, 9, 0, 0])))).toBe(
      'Sample v3 response: tagged fields: 9 tagged fields in 2 bytes left',
    )
    expect(responseError(3, (w) => w.raw(Buffer.from([...prefix, 1, 7, 4])))).toBe(
      'Sample v3 response: tag 7: byte array of 4 bytes in 0 left',
    )
    const hint = (content: number[]): void => {
      const reader = body(Sample.encodeRequest(4, 1, null, { ...sample, note: null, hint: fallbacks.hint }))
      const untagged = reader.raw(reader.remaining - 1)
      Sample.decodeRequest(4, new Reader(Buffer.concat([untagged, Buffer.from(content)])))
    }
    expect(() => hint([1, 1, 8, 0, 0, 0, 1, 0, 0, 0, 2])).toThrow(
      new ProtocolError('Sample v4 request: hint.tagged fields: varint in 0 bytes left'),
    )
    expect(() => hint([1, 1, 10, 0, 0, 0, 1, 0, 0, 0, 2, 0, 0])).toThrow(
      new ProtocolError('Sample v4 request: hint: 1 surplus bytes'),
    )
    expect(() => hint([1, 1, 99, 0, 0, 0, 1])).toThrow(
      new ProtocolError('Sample v4 request: hint: field of 99 bytes in 4 left'),
    )
  })
})
