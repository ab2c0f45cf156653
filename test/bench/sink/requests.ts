/**
 * The requests the sink understands, read by hand and answered at once. Of a Produce request it reads names,
 * partitions and, in each batch's header, the record count; the records themselves are never touched unless
 * they are checked. Versions announced here are those that are laid out here, no others.
 */
import { Input, type Output } from './bytes.js'
import type { BatchCheck } from './batch-check.js'

const PRODUCE = 0
const FETCH = 1
const METADATA = 3
const API_VERSIONS = 18
const INIT_PRODUCER_ID = 22
const UNKNOWN_TOPIC_OR_PARTITION = 3
const UNSUPPORTED_VERSION = 35
const BATCH_COUNT_OFFSET = 57

/** [api key, lowest and highest version, first flexible version] */
const announced: readonly (readonly [number, number, number, number])[] = [
  [PRODUCE, 3, 13, 9],
  // No producer sends it, but librdkafka sees by it which format of batches is known.
  [FETCH, 4, 4, 12],
  [METADATA, 1, 13, 9],
  [API_VERSIONS, 0, 4, 3],
  [INIT_PRODUCER_ID, 0, 5, 2],
]

export interface SinkTopics {
  readonly names: readonly string[]
  readonly partitions: number
  /** Ports of the brokers; node ids count from 1, and partition p is led by broker p modulo their number. */
  readonly ports: readonly number[]
}

export class Requests {
  produceRequests = 0
  batches = 0
  records = 0
  bytes = 0
  readonly #topics: SinkTopics
  readonly #check: BatchCheck | undefined
  readonly #input = new Input()
  readonly #index: ReadonlyMap<string, number>
  /** The next offset of each partition, at topic * partitions + partition. */
  readonly #offsets: Float64Array
  #producerIds = 0

  constructor(topics: SinkTopics, check: BatchCheck | undefined) {
    this.#topics = topics
    this.#check = check
    this.#index = new Map(topics.names.map((name, index) => [name, index]))
    this.#offsets = new Float64Array(topics.names.length * topics.partitions)
  }

  /** Handles the frame in [start, end), which is without its size, and appends the answer, if there is one. */
  answer(bytes: Buffer, start: number, end: number, out: Output): void {
    const input = this.#input
    input.frame(bytes, start, end)
    const key = input.int16()
    const version = input.int16()
    const correlationId = input.int32()
    const row = announced.find((candidate) => candidate[0] === key)
    if (row === undefined) throw new Error(`sink: request of API ${key}, which was not announced`)
    const flexible = version >= row[3]
    const known = version >= row[1] && version <= row[2]
    if (!known && key !== API_VERSIONS)
      throw new Error(`sink: API ${key} in version ${version}, not announced`)
    input.string(false)
    input.tags(flexible && known)

    if (key === PRODUCE) return this.#produce(version, flexible, correlationId, out)
    const frame = out.beginFrame()
    out.int32(correlationId)
    if (key === API_VERSIONS) this.#apiVersions(known ? version : 0, known, out)
    else {
      out.tags(flexible)
      if (key === FETCH) throw new Error('sink: it has nothing to fetch')
      if (key === METADATA) this.#metadata(version, flexible, out)
      else this.#initProducerId(flexible, out)
    }
    out.endFrame(frame)
  }

  #produce(version: number, flexible: boolean, correlationId: number, out: Output): void {
    const input = this.#input
    this.produceRequests++
    this.bytes += input.end - input.position
    input.string(flexible)
    const acks = input.int16()
    input.int32()

    const frame = acks === 0 ? -1 : out.beginFrame()
    if (acks !== 0) {
      out.int32(correlationId)
      out.tags(flexible)
    }
    const topics = input.arrayLength(flexible)
    if (acks !== 0) out.arrayLength(topics, flexible)
    for (let t = 0; t < topics; t++) {
      const nameStart = input.position
      let topic: number | undefined
      if (version >= 13) {
        topic = input.bytes.readUInt32BE(input.skip(16) + 12) - 1
        if (topic >= this.#topics.names.length) topic = undefined
      } else {
        topic = this.#index.get(input.string(flexible) ?? '')
      }
      if (acks !== 0) out.raw(input.bytes, nameStart, input.position)
      const partitions = input.arrayLength(flexible)
      if (acks !== 0) out.arrayLength(partitions, flexible)
      for (let p = 0; p < partitions; p++) {
        const partition = input.int32()
        const size = input.arrayLength(flexible)
        const start = input.skip(size)
        input.tags(flexible)
        const exists = topic !== undefined && partition >= 0 && partition < this.#topics.partitions
        const base = exists ? this.#append(topic as number, partition, start, size) : -1
        if (acks === 0) continue
        out.int32(partition)
        out.int16(exists ? 0 : UNKNOWN_TOPIC_OR_PARTITION)
        out.int64(base)
        out.int64(-1)
        if (version >= 5) out.int64(0)
        if (version >= 8) {
          out.arrayLength(0, flexible)
          out.string(null, flexible)
        }
        out.tags(flexible)
      }
      input.tags(flexible)
      if (acks !== 0) out.tags(flexible)
    }
    input.tags(flexible)
    if (acks === 0) return
    out.int32(0)
    out.tags(flexible)
    out.endFrame(frame)
  }

