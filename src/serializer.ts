/**
 * From a caller's values to bytes. Integers, doubles and UUIDs are laid out as the Java client's serializers lay
 * them out, so that any Kafka consumer with the matching deserializer reads them.
 */
import { isUint8Array } from 'node:util/types'
import { SerializationError } from './errors.js'
import type { Payload } from './record.js'

/** What a serializer knows beside the value. */
export interface SerializerContext {
  readonly topic: string
  /** True for a key, false for a value. */
  readonly isKey: boolean
  /** The record's headers as a list; a serializer may add to it, until its result is there. */
  readonly headers: (readonly [string, Payload])[]
}

/**
 * Turns a key or value into text (written as UTF-8) or bytes, at once or as a promise; records leave in the order of
 * their `send` calls either way. Bytes that it returns are copied as they arrive; bytes that it is given are its own to read
 * until it settles, whereas other objects are the caller's, who may change them. Never called with null: a null key is no key, a null value is a tombstone.
 */
export type Serializer<T> = (value: T, context: SerializerContext) => Payload | Promise<Payload>

/** Text as UTF-8. Anything but a string is a SerializationError. */
export function string(): Serializer<string> {
  return (value: unknown, context) => {
    if (typeof value === 'string') return value
    throw refusal('string', value, 'a string', context)
  }
}

/**
 * JSON as UTF-8, by `JSON.stringify`. A value that JSON cannot say (undefined, a function, a bigint, a circular
 * structure) is a SerializationError.
 */
export function json<T = unknown>(): Serializer<T> {
  return (value, context) => {
    let text: unknown
    try {
      text = JSON.stringify(value)
    } catch (error) {
      throw new SerializationError(`${subject(context)}: json() failed: ${reason(error)}`, { cause: error })
    }
    // The types do not say so, but undefined, a function or a symbol has no text.
    if (typeof text === 'string') return text
    throw refusal('json', value, 'a value that JSON can express', context)
  }
}

const asTheyAre = (value: unknown, context: SerializerContext): Uint8Array => {
  if (isUint8Array(value)) return value
  throw refusal('bytes', value, 'a Uint8Array or Buffer', context)
}

/**
 * Bytes as they are: a Uint8Array or a Buffer. Anything else is a SerializationError. Always the same function, so it can
 * be recognised by identity.
 */
export function bytes(): Serializer<Uint8Array> {
  return asTheyAre
}

/** A 32-bit signed integer in 4 bytes, big-endian, as Java's IntegerSerializer writes it. */
export function int32(): Serializer<number> {
  return (value: unknown, context) => {
    if (typeof value !== 'number' || (value | 0) !== value) {
      throw refusal('int32', value, 'an integer from -2147483648 to 2147483647', context)
    }
    const out = Buffer.allocUnsafe(4)
    out.writeInt32BE(value)
    return out
  }
}

/**
 * A 64-bit signed integer in 8 bytes, big-endian, as Java's LongSerializer writes it. A number must be a safe
 * integer: beyond 2^53 - 1 only a bigint is exact.
 */
export function int64(): Serializer<bigint | number> {
  return (value: unknown, context) => {
    const wide = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value
    if (typeof wide !== 'bigint' || BigInt.asIntN(64, wide) !== wide) {
      throw refusal('int64', value, 'a bigint from -2^63 to 2^63 - 1, or a safe integer', context)
    }
    const out = Buffer.allocUnsafe(8)
    out.writeBigInt64BE(wide)
    return out
  }
}

/** A double in 8 bytes, big-endian IEEE 754, as Java's DoubleSerializer writes it; NaN and infinities included. */
export function float64(): Serializer<number> {
  return (value: unknown, context) => {
    if (typeof value !== 'number') throw refusal('float64', value, 'a number', context)
    const out = Buffer.allocUnsafe(8)
    out.writeDoubleBE(value)
    return out
  }
}

const UUID = /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i

/** A UUID as its 36 characters in lower case, as Java's UUIDSerializer writes it. */
export function uuid(): Serializer<string> {
  return (value: unknown, context) => {
    if (typeof value === 'string' && UUID.test(value)) return value.toLowerCase()
    throw refusal(
      'uuid',
      value,
      'a UUID of 36 characters such as 123e4567-e89b-12d3-a456-426614174000',
      context,
    )
  }
}

function refusal(
  name: string,
  value: unknown,
  valid: string,
  context: SerializerContext,
): SerializationError {
  return new SerializationError(`${subject(context)}: ${name}() takes ${valid}, not ${describe(value)}`)
}

function subject({ topic, isKey }: SerializerContext): string {
  return `${isKey ? 'key' : 'value'} of a record for topic '${topic}'`
}

/** Numbers are shown; text and objects may be private and are only described. */
function describe(value: unknown): string {
  switch (typeof value) {
    case 'bigint':
      return `${value}n`
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value)
    case 'string':
      return `a string of ${value.length} characters`
    case 'symbol':
      return 'a symbol'
    case 'function':
      return 'a function'
    case 'object':
      return value === null ? 'null' : `an object (${constructorName(value)})`
  }
}

function constructorName(value: object): string {
  const prototype: unknown = Object.getPrototypeOf(value)
  if (prototype === null || typeof prototype !== 'object') return 'without a prototype'
  return typeof prototype.constructor === 'function' ? prototype.constructor.name : 'without a constructor'
}

function reason(error: unknown): string {
  // V8's message about a cycle goes on over several lines and names the properties; the first line says it all.
  return error instanceof Error ? error.message.split('\n', 1)[0]! : String(error)
}
