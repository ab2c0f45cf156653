import { expect, test } from 'vitest'
import { pairsOf } from '../../../src/producer/intake/copies.js'
import { isPromise } from '../../../src/producer/intake/serialization.js'
import { RecordHeaders, SerializerCall } from '../../../src/producer/intake/serializer-call.js'

test('headers that no serializer asks for stay the object that was given', () => {
  const given = { a: '1' }
  expect(new RecordHeaders('orders', given).current).toBe(given)
  expect(new RecordHeaders('orders', undefined).current).toBeUndefined()
})

test('what serializers add comes behind the given headers, and the given object stays as it is', () => {
  const given = { a: '1', b: null }
  const headers = new RecordHeaders('orders', given)
  new SerializerCall('orders', true, headers).headers.push(['schema', 'key'])
  new SerializerCall('orders', false, headers).headers.push(['schema', 'value'])
  expect(headers.current).toEqual([
    ['a', '1'],
    ['b', null],
    ['schema', 'key'],
    ['schema', 'value'],
  ])
  expect(given).toEqual({ a: '1', b: null })
})

test('a list of pairs is copied before anything is added', () => {
  const given = [['a', '1']] as const
  const headers = new RecordHeaders('orders', given)
  headers.list.push(['b', '2'])
  expect(given).toHaveLength(1)
  expect(headers.current).toHaveLength(2)
})

test('pairs are those of a list as well as those of an object', () => {
  expect(pairsOf({ a: '1' }, 'orders')).toEqual([['a', '1']])
  expect(pairsOf([['a', '1'], ['a', '2']], 'orders')).toEqual([['a', '1'], ['a', '2']]) // prettier-ignore
})

test('promises are recognised, whoever made them; bytes, text and other objects are none', () => {
  class Thenable {
    // oxlint-disable-next-line unicorn/no-thenable -- a promise library's own kind
    then(): void {}
  }
  expect([Promise.resolve(), new Thenable()].map(isPromise)).toEqual([true, true])
  expect([null, undefined, 'then', 1, {}, Buffer.from('a')].map(isPromise)).toEqual(
    Array.from({ length: 6 }, () => false),
  )
})
