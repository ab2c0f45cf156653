/**
 * The sink's own few primitives of Kafka's protocol. They share nothing with src on purpose: a client must
 * not be measured, nor checked, against its own codec.
 */

/** A growing buffer of big-endian values; reused for every answer. */
export class Output {
  #bytes = Buffer.allocUnsafe(64 * 1024)
  #length = 0

  get length(): number {
    return this.#length
  }

  /** The bytes written since the last take, in a buffer of their own. */
  take(): Buffer {
    const taken = Buffer.from(this.#bytes.subarray(0, this.#length))
    this.#length = 0
    return taken
  }

  int8(value: number): void {
    this.#room(1)
    this.#length = this.#bytes.writeInt8(value, this.#length)
  }

  int16(value: number): void {
    this.#room(2)
    this.#length = this.#bytes.writeInt16BE(value, this.#length)
  }

  int32(value: number): void {
    this.#room(4)
    this.#length = this.#bytes.writeInt32BE(value, this.#length)
  }

  /** A whole number up to 2^53, or -1. */
  int64(value: number): void {
    this.#room(8)
    this.#length = this.#bytes.writeInt32BE(Math.floor(value / 0x1_0000_0000), this.#length)
    this.#length = this.#bytes.writeUInt32BE(value >>> 0, this.#length)
  }

  varint(value: number): void {
    this.#room(5)
    let rest = value
    while (rest >= 0x80) {
      this.#bytes[this.#length++] = (rest & 0x7f) | 0x80
      rest >>>= 7
    }
    this.#bytes[this.#length++] = rest
  }

  raw(source: Buffer, start: number, end: number): void {
    this.#room(end - start)
    this.#length += source.copy(this.#bytes, this.#length, start, end)
  }

  string(text: string | null, flexible: boolean): void {
    const size = text === null ? -1 : Buffer.byteLength(text)
    if (flexible) this.varint(size + 1)
    else this.int16(size)
    if (text === null) return
    this.#room(size)
    this.#length += this.#bytes.write(text, this.#length)
  }

  arrayLength(length: number, flexible: boolean): void {
    if (flexible) this.varint(length + 1)
    else this.int32(length)
  }

  /** The empty tagged fields that end every structure of a flexible version. */
  tags(flexible: boolean): void {
    if (flexible) this.int8(0)
  }

  /** Leaves 4 bytes for the size of a frame; `endFrame` fills them in. */
  beginFrame(): number {
    const start = this.#length
    this.int32(0)
    return start
  }

  endFrame(start: number): void {
    this.#bytes.writeInt32BE(this.#length - start - 4, start)
  }

  #room(size: number): void {
    if (this.#length + size <= this.#bytes.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#bytes.length * 2, this.#length + size))
    this.#bytes.copy(larger, 0, 0, this.#length)
    this.#bytes = larger
  }
}

/** Reads one whole frame in place. Reading past its end throws, as a request that lies must not be counted. */
export class Input {
  bytes: Buffer = Buffer.alloc(0)
  position = 0
  end = 0

  frame(bytes: Buffer, start: number, end: number): void {
    this.bytes = bytes
    this.position = start
    this.end = end
  }

  int16(): number {
    return this.bytes.readInt16BE(this.#advance(2))
  }

  int32(): number {
    return this.bytes.readInt32BE(this.#advance(4))
  }

  unsignedVarint(): number {
    let value = 0
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.#advance(1)] as number
      value |= (byte & 0x7f) << shift
      if (byte < 0x80) return value >>> 0
    }
    throw new Error('sink: varint of more than 5 bytes')
  }

  /** A zigzag varint, as records use them. */
  varint(): number {
    const value = this.unsignedVarint()
    return (value >>> 1) ^ -(value & 1)
  }

  /** Only steps over it: deltas of timestamps are not looked at. */
  skipVarlong(): void {
    for (let count = 0; count < 10; count++) if ((this.bytes[this.#advance(1)] as number) < 0x80) return
    throw new Error('sink: varlong of more than 10 bytes')
  }

  /** -1 is null, in both encodings. */
  arrayLength(flexible: boolean): number {
    return flexible ? this.unsignedVarint() - 1 : this.int32()
  }

  string(flexible: boolean): string | null {
    const size = flexible ? this.unsignedVarint() - 1 : this.int16()
    if (size < 0) return null
    const start = this.#advance(size)
    return this.bytes.toString('latin1', start, start + size)
  }

  skip(size: number): number {
    return this.#advance(size)
  }

  tags(flexible: boolean): void {
    if (!flexible) return
    for (let count = this.unsignedVarint(); count > 0; count--) {
      this.unsignedVarint()
      this.#advance(this.unsignedVarint())
    }
  }

  #advance(size: number): number {
    const start = this.position
    if (size < 0 || start + size > this.end)
      throw new Error(`sink: ${size} bytes wanted, ${this.end - start} left`)
    this.position = start + size
    return start
  }
}
