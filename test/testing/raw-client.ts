/** Speaks to a broker with the protocol's tables alone, so that a test decides every byte and sees every answer. */
import { once } from 'node:events'
import { connect } from 'node:net'
import type { Duplex } from 'node:stream'
import { ApiVersions, InitProducerId, Metadata, Produce, ZERO_UUID } from '../../src/protocol/apis.js'
import type { Api, RequestOf, ResponseOf } from '../../src/protocol/schema.js'
import { Reader } from '../../src/protocol/wire.js'
import { crc32c } from '../../src/records/crc32c.js'

export class RawClient {
  /** Everything received so far that no answer was taken from. */
  received: Buffer = Buffer.alloc(0)
  readonly duplex: Duplex
  readonly #ended: Promise<'end' | 'reset'>
  #correlationId = 0
  #wake: () => void = () => {}

  constructor(duplex: Duplex) {
    this.duplex = duplex
    duplex.on('data', (chunk: Buffer) => {
      this.received = Buffer.concat([this.received, chunk])
      this.#wake()
    })
    this.#ended = new Promise((resolve) => {
      duplex.once('error', () => resolve('reset'))
      duplex.once('close', () => resolve('end'))
    })
    void this.#ended.then(() => this.#wake())
  }

  static async connect(address: string): Promise<RawClient> {
    const [host, port] = address.split(':')
    const socket = connect({ host: host!, port: Number(port), noDelay: true })
    await once(socket, 'connect')
    return new RawClient(socket)
  }

  /** How the connection ended, when it has. */
  get ended(): Promise<'end' | 'reset'> {
    return this.#ended
  }

  /** Sends a request without waiting; returns its correlation id. */
  send<Req, Res>(api: Api<Req, Res>, version: number, body: Req): number {
    const correlationId = this.#correlationId++
    this.duplex.write(Buffer.concat(api.encodeRequest(version, correlationId, 'raw', body)))
    return correlationId
  }

  /** The next frame from the broker; rejects when the connection ends first. */
  async frame(): Promise<Buffer> {
    const isWhole = () =>
      this.received.length >= 4 && this.received.length >= 4 + this.received.readInt32BE(0)
    while (!isWhole()) {
      if (this.duplex.destroyed) throw new Error(`the connection ended: ${await this.#ended}`)
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
    const end = 4 + this.received.readInt32BE(0)
    const frame = this.received.subarray(4, end)
    this.received = this.received.subarray(end)
    return frame
  }

  async answer<Req, Res>(api: Api<Req, Res>, version: number, correlationId: number): Promise<Res> {
    const reader = new Reader(await this.frame())
    const answered = reader.int32()
    if (answered !== correlationId) throw new Error(`the answer is to ${answered}, not to ${correlationId}`)
    if (api.responseHeaderIsFlexible(version)) reader.skipTaggedFields()
    return api.decodeResponse(version, reader)
  }

  async request<Req, Res>(api: Api<Req, Res>, version: number, body: Req): Promise<Res> {
    return this.answer(api, version, this.send(api, version, body))
  }

  metadata(
    names: readonly string[] | null,
    allowAutoTopicCreation = false,
    version = 13,
  ): Promise<ResponseOf<typeof Metadata>> {
    const topics = names === null ? null : names.map((name) => ({ name, topicId: ZERO_UUID }))
    return this.request(Metadata, version, {
      topics,
      allowAutoTopicCreation,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    })
  }

  apiVersions(version = 4): Promise<ResponseOf<typeof ApiVersions>> {
    return this.request(ApiVersions, version, { clientSoftwareName: 'raw', clientSoftwareVersion: '1' })
  }

  initProducerId(
    body: Partial<RequestOf<typeof InitProducerId>> = {},
  ): Promise<ResponseOf<typeof InitProducerId>> {
    const transactionTimeoutMs = 60_000
    return this.request(InitProducerId, 5, {
      transactionalId: null,
      transactionTimeoutMs,
      producerId: -1n,
      producerEpoch: -1,
      ...body,
    })
  }

  /** Produces one batch to one partition, and gives the answer of that partition. */
  async produce(
    records: Uint8Array | null,
    options: ProduceOptions = {},
  ): Promise<ResponseOf<typeof Produce>['responses'][number]['partitionResponses'][number]> {
    const version = options.version ?? 12
    const answer = await this.request(Produce, version, produceRequest(records, options))
    return answer.responses[0]!.partitionResponses[0]!
  }

  close(): void {
    this.duplex.destroy()
  }
}

