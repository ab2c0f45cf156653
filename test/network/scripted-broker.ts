/** The other side of a socket, as dumb as can be: it reads requests, and a test says what it answers. */
import type { Duplex } from 'node:stream'
import { apis, ApiVersions, SaslHandshake, ZERO_UUID, type Metadata } from '../../src/protocol/apis.js'
import { readRequestHeader, type RequestOf, type ResponseOf } from '../../src/protocol/schema.js'
import { Reader } from '../../src/protocol/wire.js'

export interface Asked {
  readonly api: (typeof apis)[number]
  readonly version: number
  readonly correlationId: number
  readonly clientId: string | null
  readonly body: unknown
  readonly socket: Duplex
  /** Answers with an encoded frame. */
  respond(body: unknown, options?: { correlationId?: number; version?: number }): void
  /** The frame that `respond` would send. */
  frame(body: unknown, options?: { correlationId?: number; version?: number }): Buffer
}

/** Undefined: the request is not for this script, so the default answers. */
export type Script = (asked: Asked) => unknown

const byKey = new Map(apis.map((api) => [api.key, api]))

/** What it says it speaks, by API key; all that is declared by default. */
export type Ranges = ReadonlyMap<number, readonly [number, number]>

export const allRanges: Ranges = new Map(
  apis.map(({ key, minVersion, maxVersion }) => [key, [minVersion, maxVersion]]),
)

export class ScriptedBroker {
  /** Every request, in order. */
  readonly asked: Asked[] = []
  readonly sockets: Duplex[] = []
  /**
   * Answers the messages that come without a request around them, after version 0 of SaslHandshake; undefined for what
   * is a request again.
   */
  bare: (message: Buffer, socket: Duplex) => Buffer | 'nothing' | undefined = () => undefined
  readonly #takesBare = new WeakSet<Duplex>()
  ranges: Ranges = allRanges
  features: { name: string; maxVersionLevel: number; minVersionLevel: number }[] = []
  #script: Script

  constructor(script: Script = () => undefined) {
    this.#script = script
  }

  set script(script: Script) {
    this.#script = script
  }

  /** Give this to a server as what handles its connections. */
  readonly serve = (socket: Duplex): void => {
    this.sockets.push(socket)
    let rest = Buffer.alloc(0)
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
        const end = 4 + rest.readInt32BE(0)
        this.#receive(rest.subarray(4, end), socket)
        rest = rest.subarray(end)
      }
    })
  }

  /** Requests of one API. */
  of(name: string): Asked[] {
    return this.asked.filter(({ api }) => api.name === name)
  }

  #receive(bytes: Buffer, socket: Duplex): void {
    const bare = this.#takesBare.has(socket) ? this.bare(Buffer.from(bytes), socket) : undefined
    if (bare === 'nothing') return
    if (bare !== undefined) {
      const size = Buffer.alloc(4)
      size.writeInt32BE(bare.length)
      socket.write(Buffer.concat([size, bare]))
      return
    }
    const reader = new Reader(bytes)
    const header = readRequestHeader(reader, (key, version) => version >= byKey.get(key)!.flexibleFrom)
    const api = byKey.get(header.apiKey)!
    const { apiVersion: version, correlationId, clientId } = header
    const frame: Asked['frame'] = (body, options = {}) =>
      Buffer.concat(
        api.encodeResponse(options.version ?? version, options.correlationId ?? correlationId, body),
      )
    const asked: Asked = {
      api,
      version,
      correlationId,
      clientId,
      body: api.decodeRequest(version, reader),
      socket,
      frame,
      respond: (body, options) => {
        if (!socket.destroyed) socket.write(frame(body, options))
      },
    }
    this.asked.push(asked)
    if (api.key === SaslHandshake.key && version === 0) this.#takesBare.add(socket)
    const answer = this.#script(asked) ?? this.#default(asked)
    if (answer !== 'nothing') asked.respond(answer)
  }

  #default({ api }: Asked): unknown {
    if (api.key === ApiVersions.key) return versions(this.ranges, { finalizedFeatures: this.features })
    return 'nothing'
  }
}

type VersionsResponse = ResponseOf<typeof ApiVersions>

export function versions(ranges: Ranges = allRanges, more: Partial<VersionsResponse> = {}): VersionsResponse {
  return {
    errorCode: 0,
    apiKeys: [...ranges].map(([apiKey, [minVersion, maxVersion]]) => ({ apiKey, minVersion, maxVersion })),
    throttleTimeMs: 0,
    supportedFeatures: [],
    finalizedFeaturesEpoch: -1n,
    finalizedFeatures: [],
    zkMigrationReady: false,
    ...more,
  }
}

export type MetadataResponse = ResponseOf<typeof Metadata>
export type MetadataRequest = RequestOf<typeof Metadata>

export interface TopicSketch {
  readonly name: string | null
  readonly id?: string
  readonly errorCode?: number
  /** Leader and leader epoch by index; or the rows as they go out. */
  readonly partitions?: readonly (readonly [leader: number, epoch: number] | PartitionSketch)[]
}

interface PartitionSketch {
  readonly index: number
  readonly leader: number
  readonly epoch: number
}

/** A Metadata answer from what matters in it. */
export function metadata(
  brokers: readonly (readonly [id: number, host: string, port: number])[],
  topics: readonly TopicSketch[] = [],
  more: Partial<MetadataResponse> = {},
): MetadataResponse {
  return {
    throttleTimeMs: 0,
    brokers: brokers.map(([nodeId, host, port]) => ({ nodeId, host, port, rack: null })),
    clusterId: 'a-cluster',
    controllerId: brokers[0]?.[0] ?? -1,
    topics: topics.map(({ name, id = ZERO_UUID, errorCode = 0, partitions = [] }) => ({
      errorCode,
      name,
      topicId: id,
      isInternal: false,
      partitions: partitions.map((one, at) => {
        const { index, leader, epoch } = 'index' in one ? one : { index: at, leader: one[0], epoch: one[1] }
        return {
          errorCode: leader === -1 ? 5 : 0,
          partitionIndex: index,
          leaderId: leader,
          leaderEpoch: epoch,
          replicaNodes: [],
          isrNodes: [],
          offlineReplicas: [],
        }
      }),
      topicAuthorizedOperations: -2147483648,
    })),
    clusterAuthorizedOperations: -2147483648,
    errorCode: 0,
    ...more,
  }
}
