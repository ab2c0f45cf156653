/** What a broker does with a TxnOffsetCommit request. */
import { TxnOffsetCommit } from '../../protocol/apis.js'
import type { RequestOf, ResponseOf } from '../../protocol/schema.js'
import { coordinatorPartition, OFFSETS_TOPIC } from '../coordinators/coordinators.js'
import type { CommittedOffset } from '../coordinators/group-coordinator.js'
import { errno, Refusal, refusedErrno } from './refusal.js'
import { NONE, type RequestContext, type Served } from '../broker/request-context.js'
import { enterTransaction, verificationFor } from './transaction-verification.js'

type CommitRequest = RequestOf<typeof TxnOffsetCommit>
type CommitResponse = ResponseOf<typeof TxnOffsetCommit>

/** The first version that does AddOffsetsToTxn as well. */
const ADDS_SINCE = 5

/** A partition of the request on its way to the answer. */
interface Row {
  readonly offset: CommittedOffset
  errorCode: number
}

function txnOffsetCommit(context: RequestContext, request: CommitRequest): CommitResponse {
  const rows = request.topics.map(({ name, partitions }) =>
    partitions.map((each): Row => {
      const { partitionIndex: partition, committedOffset, committedLeaderEpoch, committedMetadata } = each
      const offset: CommittedOffset = {
        topic: name,
        partition,
        offset: committedOffset,
        leaderEpoch: committedLeaderEpoch,
        metadata: committedMetadata ?? '',
      }
      return { offset, errorCode: rowError(context, name, partition) }
    }),
  )
  commit(
    context,
    request,
    rows.flat().filter(({ errorCode }) => errorCode === NONE),
  )
  return {
    throttleTimeMs: 0,
    topics: request.topics.map(({ name }, i) => ({
      name,
      partitions: rows[i]!.map(({ offset: { partition: partitionIndex }, errorCode }) => ({
        partitionIndex,
        errorCode,
      })),
    })),
  }
}

function rowError({ state, forced }: RequestContext, topic: string, partition: number): number {
  if (forced !== undefined && (forced.topic ?? topic) === topic) return forced.errno
  const isThere = state.topics.get(topic)?.partitions[partition] !== undefined
  return isThere ? NONE : errno('UNKNOWN_TOPIC_OR_PARTITION')
}

function commit(context: RequestContext, request: CommitRequest, rows: readonly Row[]): void {
  if (rows.length === 0) return
  const { groups } = context
  const { groupId, producerId, producerEpoch } = request
  try {
    if (groupId === '') throw new Refusal('INVALID_GROUP_ID', 'an empty group id')
    checkTransaction(context, request)
    groups.checkMember(request)
    const isTaken = groups.commit(
      groupId,
      producerId,
      producerEpoch,
      rows.map(({ offset }) => offset),
    )
    rows.forEach((row, i) => {
      if (!isTaken[i]!) row.errorCode = errno('OFFSET_METADATA_TOO_LARGE')
    })
  } catch (error) {
    for (const row of rows) row.errorCode = refusedErrno(error)
  }
}

/** That this broker coordinates the group, and that the transaction has the partition of the group's offsets. */
function checkTransaction(context: RequestContext, request: CommitRequest): void {
  const { state, transactions, groups, nodeId, version } = context
  const { transactionalId, groupId, producerId, producerEpoch: epoch } = request
  if (state.coordinators.leaderOf('group', groupId) !== nodeId) {
    throw new Refusal('NOT_COORDINATOR', `broker ${nodeId} does not coordinate ${groupId}`)
  }
  const verification = verificationFor(version, ADDS_SINCE)
  const isNew = groups.producersOf(groupId).startVerification(producerId, epoch, -1, verification === 'add')
  if (!isNew) return
  const partition = { topic: OFFSETS_TOPIC, partition: coordinatorPartition(groupId) }
  const claim = { transactionalId, producerId, epoch }
  const [refused] = enterTransaction(transactions, verification, claim, [partition]).values()
  if (refused !== undefined) throw new Refusal(refused, `${groupId} is not in the transaction: ${refused}`)
}

export const servedTxnOffsetCommit: Served<CommitRequest, CommitResponse> = {
  api: TxnOffsetCommit,
  topics: (_, { topics }) => topics.map(({ name }) => name),
  batches: () => [],
  answer: txnOffsetCommit,
}
