/**
 * Kafka's primitive types as bytes, big-endian. The Writer takes large byte arrays by reference, so a batch of records
 * is never copied into its request. The Reader believes no length: each one is checked against the bytes that are left
 * before anything is allocated or sliced, and what does not fit is a ProtocolError.
 *
 *   string, bytes, array    length as int16 (string) or int32, -1 is null
 *   compact ones            length + 1 as unsigned varint, 0 is null (KIP-482)
 *   varint, varlong         zigzag, then 7 bits a byte, lowest first, high bit set when another byte follows
 */
import { ProtocolError } from '../errors.js'

// Reads and writes 64-bit numbers through two 32-bit words, which saves a DataView for each Reader and Writer.
const scratch = new DataView(new ArrayBuffer(8))

const INT16_MAX = 0x7fff

/** Bytes in the making. One buffer that doubles; `reference` closes the open piece of it and adds a foreign chunk. */
export class Writer {
  #buffer: Buffer
  /** Where the open piece of the buffer begins. */
  #start = 0
  #offset = 0
  /** Bytes of all closed chunks. */
  #closed = 0
  readonly #chunks: Uint8Array[] = []

  /** `capacity` is the first buffer's size in bytes; below 4096 it comes from Node's shared pool. */
  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity)
  }

  /** Bytes so far, references included. */
  get length(): number {
    return this.#closed + this.#offset - this.#start
  }

  int8(value: number): void {
    const at = this.#take(1)
    this.#buffer[at] = value
  }

  int16(value: number): void {
    const at = this.#take(2)
    const buffer = this.#buffer
    buffer[at] = value >> 8
    buffer[at + 1] = value
  }

  int32(value: number): void {
    const at = this.#take(4)
    const buffer = this.#buffer
    buffer[at] = value >> 24
    buffer[at + 1] = value >> 16
    buffer[at + 2] = value >> 8
    buffer[at + 3] = value
  }

  uint32(value: number): void {
    this.int32(value | 0)
  }

  int64(value: bigint): void {
    scratch.setBigInt64(0, value)
    this.int32(scratch.getInt32(0))
    this.int32(scratch.getInt32(4))
  }

  float64(value: number): void {
    scratch.setFloat64(0, value)
    this.int32(scratch.getInt32(0))
    this.int32(scratch.getInt32(4))
  }

  boolean(value: boolean): void {
    this.int8(value ? 1 : 0)
  }

  /** `value` is canonical: 8-4-4-4-12 hex digits. */
  uuid(value: string): void {
    const at = this.#take(16)
    const hex = value.length === 36 ? value.replaceAll('-', '') : ''
    if (hex.length !== 32 || this.#buffer.write(hex, at, 16, 'hex') !== 16) {
      throw new ProtocolError(`not a uuid: ${JSON.stringify(value)}`)
    }
  }

  /** `value` is 0 to 2^32-1. */
  unsignedVarint(value: number): void {
    const at = this.#take(5)
    const buffer = this.#buffer
    let end = at
    let rest = value >>> 0
    while (rest > 0x7f) {
      buffer[end++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    buffer[end++] = rest
    this.#offset = end
  }

  varint(value: number): void {
    this.unsignedVarint((value << 1) ^ (value >> 31))
  }

  varlong(value: bigint): void {
    let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n))
    while (rest > 0x7fn) {
      this.int8(Number(rest & 0x7fn) | 0x80)
      rest >>= 7n
    }
    this.int8(Number(rest))
  }

  string(value: string): void {
    const length = Buffer.byteLength(value)
    if (length > INT16_MAX) throw new ProtocolError(`a string of ${length} bytes, ${INT16_MAX} is the most`)
    this.int16(length)
    this.#text(value, length)
  }

  nullableString(value: string | null): void {
    if (value === null) this.int16(-1)
    else this.string(value)
  }

  compactString(value: string): void {
    const length = Buffer.byteLength(value)
    this.unsignedVarint(length + 1)
    this.#text(value, length)
  }

  compactNullableString(value: string | null): void {
    if (value === null) this.int8(0)
    else this.compactString(value)
  }

  bytes(value: Uint8Array): void {
    this.int32(value.length)
    this.raw(value)
  }

  nullableBytes(value: Uint8Array | null): void {
    if (value === null) this.int32(-1)
    else this.bytes(value)
  }

  compactBytes(value: Uint8Array): void {
    this.unsignedVarint(value.length + 1)
    this.raw(value)
  }

  compactNullableBytes(value: Uint8Array | null): void {
    if (value === null) this.int8(0)
    else this.compactBytes(value)
  }

  /** Copies bytes as they are, without a length. */
  raw(value: Uint8Array): void {
    const at = this.#take(value.length)
    this.#buffer.set(value, at)
  }

  /** Appends bytes as a chunk of their own, never copied: they must not change until the chunks are written. */
  reference(value: Uint8Array): void {
    if (value.length === 0) return
    this.#close()
    this.#chunks.push(value)
    this.#closed += value.length
  }

  /** All bytes in order. The writer may go on afterwards. */
  chunks(): Uint8Array[] {
    this.#close()
    return this.#chunks
  }

  #close(): void {
    if (this.#offset === this.#start) return
    this.#chunks.push(this.#buffer.subarray(this.#start, this.#offset))
    this.#closed += this.#offset - this.#start
    this.#start = this.#offset
  }

  #text(value: string, length: number): void {
    const at = this.#take(length)
    const buffer = this.#buffer
    // As many bytes as UTF-16 units: ASCII. Short names, as most strings here are, cost less without a native call.
    if (length === value.length && length < 64) {
      for (let i = 0; i < length; i++) buffer[at + i] = value.charCodeAt(i)
    } else {
      buffer.write(value, at, length)
    }
  }

  /** Claims `length` bytes and returns where they begin; the buffer may be another one afterwards. */
  #take(length: number): number {
    const at = this.#offset
    if (at + length > this.#buffer.length) return this.#grow(length)
    this.#offset = at + length
    return at
  }

  #grow(length: number): number {
    // Closed pieces stay in the old buffer, which lives as long as their chunks do; only the open one moves.
    const open = this.#offset - this.#start
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, open + length))
    this.#buffer.copy(larger, 0, this.#start, this.#offset)
    this.#buffer = larger
    this.#start = 0
    this.#offset = open + length
    return open
  }
}

