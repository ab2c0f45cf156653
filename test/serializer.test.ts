// The bytes of integers, doubles and UUIDs were printed by the Java serializers of Kafka 4.2.0.
import { expect, test } from 'vitest'
import { SerializationError } from '../src/errors.js'
import {
  bytes,
  float64,
  int32,
  int64,
  json,
  string,
  uuid,
  type SerializerContext,
} from '../src/serializer.js'

const context: SerializerContext = { topic: 'orders', isKey: false, headers: [] }
const keyContext: SerializerContext = { topic: 'orders', isKey: true, headers: [] }

function hex(payload: unknown): string {
  if (!(payload instanceof Uint8Array)) throw new Error('not bytes')
  return Buffer.from(payload).toString('hex')
}

/** The message of the SerializationError, for values that the types would refuse. */
function refusal(serialize: (value: never, context: SerializerContext) => unknown, value: unknown): string {
  try {
    serialize(value as never, context)
  } catch (error) {
    if (error instanceof SerializationError) return error.message
    throw error
  }
  throw new Error('nothing was refused')
}

test('string passes text on and refuses the rest without showing it', () => {
  expect(string()('Gr\u00fc\u00dfe', context)).toBe('Gr\u00fc\u00dfe')
  expect(refusal(string(), 5)).toBe("value of a record for topic 'orders': string() takes a string, not 5")
  expect(refusal(string(), { secret: 'hush' })).toMatch(/not an object \(Object\)$/)
  expect(refusal(string(), Object.create(null))).toMatch(/not an object \(without a prototype\)$/)
  expect(refusal(string(), [])).toMatch(/not an object \(Array\)$/)
})

test('an error says whether it was the key', () => {
  expect(() => string()(5 as never, keyContext)).toThrow(/^key of a record for topic 'orders'/)
})

test('json writes what JSON.stringify writes', () => {
  expect(json()({ a: [1, 'x', null] }, context)).toBe('{"a":[1,"x",null]}')
  expect(json()('text', context)).toBe('"text"')
})

test('json refuses what JSON has no text for', () => {
  expect(refusal(json(), undefined)).toMatch(/a value that JSON can express, not undefined$/)
  expect(refusal(json(), () => 1)).toMatch(/not a function$/)
  expect(refusal(json(), Symbol('s'))).toMatch(/not a symbol$/)
})

test('json names a bigint and a circular structure, and keeps the cause', () => {
  expect(refusal(json(), { amount: 1n })).toMatch(/json\(\) failed: .*BigInt/)
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  expect(refusal(json(), circular)).toMatch(/json\(\) failed: Converting circular structure to JSON$/)
  const thrower = {
    toJSON() {
      throw new RangeError('no')
    },
  }
  expect(() => json()(thrower, context)).toThrow(expect.objectContaining({ cause: new RangeError('no') }))
})

test('bytes passes bytes on and refuses the rest', () => {
  const given = Uint8Array.of(1, 2)
  expect(bytes()(given, context)).toBe(given)
  expect(refusal(bytes(), 'text')).toMatch(/takes a Uint8Array or Buffer, not a string of 4 characters$/)
  expect(refusal(bytes(), [1, 2])).toMatch(/not an object \(Array\)$/)
})

test.each([
  [0, '00000000'],
  [1, '00000001'],
  [-1, 'ffffffff'],
  [258, '00000102'],
  [2147483647, '7fffffff'],
  [-2147483648, '80000000'],
])('int32 writes %i as Java does', (value, expected) => {
  expect(hex(int32()(value, context))).toBe(expected)
})

test.each([2147483648, -2147483649, 1.5, NaN, Infinity, '5', 5n, null, undefined, true])(
  'int32 refuses %s',
  (value) => {
    expect(refusal(int32(), value)).toMatch(/takes an integer from -2147483648 to 2147483647, not /)
  },
)

test.each<[bigint | number, string]>([
  [0, '0000000000000000'],
  [1n, '0000000000000001'],
  [-1, 'ffffffffffffffff'],
  [9007199254740993n, '0020000000000001'],
  [9223372036854775807n, '7fffffffffffffff'],
  [-9223372036854775808n, '8000000000000000'],
])('int64 writes %s as Java does', (value, expected) => {
  expect(hex(int64()(value, context))).toBe(expected)
})

test.each([9223372036854775808n, -9223372036854775809n, 9007199254740992, 1.5, NaN, '1', null])(
  'int64 refuses %s',
  (value) => {
    expect(refusal(int64(), value)).toMatch(
      /takes a bigint from -2\^63 to 2\^63 - 1, or a safe integer, not /,
    )
  },
)

test.each([
  [0, '0000000000000000'],
  [-0, '8000000000000000'],
  [1.5, '3ff8000000000000'],
  [-1e300, 'fe37e43c8800759c'],
  [NaN, '7ff8000000000000'],
  [Infinity, '7ff0000000000000'],
  [5e-324, '0000000000000001'],
])('float64 writes %d as Java does', (value, expected) => {
  expect(hex(float64()(value, context))).toBe(expected)
})

test('float64 refuses what is no number', () => {
  expect(refusal(float64(), '1.5')).toMatch(/takes a number, not a string of 3 characters$/)
})

test('uuid writes 36 characters in lower case, as Java does', () => {
  expect(uuid()('123E4567-E89B-12D3-A456-426614174000', context)).toBe('123e4567-e89b-12d3-a456-426614174000')
})

test.each(['', '123e4567e89b12d3a456426614174000', '123e4567-e89b-12d3-a456-42661417400g', 5])(
  'uuid refuses %j',
  (value) => {
    expect(refusal(uuid(), value)).toMatch(/takes a UUID of 36 characters/)
  },
)
