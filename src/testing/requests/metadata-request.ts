/** What a broker does with a Metadata request. */
import { Metadata, ZERO_UUID } from '../../protocol/apis.js'
import type { RequestOf, ResponseOf } from '../../protocol/schema.js'

import type { MetadataView, TopicView } from '../state/cluster-state.js'
import { errno } from './refusal.js'
import { NONE, type RequestContext, type Served } from '../broker/request-context.js'

type MetadataRequest = RequestOf<typeof Metadata>
type MetadataResponse = ResponseOf<typeof Metadata>
type TopicResponse = MetadataResponse['topics'][number]

const AUTHORIZED_OPERATIONS_UNKNOWN = -2147483648
const REBOOTSTRAP_REQUIRED = errno('REBOOTSTRAP_REQUIRED')

function isValidTopicName(name: string): boolean {
  return /^[a-zA-Z0-9._-]{1,249}$/.test(name) && name !== '.' && name !== '..'
}

function failedTopic(name: string | null, topicId: string, errorCode: number): TopicResponse {
  return {
    errorCode,
    name,
    topicId,
    isInternal: false,
    partitions: [],
    topicAuthorizedOperations: AUTHORIZED_OPERATIONS_UNKNOWN,
  }
}

function topicById({ topics }: MetadataView, id: string): TopicView | undefined {
  return [...topics.values()].find((topic) => topic.id === id)
}

function describedTopic(view: MetadataView, topic: TopicView): TopicResponse {
  const partitions = topic.partitions.map(({ index, leader, leaderEpoch, replicas, isr }) => ({
    errorCode: leader === -1 ? errno('LEADER_NOT_AVAILABLE') : NONE,
    partitionIndex: index,
    leaderId: leader,
    leaderEpoch,
    replicaNodes: replicas,
    isrNodes: isr,
    offlineReplicas: replicas.filter((nodeId) => !view.isAlive(nodeId)),
  }))
  return { ...failedTopic(topic.name, topic.id, NONE), partitions }
}

function namedTopics(state: MetadataView, request: MetadataRequest, version: number): string[] {
  if (asksForAll(request, version)) return [...state.topics.keys()]
  return (request.topics ?? []).map(({ name, topicId }) => topicById(state, topicId)?.name ?? name ?? topicId)
}

/** In version 0 an empty list asks for all topics; since version 1 null does. */
function asksForAll({ topics }: MetadataRequest, version: number): boolean {
  return topics === null || (version === 0 && topics.length === 0)
}

function metadata(context: RequestContext, request: MetadataRequest): MetadataResponse {
  const { state, nodeId, version, forced, forged } = context
  const view = state.metadataOf(nodeId)
  const topics = wantedTopics(context, view, request).map((topic) => {
    if (forged !== undefined && (forged.topic ?? topic.name) === topic.name)
      return withLeaderEpoch(topic, forged.leaderEpoch)
    const isForced = forced !== undefined && forced.errno !== REBOOTSTRAP_REQUIRED
    return isForced && (forced.topic ?? topic.name) === topic.name
      ? failedTopic(topic.name, topic.topicId, forced.errno)
      : topic
  })
  const isTopLevel = forced !== undefined && (forced.errno === REBOOTSTRAP_REQUIRED || topics.length === 0)
  const brokers = view.aliveBrokers()
  return {
    throttleTimeMs: 0,
    brokers,
    clusterId: 'TestCluster',
    controllerId: brokers[0]?.nodeId ?? -1,
    // A name is null only where a topic was asked for by an id that nobody has, which begins with version 12.
    topics: version < 12 ? topics.map((topic) => ({ ...topic, name: topic.name ?? '' })) : topics,
    clusterAuthorizedOperations: AUTHORIZED_OPERATIONS_UNKNOWN,
    errorCode: isTopLevel ? forced.errno : NONE,
  }
}

function withLeaderEpoch(topic: TopicResponse, leaderEpoch: number): TopicResponse {
  return { ...topic, partitions: topic.partitions.map((partition) => ({ ...partition, leaderEpoch })) }
}

function wantedTopics(
  { state, version }: RequestContext,
  view: MetadataView,
  request: MetadataRequest,
): TopicResponse[] {
  if (asksForAll(request, version))
    return [...view.topics.values()].map((topic) => describedTopic(view, topic))
  const wanted = request.topics ?? []
  const ids = new Set(wanted.map(({ topicId }) => topicId).filter((id) => id !== ZERO_UUID))
  // One id in the request, and names in it count for nothing.
  if (ids.size > 0) {
    return [...ids].map((id) => {
      const topic = topicById(view, id)
      return topic === undefined
        ? failedTopic(null, id, errno('UNKNOWN_TOPIC_ID'))
        : describedTopic(view, topic)
    })
  }
  const names = new Set(wanted.map(({ name }) => name ?? ''))
  return [...names].map((name) => {
    const topic = view.topics.get(name)
    if (topic !== undefined) return describedTopic(view, topic)
    if (!isValidTopicName(name)) return failedTopic(name, ZERO_UUID, errno('INVALID_TOPIC_EXCEPTION'))
    // The request that has a topic created does not wait for it: the next one finds it.
    if (request.allowAutoTopicCreation && state.autoCreateTopics && !state.topics.has(name))
      state.createTopic(name, {})
    return failedTopic(name, ZERO_UUID, errno('UNKNOWN_TOPIC_OR_PARTITION'))
  })
}

export const servedMetadata: Served<MetadataRequest, MetadataResponse> = {
  api: Metadata,
  topics: namedTopics,
  batches: () => [],
  answer: metadata,
}
