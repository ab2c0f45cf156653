/** What a broker does with the requests to the transaction coordinator: InitProducerId to EndTxn. */
import { AddOffsetsToTxn, AddPartitionsToTxn, EndTxn, InitProducerId } from '../../protocol/apis.js'
import type { RequestOf, ResponseOf } from '../../protocol/schema.js'
import { coordinatorPartition, OFFSETS_TOPIC } from '../coordinators/coordinators.js'
import { errno, Refusal, refusedErrno } from './refusal.js'
import { NONE, type RequestContext, type Served } from '../broker/request-context.js'
import type { Identity } from '../coordinators/transaction-coordinator.js'
import { NO_EPOCH, NO_PRODUCER_ID } from '../coordinators/transaction-state.js'

type AddPartitionsRequest = RequestOf<typeof AddPartitionsToTxn>
type AddPartitionsResponse = ResponseOf<typeof AddPartitionsToTxn>

const PRODUCER_FENCED = errno('PRODUCER_FENCED')
const NOBODY: Identity = { producerId: NO_PRODUCER_ID, epoch: NO_EPOCH }

/**
 * The error code of what `act` does; a forced error comes instead of doing it. Clients from before PRODUCER_FENCED,
 * which came with version `fencedSince`, are told INVALID_PRODUCER_EPOCH.
 */
function attempt({ version, forced }: RequestContext, fencedSince: number, act: () => void): number {
  if (forced !== undefined) return forced.errno
  try {
    act()
    return NONE
  } catch (error) {
    const errorCode = refusedErrno(error)
    const isOld = errorCode === PRODUCER_FENCED && version < fencedSince
    return isOld ? errno('INVALID_PRODUCER_EPOCH') : errorCode
  }
}

function initProducerId(
  context: RequestContext,
  request: RequestOf<typeof InitProducerId>,
): ResponseOf<typeof InitProducerId> {
  const { state, transactions, nodeId } = context
  const { transactionalId, transactionTimeoutMs, producerId, producerEpoch: epoch } = request
  let owner = NOBODY
  const errorCode = attempt(context, 4, () => {
    if ((producerId === NO_PRODUCER_ID) !== (epoch === NO_EPOCH)) {
      throw new Refusal('INVALID_REQUEST', `producer ${producerId} with epoch ${epoch}`)
    }
    const claimed = producerId === NO_PRODUCER_ID ? undefined : { producerId, epoch }
    // Without a transactional id every call gets a new id, also one that says which id and epoch it had (KIP-360).
    owner =
      transactionalId === null
        ? { producerId: state.nextProducerId(), epoch: 0 }
        : transactions.initProducerId(nodeId, transactionalId, transactionTimeoutMs, claimed)
  })
  return {
    throttleTimeMs: 0,
    errorCode,
    producerId: owner.producerId,
    producerEpoch: owner.epoch,
  }
}

function addPartitionsToTxn(context: RequestContext, request: AddPartitionsRequest): AddPartitionsResponse {
  const { transactions, nodeId } = context
  const partitions = request.v3AndBelowTopics.flatMap(({ name, partitions: indexes }) =>
    indexes.map((partition) => ({ topic: name, partition })),
  )
  const own = partitions.map((each) => partitionError(context, each))
  // All of them or none.
  const isRefused = own.some((errorCode) => errorCode !== NONE)
  let all = NONE
  if (!isRefused) {
    const claim = {
      transactionalId: request.v3AndBelowTransactionalId,
      producerId: request.v3AndBelowProducerId,
      epoch: request.v3AndBelowProducerEpoch,
    }
    all = attempt(context, 2, () => transactions.addPartitions(nodeId, claim, partitions))
  }
  const notAttempted = errno('OPERATION_NOT_ATTEMPTED')
  let next = 0
  return {
    throttleTimeMs: 0,
    resultsByTopicV3AndBelow: request.v3AndBelowTopics.map(({ name, partitions: indexes }) => ({
      name,
      resultsByPartition: indexes.map((partitionIndex) => {
        const error = own[next++]!
        return {
          partitionIndex,
          partitionErrorCode: isRefused && error === NONE ? notAttempted : error || all,
        }
      }),
    })),
  }
}

/** What is wrong with one partition, before the transaction is looked at. */
function partitionError(
  { state, forced }: RequestContext,
  { topic, partition }: { topic: string; partition: number },
): number {
  if (forced !== undefined && (forced.topic ?? topic) === topic) return forced.errno
  const isThere = state.topics.get(topic)?.partitions[partition] !== undefined
  return isThere ? NONE : errno('UNKNOWN_TOPIC_OR_PARTITION')
}

function addOffsetsToTxn(
  context: RequestContext,
  request: RequestOf<typeof AddOffsetsToTxn>,
): ResponseOf<typeof AddOffsetsToTxn> {
  const { transactions, nodeId } = context
  const { transactionalId, producerId, producerEpoch: epoch, groupId } = request
  const offsets = { topic: OFFSETS_TOPIC, partition: coordinatorPartition(groupId) }
  const errorCode = attempt(context, 2, () =>
    transactions.addPartitions(nodeId, { transactionalId, producerId, epoch }, [offsets]),
  )
  return { throttleTimeMs: 0, errorCode }
}

function endTxn(context: RequestContext, request: RequestOf<typeof EndTxn>): ResponseOf<typeof EndTxn> {
  const { transactions, nodeId, version } = context
  const { transactionalId, producerId, producerEpoch: epoch, committed } = request
  let next = NOBODY
  const errorCode = attempt(context, 2, () => {
    // The version of the request says which transactions the client speaks, whatever the cluster has finalized.
    const claim = { transactionalId, producerId, epoch }
    next = transactions.endTransaction(nodeId, claim, committed, version >= 5 ? 2 : 1)
  })
  return {
    throttleTimeMs: 0,
    errorCode,
    producerId: next.producerId,
    producerEpoch: next.epoch,
  }
}

export const servedInitProducerId: Served<
  RequestOf<typeof InitProducerId>,
  ResponseOf<typeof InitProducerId>
> = { api: InitProducerId, topics: () => [], batches: () => [], answer: initProducerId }

export const servedAddPartitionsToTxn: Served<AddPartitionsRequest, AddPartitionsResponse> = {
  api: AddPartitionsToTxn,
  topics: (_, { v3AndBelowTopics }) => v3AndBelowTopics.map(({ name }) => name),
  batches: () => [],
  answer: addPartitionsToTxn,
}

export const servedAddOffsetsToTxn: Served<
  RequestOf<typeof AddOffsetsToTxn>,
  ResponseOf<typeof AddOffsetsToTxn>
> = { api: AddOffsetsToTxn, topics: () => [], batches: () => [], answer: addOffsetsToTxn }

export const servedEndTxn: Served<RequestOf<typeof EndTxn>, ResponseOf<typeof EndTxn>> = {
  api: EndTxn,
  topics: () => [],
  batches: () => [],
  answer: endTxn,
}
