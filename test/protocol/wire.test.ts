import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../src/errors.js'
import { Reader, Writer } from '../../src/protocol/wire.js'

function written(write: (writer: Writer) => void): Buffer {
  const writer = new Writer()
  write(writer)
  return Buffer.concat(writer.chunks())
}

function hex(write: (writer: Writer) => void): string {
  return written(write).toString('hex')
}

function reader(text: string): Reader {
  return new Reader(Buffer.from(text, 'hex'))
}

describe('Writer', () => {
  it('writes numbers big-endian', () => {
    expect(hex((w) => w.int8(-2))).toBe('fe')
    expect(hex((w) => w.int16(-2))).toBe('fffe')
    expect(hex((w) => w.int32(0x01020304))).toBe('01020304')
    expect(hex((w) => w.int32(-2))).toBe('fffffffe')
    expect(hex((w) => w.uint32(0xfffffffe))).toBe('fffffffe')
    expect(hex((w) => w.int64(-2n))).toBe('fffffffffffffffe')
    expect(hex((w) => w.int64(0x0102030405060708n))).toBe('0102030405060708')
    expect(hex((w) => w.float64(1))).toBe('3ff0000000000000')
    expect(hex((w) => w.boolean(true))).toBe('01')
  })

  it('writes varints with seven bits a byte, signed ones zigzag', () => {
    expect(hex((w) => w.unsignedVarint(0))).toBe('00')
    expect(hex((w) => w.unsignedVarint(127))).toBe('7f')
    expect(hex((w) => w.unsignedVarint(128))).toBe('8001')
    expect(hex((w) => w.unsignedVarint(4294967295))).toBe('ffffffff0f')
    expect(hex((w) => w.varint(-1))).toBe('01')
    expect(hex((w) => w.varint(300))).toBe('d804')
    expect(hex((w) => w.varint(-2147483648))).toBe('ffffffff0f')
    expect(hex((w) => w.varlong(-1n))).toBe('01')
    expect(hex((w) => w.varlong(-9223372036854775808n))).toBe('ffffffffffffffffff01')
  })

  it('counts the length of a string in bytes', () => {
    expect(hex((w) => w.string('\u00e9'))).toBe('0002c3a9')
    expect(hex((w) => w.compactString('\u00e9'))).toBe('03c3a9')
    expect(hex((w) => w.nullableString(null))).toBe('ffff')
    expect(hex((w) => w.compactNullableString(null))).toBe('00')
    expect(hex((w) => w.nullableString(''))).toBe('0000')
    expect(hex((w) => w.compactNullableString(''))).toBe('01')
  })

  it('writes byte arrays with their lengths', () => {
    const value = Uint8Array.of(7, 8)
    expect(hex((w) => w.bytes(value))).toBe('000000020708')
    expect(hex((w) => w.compactBytes(value))).toBe('030708')
    expect(hex((w) => w.nullableBytes(null))).toBe('ffffffff')
    expect(hex((w) => w.compactNullableBytes(null))).toBe('00')
    expect(hex((w) => w.raw(value))).toBe('0708')
  })

  it('refuses a string that an int16 cannot measure', () => {
    expect(hex((w) => w.string('x'.repeat(32767)))).toMatch(/^7fff78/)
    expect(() => written((w) => w.string('x'.repeat(32768)))).toThrow(
      new ProtocolError('a string of 32768 bytes, 32767 is the most'),
    )
  })

  it('writes a uuid as 16 bytes and refuses anything else', () => {
    expect(hex((w) => w.uuid('00010203-0405-0607-0809-0a0b0c0d0e0f'))).toBe(
      '000102030405060708090a0b0c0d0e0f',
    )
    for (const wrong of ['', 'orders', '00010203-0405-0607-0809-0a0b0c0d0e0g', '-'.repeat(36)]) {
      expect(() => written((w) => w.uuid(wrong))).toThrow(ProtocolError)
    }
  })

  it('keeps a reference as a chunk of its own and never copies it', () => {
    const batch = new Uint8Array(100_000)
    const writer = new Writer(8)
    writer.int32(1)
    writer.reference(batch)
    writer.reference(new Uint8Array(0))
    writer.int64(2n)
    writer.reference(batch)
    expect(writer.length).toBe(200_012)
    const chunks = writer.chunks()
    expect(chunks.map((chunk) => chunk.length)).toEqual([4, 100_000, 8, 100_000])
    expect(chunks[1]).toBe(batch)
    expect(chunks[3]).toBe(batch)
  })

  it('keeps all bytes in order while its buffer grows', () => {
    const piece = fc.uint8Array({ maxLength: 300 })
    fc.assert(
      fc.property(fc.array(fc.record({ piece, byReference: fc.boolean() })), (pieces) => {
        const writer = new Writer(4)
        for (const each of pieces) {
          if (each.byReference) writer.reference(each.piece)
          else writer.raw(each.piece)
        }
        const expected = Buffer.concat(pieces.map((each) => each.piece))
        expect(writer.length).toBe(expected.length)
        expect(Buffer.concat(writer.chunks()).equals(expected)).toBe(true)
      }),
    )
  })
})

