/**
 * What each error code of a broker means for the producer, API by API: one decided reaction for every code of the
 * protocol. The tables hold the codes that brokers up to Kafka 4.2 answer there, and those that need a decision of their
 * own; for all others the rules at the end hold, so that no code, known or not, is ever left without a reaction.
 * docs/delivery-guarantees.md shows the same to users.
 */
import { errorByCode, errorByName, type ErrorCode } from './error-codes.js'

/** Produce, for one partition. */
export type ProduceReaction =
  /** Delivered; for a duplicate at an offset that nobody tells any more. */
  | 'success'
  /** Send the same batch again after a back-off. */
  | 'retry'
  /** The same, and ask for metadata at once. */
  | 'refresh'
  /** More records than one: send two halves. One record: it is too large. */
  | 'split'
  /** A gap in the sequences: wait for the predecessor, or start a new epoch when there is none. */
  | 'out-of-order'
  /** The broker forgot the producer: start a new epoch. */
  | 'unknown-producer'
  /** Fail the batch; its sequences are used up, so what follows starts a new epoch. */
  | 'fail'
  /** The same; in a transaction it is likely that another producer took over. */
  | 'fenced'
  /** Fail everything: the producer is unusable. */
  | 'fatal'

/** InitProducerId of an idempotent producer. */
export type InitProducerIdReaction =
  | 'success'
  /** Ask again, any broker, after a back-off: for as long as a record waits for it. */
  | 'retry'
  /** Fail everything: the producer is unusable. */
  | 'fatal'

/** Metadata, for one topic or for the whole answer. */
export type MetadataReaction =
  | 'success'
  /** Ask again after a back-off: for as long as a record waits for it. What is known stays known. */
  | 'retry'
  /** Fail the topic's records; the next `send` to it asks again. */
  | 'fail'
  /** Forget all brokers and begin again with `bootstrapServers` (KIP-1102). */
  | 'rebootstrap'

/** FindCoordinator, and what is asked of the coordinator of a transaction or of a consumer group. */
export type CoordinatorReaction =
  | 'success'
  /** Ask the same broker again after a back-off. */
  | 'retry'
  /** It is, or will be, another broker: find the coordinator, then ask again. */
  | 'find'
  /** The transaction must be aborted; the producer goes on after that. */
  | 'abortable'
  /** Fail everything: the producer is unusable. */
  | 'fatal'

export type Table<R> = Readonly<Record<string, R>>

export const produceReactions: Table<ProduceReaction> = {
  NONE: 'success',
  DUPLICATE_SEQUENCE_NUMBER: 'success',

  CORRUPT_MESSAGE: 'retry',
  REQUEST_TIMED_OUT: 'retry',
  NOT_ENOUGH_REPLICAS: 'retry',
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 'retry',
  UNKNOWN_LEADER_EPOCH: 'retry',
  CONCURRENT_TRANSACTIONS: 'retry',

  UNKNOWN_TOPIC_OR_PARTITION: 'refresh',
  UNKNOWN_TOPIC_ID: 'refresh',
  INCONSISTENT_TOPIC_ID: 'refresh',
  LEADER_NOT_AVAILABLE: 'refresh',
  NOT_LEADER_OR_FOLLOWER: 'refresh',
  REPLICA_NOT_AVAILABLE: 'refresh',
  FENCED_LEADER_EPOCH: 'refresh',
  KAFKA_STORAGE_ERROR: 'refresh',

  MESSAGE_TOO_LARGE: 'split',
  OUT_OF_ORDER_SEQUENCE_NUMBER: 'out-of-order',
  UNKNOWN_PRODUCER_ID: 'unknown-producer',

  UNKNOWN_SERVER_ERROR: 'fail',
  INVALID_TOPIC_EXCEPTION: 'fail',
  RECORD_LIST_TOO_LARGE: 'fail',
  INVALID_REQUIRED_ACKS: 'fail',
  TOPIC_AUTHORIZATION_FAILED: 'fail',
  INVALID_TIMESTAMP: 'fail',
  INVALID_REQUEST: 'fail',
  UNSUPPORTED_FOR_MESSAGE_FORMAT: 'fail',
  POLICY_VIOLATION: 'fail',
  INVALID_PRODUCER_EPOCH: 'fenced',
  INVALID_TXN_STATE: 'fail',
  UNSUPPORTED_COMPRESSION_TYPE: 'fail',
  INVALID_RECORD: 'fail',
  TRANSACTION_ABORTABLE: 'fail',

  CLUSTER_AUTHORIZATION_FAILED: 'fatal',
  UNSUPPORTED_VERSION: 'fatal',
  INVALID_PRODUCER_ID_MAPPING: 'fatal',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'fatal',
  PRODUCER_FENCED: 'fatal',
}

