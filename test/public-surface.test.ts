/** What the entries export at run time: a change here is a change of the public interface and belongs in CHANGELOG.md. */
import * as main from 'kafka-producer'
import * as testing from 'kafka-producer/testing'
import { expect, test } from 'vitest'

test('kafka-producer exports these names', () => {
  expect(Object.keys(main).toSorted()).toMatchInlineSnapshot(`
    [
      "AuthenticationError",
      "AuthorizationError",
      "BrokerError",
      "BufferExhaustedError",
      "ConfigError",
      "ConnectionError",
      "IllegalStateError",
      "KafkaError",
      "OutOfOrderSequenceError",
      "Producer",
      "ProducerClosedError",
      "ProducerFencedError",
      "ProtocolError",
      "RecordTooLargeError",
      "SerializationError",
      "TimeoutError",
      "TransactionAbortedError",
      "UnsupportedVersionError",
      "bytes",
      "configFromProperties",
      "float64",
      "int32",
      "int64",
      "json",
      "keyHash",
      "oidcClientCredentials",
      "roundRobin",
      "sticky",
      "string",
      "uuid",
    ]
  `)
})

test('kafka-producer/testing exports these names', () => {
  expect(Object.keys(testing).toSorted()).toMatchInlineSnapshot(`
    [
      "TestCluster",
    ]
  `)
})
