/**
 * Every option, once: this table drives the types, the validation, what an editor shows, and
 * docs/configuration.md. Names are Kafka's with the dots made camelCase; meaning, defaults and bounds are those of the
 * Java client 4.2, and each difference is told where it is.
 */
import { bootstrapServers } from './bootstrap-servers.js'
import type { Codecs } from '../codec.js'
import { boolean, int, long, MAX_INT, mustBe, oneOf, text, value, type Option } from './option-kinds.js'
import type { ProducerInterceptor } from '../interceptor.js'
import { stderrLogger, type Logger } from '../logger.js'
import { keyHash, type Partitioner } from '../partitioner.js'
import { sasl } from './sasl-option.js'
import type { Serializer } from '../serializer.js'
import { ssl } from './ssl-option.js'

const isFunction = (given: unknown): boolean => typeof given === 'function'

/** Every method that is there is a function, and at least one is there. */
function hasMethods(given: unknown, methods: readonly string[], least: number): boolean {
  if (typeof given !== 'object' || given === null) return false
  const found = methods
    .map((name) => (given as Record<string, unknown>)[name])
    .filter((one) => one !== undefined)
  return found.length >= least && found.every(isFunction)
}

function serializer(kafkaName: string): Option<Serializer<unknown>, Serializer<unknown> | undefined> {
  return value<Serializer<unknown> | undefined>(
    kafkaName,
    'a function such as json(), string() or bytes()',
    isFunction,
    { default: undefined, defaultText: 'none' },
  )
}

/** Text that is there or not; an empty one would be an id like any other, shared by accident. */
function transactionalId(kafkaName: string): Option<string, string | undefined> {
  const option = text(kafkaName, { default: '', defaultText: 'none' })
  const valid = 'a string of 1 to 32767 bytes'
  return {
    ...option,
    valid,
    default: undefined,
    read: (given) => {
      const read = option.read(given)
      return typeof read === 'string' && read !== '' ? read : mustBe(valid, given)
    },
  }
}

/** Kept as the number that Produce requests carry. */
function acksOption(kafkaName: string): Option<'all' | -1 | 1 | 0, -1 | 1 | 0> {
  const option = oneOf(kafkaName, ['all', -1, 1, 0], 'all')
  return {
    ...option,
    default: -1,
    defaultText: "'all'",
    read: (given) => {
      const read = option.read(given)
      return read === 'all' ? -1 : read
    },
  }
}

/** Kafka's own bounds: 0, which would store, is not a level. */
function gzipLevel(kafkaName: string): Option<number> {
  const option = int(kafkaName, { default: -1, min: -1, max: 9 })
  const valid = 'an integer from 1 to 9, or -1'
  return {
    ...option,
    valid,
    read: (given) => {
      const read = option.read(given)
      return typeof read === 'number' && read !== 0 ? read : mustBe(valid, given)
    },
  }
}

const SECURITY_PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'] as const
type SecurityProtocol = (typeof SECURITY_PROTOCOLS)[number]

function securityProtocol(kafkaName: string): Option<SecurityProtocol> {
  return {
    ...oneOf(kafkaName, SECURITY_PROTOCOLS, 'PLAINTEXT'),
    defaultText: 'what ssl and sasl imply',
    fromText: (written) => written.toUpperCase(),
  }
}

const CODECS = new Set(['gzip', 'snappy', 'lz4', 'zstd'])

/** An object whose names are compression types and whose values can compress. */
function areCodecs(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  return Object.entries(given).every(
    ([type, codec]) => CODECS.has(type) && (codec === undefined || hasMethods(codec, ['compress'], 1)),
  )
}

/**
 * The options. The docstring of each is the text of docs/configuration.md; its `@defaultValue` is compared with the
 * table by a test.
 */