/** Answers after which the append may have happened all the same; so it is after a code that nobody knows. */
const appendOpen: ReadonlySet<string> = new Set([
  'UNKNOWN_SERVER_ERROR',
  'REQUEST_TIMED_OUT',
  'NETWORK_EXCEPTION',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'KAFKA_STORAGE_ERROR',
])

export const initProducerIdReactions: Table<InitProducerIdReaction> = {
  NONE: 'success',

  REQUEST_TIMED_OUT: 'retry',
  COORDINATOR_LOAD_IN_PROGRESS: 'retry',
  COORDINATOR_NOT_AVAILABLE: 'retry',
  NOT_COORDINATOR: 'retry',
  CONCURRENT_TRANSACTIONS: 'retry',
  // The Java client gives up for good here; a broker that failed once may well answer the next time.
  UNKNOWN_SERVER_ERROR: 'retry',

  CLUSTER_AUTHORIZATION_FAILED: 'fatal',
  UNSUPPORTED_VERSION: 'fatal',
  INVALID_REQUEST: 'fatal',
  INVALID_PRODUCER_EPOCH: 'fatal',
  INVALID_TRANSACTION_TIMEOUT: 'fatal',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'fatal',
  PRODUCER_FENCED: 'fatal',
}

export const metadataReactions: Table<MetadataReaction> = {
  NONE: 'success',

  UNKNOWN_TOPIC_OR_PARTITION: 'retry',
  LEADER_NOT_AVAILABLE: 'retry',
  REQUEST_TIMED_OUT: 'retry',
  REPLICA_NOT_AVAILABLE: 'retry',
  LISTENER_NOT_FOUND: 'retry',
  UNKNOWN_TOPIC_ID: 'retry',
  // The broker failed, and says nothing of the topic.
  UNKNOWN_SERVER_ERROR: 'retry',

  INVALID_TOPIC_EXCEPTION: 'fail',
  TOPIC_AUTHORIZATION_FAILED: 'fail',
  CLUSTER_AUTHORIZATION_FAILED: 'fail',
  UNSUPPORTED_VERSION: 'fail',
  // Answers to the wish to create the topic (auto.create.topics.enable).
  INVALID_PARTITIONS: 'fail',
  INVALID_REPLICATION_FACTOR: 'fail',
  INVALID_CONFIG: 'fail',
  INVALID_REQUEST: 'fail',
  POLICY_VIOLATION: 'fail',

  REBOOTSTRAP_REQUIRED: 'rebootstrap',
}

export const findCoordinatorReactions: Table<CoordinatorReaction> = {
  NONE: 'success',

  REQUEST_TIMED_OUT: 'retry',
  COORDINATOR_LOAD_IN_PROGRESS: 'retry',
  COORDINATOR_NOT_AVAILABLE: 'retry',

  GROUP_AUTHORIZATION_FAILED: 'abortable',
  TRANSACTION_ABORTABLE: 'abortable',

  UNSUPPORTED_VERSION: 'fatal',
  INVALID_REQUEST: 'fatal',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'fatal',
}

/** What every coordinator may answer; the tables below say the rest. */
const ofAnyCoordinator: Table<CoordinatorReaction> = {
  NONE: 'success',

  REQUEST_TIMED_OUT: 'retry',
  COORDINATOR_LOAD_IN_PROGRESS: 'retry',
  CONCURRENT_TRANSACTIONS: 'retry',

  COORDINATOR_NOT_AVAILABLE: 'find',
  NOT_COORDINATOR: 'find',

  TRANSACTION_ABORTABLE: 'abortable',

  INVALID_REQUEST: 'fatal',
  UNSUPPORTED_VERSION: 'fatal',
  INVALID_PRODUCER_EPOCH: 'fatal',
  PRODUCER_FENCED: 'fatal',
  INVALID_PRODUCER_ID_MAPPING: 'fatal',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'fatal',
}

