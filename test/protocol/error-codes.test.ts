import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
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
} from '../../src/errors.js'
import {
  brokerError,
  errorByCode,
  errorByName,
  errorCodes,
  errorName,
} from '../../src/protocol/error-codes.js'

describe('errorCodes', () => {
  it('has the codes, names and advice of Kafka 4.2', () => {
    const path = join(__dirname, '../fixtures/protocol/errors.jsonl')
    const kafka = readFileSync(path, 'utf8')
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line) as unknown)
    const ours = errorCodes.map(({ errno, name, retriable, refreshMetadata }) => ({
      errno,
      name,
      retriable,
      refreshMetadata,
    }))
    expect(ours).toEqual(kafka)
  })

  it('has a message for each code', () => {
    expect(errorCodes.filter(({ message }) => message.length < 8)).toEqual([])
    expect(new Set(errorCodes.map(({ message }) => message)).size).toBe(errorCodes.length)
  })

  it('finds a code by number and by name', () => {
    expect(errorByCode(6)).toBe(errorByName('NOT_LEADER_OR_FOLLOWER'))
    expect(errorName(6)).toBe('NOT_LEADER_OR_FOLLOWER')
    expect(errorByName('NO_SUCH_NAME')).toBeUndefined()
  })

  it('keeps the number of a code it does not know and does not retry it', () => {
    expect(errorName(999)).toBe('UNKNOWN(999)')
    expect(errorByCode(-2)).toMatchObject({
      errno: -2,
      name: 'UNKNOWN(-2)',
      retriable: false,
      refreshMetadata: false,
    })
    const error = brokerError(999, 'Produce to orders-3 at broker 2')
    expect(error).toBeInstanceOf(BrokerError)
    expect(error).toMatchObject({ code: 'UNKNOWN(999)', errno: 999, retriable: false, fatal: false })
  })
})

describe('brokerError', () => {
  it('says what was tried, what Kafka calls the error, and what it means', () => {
    const error = brokerError(19, 'Produce to orders-3 at broker 2')
    expect(error.message).toBe(
      "Produce to orders-3 at broker 2: NOT_ENOUGH_REPLICAS (19): fewer replicas are in sync than min.insync.replicas asks for: see which of the partition's brokers are down or lag",
    )
    expect(error).toMatchObject({
      name: 'BrokerError',
      code: 'NOT_ENOUGH_REPLICAS',
      errno: 19,
      retriable: true,
      fatal: false,
      abortable: false,
      mayHaveBeenWritten: false,
    })
  })

  it("prefers the broker's own words", () => {
    expect(brokerError(87, 'x', { message: 'record 3 has no key' }).message).toBe(
      'x: INVALID_RECORD (87): record 3 has no key',
    )
  })

  it.each([null, undefined, '', ' '])('uses ours where the broker says %o', (message) => {
    expect(brokerError(87, 'x', { message }).message).toBe(brokerError(87, 'x').message)
  })

  it("cuts the broker's words where they are long", () => {
    const { message } = brokerError(87, 'x', { message: 'y'.repeat(1_000_000) })
    expect(message.length).toBeLessThan(1100)
    expect(message).toContain('(1000000 characters)')
  })

  it.each<[string, abstract new (...parameters: never[]) => KafkaError]>([
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
    ['NOT_LEADER_OR_FOLLOWER', BrokerError],
  ])('turns %s into a %o', (name, expected) => {
    const code = errorByName(name)!
    const error = brokerError(code.errno, 'x')
    expect(error).toBeInstanceOf(expected)
    expect(error).toMatchObject({ code: name, errno: code.errno, retriable: code.retriable })
  })

  it('makes only PRODUCER_FENCED fatal and only TRANSACTION_ABORTABLE abortable', () => {
    const all = errorCodes.map(({ errno }) => brokerError(errno, 'x'))
    expect(all.filter((error) => error.fatal).map((error) => error.code)).toEqual(['PRODUCER_FENCED'])
    expect(all.filter((error) => error.abortable).map((error) => error.code)).toEqual([
      'TRANSACTION_ABORTABLE',
    ])
  })

  it('lets the caller know better', () => {
    const cause = new Error('why')
    const error = brokerError(31, 'x', {
      fatal: true,
      retriable: true,
      abortable: true,
      mayHaveBeenWritten: true,
      cause,
    })
    expect(error).toMatchObject({
      fatal: true,
      retriable: true,
      abortable: true,
      mayHaveBeenWritten: true,
      cause,
    })
    expect(brokerError(90, 'x', { fatal: false }).fatal).toBe(false)
  })
})