describe('Reader', () => {
  const int32 = fc.integer({ min: -2147483648, max: 2147483647 })
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  const text = fc.string({ unit: 'binary' })

  function expectRoundTrip<T>(
    arbitrary: fc.Arbitrary<T>,
    write: (writer: Writer, value: T) => void,
    read: (reader: Reader) => T,
  ): void {
    fc.assert(
      fc.property(arbitrary, (value) => {
        const bytes = written((writer) => write(writer, value))
        const back = new Reader(bytes)
        expect(read(back)).toEqual(value)
        expect(back.remaining).toBe(0)
        // Cut short, the same bytes are an error and nothing else.
        for (let end = 0; end < bytes.length; end++) {
          expect(() => read(new Reader(bytes, 0, end))).toThrow(ProtocolError)
        }
      }),
    )
  }

  it('reads back every kind of number', () => {
    expectRoundTrip(
      fc.integer({ min: -128, max: 127 }),
      (w, v) => w.int8(v),
      (r) => r.int8(),
    )
    expectRoundTrip(
      fc.integer({ min: -32768, max: 32767 }),
      (w, v) => w.int16(v),
      (r) => r.int16(),
    )
    expectRoundTrip(
      int32,
      (w, v) => w.int32(v),
      (r) => r.int32(),
    )
    expectRoundTrip(
      fc.nat({ max: 4294967295 }),
      (w, v) => w.uint32(v),
      (r) => r.uint32(),
    )
    expectRoundTrip(
      int64,
      (w, v) => w.int64(v),
      (r) => r.int64(),
    )
    expectRoundTrip(
      fc.double(),
      (w, v) => w.float64(v),
      (r) => r.float64(),
    )
    expectRoundTrip(
      fc.boolean(),
      (w, v) => w.boolean(v),
      (r) => r.boolean(),
    )
  })

  it('reads back varints of all lengths', () => {
    const bits = fc.nat({ max: 64 })
    expectRoundTrip(
      fc.nat({ max: 4294967295 }),
      (w, v) => w.unsignedVarint(v),
      (r) => r.unsignedVarint(),
    )
    expectRoundTrip(
      int32,
      (w, v) => w.varint(v),
      (r) => r.varint(),
    )
    expectRoundTrip(
      fc.tuple(int64, bits).map(([value, shift]) => value >> BigInt(shift)),
      (w, v) => w.varlong(v),
      (r) => r.varlong(),
    )
    for (const edge of [
      2n ** 48n,
      -(2n ** 48n),
      2n ** 48n - 1n,
      -(2n ** 48n) - 1n,
      2n ** 62n,
      2n ** 63n - 1n,
    ]) {
      expect(new Reader(written((w) => w.varlong(edge))).varlong()).toBe(edge)
    }
  })

  it('reads back strings, bytes and uuids', () => {
    const bytes = fc.uint8Array().map((value) => Buffer.from(value))
    expectRoundTrip(
      text,
      (w, v) => w.string(v),
      (r) => r.string(),
    )
    expectRoundTrip(
      fc.option(text),
      (w, v) => w.nullableString(v),
      (r) => r.nullableString(),
    )
    expectRoundTrip(
      text,
      (w, v) => w.compactString(v),
      (r) => r.compactString(),
    )
    expectRoundTrip(
      fc.option(text),
      (w, v) => w.compactNullableString(v),
      (r) => r.compactNullableString(),
    )
    expectRoundTrip<Uint8Array>(
      bytes,
      (w, v) => w.bytes(v),
      (r) => r.bytes(),
    )
    expectRoundTrip<Uint8Array | null>(
      fc.option(bytes),
      (w, v) => w.nullableBytes(v),
      (r) => r.nullableBytes(),
    )
    expectRoundTrip<Uint8Array>(
      bytes,
      (w, v) => w.compactBytes(v),
      (r) => r.compactBytes(),
    )
    expectRoundTrip<Uint8Array | null>(
      fc.option(bytes),
      (w, v) => w.compactNullableBytes(v),
      (r) => r.compactNullableBytes(),
    )
    expectRoundTrip(
      fc.uuid(),
      (w, v) => w.uuid(v),
      (r) => r.uuid(),
    )
  })

  it('stays within offset and end, and gives views of the same memory', () => {
    const bytes = Uint8Array.of(9, 1, 2, 3, 9)
    const inner = new Reader(bytes, 1, 4)
    expect(inner.int8()).toBe(1)
    expect(inner.offset).toBe(2)
    expect(inner.remaining).toBe(2)
    const view = inner.raw(2)
    expect(view.buffer).toBe(bytes.buffer)
    expect(view.byteOffset).toBe(bytes.byteOffset + 2)
    expect(() => inner.int8()).toThrow(new ProtocolError('int8 in 0 bytes left'))
  })

  it.each<[string, string, (reader: Reader) => unknown, string]>([
    ['int16', '00', (r) => r.int16(), 'int16 in 1 bytes left'],
    ['int64', '00000000000000', (r) => r.int64(), 'int64 in 7 bytes left'],
    ['float64', '00', (r) => r.float64(), 'float64 in 1 bytes left'],
    ['uuid', '00', (r) => r.uuid(), 'uuid in 1 bytes left'],
    ['string', '7fff41', (r) => r.string(), 'string of 32767 bytes in 1 left'],
    ['string of negative length', 'fffe41', (r) => r.nullableString(), 'string of -2 bytes'],
    ['null string', 'ffff', (r) => r.string(), 'null where a string is required'],
    ['null compact string', '00', (r) => r.compactString(), 'null where a string is required'],
    ['compact string', 'ffffffff0f41', (r) => r.compactString(), 'string of 4294967294 bytes in 1 left'],
    ['bytes', '7fffffff00', (r) => r.bytes(), 'byte array of 2147483647 bytes in 1 left'],
    ['bytes of negative length', '80000000', (r) => r.nullableBytes(), 'byte array of -2147483648 bytes'],
    ['null bytes', 'ffffffff', (r) => r.bytes(), 'null where a byte array is required'],
    ['null compact bytes', '00', (r) => r.compactBytes(), 'null where a byte array is required'],
    ['array', '7fffffff0000', (r) => r.arrayLength(), 'array of 2147483647 in 2 bytes left'],
    ['array of negative length', 'fffffffe', (r) => r.arrayLength(), 'array of -2'],
    ['compact array', '0400', (r) => r.compactArrayLength(), 'array of 3 in 1 bytes left'],
    ['varint that does not end', 'ffff', (r) => r.varint(), 'varint in 0 bytes left'],
    ['varint of six bytes', 'ffffffffff01', (r) => r.varint(), 'varint of more than 32 bits'],
    ['varint of 33 bits', 'ffffffff1f', (r) => r.unsignedVarint(), 'varint of more than 32 bits'],
    ['varlong of eleven bytes', 'ffffffffffffffffffff01', (r) => r.varlong(), 'varlong of more than 64 bits'],
    ['varlong of 65 bits', 'ffffffffffffffffff02', (r) => r.varlong(), 'varlong of more than 64 bits'],
    ['negative skip', '00', (r) => r.skip(-1), 'byte array of -1 bytes'],
    ['tagged fields', '0200', (r) => r.skipTaggedFields(), '2 tagged fields in 1 bytes left'],
    ['tagged field', '0100050102', (r) => r.skipTaggedFields(), 'byte array of 5 bytes in 2 left'],
    ['surplus', '0000', (r) => r.expectEnd(), '2 surplus bytes'],
    ['inner length', '0000', (r) => r.within(3, { read: (x) => x.int8() }), 'field of 3 bytes in 2 left'],
    ['inner surplus', '0000', (r) => r.within(2, { read: (x) => x.int8() }), '1 surplus bytes'],
    ['inner shortage', '0000', (r) => r.within(1, { read: (x) => x.int16() }), 'int16 in 1 bytes left'],
  ])('says what is wrong with a bad %s', (_, bytes, read, message) => {
    expect(() => read(reader(bytes))).toThrow(new ProtocolError(message))
  })

  it('takes any byte but 0 for true', () => {
    expect(reader('02').boolean()).toBe(true)
  })

  it('passes over tagged fields and goes on behind them', () => {
    const r = reader('02 00 01 ff 8501 02 0102 2a'.replaceAll(' ', ''))
    r.skipTaggedFields()
    expect(r.int8()).toBe(42)
    expect(r.remaining).toBe(0)
  })

  it('goes on behind a value that filled its length', () => {
    const r = reader('0001ff')
    expect(r.within(2, { read: (inner) => inner.int16() })).toBe(1)
    expect(r.int8()).toBe(-1)
  })
})
