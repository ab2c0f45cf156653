/**
 * Every API that this package speaks, a table each: the fields, and the versions that have them. A fact about a version
 * stands here and nowhere else. Names are the protocol's own in camelCase; a field that a version lacks reads as its
 * fallback.
 */
import {
  array,
  between,
  boolean,
  bytes,
  int16,
  int32,
  int64,
  int8,
  notIgnorable,
  nullable,
  records,
  since,
  string,
  tagged,
  until,
  uuid,
} from './kinds.js'
import { api, type Api } from './schema.js'

/** The id of no topic, and of a topic whose id is unknown. */
export const ZERO_UUID = '00000000-0000-0000-0000-000000000000'

/** No set of authorized operations was asked for. */
const OPERATIONS_UNKNOWN = -2147483648

/** No version of the API is flexible. */
const NEVER = 32768

/** Versions 0 to 2 carry message formats older than record batches; brokers from 4.0 on refuse them. */
export const Produce = api({
  name: 'Produce',
  key: 0,
  versions: [3, 13],
  flexibleFrom: 9,
  request: {
    transactionalId: nullable(string),
    acks: int16,
    timeoutMs: int32,
    topicData: array({
      name: until(12, string, ''),
      topicId: since(13, uuid, ZERO_UUID),
      partitionData: array({ index: int32, records }),
    }),
  },
  response: {
    responses: array({
      name: until(12, string, ''),
      topicId: since(13, uuid, ZERO_UUID),
      partitionResponses: array({
        index: int32,
        errorCode: int16,
        baseOffset: int64,
        logAppendTimeMs: int64,
        logStartOffset: since(5, int64, -1n),
        recordErrors: since(8, array({ batchIndex: int32, batchIndexErrorMessage: nullable(string) }), []),
        errorMessage: since(8, nullable(string), null),
        currentLeader: tagged(
          10,
          0,
          { leaderId: int32, leaderEpoch: int32 },
          { leaderId: -1, leaderEpoch: -1 },
        ),
      }),
    }),
    throttleTimeMs: int32,
    nodeEndpoints: tagged(
      10,
      0,
      array({ nodeId: int32, host: string, port: int32, rack: nullable(string) }),
      [],
    ),
  },
})

/** `topics: null` asks for all topics; in version 0, which has no null there, an empty array does. */
export const Metadata = api({
  name: 'Metadata',
  key: 3,
  versions: [0, 13],
  flexibleFrom: 9,
  request: {
    topics: nullable(array({ topicId: since(10, uuid, ZERO_UUID), name: nullable(string, 10) }), 1),
    allowAutoTopicCreation: notIgnorable(since(4, boolean, true)),
    includeClusterAuthorizedOperations: between(8, 10, boolean, false),
    includeTopicAuthorizedOperations: since(8, boolean, false),
  },
  response: {
    throttleTimeMs: since(3, int32, 0),
    brokers: array({
      nodeId: int32,
      host: string,
      port: int32,
      rack: since(1, nullable(string), null),
    }),
    clusterId: since(2, nullable(string), null),
    controllerId: since(1, int32, -1),
    topics: array({
      errorCode: int16,
      name: nullable(string, 12),
      topicId: since(10, uuid, ZERO_UUID),
      isInternal: since(1, boolean, false),
      partitions: array({
        errorCode: int16,
        partitionIndex: int32,
        leaderId: int32,
        leaderEpoch: since(7, int32, -1),
        replicaNodes: array(int32),
        isrNodes: array(int32),
        offlineReplicas: since(5, array(int32), []),
      }),
      topicAuthorizedOperations: since(8, int32, OPERATIONS_UNKNOWN),
    }),
    clusterAuthorizedOperations: between(8, 10, int32, OPERATIONS_UNKNOWN),
    errorCode: since(13, int16, 0),
  },
})

/** From version 4 on one request asks for many coordinators; up to 3 it is `key`, and the answer is at the top. */
export const FindCoordinator = api({
  name: 'FindCoordinator',
  key: 10,
  versions: [0, 6],
  flexibleFrom: 3,
  request: {
    key: until(3, string, ''),
    keyType: notIgnorable(since(1, int8, 0)),
    coordinatorKeys: since(4, array(string), []),
  },
  response: {
    throttleTimeMs: since(1, int32, 0),
    errorCode: until(3, int16, 0),
    errorMessage: between(1, 3, nullable(string), null),
    nodeId: until(3, int32, -1),
    host: until(3, string, ''),
    port: until(3, int32, -1),
    coordinators: since(
      4,
      array({
        key: string,
        nodeId: int32,
        host: string,
        port: int32,
        errorCode: int16,
        errorMessage: nullable(string),
      }),
      [],
    ),
  },
})

/** Version 0 is followed by the mechanism's own bytes without a request around them, version 1 by SaslAuthenticate. */
export const SaslHandshake = api({
  name: 'SaslHandshake',
  key: 17,
  versions: [0, 1],
  flexibleFrom: NEVER,
  request: { mechanism: string },
  response: { errorCode: int16, mechanisms: array(string) },
})

/**
 * A broker that does not know the version asked for answers in the form of version 0. The response header has no tagged
 * fields in any version: a client reads it before it can know what the broker speaks.
 */