export interface ProduceOptions {
  topic?: string
  topicId?: string
  partition?: number
  acks?: number
  version?: number
  transactionalId?: string | null
}

export function produceRequest(
  records: Uint8Array | null,
  {
    topic = 'orders',
    topicId = ZERO_UUID,
    partition = 0,
    acks = -1,
    transactionalId = null,
  }: ProduceOptions = {},
): RequestOf<typeof Produce> {
  return {
    transactionalId,
    acks,
    timeoutMs: 30_000,
    topicData: [{ name: topic, topicId, partitionData: [{ index: partition, records }] }],
  }
}

export interface BatchOptions {
  /** Value of each record; a key where it is an array. */
  values?: readonly string[]
  keys?: readonly (string | null)[]
  headers?: readonly (readonly [string, string | null])[]
  producerId?: bigint
  epoch?: number
  sequence?: number
  timestamp?: number
  baseOffset?: bigint
  magic?: number
  attributes?: number
  recordCount?: number
  lastOffsetDelta?: number
  /** Added to the CRC. */
  crcError?: number
  /** Bytes in place of the records'. */
  body?: Uint8Array
}

function varint(value: number): number[] {
  let rest = ((value << 1) ^ (value >> 31)) >>> 0
  const bytes: number[] = []
  for (; rest > 0x7f; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return [...bytes, rest]
}

function sized(text: string | null): number[] {
  return text === null ? varint(-1) : [...varint(Buffer.byteLength(text)), ...Buffer.from(text)]
}

/** One record: size, attributes, timestamp delta 0, offset delta, key, value, headers. */
export function record(
  offsetDelta: number,
  key: string | null,
  value: string | null,
  headers: BatchOptions['headers'] = [],
): number[] {
  const pairs = headers.flatMap(([name, text]) => [...sized(name), ...sized(text)])
  const bytes = [
    0,
    0,
    ...varint(offsetDelta),
    ...sized(key),
    ...sized(value),
    ...varint(headers.length),
    ...pairs,
  ]
  return [...varint(bytes.length), ...bytes]
}

/** A record batch of format 2, put together here byte by byte and not by the package's own writer. */
export function batch(options: BatchOptions = {}): Buffer {
  const { values = ['value'], producerId = -1n, timestamp = Date.now() } = options
  const body =
    options.body ??
    Buffer.from(values.flatMap((value, i) => record(i, options.keys?.[i] ?? null, value, options.headers)))
  const bytes = Buffer.alloc(61 + body.length)
  bytes.writeBigInt64BE(options.baseOffset ?? 0n, 0)
  bytes.writeInt32BE(bytes.length - 12, 8)
  bytes.writeInt32BE(-1, 12)
  bytes.writeInt8(options.magic ?? 2, 16)
  bytes.writeInt16BE(options.attributes ?? 0, 21)
  bytes.writeInt32BE(options.lastOffsetDelta ?? values.length - 1, 23)
  bytes.writeBigInt64BE(BigInt(timestamp), 27)
  bytes.writeBigInt64BE(BigInt(timestamp), 35)
  bytes.writeBigInt64BE(producerId, 43)
  bytes.writeInt16BE(options.epoch ?? (producerId === -1n ? -1 : 0), 51)
  bytes.writeInt32BE(options.sequence ?? (producerId === -1n ? -1 : 0), 53)
  bytes.writeInt32BE(options.recordCount ?? values.length, 57)
  bytes.set(body, 61)
  bytes.writeUInt32BE((crc32c(bytes, 21, bytes.length) + (options.crcError ?? 0)) >>> 0, 17)
  return bytes
}