export const producerOptions = {
  /**
   * The brokers to begin with, `'host:port'` each: a list, or one string with commas. The rest of the cluster is
   * found through any one of them, so two or three are enough. An IPv6 address stands in brackets: `'[::1]:9092'`.
   */
  bootstrapServers: bootstrapServers('bootstrap.servers'),

  /**
   * The name of this client in the broker's logs, metrics and quotas. Without one it is `producer-1`, `producer-2`
   * and so on, counted in this process.
   * @defaultValue generated
   */
  clientId: text('client.id', { default: '', defaultText: 'generated' }),

  /**
   * Which replicas must have a record before `send` is settled. `'all'` (or -1): every in-sync replica; what was
   * acknowledged survives the loss of brokers as long as one in-sync replica lives. 1: the leader alone; lost when
   * the leader dies before the others have copied it. 0: nobody; the promise is fulfilled when the bytes are handed to
   * the socket, the offset is unknown (-1n), and an error of the broker is never seen. 1 and 0 turn idempotence off.
   * @defaultValue 'all'
   */
  acks: acksOption('acks'),

  /**
   * Numbers the records of each partition so that a broker stores each once and in order, however often a request
   * is repeated. Needs `acks: 'all'`, `retries` above 0 and at most 5 requests in flight: asking for it by name and
   * contradicting it is an error; where it is not mentioned, `acks` 0 or 1, or `retries: 0`, turns it off.
   * @defaultValue true
   */
  enableIdempotence: boolean('enable.idempotence', true),

  /**
   * Makes the producer transactional: the name under which the cluster knows it from one run to the next (KIP-98). Of
   * two producers with the same id the later one fences the earlier, and ends what it left open. Needs idempotence.
   * @defaultValue none
   */
  transactionalId: transactionalId('transactional.id'),

  /**
   * How long a transaction may stay open, in milliseconds, before its coordinator aborts it. At most the brokers'
   * `transaction.max.timeout.ms`, which is 15 minutes by default; at least 1, where Java leaves the refusal of less to the
   * broker.
   * @defaultValue 60000
   */
  transactionTimeoutMs: int('transaction.timeout.ms', { default: 60_000, min: 1 }),

  /**
   * How often a batch is tried again after an error that may pass. Better left alone: `deliveryTimeoutMs` bounds the
   * time instead. 0 turns idempotence off.
   * @defaultValue 2147483647
   */
  retries: int('retries', { default: MAX_INT, min: 0 }),

  /**
   * How many Produce requests may be unanswered on one connection. With idempotence at most 5, and order is kept;
   * without it, more than 1 may reorder records when one is tried again.
   * @defaultValue 5
   */
  maxInFlightRequestsPerConnection: int('max.in.flight.requests.per.connection', { default: 5, min: 1 }),

  /**
   * How long a batch waits for more records before it is sent, in milliseconds. A full batch does not wait. 0 sends
   * as soon as the broker can take it. Values above 2147483647 count as that.
   * @defaultValue 5
   */
  lingerMs: long('linger.ms', { default: 5, min: 0 }),

  /**
   * How batches are compressed: `'none'`, `'gzip'`, `'snappy'`, `'lz4'` or `'zstd'`. What is compressed is a whole
   * batch, so larger batches (`batchSize`, `lingerMs`) compress better. zstd needs brokers of 2.1 and up.
   * @defaultValue 'none'
   */
  compressionType: oneOf('compression.type', ['none', 'gzip', 'snappy', 'lz4', 'zstd'], 'none'),

  /**
   * The level of gzip, from 1 (fast) to 9 (small); -1 means 6 (KIP-390).
   * @defaultValue -1
   */
  compressionGzipLevel: gzipLevel('compression.gzip.level'),

  /**
   * The level of LZ4, from 1 to 17; 9 is the fast algorithm, as in the Java client (KIP-390). lz4js, which is the
   * default, has no other: any other level is a warning in the log, and without effect.
   * @defaultValue 9
   */
  compressionLz4Level: int('compression.lz4.level', { default: 9, min: 1, max: 17 }),

  /**
   * The level of zstd, from -131072 (fast) to 22 (small) (KIP-390).
   * @defaultValue 3
   */
  compressionZstdLevel: int('compression.zstd.level', { default: 3, min: -131_072, max: 22 }),

  /**
   * The bytes of a batch, which holds records of one partition. A batch that is full is sent at once; a larger record
   * gets a batch of its own. 0 means one record per batch.
   * @defaultValue 16384
   */
  batchSize: int('batch.size', { default: 16_384, min: 0 }),

  /**
   * Bounds the bytes of records that wait for their acknowledgement. When it is spent, `send` waits up to
   * `maxBlockMs` for room, and then fails with a BufferExhaustedError. What waits for room is bounded by as much again.
   * @defaultValue 33554432
   */
  bufferMemory: long('buffer.memory', { default: 32 * 1024 * 1024, min: 0 }),

  /**
   * The most bytes of one Produce request, and so of one record (before compression). A larger record fails with a
   * RecordTooLargeError. Brokers have a limit of their own, `message.max.bytes`.
   * @defaultValue 1048576
   */
  maxRequestSize: int('max.request.size', { default: 1024 * 1024, min: 0 }),

  /**
   * How long `send` may wait for the topic's metadata and for room in `bufferMemory`, in milliseconds. Bounds `connect`,
   * `partitionsFor` and each call of a transaction, too.
   * @defaultValue 60000
   */
  maxBlockMs: long('max.block.ms', { default: 60_000, min: 0 }),

  /**
   * From `send` to success or failure of each record, whatever happens meanwhile, in milliseconds. Must be at least
   * `lingerMs + requestTimeoutMs`; where only those two are given it is raised to their sum. Stricter than the Java
   * client, where waiting for metadata and for room comes on top.
   * @defaultValue 120000
   */
  deliveryTimeoutMs: int('delivery.timeout.ms', { default: 120_000, min: 0 }),

  /**
   * How long a broker may take to answer a request, in milliseconds. After that the connection is closed and what
   * was under way on it is tried again.
   * @defaultValue 30000
   */
  requestTimeoutMs: int('request.timeout.ms', { default: 30_000, min: 0 }),

  /**
   * The pause before the first retry of a failed request, in milliseconds. It doubles each time, with 20 %
   * jitter, up to `retryBackoffMaxMs` (KIP-580).
   * @defaultValue 100
   */
  retryBackoffMs: long('retry.backoff.ms', { default: 100, min: 0 }),

  /**
   * The longest pause between retries of a failed request, in milliseconds. Where it is below `retryBackoffMs`,
   * every pause is this long.
   * @defaultValue 1000
   */
  retryBackoffMaxMs: long('retry.backoff.max.ms', { default: 1000, min: 0 }),

  /**
   * The pause before connecting again to a broker, in milliseconds. It doubles with each failure, with 20 % jitter, up
   * to `reconnectBackoffMaxMs`.
   * @defaultValue 50
   */
  reconnectBackoffMs: long('reconnect.backoff.ms', { default: 50, min: 0 }),

  /**
   * The longest pause between attempts to connect, in milliseconds. When only `reconnectBackoffMs` is given, every
   * pause is that long.
   * @defaultValue 1000
   */
  reconnectBackoffMaxMs: long('reconnect.backoff.max.ms', { default: 1000, min: 0 }),

  /**
   * How long one attempt to connect may take, in milliseconds. It doubles with each failure, with 20 % jitter, up to
   * `socketConnectionSetupTimeoutMaxMs` (KIP-601). The Java client has no lower bound; here it is 1, for with less no
   * connection could be made.
   * @defaultValue 10000
   */
  socketConnectionSetupTimeoutMs: long('socket.connection.setup.timeout.ms', { default: 10_000, min: 1 }),

  /**
   * The longest time for one attempt to connect, in milliseconds. Where it is below `socketConnectionSetupTimeoutMs`,
   * every attempt has this long. The lower bound is 1, as there.
   * @defaultValue 30000
   */
  socketConnectionSetupTimeoutMaxMs: long('socket.connection.setup.timeout.max.ms', {
    default: 30_000,
    min: 1,
  }),

  /**
   * A connection without traffic is closed after this time, in milliseconds; a little less than the broker's ten
   * minutes, so that the two do not do it at the same time. Negative: never.
   * @defaultValue 540000
   */
  connectionsMaxIdleMs: long('connections.max.idle.ms', { default: 540_000 }),

  /**
   * The metadata of the topics in use is fetched again after this time even when nothing failed, in milliseconds; new
   * partitions are seen within it.
   * @defaultValue 300000
   */
  metadataMaxAgeMs: long('metadata.max.age.ms', { default: 300_000, min: 0 }),

  /**
   * A topic that nothing was sent to for this time is forgotten, in milliseconds; the next `send` to it fetches its
   * metadata again (KIP-526).
   * @defaultValue 300000
   */
  metadataMaxIdleMs: long('metadata.max.idle.ms', { default: 300_000, min: 5000 }),

  /**
   * What to do when no known broker can be reached: `'rebootstrap'` begins again with `bootstrapServers`, `'none'`
   * goes on trying the known brokers (KIP-899).
   * @defaultValue 'rebootstrap'
   */
  metadataRecoveryStrategy: oneOf('metadata.recovery.strategy', ['rebootstrap', 'none'], 'rebootstrap'),

  /**
   * With `metadataRecoveryStrategy: 'rebootstrap'`: also begin again after this time without any metadata, in
   * milliseconds (KIP-1102).
   * @defaultValue 300000
   */
  metadataRecoveryRebootstrapTriggerMs: long('metadata.recovery.rebootstrap.trigger.ms', {
    default: 300_000,
    min: 0,
  }),

  /**
   * How names become addresses. `'use_all_dns_ips'`: all addresses of a name are tried in turn.
   * `'resolve_canonical_bootstrap_servers_only'`: each bootstrap server is also replaced by the canonical names of all
   * its addresses (KIP-302, KIP-602).
   * @defaultValue 'use_all_dns_ips'
   */
  clientDnsLookup: oneOf(
    'client.dns.lookup',
    ['use_all_dns_ips', 'resolve_canonical_bootstrap_servers_only'],
    'use_all_dns_ips',
  ),

  /**
   * What the brokers' listener speaks: `'PLAINTEXT'`, `'SSL'` (which is TLS), `'SASL_PLAINTEXT'` or `'SASL_SSL'`. Follows
   * from `ssl` and `sasl`; one that contradicts them is an error. `'SSL'` alone trusts the usual authorities.
   * @defaultValue what ssl and sasl imply
   */
  securityProtocol: securityProtocol('security.protocol'),

  /**
   * TLS, with Node's `tls.ConnectionOptions`: `{ ca }`, `{ ca, cert, key }`, `{ pfx, passphrase }`, or `{}` for the
   * authorities that Node trusts. A function that returns them, or a promise, is asked at every connection, so that
   * renewed certificates need no restart. Certificates and host names are verified, and versions below TLS 1.2 refused
   * unless `minVersion` names one; `rejectUnauthorized: false` turns the check of certificates off and is a warning in
   * the log.
   * @defaultValue none
   */
  ssl: ssl('ssl.*'),

  /**
   * Who this client is: `{ mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512', username, password }`,
   * `{ mechanism: 'OAUTHBEARER', token }`, `{ mechanism: 'AWS_MSK_IAM', region }`, or a mechanism of your own,
   * `{ mechanism, authenticate }`. User name, password and token may be functions, which are asked at every
   * authentication and have `requestTimeoutMs` to answer.
   * @defaultValue none
   */
  sasl: sasl('sasl.*'),

  /**
   * Chooses the partition of a record that names none: `keyHash()`, `sticky()`, `roundRobin()`, or a function of your
   * own.
   * @defaultValue keyHash()
   */
  partitioner: value<Partitioner>('partitioner.class', 'a function', isFunction, {
    default: keyHash(),
    defaultText: 'keyHash()',
  }),

  /**
   * Sticky partitioning gives fewer records to partitions whose batches queue up (KIP-794). With false all partitions
   * are equally likely.
   * @defaultValue true
   */
  partitionerAdaptivePartitioningEnable: boolean('partitioner.adaptive.partitioning.enable', true),

  /**
   * Sticky partitioning avoids the partitions of a broker that has taken no batch for this time, in milliseconds,
   * although some were ready (KIP-794). 0: no such limit. Works only with `partitionerAdaptivePartitioningEnable`.
   * @defaultValue 0
   */
  partitionerAvailabilityTimeoutMs: long('partitioner.availability.timeout.ms', { default: 0, min: 0 }),

  /**
   * Keys do not choose the partition: what `partitioner: sticky()` does. Without effect where `partitioner` is given.
   * @defaultValue false
   */
  partitionerIgnoreKeys: boolean('partitioner.ignore.keys', false),

  /**
   * Turns keys into bytes: `string()`, `json()`, `bytes()`, `int32()`, `int64()`, `float64()`, `uuid()`, or a function
   * of your own. Without one, keys are strings (written as UTF-8), bytes or null.
   * @defaultValue none
   */
  keySerializer: serializer('key.serializer'),

  /**
   * Turns values into bytes, as `keySerializer` does for keys.
   * @defaultValue none
   */
  valueSerializer: serializer('value.serializer'),

  /**
   * See and may change every record before it is serialized, and see every outcome, in this order (KIP-42).
   * @defaultValue none
   */
  interceptors: value<readonly ProducerInterceptor[]>(
    'interceptor.classes',
    'a list of objects with onSend, onAcknowledgement or close',
    (given) =>
      Array.isArray(given) &&
      given.every((one) => hasMethods(one, ['onSend', 'onAcknowledgement', 'close'], 1)),
    { default: [], defaultText: 'none' },
  ),

  /**
   * Where the producer reports what no caller sees, such as a broker that cannot be reached: an object with `debug`,
   * `info`, `warn` and `error`. By default warnings and errors go to stderr.
   * @defaultValue stderr
   */
  logger: value<Logger>(
    undefined,
    'an object with the functions debug, info, warn and error',
    (given) => hasMethods(given, ['debug', 'info', 'warn', 'error'], 4),
    { default: stderrLogger, defaultText: 'stderr' },
  ),

  /**
   * Engines of your own for compression types: `{ zstd: { name: 'mine', compress: (bytes, level) => ... } }`, where the
   * result may be a promise. See the type `Codec` for the formats that Kafka reads.
   * @defaultValue none
   */
  codecs: value<Codecs>(
    undefined,
    'an object with gzip, snappy, lz4 or zstd, each an object with the function compress',
    areCodecs,
    { default: {}, defaultText: 'none' },
  ),

  /**
   * The most bytes of one answer. A length above it is taken for garbage, before any memory is given to it, and the
   * connection is closed. Only metadata of very large clusters needs more: 16 MiB hold about 350,000 partitions.
   * @defaultValue 16777216
   */
  socketMaxResponseBytes: long(undefined, { default: 16 * 1024 * 1024, min: 65_536, max: MAX_INT }),
}
