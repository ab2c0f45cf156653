/**
 * The error family. A class exists only where a caller would act differently; everything else is told apart by
 * `code`, which is Kafka's own name of the error where the protocol has one.
 */

/** What an error knows beside its message. */
export interface KafkaErrorDetails {
  /** Kafka's name of the error (`'NOT_ENOUGH_REPLICAS'`) or one of ours (`'BUFFER_EXHAUSTED'`). */
  readonly code?: string | undefined
  /** The protocol's number of the error, where it has one. */
  readonly errno?: number | undefined
  readonly retriable?: boolean | undefined
  readonly fatal?: boolean | undefined
  readonly abortable?: boolean | undefined
  readonly mayHaveBeenWritten?: boolean | undefined
  readonly cause?: unknown
}

/** The root of every error that this package throws, rejects with or passes to a callback. */
export class KafkaError extends Error {
  /** Written out, as is that of each class below: a minifier renames classes. */
  override readonly name: string = 'KafkaError'
  /** Stable: Kafka's own name of the error, or one of ours; listed in docs/errors.md. */
  readonly code: string
  /** The protocol's error number, or undefined for an error of the client's own. */
  readonly errno: number | undefined
  /** The same call may succeed when it is made again. */
  readonly retriable: boolean
  /** The producer is unusable from here on; only `close()` is left. */
  readonly fatal: boolean
  /** The transaction must be aborted; the producer goes on after that. */
  readonly abortable: boolean
  /** On delivery errors: the outcome of the append is unknown, the record may be in the log nevertheless. */
  readonly mayHaveBeenWritten: boolean

  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause })
    this.code = details.code ?? 'UNKNOWN'
    this.errno = details.errno
    this.retriable = details.retriable ?? false
    this.fatal = details.fatal ?? false
    this.abortable = details.abortable ?? false
    this.mayHaveBeenWritten = details.mayHaveBeenWritten ?? false
  }
}

/** The configuration is unusable; `problems` lists everything found, one sentence each. */
export class ConfigError extends KafkaError {
  override readonly name: string = 'ConfigError'
  readonly problems: readonly string[]
  constructor(problems: readonly string[]) {
    super(problems.length === 1 ? problems[0]! : `${problems.length} problems:\n- ${problems.join('\n- ')}`, {
      code: 'INVALID_CONFIG',
    })
    this.problems = problems
  }
}

/** The call is not legal in the producer's present state. */
export class IllegalStateError extends KafkaError {
  override readonly name: string = 'IllegalStateError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'ILLEGAL_STATE', ...details })
  }
}

/** The producer was closed: before the call, or before the record could be delivered. */
export class ProducerClosedError extends IllegalStateError {
  override readonly name: string = 'ProducerClosedError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'PRODUCER_CLOSED', ...details })
  }
}

/** A key, value or header could not be turned into bytes. */
export class SerializationError extends KafkaError {
  override readonly name: string = 'SerializationError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'SERIALIZATION_FAILED', ...details })
  }
}

/** The record is larger than `maxRequestSize`, `bufferMemory`, or what the broker takes. */
export class RecordTooLargeError extends KafkaError {
  override readonly name: string = 'RecordTooLargeError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'RECORD_TOO_LARGE', ...details })
  }
}

/** Time ran out: `maxBlockMs`, `requestTimeoutMs` or `deliveryTimeoutMs`; the message says which. */
export class TimeoutError extends KafkaError {
  override readonly name: string = 'TimeoutError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'TIMEOUT', retriable: true, ...details })
  }
}

/** No room within `bufferMemory`: records are sent faster than the brokers acknowledge them. */
export class BufferExhaustedError extends TimeoutError {
  override readonly name: string = 'BufferExhaustedError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'BUFFER_EXHAUSTED', ...details })
  }
}

/** A broker cannot be reached, or the connection to it broke. */
export class ConnectionError extends KafkaError {
  override readonly name: string = 'ConnectionError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'NETWORK_EXCEPTION', retriable: true, ...details })
  }
}

/** The broker refused the credentials, the TLS handshake failed, or the server speaks another protocol. */
export class AuthenticationError extends ConnectionError {
  override readonly name: string = 'AuthenticationError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'SASL_AUTHENTICATION_FAILED', retriable: false, ...details })
  }
}

/** The principal may not use the resource that the message names. */
export class AuthorizationError extends KafkaError {
  override readonly name: string = 'AuthorizationError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'TOPIC_AUTHORIZATION_FAILED', ...details })
  }
}

/** Client and broker have no version of an API in common. */
export class UnsupportedVersionError extends KafkaError {
  override readonly name: string = 'UnsupportedVersionError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'UNSUPPORTED_VERSION', ...details })
  }
}

/**
 * Another producer with the same transactional id (or a newer epoch) took over; this one must stop. Only `abortable`
 * where a partition's leader said so of records: `abortTransaction` tells whether it is the end.
 */
export class ProducerFencedError extends KafkaError {
  override readonly name: string = 'ProducerFencedError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'PRODUCER_FENCED', fatal: true, ...details })
  }
}

/** The broker saw a sequence number it did not expect and the producer could not recover from it. */
export class OutOfOrderSequenceError extends KafkaError {
  override readonly name: string = 'OutOfOrderSequenceError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'OUT_OF_ORDER_SEQUENCE_NUMBER', ...details })
  }
}

/** The transaction this record belonged to was aborted. */
export class TransactionAbortedError extends KafkaError {
  override readonly name: string = 'TransactionAbortedError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'TRANSACTION_ABORTED', abortable: true, ...details })
  }
}

/** Any other error code that a broker answered. */
export class BrokerError extends KafkaError {
  override readonly name: string = 'BrokerError'
}

/** Bytes from a broker that make no sense; the connection they came from was closed. */
export class ProtocolError extends KafkaError {
  override readonly name: string = 'ProtocolError'
  constructor(message: string, details: KafkaErrorDetails = {}) {
    super(message, { code: 'PROTOCOL_ERROR', ...details })
  }
}

/** The same error for a record whose append is open, or is not. @internal */
export function withOutcome(error: KafkaError, mayHaveBeenWritten: boolean): KafkaError {
  if (error.mayHaveBeenWritten === mayHaveBeenWritten) return error
  const { retriable, fatal, abortable } = error
  return likeIt(error, { retriable, fatal, abortable, mayHaveBeenWritten })
}

/** The same error, after which the producer cannot go on; the given one is its cause. @internal */
export function asFatal(error: KafkaError): KafkaError {
  return error.fatal ? error : likeIt(error, { retriable: false, fatal: true })
}

/** The same error with more to say; the given one is its cause. @internal */
export function explained(error: KafkaError, message: string): KafkaError {
  const { retriable, fatal, abortable } = error
  return likeIt(error, { retriable, fatal, abortable }, message)
}

function likeIt(error: KafkaError, details: KafkaErrorDetails, message = error.message): KafkaError {
  const { code, errno } = error
  const ErrorClass = error.constructor as typeof KafkaError
  return new ErrorClass(message, { code, errno, ...details, cause: error })
}
