import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { ProtocolError } from '../../src/errors.js'
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  apis,
  ApiVersions,
  EndTxn,
  FindCoordinator,
  GetTelemetrySubscriptions,
  InitProducerId,
  Metadata,
  Produce,
  SaslAuthenticate,
  SaslHandshake,
  TxnOffsetCommit,
  ZERO_UUID,
} from '../../src/protocol/apis.js'
import { readRequestHeader, type Api, type RequestOf, type ResponseOf } from '../../src/protocol/schema.js'
import { Reader } from '../../src/protocol/wire.js'

type Json = null | boolean | number | string | Json[] | { [name: string]: Json }

/** A message that Kafka's own classes wrote; see test/fixtures/protocol/README.md. */
interface Fixture {
  readonly api: string
  readonly version: number
  readonly direction: 'request' | 'response'
  readonly kind: 'full' | 'sparse'
  readonly frame: string
  readonly body: Json
}

const CORRELATION_ID = 0x01020304

const fixtures = readFileSync(join(__dirname, '../fixtures/protocol/messages.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as Fixture)

function apiOf(fixture: Fixture): Api<unknown, unknown> {
  return apis.find(({ name }) => name === fixture.api)!
}

/** A body without its frame, and what the header said. */
interface Opened {
  readonly header: unknown
  readonly body: Reader
}

function open({ api, direction, version }: Message, frame: Uint8Array): Opened {
  const body = new Reader(frame)
  if (body.int32() !== body.remaining) throw new Error('the size is not that of the frame')
  if (direction === 'request') {
    const header = readRequestHeader(body, (key, at) => key === api.key && at >= api.flexibleFrom)
    return { header, body }
  }
  const header = { correlationId: body.int32() }
  if (api.responseHeaderIsFlexible(version)) body.skipTaggedFields()
  return { header, body }
}

function headerOf({ api, direction, version, clientId }: Message): unknown {
  const correlationId = CORRELATION_ID
  if (direction === 'response') return { correlationId }
  return { apiKey: api.key, apiVersion: version, correlationId, clientId }
}

function messageOf(fixture: Fixture): Message {
  const { version, direction, kind } = fixture
  return { api: apiOf(fixture), version, direction, clientId: kind === 'full' ? 'caf\u00e9' : null }
}

function bodyOf(fixture: Fixture): Uint8Array {
  const { body } = open(messageOf(fixture), Buffer.from(fixture.frame, 'hex'))
  return body.raw(body.remaining)
}

function decode({ api, version, direction }: Message, reader: Reader): unknown {
  return direction === 'request' ? api.decodeRequest(version, reader) : api.decodeResponse(version, reader)
}

/** What comes of reading these bytes: an error, or undefined when they make sense. */
function failure(fixture: Fixture, body: Uint8Array): unknown {
  try {
    decode(messageOf(fixture), new Reader(body))
    return undefined
  } catch (error) {
    return error
  }
}

function encode({ api, version, direction, clientId }: Message, body: unknown): Buffer {
  return Buffer.concat(
    direction === 'request'
      ? api.encodeRequest(version, CORRELATION_ID, clientId, body)
      : api.encodeResponse(version, CORRELATION_ID, body),
  )
}

interface Message {
  readonly api: Api<unknown, unknown>
  readonly version: number
  readonly direction: 'request' | 'response'
  readonly clientId: string | null
}

/** A message of ours in the form of Kafka's JSON: int64 as text, bytes in base64, uuids in base64url. */
function asJson(value: unknown, name = ''): Json {
  if (typeof value === 'bigint') return value.toString()
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map((each) => asJson(each))
  if (typeof value === 'object' && value !== null) {
    return Object.fromEntries(Object.entries(value).map(([field, each]) => [field, asJson(each, field)]))
  }
  if (name === 'topicId' || name === 'clientInstanceId')
    return Buffer.from((value as string).replaceAll('-', ''), 'hex').toString('base64url')
  return value as Json
}

function title({ api, version, direction }: Pick<Fixture, 'api' | 'version' | 'direction'>): string {
  return `${api} v${version} ${direction}`
}

describe('every API', () => {
  it('has fixtures for each of its versions, both ways', () => {
    const expected = apis.flatMap(({ name, minVersion, maxVersion }) =>
      Array.from({ length: maxVersion - minVersion + 1 }, (_, i) => `${name} v${minVersion + i}`),
    )
    for (const direction of ['request', 'response']) {
      for (const kind of ['full', 'sparse']) {
        const found = fixtures.filter((each) => each.direction === direction && each.kind === kind)
        expect(found.map((each) => `${each.api} v${each.version}`).toSorted()).toEqual(expected.toSorted())
      }
    }
  })

  it.each(fixtures.map((fixture) => [`${title(fixture)} (${fixture.kind})`, fixture] as const))(
    'reads and writes the bytes of Kafka: %s',
    (_, fixture) => {
      const message = messageOf(fixture)
      const { header, body } = open(message, Buffer.from(fixture.frame, 'hex'))
      expect(header).toEqual(headerOf(message))
      const value = decode(message, body)
      expect(asJson(value)).toMatchObject(fixture.body as object)
      expect(encode(message, value).toString('hex')).toBe(fixture.frame)
    },
  )

  it('reads no message that is cut short or too long, and says which one it was', () => {
    for (const fixture of fixtures) {
      const body = bodyOf(fixture)
      for (let length = 0; length < body.length; length++) {
        expectProtocolError(fixture, body.subarray(0, length))
      }
      expectProtocolError(fixture, Buffer.concat([body, Buffer.of(0)]))
    }
  })

  it('reads damaged bytes as something or fails with a ProtocolError', () => {
    const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { minLength: 1, maxLength: 4 })
    const full = fixtures.filter(({ kind }) => kind === 'full')
    fc.assert(
      fc.property(fc.constantFrom(...full), damage, (fixture, changes) => {
        const body = Buffer.from(bodyOf(fixture))
        for (const [at, byte] of changes) body[at % Math.max(body.length, 1)] = byte
        const error = failure(fixture, body)
        expect(error === undefined || error instanceof ProtocolError).toBe(true)
      }),
      { numRuns: 2000 },
    )
  })

  it('believes no length, wherever a huge one stands', () => {
    for (const fixture of fixtures.filter(({ kind }) => kind === 'full')) {
      const body = bodyOf(fixture)
      for (let at = 0; at + 5 <= body.length; at++) {
        for (const claim of ['7fffffff', 'ffffffff0f', '8000']) {
          const lying = Buffer.from(body)
          lying.write(claim, at, 'hex')
          const error = failure(fixture, lying)
          expect(error === undefined || error instanceof ProtocolError).toBe(true)
        }
      }
    }
  })

  function expectProtocolError(fixture: Fixture, body: Uint8Array): void {
    const error = failure(fixture, body)
    expect(error).toBeInstanceOf(ProtocolError)
    expect((error as Error).message.startsWith(`${title(fixture)}: `)).toBe(true)
  }
})

describe('a message of our own', () => {
  const text = fc.string({ unit: 'binary', maxLength: 40 })
  const nullableText = fc.option(text)
  const int8 = fc.integer({ min: -128, max: 127 })
  const int16 = fc.integer({ min: -32768, max: 32767 })
  const int32 = fc.integer({ min: -2147483648, max: 2147483647 })
  const int64 = fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n })
  const uuid = fc.oneof(fc.uuid(), fc.constant(ZERO_UUID))
  const records = fc.option(fc.uint8Array().map((bytes): Uint8Array => Buffer.from(bytes)))
  const list = <T>(element: fc.Arbitrary<T>): fc.Arbitrary<T[]> => fc.array(element, { maxLength: 4 })
  /** A field that Kafka does not let pass in versions that lack it. */
  const from = <T>(version: number, first: number, value: fc.Arbitrary<T>, fallback: T): fc.Arbitrary<T> =>
    version >= first ? value : fc.constant(fallback)

  const produceRequest: fc.Arbitrary<RequestOf<typeof Produce>> = fc.record({
    transactionalId: nullableText,
    acks: int16,
    timeoutMs: int32,
    topicData: list(
      fc.record({ name: text, topicId: uuid, partitionData: list(fc.record({ index: int32, records })) }),
    ),
  })
  const produceResponse: fc.Arbitrary<ResponseOf<typeof Produce>> = fc.record({
    responses: list(
      fc.record({
        name: text,
        topicId: uuid,
        partitionResponses: list(
          fc.record({
            index: int32,
            errorCode: int16,
            baseOffset: int64,
            logAppendTimeMs: int64,
            logStartOffset: int64,
            recordErrors: list(fc.record({ batchIndex: int32, batchIndexErrorMessage: nullableText })),
            errorMessage: nullableText,
            currentLeader: fc.record({ leaderId: int32, leaderEpoch: int32 }),
          }),
        ),
      }),
    ),
    throttleTimeMs: int32,
    nodeEndpoints: list(fc.record({ nodeId: int32, host: text, port: int32, rack: nullableText })),
  })
  const metadataRequest = (version: number): fc.Arbitrary<RequestOf<typeof Metadata>> => {
    const topics = list(fc.record({ topicId: uuid, name: version >= 10 ? nullableText : text }))
    return fc.record({
      topics: version >= 1 ? fc.option(topics) : topics,
      allowAutoTopicCreation: from(version, 4, fc.boolean(), true),
      includeClusterAuthorizedOperations: fc.boolean(),
      includeTopicAuthorizedOperations: fc.boolean(),
    })
  }
  const metadataResponse = (version: number): fc.Arbitrary<ResponseOf<typeof Metadata>> =>
    fc.record({
      throttleTimeMs: int32,
      brokers: list(fc.record({ nodeId: int32, host: text, port: int32, rack: nullableText })),
      clusterId: nullableText,
      controllerId: int32,
      topics: list(
        fc.record({
          errorCode: int16,
          name: version >= 12 ? nullableText : text,
          topicId: uuid,
          isInternal: fc.boolean(),
          partitions: list(
            fc.record({
              errorCode: int16,
              partitionIndex: int32,
              leaderId: int32,
              leaderEpoch: int32,
              replicaNodes: list(int32),
              isrNodes: list(int32),
              offlineReplicas: list(int32),
            }),
          ),
          topicAuthorizedOperations: int32,
        }),
      ),
      clusterAuthorizedOperations: int32,
      errorCode: int16,
    })
  const findCoordinatorRequest = (version: number): fc.Arbitrary<RequestOf<typeof FindCoordinator>> =>
    fc.record({ key: text, keyType: from(version, 1, int8, 0), coordinatorKeys: list(text) })
  const findCoordinatorResponse: fc.Arbitrary<ResponseOf<typeof FindCoordinator>> = fc.record({
    throttleTimeMs: int32,
    errorCode: int16,
    errorMessage: nullableText,
    nodeId: int32,
    host: text,
    port: int32,
    coordinators: list(
      fc.record({
        key: text,
        nodeId: int32,
        host: text,
        port: int32,
        errorCode: int16,
        errorMessage: nullableText,
      }),
    ),
  })
  const apiVersionsRequest: fc.Arbitrary<RequestOf<typeof ApiVersions>> = fc.record({
    clientSoftwareName: text,
    clientSoftwareVersion: text,
  })
  const apiVersionsResponse: fc.Arbitrary<ResponseOf<typeof ApiVersions>> = fc.record({
    errorCode: int16,
    apiKeys: list(fc.record({ apiKey: int16, minVersion: int16, maxVersion: int16 })),
    throttleTimeMs: int32,
    supportedFeatures: list(fc.record({ name: text, minVersion: int16, maxVersion: int16 })),
    finalizedFeaturesEpoch: int64,
    finalizedFeatures: list(fc.record({ name: text, maxVersionLevel: int16, minVersionLevel: int16 })),
    zkMigrationReady: fc.boolean(),
  })
  const initProducerIdRequest = (version: number): fc.Arbitrary<RequestOf<typeof InitProducerId>> =>
    fc.record({
      transactionalId: nullableText,
      transactionTimeoutMs: int32,
      producerId: from(version, 3, int64, -1n),
      producerEpoch: from(version, 3, int16, -1),
    })
  const telemetrySubscriptions: fc.Arbitrary<ResponseOf<typeof GetTelemetrySubscriptions>> = fc.record({
    throttleTimeMs: int32,
    errorCode: int16,
    clientInstanceId: uuid,
    subscriptionId: int32,
    acceptedCompressionTypes: list(fc.integer({ min: -128, max: 127 })),
    pushIntervalMs: int32,
    telemetryMaxBytes: int32,
    deltaTemporality: fc.boolean(),
    requestedMetrics: list(text),
  })
  const initProducerIdResponse: fc.Arbitrary<ResponseOf<typeof InitProducerId>> = fc.record({
    throttleTimeMs: int32,
    errorCode: int16,
    producerId: int64,
    producerEpoch: int16,
  })
  const addPartitionsRequest: fc.Arbitrary<RequestOf<typeof AddPartitionsToTxn>> = fc.record({
    v3AndBelowTransactionalId: text,
    v3AndBelowProducerId: int64,
    v3AndBelowProducerEpoch: int16,
    v3AndBelowTopics: list(fc.record({ name: text, partitions: list(int32) })),
  })
  const addPartitionsResponse: fc.Arbitrary<ResponseOf<typeof AddPartitionsToTxn>> = fc.record({
    throttleTimeMs: int32,
    resultsByTopicV3AndBelow: list(
      fc.record({
        name: text,
        resultsByPartition: list(fc.record({ partitionIndex: int32, partitionErrorCode: int16 })),
      }),
    ),
  })
  const addOffsetsRequest: fc.Arbitrary<RequestOf<typeof AddOffsetsToTxn>> = fc.record({
    transactionalId: text,
    producerId: int64,
    producerEpoch: int16,
    groupId: text,
  })
  const addOffsetsResponse: fc.Arbitrary<ResponseOf<typeof AddOffsetsToTxn>> = fc.record({
    throttleTimeMs: int32,
    errorCode: int16,
  })
  const endTxnRequest: fc.Arbitrary<RequestOf<typeof EndTxn>> = fc.record({
    transactionalId: text,
    producerId: int64,
    producerEpoch: int16,
    committed: fc.boolean(),
  })
  const endTxnResponse: fc.Arbitrary<ResponseOf<typeof EndTxn>> = fc.record({
    throttleTimeMs: int32,
    errorCode: int16,
    producerId: int64,
    producerEpoch: int16,
  })
  const txnOffsetCommitRequest = (version: number): fc.Arbitrary<RequestOf<typeof TxnOffsetCommit>> =>
    fc.record({
      transactionalId: text,
      groupId: text,
      producerId: int64,
      producerEpoch: int16,
      generationId: from(version, 3, int32, -1),
      memberId: from(version, 3, text, ''),
      groupInstanceId: from(version, 3, nullableText, null),
      topics: list(
        fc.record({
          name: text,
          partitions: list(
            fc.record({
              partitionIndex: int32,
              committedOffset: int64,
              committedLeaderEpoch: int32,
              committedMetadata: nullableText,
            }),
          ),
        }),
      ),
    })
  const txnOffsetCommitResponse: fc.Arbitrary<ResponseOf<typeof TxnOffsetCommit>> = fc.record({
    throttleTimeMs: int32,
    topics: list(
      fc.record({ name: text, partitions: list(fc.record({ partitionIndex: int32, errorCode: int16 })) }),
    ),
  })
  const bytes = fc.uint8Array().map((some): Uint8Array => Buffer.from(some))
  const saslHandshakeRequest = fc.record({ mechanism: text })
  const saslHandshakeResponse = fc.record({ errorCode: int16, mechanisms: list(text) })
  const saslAuthenticateRequest = fc.record({ authBytes: bytes })
  const saslAuthenticateResponse = fc.record({
    errorCode: int16,
    errorMessage: nullableText,
    authBytes: bytes,
    sessionLifetimeMs: int64,
  })

  interface Case {
    readonly api: Api<unknown, unknown>
    readonly request: (version: number) => fc.Arbitrary<unknown>
    readonly response: (version: number) => fc.Arbitrary<unknown>
  }
  const cases: Case[] = [
    { api: Produce, request: () => produceRequest, response: () => produceResponse },
    { api: Metadata, request: metadataRequest, response: metadataResponse },
    { api: FindCoordinator, request: findCoordinatorRequest, response: () => findCoordinatorResponse },
    { api: ApiVersions, request: () => apiVersionsRequest, response: () => apiVersionsResponse },
    { api: InitProducerId, request: initProducerIdRequest, response: () => initProducerIdResponse },
    { api: AddPartitionsToTxn, request: () => addPartitionsRequest, response: () => addPartitionsResponse },
    { api: AddOffsetsToTxn, request: () => addOffsetsRequest, response: () => addOffsetsResponse },
    { api: EndTxn, request: () => endTxnRequest, response: () => endTxnResponse },
    { api: TxnOffsetCommit, request: txnOffsetCommitRequest, response: () => txnOffsetCommitResponse },
    {
      api: GetTelemetrySubscriptions,
      request: () => fc.record({ clientInstanceId: uuid }),
      response: () => telemetrySubscriptions,
    },
    { api: SaslHandshake, request: () => saslHandshakeRequest, response: () => saslHandshakeResponse },
    {
      api: SaslAuthenticate,
      request: () => saslAuthenticateRequest,
      response: () => saslAuthenticateResponse,
    },
  ]
  const messages = fixtures
    .filter(({ kind }) => kind === 'full')
    .map((fixture) => {
      const { request, response } = cases.find((each) => each.api.name === fixture.api)!
      const arbitrary = (fixture.direction === 'request' ? request : response)(fixture.version)
      return [title(fixture), fixture, arbitrary] as const
    })

  it.each(messages)(
    'comes back as it was, in the fields that Kafka has there: %s',
    (_, fixture, arbitrary) => {
      fc.assert(
        fc.property(arbitrary, nullableText, (value, clientId) => {
          const message: Message = { ...messageOf(fixture), clientId }
          const frame = encode(message, value)
          const { header, body } = open(message, frame)
          expect(header).toEqual(headerOf(message))
          const back = decode(message, body)
          expect(back).toMatchObject(carried(value, fixture.body) as object)
          expect(encode(message, back).equals(frame)).toBe(true)
        }),
        { numRuns: 40 },
      )
    },
  )

  /** The fields of `value` that Kafka's own message of that version has. */
  function carried(value: unknown, shape: Json): unknown {
    if (Array.isArray(value) && Array.isArray(shape)) {
      // Tagged fields are only in those elements where they are set; of the others the first element has the most.
      const structs = shape.filter((each) => typeof each === 'object' && each !== null)
      const element = structs.length === 0 ? null : (Object.assign({}, ...structs.toReversed()) as Json)
      return value.map((each) => carried(each, element))
    }
    const isStruct = typeof value === 'object' && value !== null && !(value instanceof Uint8Array)
    if (!isStruct || typeof shape !== 'object' || shape === null || Array.isArray(shape)) return value
    return Object.fromEntries(
      Object.entries(value)
        .filter(([name]) => name in shape)
        .map(([name, each]) => [name, carried(each, shape[name]!)]),
    )
  }
})

