/** What a broker does with a Produce request: all the checks in Kafka's order, partition by partition. */
import { KafkaError } from '../../errors.js'
import { Produce, ZERO_UUID } from '../../protocol/apis.js'
import { errorName } from '../../protocol/error-codes.js'
import type { RequestOf, ResponseOf } from '../../protocol/schema.js'
import { decoderStarts } from '../../records/compression.js'
import { BATCH_OVERHEAD_BYTES, batchEnd } from '../../records/read-record-batch.js'
import type { ClusterState, Partition, Topic } from '../state/cluster-state.js'
import { onlyBatch } from '../state/partition-log.js'
import { isExplained, verifyBatches, type Incoming, type Verdicts } from './produce-verification.js'
import { errno, Refusal } from './refusal.js'
import {
  NONE,
  type Answer,
  type ReceivedBatch,
  type RequestContext,
  type Served,
} from '../broker/request-context.js'

type ProduceRequest = RequestOf<typeof Produce>
type ProduceResponse = ResponseOf<typeof Produce>
type PartitionResponse = ProduceResponse['responses'][number]['partitionResponses'][number]

const NO_LEADER = { leaderId: -1, leaderEpoch: -1 }
const UNKNOWN_SERVER_ERROR = -1
const NOT_LEADER_OR_FOLLOWER = errno('NOT_LEADER_OR_FOLLOWER')

/** Errors of a broker that has appended the batch all the same. */
const AFTER_APPEND = new Set([errno('REQUEST_TIMED_OUT'), errno('NOT_ENOUGH_REPLICAS_AFTER_APPEND')])

/** Errors after which a broker does not say where its log begins. */
const WITHOUT_LOG_START = new Set(
  ['CORRUPT_MESSAGE', 'UNKNOWN_TOPIC_OR_PARTITION', 'NOT_LEADER_OR_FOLLOWER', 'MESSAGE_TOO_LARGE'].map(errno),
)

/** The topic that a Produce request means: by id from version 13 on, by name before. */
function producedTopic(
  state: ClusterState,
  { name, topicId }: { name: string; topicId: string },
): Topic | undefined {
  return topicId === ZERO_UUID ? state.topics.get(name) : state.topicById(topicId)
}

/** The journal's entries of a Produce request; the bytes are not checked. */
function receivedBatches(state: ClusterState, request: ProduceRequest): ReceivedBatch[] {
  return request.topicData.flatMap((data) => {
    const topic = producedTopic(state, data)?.name ?? (data.name || data.topicId)
    return data.partitionData.map(({ index, records }) => {
      const batch = { topic, partition: index, sizeInBytes: records?.length ?? 0, outcome: null }
      if (records === null || records.length < BATCH_OVERHEAD_BYTES) {
        return { ...batch, producerId: -1n, epoch: -1, baseSequence: -1, recordCount: -1 }
      }
      const view = new DataView(records.buffer, records.byteOffset, records.byteLength)
      return {
        ...batch,
        producerId: view.getBigInt64(43),
        epoch: view.getInt16(51),
        baseSequence: view.getInt32(53),
        recordCount: view.getInt32(57),
      }
    })
  })
}

/** The decoder of the batches, where that takes a while to start. */
function decoder({ topicData }: ProduceRequest): Promise<unknown> | undefined {
  for (const { partitionData } of topicData) {
    for (const { records } of partitionData) {
      const isBatch = records !== null && records.length >= BATCH_OVERHEAD_BYTES
      const starting = isBatch ? decoderStarts(records[22]! & 7) : undefined
      if (starting !== undefined) return starting
    }
  }
  return undefined
}

function failedPartition(index: number, errorCode: number): PartitionResponse {
  return {
    index,
    errorCode,
    baseOffset: -1n,
    logAppendTimeMs: -1n,
    logStartOffset: -1n,
    recordErrors: [],
    errorMessage: null,
    currentLeader: NO_LEADER,
  }
}

function produce(context: RequestContext, request: ProduceRequest): Answer<ProduceResponse> {
  const { state, version } = context
  const leaders = new Set<number>()
  let next = 0
  let refused = refusedAsWhole(request)
  let verdicts: Verdicts = new Map()
  try {
    if (refused === undefined && request.transactionalId !== null)
      verdicts = verifyBatches(context, request.transactionalId, carriedOut(context, request))
  } catch (error) {
    refused = { errno: refusedWith(error).errno, errorMessage: String(error) }
  }
  const responses = request.topicData.map((data) => {
    const topic = producedTopic(state, data)
    const forced = forcedErrno(context, topic)
    const partitionResponses = data.partitionData.map(({ index, records }) => {
      let response: PartitionResponse
      if (refused !== undefined) {
        response = { ...failedPartition(index, refused.errno), errorMessage: refused.errorMessage }
      } else if (forced !== undefined && !AFTER_APPEND.has(forced)) {
        response = failedPartition(index, forced)
      } else {
        response = producePartition(context, request, topic, data.topicId, index, records, verdicts)
        if (forced !== undefined && response.errorCode === NONE) response = failedPartition(index, forced)
      }
      const partition = topic?.partitions[index]
      if (response.errorCode === NOT_LEADER_OR_FOLLOWER && version >= 10 && partition !== undefined) {
        const { leader: leaderId, leaderEpoch } = partition
        response = { ...response, currentLeader: { leaderId, leaderEpoch } }
        leaders.add(leaderId)
      }
      context.batches[next++]!.outcome = errorName(response.errorCode)
      return response
    })
    return { name: data.name, topicId: data.topicId, partitionResponses }
  })
  if (request.acks === 0) {
    const isGood = responses.every((topic) =>
      topic.partitionResponses.every(({ errorCode }) => errorCode === NONE),
    )
    return isGood ? 'nothing' : 'close'
  }
  const nodeEndpoints = state.aliveBrokers().filter(({ nodeId }) => leaders.has(nodeId))
  return {
    responses,
    throttleTimeMs: 0,
    nodeEndpoints,
  }
}

