import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { FrameReader } from '../../../src/network/connection/frame-reader.js'
import { ProtocolError } from '../../../src/errors.js'

function frame(body: Uint8Array): Buffer {
  const size = Buffer.alloc(4)
  size.writeInt32BE(body.length)
  return Buffer.concat([size, body])
}

function reading(maxSize = 1_000_000): { reader: FrameReader; frames: Buffer[]; places: Buffer[] } {
  const frames: Buffer[] = []
  const places: Buffer[] = []
  const reader = new FrameReader(maxSize, (bytes, start, end) => {
    frames.push(Buffer.from(bytes.subarray(start, end)))
    places.push(bytes)
  })
  return { reader, frames, places }
}

describe('the frame reader', () => {
  test('finds the same frames however the stream is cut', () => {
    const bodies = fc.array(fc.uint8Array({ minLength: 4, maxLength: 100 }), { minLength: 1, maxLength: 8 })
    fc.assert(
      fc.property(bodies, fc.array(fc.nat(60)), (all, cuts) => {
        const { reader, frames } = reading()
        let stream = Buffer.concat(all.map((body) => frame(body)))
        for (const cut of cuts) {
          reader.push(stream.subarray(0, cut))
          stream = stream.subarray(cut)
        }
        reader.push(stream)
        expect(frames).toEqual(all.map((one) => Buffer.from(one)))
        expect(reader.isInsideFrame).toBe(false)
      }),
    )
  })

  test('hands out a frame in place when one chunk holds it', () => {
    const { reader, places } = reading()
    const chunk = Buffer.concat([frame(Buffer.from('first')), frame(Buffer.from('second'))])
    reader.push(chunk)
    expect(places).toEqual([chunk, chunk])
    expect(places.every((place) => place === chunk)).toBe(true)
  })

  test('reads byte by byte', () => {
    const { reader, frames } = reading()
    for (const byte of frame(Buffer.from('a long story'))) {
      reader.push(Buffer.of(byte))
    }
    expect(frames.map(String)).toEqual(['a long story'])
  })

  test('gathers a frame much larger than its chunks', () => {
    const { reader, frames } = reading()
    const body = Buffer.alloc(300_000, 'abc')
    const stream = frame(body)
    for (let i = 0; i < stream.length; i += 7001) reader.push(stream.subarray(i, i + 7001))
    expect(frames).toHaveLength(1)
    expect(frames[0]!.equals(body)).toBe(true)
  })

  test('takes memory by what arrived, not by what the size promises', () => {
    const { reader } = reading(2 ** 31 - 1)
    const before = process.memoryUsage().arrayBuffers
    const size = Buffer.alloc(4)
    size.writeInt32BE(2 ** 31 - 1)
    reader.push(Buffer.concat([size, Buffer.alloc(100)]))
    expect(reader.isInsideFrame).toBe(true)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(1_000_000)
  })

  test('says where it stands', () => {
    const { reader } = reading()
    expect(reader.isInsideFrame).toBe(false)
    reader.push(Buffer.of(0))
    expect(reader.isInsideFrame).toBe(true)
    reader.push(Buffer.of(0, 0, 4, 1, 2, 3))
    expect(reader.isInsideFrame).toBe(true)
    reader.push(Buffer.of(4))
    expect(reader.isInsideFrame).toBe(false)
  })

  test.each([
    ['HTTP/1.1 400 Bad Request', 'HTTP'],
    ['HTTP/1.0 200 OK', 'HTTP'],
    ['HTTP/2.0 nonsense', 'HTTP'],
    ['HTTP/1.1 503 Service Unavailable', 'HTTP 5xx'],
  ])('knows %s by its status, whole or byte by byte', (text, foreign) => {
    const bytes = Buffer.from(text)
    const whole = reading().reader
    expect(() => whole.push(bytes)).toThrow(/HTTP/)
    expect(whole.foreign).toBe(foreign)
    const { reader } = reading()
    for (const byte of bytes.subarray(0, 11)) reader.push(Buffer.of(byte))
    expect(reader.isInsideFrame).toBe(true)
    expect(() => reader.push(bytes.subarray(11, 12))).toThrow(/HTTP/)
    expect(reader.foreign).toBe(foreign)
  })

  test.each([
    ['negative', -1, /negative/],
    ['zero', 0, /less than a header/],
    ['less than a correlation id', 3, /less than a header/],
    ['above the limit', 1_000_001, /above the limit of 1000000 \(socketMaxResponseBytes\)/],
    ['the largest there is', 2 ** 31 - 1, /above the limit/],
    ['a TLS alert', 0x15030300, /expects TLS/],
    ['a TLS handshake', 0x16030100, /expects TLS/],
  ])('refuses a size that is %s, also when it comes byte by byte', (_, size, message) => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(size)
    expect(() => reading().reader.push(bytes)).toThrow(message)
    const { reader } = reading()
    for (const byte of bytes.subarray(0, 3)) reader.push(Buffer.of(byte))
    expect(() => reader.push(bytes.subarray(3))).toThrow(ProtocolError)
  })

  test('takes the largest size that is allowed', () => {
    const { reader, frames } = reading(5)
    reader.push(frame(Buffer.from('12345')))
    expect(frames).toHaveLength(1)
  })
})
