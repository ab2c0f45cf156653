/**
 * How the parts of a record become bytes: varints, text, payloads.
 *
 * Hot path: no closure, BigInt or spread per record, but for numbers beyond 31 bits.
 */
import type { Payload } from '../record.js'

/** What a batch takes beside its records. */
export const BATCH_HEADER_SIZE = 61

/** Below this many bytes a loop in JavaScript beats the call into the runtime. */
const SHORT = 48

/** Bytes of a payload as it goes on the wire, -1 for null. */
export function payloadSize(payload: Payload): number {
  if (payload === null) return -1
  return typeof payload === 'string' ? utf8Size(payload) : payload.length
}

function utf8Size(text: string): number {
  const length = text.length
  if (length > SHORT) return Buffer.byteLength(text)
  for (let i = 0; i < length; i++) if (text.charCodeAt(i) > 0x7f) return Buffer.byteLength(text)
  return length
}

/** Writes text as UTF-8 whose size is known; returns where it ends. */
function writeUtf8(buffer: Buffer, at: number, text: string, size: number): number {
  if (size > SHORT || size !== text.length) {
    buffer.write(text, at, size, 'utf8')
    return at + size
  }
  for (let i = 0; i < size; i++) buffer[at + i] = text.charCodeAt(i)
  return at + size
}

export function writePayload(buffer: Buffer, at: number, payload: Payload, size: number): number {
  at = writeVarint(buffer, at, size)
  if (size <= 0) return at
  return typeof payload === 'string'
    ? writeUtf8(buffer, at, payload, size)
    : copyBytes(buffer, at, payload!, size)
}

export function copyBytes(buffer: Buffer, at: number, bytes: Uint8Array, size: number): number {
  if (size > SHORT) buffer.set(size === bytes.length ? bytes : bytes.subarray(0, size), at)
  else for (let i = 0; i < size; i++) buffer[at + i] = bytes[i]!
  return at + size
}

/** Writes text with its size before it. */
export function writeText(buffer: Buffer, at: number, text: string): number {
  const size = writeShortAscii(buffer, at + 1, text)
  if (size < 0) return writePayload(buffer, at, text, Buffer.byteLength(text))
  buffer[at] = size << 1
  return at + 1 + size
}

/**
 * Text becomes bytes in one pass if it is short and ASCII, as keys and headers mostly are: returns their number, or -1
 * for other text, which has to be measured first.
 */
export function writeShortAscii(buffer: Buffer, at: number, text: string): number {
  const { length } = text
  if (!(length <= SHORT)) return -1 // what is no string goes that way too, and fails there
  let bits = 0
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    buffer[at + i] = unit
    bits |= unit
  }
  return bits > 0x7f ? -1 : length
}

/** Zigzag varints of up to 64 bits; those that do not fit in 31 bits take the slow way over BigInt. */
export function varintSize(value: number): number {
  if (value !== (value | 0) || value > 0x3fffffff || value < -0x40000000) return wideVarintSize(value)
  const zigzag = (value << 1) ^ (value >> 31)
  return zigzag < 0x80 ? 1 : zigzag < 0x4000 ? 2 : zigzag < 0x200000 ? 3 : zigzag < 0x10000000 ? 4 : 5
}

export function writeVarint(buffer: Buffer, at: number, value: number): number {
  if (value !== (value | 0) || value > 0x3fffffff || value < -0x40000000)
    return writeWideVarint(buffer, at, value)
  let zigzag = (value << 1) ^ (value >> 31)
  while (zigzag > 0x7f) {
    buffer[at++] = (zigzag & 0x7f) | 0x80
    zigzag >>>= 7
  }
  buffer[at++] = zigzag
  return at
}

function wideVarintSize(value: number): number {
  let size = 1
  for (let rest = zigzag64(value); rest > 0x7fn; rest >>= 7n) size++
  return size
}

function writeWideVarint(buffer: Buffer, at: number, value: number): number {
  let rest = zigzag64(value)
  for (; rest > 0x7fn; rest >>= 7n) buffer[at++] = Number(rest & 0x7fn) | 0x80
  buffer[at++] = Number(rest)
  return at
}

function zigzag64(value: number): bigint {
  const wide = BigInt(value)
  return wide < 0n ? -wide * 2n - 1n : wide * 2n
}