/** A walk through bytes. After an error the reader is of no more use. */
export class Reader {
  readonly #buffer: Buffer
  #offset: number
  #end: number

  /** Reads `bytes` from `offset` to `end`, which are positions in `bytes`. */
  constructor(bytes: Uint8Array, offset = 0, end: number = bytes.length) {
    this.#buffer = Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#offset = offset
    this.#end = end
  }

  /** Position of the next byte, counted in the bytes that the constructor got. */
  get offset(): number {
    return this.#offset
  }

  /** Bytes that are left. */
  get remaining(): number {
    return this.#end - this.#offset
  }

  int8(): number {
    const at = this.#take(1, 'int8')
    return (this.#buffer[at]! << 24) >> 24
  }

  int16(): number {
    const at = this.#take(2, 'int16')
    const buffer = this.#buffer
    return ((buffer[at]! << 24) >> 16) | buffer[at + 1]!
  }

  int32(): number {
    const at = this.#take(4, 'int32')
    const buffer = this.#buffer
    return (buffer[at]! << 24) | (buffer[at + 1]! << 16) | (buffer[at + 2]! << 8) | buffer[at + 3]!
  }

  uint32(): number {
    return this.int32() >>> 0
  }

  int64(): bigint {
    if (this.remaining < 8) this.#take(8, 'int64')
    scratch.setInt32(0, this.int32())
    scratch.setInt32(4, this.int32())
    return scratch.getBigInt64(0)
  }

  float64(): number {
    if (this.remaining < 8) this.#take(8, 'float64')
    scratch.setInt32(0, this.int32())
    scratch.setInt32(4, this.int32())
    return scratch.getFloat64(0)
  }

  /** Any byte but 0 is true, as in Kafka. */
  boolean(): boolean {
    const at = this.#take(1, 'boolean')
    return this.#buffer[at] !== 0
  }

  /** Canonical: 8-4-4-4-12 lower-case hex digits. */
  uuid(): string {
    const at = this.#take(16, 'uuid')
    const hex = this.#buffer.toString('hex', at, at + 16)
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }

  /** 0 to 2^32-1, in five bytes at most. */
  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 28; shift += 7) {
      const byte = this.#byte('varint')
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value
    }
    const last = this.#byte('varint')
    if (last > 0x0f) throw new ProtocolError('varint of more than 32 bits')
    return (value | (last << 28)) >>> 0
  }

  varint(): number {
    const value = this.unsignedVarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** In ten bytes at most. */
  varlong(): bigint {
    // The first 49 bits fit a number, and most values end there; only what is longer pays for BigInt steps.
    let low = 0
    let unit = 1
    for (let i = 0; i < 7; i++) {
      const byte = this.#byte('varlong')
      low += (byte & 0x7f) * unit
      if (byte < 0x80) return BigInt(low % 2 === 0 ? low / 2 : -(low + 1) / 2)
      unit *= 128
    }
    let value = BigInt(low)
    for (let shift = 49n; shift < 63n; shift += 7n) {
      const byte = this.#byte('varlong')
      value |= BigInt(byte & 0x7f) << shift
      if (byte < 0x80) return (value >> 1n) ^ -(value & 1n)
    }
    const last = this.#byte('varlong')
    if (last > 0x01) throw new ProtocolError('varlong of more than 64 bits')
    value |= BigInt(last) << 63n
    return (value >> 1n) ^ -(value & 1n)
  }

  string(): string {
    return this.#text(required(this.int16(), 'string'))
  }

  nullableString(): string | null {
    const length = this.int16()
    return length === -1 ? null : this.#text(length)
  }

  compactString(): string {
    return this.#text(required(this.unsignedVarint() - 1, 'string'))
  }

  compactNullableString(): string | null {
    const length = this.unsignedVarint() - 1
    return length === -1 ? null : this.#text(length)
  }

  /** A view of the frame, not a copy; so are the other kinds of bytes. */
  bytes(): Uint8Array {
    return this.raw(required(this.int32(), 'byte array'))
  }

  nullableBytes(): Uint8Array | null {
    const length = this.int32()
    return length === -1 ? null : this.raw(length)
  }

  compactBytes(): Uint8Array {
    return this.raw(required(this.unsignedVarint() - 1, 'byte array'))
  }

  compactNullableBytes(): Uint8Array | null {
    const length = this.unsignedVarint() - 1
    return length === -1 ? null : this.raw(length)
  }

  /** The number of elements that follow, -1 for null. An element takes a byte at least, so no more than `remaining`. */
  arrayLength(): number {
    return this.#count(this.int32())
  }

  compactArrayLength(): number {
    return this.#count(this.unsignedVarint() - 1)
  }

  /** The next `length` bytes as a view. */
  raw(length: number): Uint8Array {
    const at = this.#claim(length, 'byte array')
    return this.#buffer.subarray(at, at + length)
  }

  skip(length: number): void {
    this.#claim(length, 'byte array')
  }

  /** Passes over a section of tagged fields. */
  skipTaggedFields(): void {
    for (let count = this.tagCount(); count > 0; count--) {
      this.unsignedVarint()
      this.skip(this.unsignedVarint())
    }
  }

  /** How many tagged fields follow, each of which takes two bytes at least. */
  tagCount(): number {
    const count = this.unsignedVarint()
    if (count * 2 > this.remaining) {
      throw new ProtocolError(`${count} tagged fields in ${this.remaining} bytes left`)
    }
    return count
  }

  /** Reads a value that has to fill the next `length` bytes exactly. */
  within<T>(length: number, codec: { read(reader: Reader): T }): T {
    const outer = this.#end
    const inner = this.#offset + length
    if (inner > outer) this.#claim(length, 'field')
    this.#end = inner
    const value = codec.read(this)
    this.expectEnd()
    this.#end = outer
    return value
  }

  /** Fails when bytes are left. */
  expectEnd(): void {
    if (this.#offset < this.#end) throw new ProtocolError(`${this.remaining} surplus bytes`)
  }

  #text(length: number): string {
    const at = this.#claim(length, 'string')
    return this.#buffer.toString('utf8', at, at + length)
  }

  #count(count: number): number {
    if (count < -1) throw new ProtocolError(`array of ${count}`)
    if (count > this.remaining) throw new ProtocolError(`array of ${count} in ${this.remaining} bytes left`)
    return count
  }

  /** Moves over bytes whose number came from the wire. */
  #claim(length: number, what: string): number {
    if (length < 0) throw new ProtocolError(`${what} of ${length} bytes`)
    if (length > this.remaining)
      throw new ProtocolError(`${what} of ${length} bytes in ${this.remaining} left`)
    const at = this.#offset
    this.#offset = at + length
    return at
  }

  #byte(what: string): number {
    const at = this.#take(1, what)
    return this.#buffer[at]!
  }

  #take(length: number, what: string): number {
    const at = this.#offset
    if (at + length > this.#end) throw new ProtocolError(`${what} in ${this.remaining} bytes left`)
    this.#offset = at + length
    return at
  }
}

function required(length: number, what: string): number {
  if (length === -1) throw new ProtocolError(`null where a ${what} is required`)
  return length
}
