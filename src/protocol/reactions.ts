/**
 * What each error code of a broker means for the producer, API by API: one decided reaction for every code that the API
 * can answer. docs/errors.md is printed from these tables. A code that is not listed fails what it was the answer to,
 * under its number.
 */

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
  /** Fail the batch; its sequences are used up. */
  | 'fail'
  /** Fail everything: the producer is unusable. */
  | 'fatal'

/** InitProducerId, Metadata and FindCoordinator. */
export type RequestReaction = 'success' | 'retry' | 'fail' | 'fatal'

export const produceReactions: Readonly<Record<string, ProduceReaction>> = {
  NONE: 'success',
  DUPLICATE_SEQUENCE_NUMBER: 'success',

  CORRUPT_MESSAGE: 'retry',
  REQUEST_TIMED_OUT: 'retry',
  NOT_ENOUGH_REPLICAS: 'retry',
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 'retry',
  UNKNOWN_LEADER_EPOCH: 'retry',
  CONCURRENT_TRANSACTIONS: 'retry',
  THROTTLING_QUOTA_EXCEEDED: 'retry',

  UNKNOWN_TOPIC_OR_PARTITION: 'refresh',
  UNKNOWN_TOPIC_ID: 'refresh',
  INCONSISTENT_TOPIC_ID: 'refresh',
  LEADER_NOT_AVAILABLE: 'refresh',
  NOT_LEADER_OR_FOLLOWER: 'refresh',
  REPLICA_NOT_AVAILABLE: 'refresh',
  FENCED_LEADER_EPOCH: 'refresh',
  KAFKA_STORAGE_ERROR: 'refresh',
  LISTENER_NOT_FOUND: 'refresh',
  NETWORK_EXCEPTION: 'refresh',

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
  INVALID_PRODUCER_EPOCH: 'fail',
  UNSUPPORTED_COMPRESSION_TYPE: 'fail',
  INVALID_RECORD: 'fail',
  INVALID_TXN_STATE: 'fail',
  INVALID_PRODUCER_ID_MAPPING: 'fail',
  TRANSACTION_ABORTABLE: 'fail',

  CLUSTER_AUTHORIZATION_FAILED: 'fatal',
  UNSUPPORTED_VERSION: 'fatal',
  PRODUCER_FENCED: 'fatal',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'fatal',
}

/** Answers after which the append may have happened all the same. */
export const leavesAppendOpen: ReadonlySet<string> = new Set([
  'REQUEST_TIMED_OUT',
  'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
  'UNKNOWN_SERVER_ERROR',
  'KAFKA_STORAGE_ERROR',
])

export const initProducerIdReactions: Readonly<Record<string, RequestReaction>> = {
  NONE: 'success',
  REQUEST_TIMED_OUT: 'retry',
  NETWORK_EXCEPTION: 'retry',
  COORDINATOR_LOAD_IN_PROGRESS: 'retry',
  COORDINATOR_NOT_AVAILABLE: 'retry',
  NOT_COORDINATOR: 'retry',
  CONCURRENT_TRANSACTIONS: 'retry',
  THROTTLING_QUOTA_EXCEEDED: 'retry',
  UNKNOWN_SERVER_ERROR: 'retry',

  INVALID_REQUEST: 'fatal',
  CLUSTER_AUTHORIZATION_FAILED: 'fatal',
  UNSUPPORTED_VERSION: 'fatal',
  INVALID_PRODUCER_EPOCH: 'fatal',
  PRODUCER_FENCED: 'fatal',
  TRANSACTIONAL_ID_AUTHORIZATION_FAILED: 'fatal',
  INVALID_TRANSACTION_TIMEOUT: 'fatal',
}
