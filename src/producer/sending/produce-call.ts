/** One Produce request: its body, made from batches, and its response, taken apart into one for each of them. */
import type { Metadata } from '../../network/metadata.js'
import { type Produce, ZERO_UUID } from '../../protocol/apis.js'
import { errorName } from '../../protocol/error-codes.js'
import type { RequestOf, ResponseOf } from '../../protocol/schema.js'
import type { QueuedBatch } from '../batching/partition-queue.js'

type ProduceRequest = RequestOf<typeof Produce>
type ProduceResponse = ResponseOf<typeof Produce>
export type PartitionResponse = ProduceResponse['responses'][number]['partitionResponses'][number]

/** Where leaders are that the response names, by node id. */
export type NodeEndpoints = ReadonlyMap<number, ProduceResponse['nodeEndpoints'][number]>

/** From version 13 on Produce names topics by their ids (KIP-516). */
const LAST_VERSION_WITH_NAMES = 12

export interface ProduceOptions {
  readonly acks: number
  readonly requestTimeoutMs: number
  readonly transactionalId: string | null
  readonly maxVersion: number
}

export class ProduceCall {
  readonly request: ProduceRequest
  readonly maxVersion: number
  readonly #batches: readonly QueuedBatch[]
  readonly #metadata: Metadata

  constructor(batches: readonly QueuedBatch[], metadata: Metadata, options: ProduceOptions) {
    const { acks, requestTimeoutMs, transactionalId, maxVersion } = options
    this.#batches = batches
    this.#metadata = metadata
    const topicData = [...byTopic(batches)].map(([name, ofTopic]) => {
      metadata.use(name)
      const topicId = metadata.topic(name)?.id ?? ZERO_UUID
      const partitionData = ofTopic.map((batch) => ({
        index: batch.queue.partition,
        records: batch.encode(transactionalId !== null),
      }))
      return { name, topicId, partitionData }
    })
    const hasAllIds = topicData.every(({ topicId }) => topicId !== ZERO_UUID)
    this.maxVersion = hasAllIds ? maxVersion : Math.min(maxVersion, LAST_VERSION_WITH_NAMES)
    this.request = { transactionalId, acks, timeoutMs: requestTimeoutMs, topicData }
  }

  /** Calls `responded` for each batch with its part of the response, or `omitted` where there is none. */
  take(
    response: ProduceResponse,
    responded: (batch: QueuedBatch, response: PartitionResponse, endpoints: NodeEndpoints) => void,
    omitted: (batch: QueuedBatch) => void,
  ): void {
    const left = new Map<string, QueuedBatch>()
    for (const batch of this.#batches) left.set(keyOf(batch.queue.topic, batch.queue.partition), batch)
    const names = new Map(this.request.topicData.map(({ topicId, name }) => [topicId, name]))
    const endpoints = new Map(response.nodeEndpoints.map((endpoint) => [endpoint.nodeId, endpoint]))
    for (const { name, topicId, partitionResponses } of response.responses) {
      const topic = name === '' ? names.get(topicId) : name
      for (const partition of partitionResponses) {
        const key = keyOf(topic ?? '', partition.index)
        const batch = left.get(key)
        if (batch === undefined) continue // repeated, or of a partition that the request does not name
        left.delete(key)
        if (errorName(partition.errorCode) === 'UNKNOWN_TOPIC_ID')
          this.#metadata.refuseId(batch.queue.topic, topicId)
        responded(batch, partition, endpoints)
      }
    }
    for (const batch of left.values()) omitted(batch)
  }
}

function byTopic(batches: readonly QueuedBatch[]): Map<string, QueuedBatch[]> {
  const topics = new Map<string, QueuedBatch[]>()
  for (const batch of batches) {
    const { topic } = batch.queue
    const sameTopic = topics.get(topic)
    if (sameTopic === undefined) topics.set(topic, [batch])
    else sameTopic.push(batch)
  }
  return topics
}

function keyOf(topic: string, partition: number): string {
  return `${partition}:${topic}`
}
