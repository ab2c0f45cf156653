/**
 * What --check verifies of every record batch: one batch of format v2 whose length, CRC-32C, record count,
 * offsets and record lengths agree, and whose sequences follow each other without a gap in each partition.
 */
import { Input } from './bytes.js'

const HEADER_BYTES = 61
const REPORTED = 20

const crcTable = Uint32Array.from({ length: 256 }, (_, index) => {
  let crc = index
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f6_3b78 : crc >>> 1
  return crc
})

function crc32c(bytes: Buffer, start: number, end: number): number {
  let crc = 0xffff_ffff
  for (let at = start; at < end; at++) {
    crc = (crcTable[(crc ^ (bytes[at] as number)) & 0xff] as number) ^ (crc >>> 8)
  }
  return (crc ^ 0xffff_ffff) >>> 0
}

export class BatchCheck {
  /** The first few messages; `count` has them all. */
  readonly errors: string[] = []
  count = 0
  /** 'producer id/epoch/partition' to the sequence expected next. */
  readonly #sequences = new Map<string, number>()
  readonly #input = new Input()

  batch(partition: string, bytes: Buffer, start: number, end: number): void {
    const wrong = (what: string): void => {
      this.count++
      if (this.errors.length < REPORTED) this.errors.push(`${partition}: ${what}`)
    }
    const length = end - start
    if (length < HEADER_BYTES) return wrong(`a batch of ${length} bytes`)
    if (bytes.readInt32BE(start + 8) + 12 !== length)
      return wrong('length of the batch and of its field differ')
    if (bytes[start + 16] !== 2) return wrong(`magic ${bytes[start + 16]}`)
    if (bytes.readUInt32BE(start + 17) !== crc32c(bytes, start + 21, end)) return wrong('CRC differs')
    const records = bytes.readInt32BE(start + 57)
    if (bytes.readInt32BE(start + 23) !== records - 1) wrong('last offset delta does not fit the count')
    if (bytes.readBigInt64BE(start + 35) < bytes.readBigInt64BE(start + 27))
      wrong('max timestamp before base')

    const producerId = bytes.readBigInt64BE(start + 43)
    if (producerId >= 0n) {
      const key = `${producerId}/${bytes.readInt16BE(start + 51)}/${partition}`
      const sequence = bytes.readInt32BE(start + 53)
      const expected = this.#sequences.get(key) ?? 0
      if (sequence !== expected) wrong(`sequence ${sequence}, expected ${expected}`)
      this.#sequences.set(key, (sequence + records) % 0x8000_0000)
    }

    const compressed = (bytes.readInt16BE(start + 21) & 7) !== 0
    if (!compressed) this.#records(records, bytes, start + HEADER_BYTES, end, wrong)
  }

  #records(records: number, bytes: Buffer, start: number, end: number, wrong: (what: string) => void): void {
    const input = this.#input
    input.frame(bytes, start, end)
    try {
      for (let index = 0; index < records; index++) {
        const size = input.varint()
        const recordEnd = input.position + size
        input.skip(1)
        input.skipVarlong()
        if (input.varint() !== index) wrong(`record ${index} has another offset delta`)
        input.skip(Math.max(0, input.varint()))
        input.skip(Math.max(0, input.varint()))
        for (let headers = input.varint(); headers > 0; headers--) {
          input.skip(input.varint())
          input.skip(Math.max(0, input.varint()))
        }
        if (input.position !== recordEnd) return wrong(`record ${index} is not as long as it says`)
      }
    } catch (error) {
      return wrong(`record cut short: ${String(error)}`)
    }
    if (input.position !== end) wrong(`${end - input.position} bytes after the last record`)
  }
}
