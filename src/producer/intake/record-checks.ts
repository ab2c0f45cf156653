/** What `send` was given, looked at before anything is done with it. */
import { isUint8Array } from 'node:util/types'
import { invalidArgument } from '../../config/arguments.js'
import { show } from '../../config/option-kinds.js'
import { SerializationError } from '../../errors.js'
import { brokerError } from '../../protocol/error-codes.js'
import type { DeliveryCallback, Payload } from '../../record.js'

const INVALID_TOPIC_EXCEPTION = 17

/** Timestamps up to here keep their differences exact. */
const MAX_TIMESTAMP = 2 ** 52 - 1

/** kafkajs and others take lists. */
const ONE_RECORD =
  'send() takes one record, { topic, key, value }, and no list of messages: call it once for each, which fills the same batches'

export function assertRecord(given: unknown): void {
  if (typeof given === 'object' && given !== null) {
    if ('messages' in given && !('value' in given)) throw new SerializationError(ONE_RECORD)
    return
  }
  throw new SerializationError(`send() takes a record such as { topic, key, value }, not ${String(given)}`)
}

/** `records.map(producer.send, producer)` gives an index; others expect options there. */
export function assertCallback(given: unknown): asserts given is DeliveryCallback | null | undefined {
  if (given === undefined || given === null || typeof given === 'function') return
  throw invalidArgument('send', 'the second argument', 'a callback, or undefined for a promise', given)
}

export function assertTopicName(name: unknown, call = 'send'): asserts name is string {
  const isValid =
    typeof name === 'string' && /^[a-zA-Z0-9._-]{1,249}$/.test(name) && name !== '.' && name !== '..'
  if (isValid) return
  const absent = call === 'send' ? 'a record without a topic' : `${call} without a topic`
  const what = name === undefined ? absent : `topic ${show(name)}`
  throw brokerError(INVALID_TOPIC_EXCEPTION, what, {
    message:
      'the name is a string that has 1 to 249 of the characters a-z, A-Z, 0-9, ".", "_" and "-", and is neither "." nor ".."',
  })
}

export function checkedTimestamp(given: number): number {
  if (Number.isInteger(given) && given >= 0 && given <= MAX_TIMESTAMP) return given
  throw new SerializationError(
    `timestamp must be milliseconds since 1970, an integer from 0 to ${MAX_TIMESTAMP}, not ${String(given)}`,
  )
}

export function assertPayload(
  payload: unknown,
  topic: string,
  part: 'key' | 'value',
): asserts payload is Payload {
  if (typeof payload === 'string' || payload === null || isUint8Array(payload)) return
  throw new SerializationError(
    `the ${part} of a record for topic ${topic} is ${payload === undefined ? 'undefined' : `of type ${typeof payload}`}, ` +
      `not a string, a Uint8Array or null; other values need a ${part}Serializer, such as json()`,
  )
}
