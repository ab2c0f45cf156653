// The numbers were printed by org.apache.kafka.common.utils.Utils.murmur2 of Kafka 4.2.0.
import { expect, test } from 'vitest'
import { murmur2 } from '../src/murmur2.js'

const texts: [string, number][] = [
  ['', 275646681],
  ['a', -1563381124],
  ['ab', 316155434],
  ['abc', 479470107],
  ['abcd', -1323649548],
  ['abcde', 461995741],
  ['abcdef', 1870650108],
  ['abcdefg', -346467175],
  ['abcdefgh', -955427363],
  ['order-1001', 297523878],
  ['Gr\u00fc\u00dfe', 1190824359],
  ['\u65e5\u672c\u8a9e', 1431860170],
  ['\u{1f642} key', 25669431],
  ['a-little-bit-long-string', -985981536],
  ['lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8', -58897971],
]
const binaries: [string, number][] = [
  ['00', 375494588],
  ['ff', -311467685],
  ['ffffff', 1548199422],
  ['80007fff01', 2075487372],
  ['00000000000000', 1067877175],
]

test.each(texts)('the hash of the text %j is the one that Java computes', (text, hash) => {
  expect(murmur2(Buffer.from(text))).toBe(hash)
})

test.each(binaries)('the hash of the bytes %s is the one that Java computes', (hex, hash) => {
  expect(murmur2(Buffer.from(hex, 'hex'))).toBe(hash)
})

test('the hash of a thousand bytes is the one that Java computes', () => {
  expect(murmur2(Uint8Array.from({ length: 1000 }, (_, index) => index * 7))).toBe(483719753)
})

test('a part of an array hashes like an array of its own', () => {
  for (const [text, hash] of texts) {
    const bytes = Buffer.from(`xyz${text}\u00ff`)
    expect(murmur2(bytes, 3, 3 + Buffer.byteLength(text))).toBe(hash)
  }
})
