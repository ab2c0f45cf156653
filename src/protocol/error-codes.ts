/**
 * The error codes of Kafka 4.2, a row each, and the error object that a code becomes. A code that this table does not
 * know keeps its number, so that a newer broker's answer can be looked up, and is not retried.
 */
import {
  AuthenticationError,
  AuthorizationError,
  BrokerError,
  ConnectionError,
  OutOfOrderSequenceError,
  ProducerFencedError,
  RecordTooLargeError,
  TimeoutError,
  UnsupportedVersionError,
  type KafkaError,
  type KafkaErrorDetails,
} from '../errors.js'

/** What is known of an error code. */
export interface ErrorCode {
  readonly errno: number
  /** Kafka's own name: `'NOT_ENOUGH_REPLICAS'`. */
  readonly name: string
  /** The same request may succeed later. */
  readonly retriable: boolean
  /** The client looked in the wrong place: it has to ask for metadata, or for the coordinator, before it retries. */
  readonly refreshMetadata: boolean
  readonly message: string
}

/** `retry`: retriable. `refresh`: retriable, after a look at fresh metadata. */
type Advice = 'fail' | 'retry' | 'refresh'

type Row = readonly [errno: number, name: string, advice: Advice, message: string]

const rows: readonly Row[] = [
  [-1, 'UNKNOWN_SERVER_ERROR', 'fail', 'the broker failed in a way it did not expect; its log tells more'],
  [0, 'NONE', 'fail', 'no error'],
  [1, 'OFFSET_OUT_OF_RANGE', 'fail', 'the partition has no such offset'],
  [
    2,
    'CORRUPT_MESSAGE',
    'retry',
    'the records arrived damaged, or lack the key that a compacted topic demands',
  ],
  [3, 'UNKNOWN_TOPIC_OR_PARTITION', 'refresh', 'the broker does not have this topic or partition'],
  [4, 'INVALID_FETCH_SIZE', 'fail', 'the fetch size is not valid'],
  [5, 'LEADER_NOT_AVAILABLE', 'refresh', 'the partition has no leader, an election is under way'],
  [
    6,
    'NOT_LEADER_OR_FOLLOWER',
    'refresh',
    'the broker does not lead this partition, or has no replica of it',
  ],
  [7, 'REQUEST_TIMED_OUT', 'retry', 'the broker ran out of time for the request'],
  [8, 'BROKER_NOT_AVAILABLE', 'fail', 'the broker is not available'],
  [9, 'REPLICA_NOT_AVAILABLE', 'refresh', 'the replica is not available on this broker'],
  [10, 'MESSAGE_TOO_LARGE', 'fail', 'the batch is larger than max.message.bytes of the topic or broker'],
  [11, 'STALE_CONTROLLER_EPOCH', 'fail', 'the controller has moved to another broker'],
  [12, 'OFFSET_METADATA_TOO_LARGE', 'fail', 'the metadata string of the committed offset is too large'],
  [13, 'NETWORK_EXCEPTION', 'refresh', 'the connection was lost before an answer came'],
  [14, 'COORDINATOR_LOAD_IN_PROGRESS', 'retry', 'the coordinator is still loading its state'],
  [15, 'COORDINATOR_NOT_AVAILABLE', 'refresh', 'no coordinator is available'],
  [16, 'NOT_COORDINATOR', 'refresh', 'the broker is not the coordinator'],
  [
    17,
    'INVALID_TOPIC_EXCEPTION',
    'fail',
    'the topic name is not valid, or the topic may not be used this way',
  ],
  [18, 'RECORD_LIST_TOO_LARGE', 'fail', 'the batch is larger than a log segment of the broker'],
  [
    19,
    'NOT_ENOUGH_REPLICAS',
    'retry',
    "fewer replicas are in sync than min.insync.replicas asks for: see which of the partition's brokers are down or lag",
  ],
  [
    20,
    'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    'retry',
    'the leader wrote the records, but too few replicas were in sync to confirm them',
  ],
  [21, 'INVALID_REQUIRED_ACKS', 'fail', 'the broker does not take this value of acks'],
  [22, 'ILLEGAL_GENERATION', 'fail', 'the generation of the consumer group is not the present one'],
  [23, 'INCONSISTENT_GROUP_PROTOCOL', 'fail', 'the member and its group have no protocol in common'],
  [24, 'INVALID_GROUP_ID', 'fail', 'the group id is not valid'],
  [25, 'UNKNOWN_MEMBER_ID', 'fail', 'the coordinator does not know this group member'],
  [
    26,
    'INVALID_SESSION_TIMEOUT',
    'fail',
    'the session timeout is outside of the range that the broker allows',
  ],
  [27, 'REBALANCE_IN_PROGRESS', 'fail', 'the group is rebalancing'],
  [28, 'INVALID_COMMIT_OFFSET_SIZE', 'fail', 'the offset commit is too large'],
  [29, 'TOPIC_AUTHORIZATION_FAILED', 'fail', 'the principal may not use this topic'],
  [30, 'GROUP_AUTHORIZATION_FAILED', 'fail', 'the principal may not use this consumer group'],
  [31, 'CLUSTER_AUTHORIZATION_FAILED', 'fail', 'the principal lacks a right on the cluster'],
  [
    32,
    'INVALID_TIMESTAMP',
    'fail',
    "a record's timestamp is further from the broker's clock than the topic allows",
  ],
  [33, 'UNSUPPORTED_SASL_MECHANISM', 'fail', 'the broker has not enabled this SASL mechanism'],
  [34, 'ILLEGAL_SASL_STATE', 'fail', 'the request does not fit the state of the SASL exchange'],
  [35, 'UNSUPPORTED_VERSION', 'fail', 'the broker does not support this version of the request'],
  [36, 'TOPIC_ALREADY_EXISTS', 'fail', 'a topic of this name exists'],
  [37, 'INVALID_PARTITIONS', 'fail', 'the number of partitions is not valid'],
  [
    38,
    'INVALID_REPLICATION_FACTOR',
    'fail',
    'the replication factor is below 1 or above the number of brokers',
  ],
  [39, 'INVALID_REPLICA_ASSIGNMENT', 'fail', 'the assignment of replicas is not valid'],
  [40, 'INVALID_CONFIG', 'fail', 'the configuration is not valid'],
  [41, 'NOT_CONTROLLER', 'retry', 'the broker is not the controller'],
  [42, 'INVALID_REQUEST', 'fail', 'the broker could not make sense of the request; its log tells more'],
  [43, 'UNSUPPORTED_FOR_MESSAGE_FORMAT', 'fail', "the broker's message format does not support the request"],
  [44, 'POLICY_VIOLATION', 'fail', 'the request violates a policy of the broker'],
  [
    45,
    'OUT_OF_ORDER_SEQUENCE_NUMBER',
    'fail',
    'the sequence number is not the next one that the broker expects',
  ],
  [46, 'DUPLICATE_SEQUENCE_NUMBER', 'fail', 'the broker has these records already'],
  [47, 'INVALID_PRODUCER_EPOCH', 'fail', 'the broker knows a newer epoch of this producer'],
  [
    48,
    'INVALID_TXN_STATE',
    'fail',
    'the state of the transaction does not allow this; it may have taken longer than transactionTimeoutMs',
  ],
  [49, 'INVALID_PRODUCER_ID_MAPPING', 'fail', 'the producer id does not belong to this transactional id'],
  [
    50,
    'INVALID_TRANSACTION_TIMEOUT',
    'fail',
    "transaction.timeout.ms is above the broker's transaction.max.timeout.ms",
  ],
  [
    51,
    'CONCURRENT_TRANSACTIONS',
    'retry',
    'the previous transaction of this transactional id is still completing',
  ],
  [
    52,
    'TRANSACTION_COORDINATOR_FENCED',
    'fail',
    'another broker has become the coordinator of this transaction',
  ],
  [53, 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED', 'fail', 'the principal may not use this transactional id'],
  [54, 'SECURITY_DISABLED', 'fail', 'the broker has no authorizer'],
  [
    55,
    'OPERATION_NOT_ATTEMPTED',
    'fail',
    'the broker left this part undone, because another part of the request failed',
  ],
  [56, 'KAFKA_STORAGE_ERROR', 'refresh', "the broker's disk failed"],
  [57, 'LOG_DIR_NOT_FOUND', 'fail', 'the broker has no such log directory'],
  [58, 'SASL_AUTHENTICATION_FAILED', 'fail', 'the broker refused the credentials'],
  [
    59,
    'UNKNOWN_PRODUCER_ID',
    'fail',
    'the broker has no state of this producer any more, its records may be deleted',
  ],
  [60, 'REASSIGNMENT_IN_PROGRESS', 'fail', 'the partition is being reassigned'],
  [61, 'DELEGATION_TOKEN_AUTH_DISABLED', 'fail', 'delegation tokens are not enabled'],
  [62, 'DELEGATION_TOKEN_NOT_FOUND', 'fail', 'the broker does not know the delegation token'],
  [
    63,
    'DELEGATION_TOKEN_OWNER_MISMATCH',
    'fail',
    'the principal is neither owner nor renewer of the delegation token',
  ],
  [
    64,
    'DELEGATION_TOKEN_REQUEST_NOT_ALLOWED',
    'fail',
    'delegation tokens cannot be managed over this kind of connection',
  ],
  [65, 'DELEGATION_TOKEN_AUTHORIZATION_FAILED', 'fail', 'the principal may not use this delegation token'],
  [66, 'DELEGATION_TOKEN_EXPIRED', 'fail', 'the delegation token has expired'],
  [67, 'INVALID_PRINCIPAL_TYPE', 'fail', 'the type of principal is not supported'],
  [68, 'NON_EMPTY_GROUP', 'fail', 'the group has members'],
  [69, 'GROUP_ID_NOT_FOUND', 'fail', 'there is no such group'],
  [70, 'FETCH_SESSION_ID_NOT_FOUND', 'retry', 'there is no such fetch session'],
  [71, 'INVALID_FETCH_SESSION_EPOCH', 'retry', 'the epoch of the fetch session is not valid'],
  [72, 'LISTENER_NOT_FOUND', 'refresh', 'the leader has no listener like the one that was asked'],
  [73, 'TOPIC_DELETION_DISABLED', 'fail', 'topics may not be deleted'],
  [74, 'FENCED_LEADER_EPOCH', 'refresh', 'the client knows an older leader epoch than the broker'],
  [75, 'UNKNOWN_LEADER_EPOCH', 'retry', 'the client knows a newer leader epoch than the broker'],
  [76, 'UNSUPPORTED_COMPRESSION_TYPE', 'fail', 'the compression is not supported here'],
  [77, 'STALE_BROKER_EPOCH', 'fail', 'the broker has registered again since'],
  [78, 'OFFSET_NOT_AVAILABLE', 'retry', 'the new leader does not know its high watermark yet'],
  [79, 'MEMBER_ID_REQUIRED', 'fail', 'the group member has to join with a member id'],
  [80, 'PREFERRED_LEADER_NOT_AVAILABLE', 'refresh', 'the preferred leader is not available'],
  [81, 'GROUP_MAX_SIZE_REACHED', 'fail', 'the group is full'],
  [82, 'FENCED_INSTANCE_ID', 'fail', 'another member uses this group.instance.id'],
  [83, 'ELIGIBLE_LEADERS_NOT_AVAILABLE', 'refresh', 'no replica that may lead is available'],
  [84, 'ELECTION_NOT_NEEDED', 'refresh', 'the partition has the right leader already'],
  [85, 'NO_REASSIGNMENT_IN_PROGRESS', 'fail', 'the partition is not being reassigned'],
  [86, 'GROUP_SUBSCRIBED_TO_TOPIC', 'fail', 'the group is subscribed to the topic'],
  [87, 'INVALID_RECORD', 'fail', 'the broker refused a record of the batch'],
  [88, 'UNSTABLE_OFFSET_COMMIT', 'retry', 'a transaction with offsets of this group is still open'],
  [89, 'THROTTLING_QUOTA_EXCEEDED', 'retry', 'the quota is used up'],
  [90, 'PRODUCER_FENCED', 'fail', 'another producer with this transactional id took over'],
  [91, 'RESOURCE_NOT_FOUND', 'fail', 'there is no such resource'],
  [92, 'DUPLICATE_RESOURCE', 'fail', 'the request names a resource twice'],
  [93, 'UNACCEPTABLE_CREDENTIAL', 'fail', 'the credential does not meet the rules'],
  [94, 'INCONSISTENT_VOTER_SET', 'fail', 'sender or receiver is not one of the voters'],
  [95, 'INVALID_UPDATE_VERSION', 'fail', 'the version of the update is not valid'],
  [96, 'FEATURE_UPDATE_FAILED', 'fail', 'the features could not be updated'],
  [97, 'PRINCIPAL_DESERIALIZATION_FAILURE', 'fail', 'the forwarded principal could not be read'],
  [98, 'SNAPSHOT_NOT_FOUND', 'fail', 'there is no such snapshot'],
  [99, 'POSITION_OUT_OF_RANGE', 'fail', 'the snapshot has no such position'],
  [100, 'UNKNOWN_TOPIC_ID', 'refresh', 'the broker does not know the topic id'],
  [101, 'DUPLICATE_BROKER_REGISTRATION', 'fail', 'the broker id is taken'],
  [102, 'BROKER_ID_NOT_REGISTERED', 'fail', 'no broker is registered under this id'],
  [103, 'INCONSISTENT_TOPIC_ID', 'refresh', "the topic id is not that of the broker's log"],
  [104, 'INCONSISTENT_CLUSTER_ID', 'fail', 'the broker belongs to another cluster'],
  [105, 'TRANSACTIONAL_ID_NOT_FOUND', 'fail', 'there is no such transactional id'],
  [106, 'FETCH_SESSION_TOPIC_ID_ERROR', 'retry', 'the fetch session mixes topic ids and names'],
  [107, 'INELIGIBLE_REPLICA', 'fail', 'a replica may not join the in-sync set'],
  [108, 'NEW_LEADER_ELECTED', 'fail', 'the partition was changed, and has another leader since'],
  [109, 'OFFSET_MOVED_TO_TIERED_STORAGE', 'fail', 'the offset is in tiered storage'],
  [110, 'FENCED_MEMBER_EPOCH', 'fail', 'the group coordinator fenced the epoch of this member'],
  [111, 'UNRELEASED_INSTANCE_ID', 'fail', 'another member still holds this instance id'],
  [112, 'UNSUPPORTED_ASSIGNOR', 'fail', 'the group does not support the assignor'],
  [113, 'STALE_MEMBER_EPOCH', 'fail', 'the group member has a newer epoch'],
  [
    114,
    'MISMATCHED_ENDPOINT_TYPE',
    'fail',
    'the request went to a broker instead of a controller, or the other way round',
  ],
  [115, 'UNSUPPORTED_ENDPOINT_TYPE', 'fail', 'this type of endpoint is not supported'],
  [116, 'UNKNOWN_CONTROLLER_ID', 'fail', 'there is no such controller'],
  [117, 'UNKNOWN_SUBSCRIPTION_ID', 'fail', 'the telemetry subscription is unknown or outdated'],
  [118, 'TELEMETRY_TOO_LARGE', 'fail', 'the telemetry is larger than the broker takes'],
  [119, 'INVALID_REGISTRATION', 'fail', 'the controller refused the registration of the broker'],
  [
    120,
    'TRANSACTION_ABORTABLE',
    'fail',
    'the transaction failed and has to be aborted; the producer can go on after that',
  ],
  [121, 'INVALID_RECORD_STATE', 'fail', 'the record cannot be acknowledged in its state'],
  [122, 'SHARE_SESSION_NOT_FOUND', 'retry', 'there is no such share session'],
  [123, 'INVALID_SHARE_SESSION_EPOCH', 'retry', 'the epoch of the share session is not valid'],
  [124, 'FENCED_STATE_EPOCH', 'fail', 'the share group has another state epoch'],
  [125, 'INVALID_VOTER_KEY', 'fail', "the voter's key is not that of the receiving replica"],
  [126, 'DUPLICATE_VOTER', 'fail', 'the voter is in the set already'],
  [127, 'VOTER_NOT_FOUND', 'fail', 'the voter is not in the set'],
  [128, 'INVALID_REGULAR_EXPRESSION', 'fail', 'the regular expression is not valid'],
  [
    129,
    'REBOOTSTRAP_REQUIRED',
    'fail',
    'the brokers that the client knows are gone, it has to start from bootstrap.servers',
  ],
  [130, 'STREAMS_INVALID_TOPOLOGY', 'fail', 'the topology is not valid'],
  [131, 'STREAMS_INVALID_TOPOLOGY_EPOCH', 'fail', 'the epoch of the topology is not valid'],
  [132, 'STREAMS_TOPOLOGY_FENCED', 'fail', 'the topology has a newer epoch'],
  [133, 'SHARE_SESSION_LIMIT_REACHED', 'retry', 'the broker has no room for another share session'],
]

/** All codes of Kafka 4.2, in the order of their numbers. */
export const errorCodes: readonly ErrorCode[] = rows.map(([errno, name, advice, message]) => ({
  errno,
  name,
  retriable: advice !== 'fail',
  refreshMetadata: advice === 'refresh',
  message,
}))

const byErrno = new Map(errorCodes.map((code) => [code.errno, code]))
const byName = new Map(errorCodes.map((code) => [code.name, code]))

type BrokerErrorClass = new (message: string, details: KafkaErrorDetails) => KafkaError

/** The codes that a caller acts on; all others become a BrokerError. */
const classes: ReadonlyMap<string, BrokerErrorClass> = new Map<string, BrokerErrorClass>([
  ['REQUEST_TIMED_OUT', TimeoutError],
  ['MESSAGE_TOO_LARGE', RecordTooLargeError],
  ['RECORD_LIST_TOO_LARGE', RecordTooLargeError],
  ['NETWORK_EXCEPTION', ConnectionError],
  ['TOPIC_AUTHORIZATION_FAILED', AuthorizationError],
  ['GROUP_AUTHORIZATION_FAILED', AuthorizationError],
  ['CLUSTER_AUTHORIZATION_FAILED', AuthorizationError],
  ['TRANSACTIONAL_ID_AUTHORIZATION_FAILED', AuthorizationError],
  ['DELEGATION_TOKEN_AUTHORIZATION_FAILED', AuthorizationError],
  ['UNSUPPORTED_SASL_MECHANISM', AuthenticationError],
  ['ILLEGAL_SASL_STATE', AuthenticationError],
  ['SASL_AUTHENTICATION_FAILED', AuthenticationError],
  ['UNSUPPORTED_VERSION', UnsupportedVersionError],
  ['OUT_OF_ORDER_SEQUENCE_NUMBER', OutOfOrderSequenceError],
  ['PRODUCER_FENCED', ProducerFencedError],
])

/** The row of a code; one is made up for a code that the table does not have. */
export function errorByCode(errno: number): ErrorCode {
  return (
    byErrno.get(errno) ?? {
      errno,
      name: `UNKNOWN(${errno})`,
      retriable: false,
      refreshMetadata: false,
      message: 'an error code that this version of the client does not know',
    }
  )
}

/** The row with Kafka's name of the error, undefined when there is none. */
export function errorByName(name: string): ErrorCode | undefined {
  return byName.get(name)
}

/** Kafka's name of a code, `UNKNOWN(999)` for one that the table does not have. */
export function errorName(errno: number): string {
  return errorByCode(errno).name
}

/** What the place that got the code knows beside it. What is left out follows from the code. */
export interface BrokerErrorDetails {
  /** The broker's own words, which replace ours. */
  readonly message?: string | null | undefined
  readonly retriable?: boolean | undefined
  readonly fatal?: boolean | undefined
  readonly abortable?: boolean | undefined
  readonly mayHaveBeenWritten?: boolean | undefined
  readonly cause?: unknown
}

/**
 * The error for a code that a broker answered. `context` says what was tried where: `'Produce to orders-3 at broker
 * 2'`. Fatal by itself is only PRODUCER_FENCED, abortable only TRANSACTION_ABORTABLE; what else a code means for the
 * producer depends on the API, and is the caller's to say.
 */
export function brokerError(errno: number, context: string, details: BrokerErrorDetails = {}): KafkaError {
  const code = errorByCode(errno)
  const words = spoken(details.message) ?? code.message
  const ErrorClass = classes.get(code.name) ?? BrokerError
  return new ErrorClass(`${context}: ${code.name} (${errno}): ${words}`, {
    code: code.name,
    errno,
    retriable: details.retriable ?? code.retriable,
    fatal: details.fatal ?? code.name === 'PRODUCER_FENCED',
    abortable: details.abortable ?? code.name === 'TRANSACTION_ABORTABLE',
    mayHaveBeenWritten: details.mayHaveBeenWritten,
    cause: details.cause,
  })
}

/** A broker may say as much as a response has room for; the field is there, but empty, where it says nothing. */
const LONGEST_WORDS = 1000

function spoken(message: string | null | undefined): string | undefined {
  if (message === undefined || message === null) return undefined
  const words = message.slice(0, LONGEST_WORDS).trim()
  if (words === '') return undefined
  return message.length <= LONGEST_WORDS ? words : `${words}... (${message.length} characters)`
}
