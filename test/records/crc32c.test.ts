import { describe, expect, test } from 'vitest'
import { crc32c } from '../../src/records/crc32c.js'

const ascending = Uint8Array.from({ length: 32 }, (_, i) => i)

describe('crc32c', () => {
  // The check value of the polynomial's catalogue entry (CRC-32/ISCSI), and the vectors of RFC 3720, B.4.
  test.each([
    ['123456789', Buffer.from('123456789'), 0xe3069283],
    ['32 zero bytes', new Uint8Array(32), 0x8a9136aa],
    ['32 bytes of ones', new Uint8Array(32).fill(0xff), 0x62a8ab43],
    ['32 bytes counting up', ascending, 0x46dd794e],
    ['32 bytes counting down', ascending.toReversed(), 0x113fdb5c],
    ['nothing', new Uint8Array(0), 0],
  ])('gives the published value of %s', (_, bytes, expected) => {
    expect(crc32c(bytes, 0, bytes.length)).toBe(expected)
  })

  test('covers only the range it is given', () => {
    const bytes = Buffer.from('xx123456789yyy')
    expect(crc32c(bytes, 2, 11)).toBe(0xe3069283)
  })

  test('is unsigned even where the highest bit is set', () => {
    expect(crc32c(Buffer.from('123456789'), 0, 9)).toBeGreaterThan(0x7fffffff)
  })
})
