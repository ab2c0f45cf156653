/// <reference types="node" preserve="true" />
/** The public entry of `kafka-producer`: names, no logic. */
export { Producer, type MetadataChange, type PartitionInfo, type ProducerEvents } from './producer.js'
export type { TopicOptions, TopicProducer } from './topic-producer.js'
export type { Transaction } from './transaction.js'
export type { ConsumedOffset, ConsumedOffsets, ConsumerGroupMetadata } from './consumer-offsets.js'
export type { ProducerConfig } from './config/config.js'
export { configFromProperties, type PropertiesOptions } from './config/config-properties.js'
export type {
  OAuthToken,
  OAuthTokenFunction,
  SaslAwsMskIam,
  SaslBroker,
  SaslMechanism,
  SaslOAuthBearer,
  SaslOptions,
  SaslPassword,
  SaslStep,
  Secret,
} from './config/sasl-option.js'
export type { SslFunction } from './config/ssl-option.js'
export {
  oidcClientCredentials,
  type OidcClientCredentialsOptions,
} from './network/sasl/oidc-client-credentials.js'
export type { Codec, Codecs, CompressionType } from './codec.js'
export type { Logger } from './logger.js'
export type { ProducerInterceptor } from './interceptor.js'
export type { ProducerMetrics } from './metrics.js'
export {
  keyHash,
  roundRobin,
  sticky,
  type Partitioner,
  type PartitionerCluster,
  type PartitionerRecord,
} from './partitioner.js'
export type {
  DeliveryCallback,
  Headers,
  Payload,
  ProducerRecord,
  RecordMetadata,
  TopicPartition,
} from './record.js'
export {
  bytes,
  float64,
  int32,
  int64,
  json,
  string,
  uuid,
  type Serializer,
  type SerializerContext,
} from './serializer.js'
export {
  AuthenticationError,
  AuthorizationError,
  BrokerError,
  BufferExhaustedError,
  ConfigError,
  ConnectionError,
  IllegalStateError,
  KafkaError,
  OutOfOrderSequenceError,
  ProducerClosedError,
  ProducerFencedError,
  ProtocolError,
  RecordTooLargeError,
  SerializationError,
  TimeoutError,
  TransactionAbortedError,
  UnsupportedVersionError,
  type KafkaErrorDetails,
} from './errors.js'