  /** Counts the batch and returns its base offset. */
  #append(topic: number, partition: number, start: number, size: number): number {
    const bytes = this.#input.bytes
    const slot = topic * this.#topics.partitions + partition
    this.#check?.batch(`${this.#topics.names[topic]}-${partition}`, bytes, start, start + size)
    const records = size > BATCH_COUNT_OFFSET + 4 ? bytes.readInt32BE(start + BATCH_COUNT_OFFSET) : 0
    const base = this.#offsets[slot] as number
    this.#offsets[slot] = base + records
    this.batches++
    this.records += records
    return base
  }

  #apiVersions(version: number, known: boolean, out: Output): void {
    const flexible = version >= 3
    out.int16(known ? 0 : UNSUPPORTED_VERSION)
    out.arrayLength(announced.length, flexible)
    for (const [key, lowest, highest] of announced) {
      out.int16(key)
      out.int16(lowest)
      out.int16(highest)
      out.tags(flexible)
    }
    if (version >= 1) out.int32(0)
    out.tags(flexible)
  }

  #initProducerId(flexible: boolean, out: Output): void {
    out.int32(0)
    out.int16(0)
    out.int64(++this.#producerIds)
    out.int16(0)
    out.tags(flexible)
  }

  #metadata(version: number, flexible: boolean, out: Output): void {
    const asked = this.#askedTopics(version, flexible)
    const { ports } = this.#topics
    if (version >= 3) out.int32(0)
    out.arrayLength(ports.length, flexible)
    for (const [index, port] of ports.entries()) {
      out.int32(index + 1)
      out.string('127.0.0.1', flexible)
      out.int32(port)
      out.string(null, flexible)
      out.tags(flexible)
    }
    if (version >= 2) out.string('bench', flexible)
    out.int32(1)
    out.arrayLength(asked.length, flexible)
    for (const name of asked) this.#topic(name, version, flexible, out)
    if (version >= 8 && version <= 10) out.int32(-0x8000_0000)
    if (version >= 13) out.int16(0)
    out.tags(flexible)
  }

  #askedTopics(version: number, flexible: boolean): readonly string[] {
    const input = this.#input
    const count = input.arrayLength(flexible)
    if (count < 0) return this.#topics.names
    const names: string[] = []
    for (let i = 0; i < count; i++) {
      const id = version >= 10 ? input.bytes.readUInt32BE(input.skip(16) + 12) : 0
      names.push(input.string(flexible) ?? this.#topics.names[id - 1] ?? '')
      input.tags(flexible)
    }
    return names
  }

  #topic(name: string, version: number, flexible: boolean, out: Output): void {
    const index = this.#index.get(name)
    const count = index === undefined ? 0 : this.#topics.partitions
    out.int16(index === undefined ? UNKNOWN_TOPIC_OR_PARTITION : 0)
    out.string(name, flexible)
    if (version >= 10) {
      out.int64(0)
      out.int32(0)
      out.int32(index === undefined ? 0 : index + 1)
    }
    out.int8(0)
    out.arrayLength(count, flexible)
    for (let partition = 0; partition < count; partition++) {
      const leader = (partition % this.#topics.ports.length) + 1
      out.int16(0)
      out.int32(partition)
      out.int32(leader)
      if (version >= 7) out.int32(0)
      for (let list = 0; list < 2; list++) {
        out.arrayLength(1, flexible)
        out.int32(leader)
      }
      if (version >= 5) out.arrayLength(0, flexible)
      out.tags(flexible)
    }
    if (version >= 8) out.int32(-0x8000_0000)
    out.tags(flexible)
  }
}