describe('a lying response', () => {
  it('is told with the path to the field', () => {
    const response = { ...metadata(4) }
    const frame = Buffer.concat(Metadata.encodeResponse(12, 1, response))
    const body = frame.subarray(4 + 4 + 1)
    // The array of the last topic's partitions begins 1 + 4 + 1 + 1 + 2 bytes before the end: partitions, authorized
    // operations, tagged fields of the topic and of the response.
    const at = body.length - 7
    expect(body[at]).toBe(1)
    const lying = Buffer.concat([
      body.subarray(0, at),
      Buffer.from('8080808008', 'hex'),
      body.subarray(at + 1),
    ])
    expect(() => Metadata.decodeResponse(12, new Reader(lying))).toThrow(
      new ProtocolError('Metadata v12 response: topics[3].partitions: array of 2147483647 in 6 bytes left'),
    )
  })

  function metadata(topics: number): ResponseOf<typeof Metadata> {
    return {
      throttleTimeMs: 0,
      brokers: [],
      clusterId: null,
      controllerId: -1,
      topics: Array.from({ length: topics }, (_, i) => ({
        errorCode: 0,
        name: `topic-${i}`,
        topicId: ZERO_UUID,
        isInternal: false,
        partitions: [],
        topicAuthorizedOperations: 0,
      })),
      clusterAuthorizedOperations: 0,
      errorCode: 0,
    }
  }
})
