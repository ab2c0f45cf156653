import { expect, test } from 'vitest'
import { saslprep } from '../../src/network/sasl/saslprep.js'

test.each([
  // The examples of RFC 4013, section 3.
  ['I\u00adX', 'IX'],
  ['user', 'user'],
  ['USER', 'USER'],
  ['\u00aa', 'a'],
  ['\u2168', 'IX'],
  ['\u0007', undefined],
  ['\u0627\u0031', undefined],
  ['a\u00a0b\u3000c', 'a b c'],
  ['caf\u0065\u0301', 'caf\u00e9'],
  ['\u{1f512} key', '\u{1f512} key'],
  ['\u0627\u0628', '\u0627\u0628'],
  ['\u0627a\u0628', undefined],
  ['a\ue000', undefined],
  ['a\ufffd', undefined],
  ['a\u202eb', undefined],
  ['a\ud800', undefined],
])('%j becomes %j', (text, prepared) => {
  expect(saslprep(text)).toBe(prepared)
})