/** InitProducerId of a producer with a transactional id. */
export const initTransactionsReactions: Table<CoordinatorReaction> = {
  ...ofAnyCoordinator,
  // As without a transactional id: asking again harms nothing, and may help.
  UNKNOWN_SERVER_ERROR: 'retry',
  INVALID_TRANSACTION_TIMEOUT: 'fatal',
  CLUSTER_AUTHORIZATION_FAILED: 'fatal',
}

/** AddPartitionsToTxn, for one partition. */
export const addPartitionsToTxnReactions: Table<CoordinatorReaction> = {
  ...ofAnyCoordinator,
  UNKNOWN_TOPIC_OR_PARTITION: 'retry',
  TOPIC_AUTHORIZATION_FAILED: 'abortable',
  // Another partition of the request has the error that decides.
  OPERATION_NOT_ATTEMPTED: 'retry',
  UNKNOWN_PRODUCER_ID: 'abortable',
  UNKNOWN_SERVER_ERROR: 'abortable',
  INVALID_TXN_STATE: 'fatal',
}

export const addOffsetsToTxnReactions: Table<CoordinatorReaction> = {
  ...ofAnyCoordinator,
  GROUP_AUTHORIZATION_FAILED: 'abortable',
  UNKNOWN_PRODUCER_ID: 'abortable',
  INVALID_TXN_STATE: 'fatal',
}

/** TxnOffsetCommit, for one partition. */
export const txnOffsetCommitReactions: Table<CoordinatorReaction> = {
  ...ofAnyCoordinator,
  UNKNOWN_TOPIC_OR_PARTITION: 'retry',
  REQUEST_TIMED_OUT: 'find',
  // The consumer is no member of the group any more, or not in this generation: its work is somebody else's now.
  ILLEGAL_GENERATION: 'abortable',
  UNKNOWN_MEMBER_ID: 'abortable',
  FENCED_INSTANCE_ID: 'abortable',
  STALE_MEMBER_EPOCH: 'abortable',
  GROUP_AUTHORIZATION_FAILED: 'abortable',
  // The Java client is unusable after these; they say no more than that these offsets cannot be committed.
  REBALANCE_IN_PROGRESS: 'abortable',
  TOPIC_AUTHORIZATION_FAILED: 'abortable',
  OFFSET_METADATA_TOO_LARGE: 'abortable',
  INVALID_COMMIT_OFFSET_SIZE: 'abortable',
  UNSUPPORTED_FOR_MESSAGE_FORMAT: 'fatal',
}

export const endTxnReactions: Table<CoordinatorReaction> = {
  ...ofAnyCoordinator,
  UNKNOWN_PRODUCER_ID: 'abortable',
  INVALID_TXN_STATE: 'fatal',
}

// The rules for codes that no broker up to 4.2 answers there: what the protocol calls retriable is tried again, with a
// look at the metadata where it asks for one, as in the Java client; anything else, known or not, is an end.

export function produceReaction(errno: number): ProduceReaction {
  return byRule(produceReactions, errno, ({ retriable, refreshMetadata }) =>
    refreshMetadata ? 'refresh' : retriable ? 'retry' : 'fail',
  )
}

/** Whether a record may be in the log although the broker answered this error. */
export function leavesAppendOpen(errno: number): boolean {
  const { name } = errorByCode(errno)
  return errorByName(name) === undefined || appendOpen.has(name)
}

export function initProducerIdReaction(errno: number): InitProducerIdReaction {
  return byRule(initProducerIdReactions, errno, ({ retriable }) => (retriable ? 'retry' : 'fatal'))
}

export function metadataReaction(errno: number): MetadataReaction {
  return byRule(metadataReactions, errno, ({ retriable }) => (retriable ? 'retry' : 'fail'))
}

export function coordinatorReaction(table: Table<CoordinatorReaction>, errno: number): CoordinatorReaction {
  const end = table === addPartitionsToTxnReactions ? 'abortable' : 'fatal'
  return byRule(table, errno, ({ retriable }) => (retriable ? 'retry' : end))
}

function byRule<R>(table: Table<R>, errno: number, rule: (code: ErrorCode) => R): R {
  const code = errorByCode(errno)
  return table[code.name] ?? rule(code)
}