export const ApiVersions = api({
  name: 'ApiVersions',
  key: 18,
  versions: [0, 4],
  flexibleFrom: 3,
  flexibleResponseHeader: false,
  request: {
    clientSoftwareName: since(3, string, ''),
    clientSoftwareVersion: since(3, string, ''),
  },
  response: {
    errorCode: int16,
    apiKeys: array({ apiKey: int16, minVersion: int16, maxVersion: int16 }),
    throttleTimeMs: since(1, int32, 0),
    supportedFeatures: tagged(3, 0, array({ name: string, minVersion: int16, maxVersion: int16 }), []),
    finalizedFeaturesEpoch: tagged(3, 1, int64, -1n),
    finalizedFeatures: tagged(
      3,
      2,
      array({ name: string, maxVersionLevel: int16, minVersionLevel: int16 }),
      [],
    ),
    zkMigrationReady: tagged(3, 3, boolean, false),
  },
})

/** Version 6 (two-phase commit, KIP-939) is unstable in Kafka 4.2. */
export const InitProducerId = api({
  name: 'InitProducerId',
  key: 22,
  versions: [0, 5],
  flexibleFrom: 2,
  request: {
    transactionalId: nullable(string),
    transactionTimeoutMs: int32,
    producerId: notIgnorable(since(3, int64, -1n)),
    producerEpoch: notIgnorable(since(3, int16, -1)),
  },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    producerId: int64,
    producerEpoch: int16,
  },
})

/**
 * Client versions. From version 4 on a request carries many transactions, and only brokers send it: they ask the
 * coordinator whether a partition is in a transaction before they append to it (KIP-890).
 */
export const AddPartitionsToTxn = api({
  name: 'AddPartitionsToTxn',
  key: 24,
  versions: [0, 3],
  flexibleFrom: 3,
  request: {
    v3AndBelowTransactionalId: string,
    v3AndBelowProducerId: int64,
    v3AndBelowProducerEpoch: int16,
    v3AndBelowTopics: array({ name: string, partitions: array(int32) }),
  },
  response: {
    throttleTimeMs: int32,
    resultsByTopicV3AndBelow: array({
      name: string,
      resultsByPartition: array({ partitionIndex: int32, partitionErrorCode: int16 }),
    }),
  },
})

/** Takes the partition that keeps the offsets of a group into the transaction. */
export const AddOffsetsToTxn = api({
  name: 'AddOffsetsToTxn',
  key: 25,
  versions: [0, 4],
  flexibleFrom: 3,
  request: { transactionalId: string, producerId: int64, producerEpoch: int16, groupId: string },
  response: { throttleTimeMs: int32, errorCode: int16 },
})

/** From version 5 on the answer has the producer id and epoch of the next transaction (KIP-890). */
export const EndTxn = api({
  name: 'EndTxn',
  key: 26,
  versions: [0, 5],
  flexibleFrom: 3,
  request: { transactionalId: string, producerId: int64, producerEpoch: int16, committed: boolean },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    producerId: since(5, int64, -1n),
    producerEpoch: since(5, int16, -1),
  },
})

/** Version 5 has the fields of version 4; what it adds is that it does AddOffsetsToTxn as well (KIP-890). */
export const TxnOffsetCommit = api({
  name: 'TxnOffsetCommit',
  key: 28,
  versions: [0, 5],
  flexibleFrom: 3,
  request: {
    transactionalId: string,
    groupId: string,
    producerId: int64,
    producerEpoch: int16,
    generationId: notIgnorable(since(3, int32, -1)),
    memberId: notIgnorable(since(3, string, '')),
    groupInstanceId: notIgnorable(since(3, nullable(string), null)),
    topics: array({
      name: string,
      partitions: array({
        partitionIndex: int32,
        committedOffset: int64,
        committedLeaderEpoch: since(2, int32, -1),
        committedMetadata: nullable(string),
      }),
    }),
  },
  response: {
    throttleTimeMs: int32,
    topics: array({
      name: string,
      partitions: array({ partitionIndex: int32, errorCode: int16 }),
    }),
  },
})

/** One step of the mechanism that SaslHandshake chose. */
export const SaslAuthenticate = api({
  name: 'SaslAuthenticate',
  key: 36,
  versions: [0, 2],
  flexibleFrom: 2,
  request: { authBytes: bytes },
  response: {
    errorCode: int16,
    errorMessage: nullable(string),
    authBytes: bytes,
    sessionLifetimeMs: since(1, int64, 0n),
  },
})

/** The metrics that a cluster wants from its clients, and the id that it gives to this one (KIP-714). */
export const GetTelemetrySubscriptions = api({
  name: 'GetTelemetrySubscriptions',
  key: 71,
  versions: [0, 0],
  flexibleFrom: 0,
  request: { clientInstanceId: uuid },
  response: {
    throttleTimeMs: int32,
    errorCode: int16,
    clientInstanceId: uuid,
    subscriptionId: int32,
    acceptedCompressionTypes: array(int8),
    pushIntervalMs: int32,
    telemetryMaxBytes: int32,
    deltaTemporality: boolean,
    requestedMetrics: array(string),
  },
})

/** All of them, in the order of their keys. */
export const apis: readonly Api<unknown, unknown>[] = [
  Produce,
  Metadata,
  FindCoordinator,
  SaslHandshake,
  ApiVersions,
  InitProducerId,
  AddPartitionsToTxn,
  AddOffsetsToTxn,
  EndTxn,
  TxnOffsetCommit,
  SaslAuthenticate,
  GetTelemetrySubscriptions,
]