/** The injected error that applies to the topic. */
function forcedErrno({ forced }: RequestContext, topic: Topic | undefined): number | undefined {
  return forced?.topic === undefined || forced.topic === topic?.name ? forced?.errno : undefined
}

/** The batches that may get as far as the log of a partition that this broker leads. */
function carriedOut(context: RequestContext, request: ProduceRequest): Incoming[] {
  const { state, nodeId, version } = context
  const incoming: Incoming[] = []
  for (const data of request.topicData) {
    const topic = producedTopic(state, data)
    const forced = forcedErrno(context, topic)
    if (topic === undefined || (forced !== undefined && !AFTER_APPEND.has(forced))) continue
    for (const { index, records } of data.partitionData) {
      const partition = topic.partitions[index]
      if (partition === undefined || partition.leader !== nodeId) continue
      try {
        incoming.push({ topic: topic.name, partition, batch: onlyBatch(records, version) })
      } catch (error) {
        // It is refused, with its reason, when its turn comes.
        if (!(error instanceof KafkaError)) throw error
      }
    }
  }
  return incoming
}

/** Why no partition of the request is looked at: a batch whose frame is damaged, or that needs a transaction. */
function refusedAsWhole(request: ProduceRequest): { errno: number; errorMessage: string | null } | undefined {
  let isTransactional = false
  try {
    for (const { partitionData } of request.topicData) {
      for (const { records } of partitionData) {
        if (records === null || batchEnd(records, 0) === -1 || records[16] !== 2) continue
        isTransactional ||= (records[22]! & 0x10) !== 0
      }
    }
  } catch (error) {
    const { errno: code } = refusedWith(error)
    return { errno: code, errorMessage: code === UNKNOWN_SERVER_ERROR ? null : String(error) }
  }
  if (!isTransactional || request.transactionalId !== null) return undefined
  return { errno: errno('TRANSACTIONAL_ID_AUTHORIZATION_FAILED'), errorMessage: null }
}

function producePartition(
  context: RequestContext,
  { acks }: ProduceRequest,
  topic: Topic | undefined,
  topicId: string,
  index: number,
  records: Uint8Array | null,
  verdicts: Verdicts,
): PartitionResponse {
  if (topic === undefined && topicId !== ZERO_UUID) return failedPartition(index, errno('UNKNOWN_TOPIC_ID'))
  const partition = topic?.partitions[index]
  if (topic === undefined || partition === undefined) {
    return failedPartition(index, errno('UNKNOWN_TOPIC_OR_PARTITION'))
  }
  let batch: Uint8Array
  try {
    batch = onlyBatch(records, context.version)
  } catch (error) {
    return failedPartition(index, refusedWith(error).errno)
  }
  const verdict = verdicts.get(partition)
  if (verdict instanceof Refusal) {
    const errorMessage = isExplained(verdict) ? verdict.message : null
    return { ...failedPartition(index, verdict.errno), errorMessage }
  }
  if (acks !== -1 && acks !== 0 && acks !== 1) return failedPartition(index, errno('INVALID_REQUIRED_ACKS'))
  if (partition.leader !== context.nodeId) return failedPartition(index, NOT_LEADER_OR_FOLLOWER)
  try {
    checkReplicas(topic, partition, acks)
    const { log, leaderEpoch } = partition
    const { baseOffset, logAppendTimeMs } = log.append(
      batch,
      leaderEpoch,
      context.now,
      topic.config,
      verdict === 'verified',
    )
    return {
      ...failedPartition(index, NONE),
      baseOffset: BigInt(baseOffset),
      logAppendTimeMs: BigInt(logAppendTimeMs),
      logStartOffset: BigInt(log.startOffset),
    }
  } catch (error) {
    const refused = refusedWith(error)
    const logStartOffset = WITHOUT_LOG_START.has(refused.errno) ? -1n : BigInt(partition.log.startOffset)
    return { ...failedPartition(index, refused.errno), logStartOffset, ...refused.details }
  }
}

function checkReplicas({ config }: Topic, { isr, replicas }: Partition, acks: number): void {
  const wanted = Math.min(config.minInsyncReplicas, replicas.length)
  if (acks === -1 && isr.length < wanted) {
    throw new Refusal('NOT_ENOUGH_REPLICAS', `${isr.length} replicas in sync, ${wanted} are wanted`)
  }
}

/** The code of an error that a check threw; anything but a KafkaError is a bug of the broker's and goes on. */
function refusedWith(error: unknown): {
  errno: number
  details: Partial<Pick<PartitionResponse, 'recordErrors' | 'errorMessage'>>
} {
  if (!(error instanceof KafkaError)) throw error
  const code = error.errno ?? UNKNOWN_SERVER_ERROR
  // Kafka explains a refusal in words only where it names the bad records.
  if (!(error instanceof Refusal) || error.recordErrors.length === 0) return { errno: code, details: {} }
  return { errno: code, details: { recordErrors: error.recordErrors, errorMessage: error.message } }
}

export const servedProduce: Served<ProduceRequest, ProduceResponse> = {
  api: Produce,
  topics: (state, { topicData }) =>
    topicData.map((data) => producedTopic(state, data)?.name ?? (data.name || data.topicId)),
  batches: receivedBatches,
  starts: decoder,
  answer: produce,
}
