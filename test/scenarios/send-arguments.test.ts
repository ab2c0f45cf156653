/** What `send` takes besides a record, and the headers of one: right, or refused by name, at every entry point. */
import { runInNewContext } from 'node:vm'
import { pipeline } from 'node:stream/promises'
import { describe, expect, test } from 'vitest'
import type { KafkaError, ProducerRecord } from '../../src/index.js'
import { arena, failure, stored } from './arena.js'

describe('the second argument of send', () => {
  const wrong: readonly unknown[] = [
    0,
    1,
    '',
    'cb',
    true,
    {},
    { signal: new AbortController().signal },
    [],
    1n,
  ]

  test.each(['producer', 'handle'])('of a %s: a callback or nothing', async (kind) => {
    const { cluster, producer } = await arena()
    const one = producer()
    const target = kind === 'handle' ? one.topic('orders') : one
    const send = (value: string, ...rest: readonly unknown[]): Promise<{ offset: bigint }> =>
      (target.send as (...given: unknown[]) => Promise<{ offset: bigint }>).call(
        target,
        { topic: 'orders', value },
        ...rest,
      )
    const before = send('before')
    const refused = wrong.map((argument) => failure<KafkaError>(send('wrong', argument)))
    const after = [send('undefined', undefined), send('null', null)]
    for (const error of await Promise.all(refused)) {
      expect(error).toMatchObject({ name: 'KafkaError', code: 'INVALID_ARGUMENT', retriable: false })
      expect(error.message).toContain('send: the second argument must be a callback')
    }
    const offsets = (await Promise.all([before, ...after])).map(({ offset }) => offset)
    expect(offsets).toEqual([0n, 1n, 2n])
    expect(cluster.records('orders').map(({ value }) => String(value))).toEqual([
      'before',
      'undefined',
      'null',
    ])
  })

  test('of a transaction: what is refused fails it, as every record does, and not the next one', async () => {
    const { cluster, producer } = await arena()
    const one = producer({ transactionalId: 'tx' })
    const sendTwo = (second: unknown): Promise<unknown> =>
      one.transaction(async (tx) => {
        await tx.send({ topic: 'orders', value: 'a' })
        await tx.send({ topic: 'orders', value: 'b' }, ...([second] as unknown[] as []))
      })
    expect(await failure(sendTwo({}))).toMatchObject({ code: 'INVALID_ARGUMENT' })
    await sendTwo(undefined)
    expect(stored(cluster)).toEqual(['a', 'a', 'b'])
  })

  test('records.map(producer.send, producer) fails each record, and hurts no other', async () => {
    const { cluster, producer } = await arena()
    const orders = producer()
    const outcomes = await Promise.allSettled([
      ...['a', 'b'].map((value, ...rest) =>
        orders.send({ topic: 'orders', value }, ...(rest as unknown[] as [])),
      ),
      orders.send({ topic: 'orders', value: 'c' }),
    ])
    expect(outcomes.map(({ status }) => status)).toEqual(['rejected', 'rejected', 'fulfilled'])
    expect(stored(cluster)).toEqual(['c'])
  })
})

const anyHeaders = (headers: unknown): ProducerRecord =>
  ({ topic: 'orders', value: 'v', headers }) as ProducerRecord

describe('headers', () => {
  class Tags {
    source = 'checkout'
  }
  const pairs = 'a plain object or an array of [name, value] pairs'

  test.each<[what: string, headers: unknown, words: string]>([
    [
      'a list of values',
      { tags: ['a', 'b'] },
      'the header "tags" must be a string, a Uint8Array or null, not an array',
    ],
    [
      'a list of values, by what would do',
      { tags: ['a', 'b'] },
      'an array of pairs, where a name may repeat',
    ],
    ['a number', { count: 1 }, 'the header "count" must be a string, a Uint8Array or null, not a number'],
    ['undefined', { trace: undefined }, 'the header "trace"'],
    ['undefined in a pair', [['trace', undefined]], 'not undefined'],
    ['a bigint', { h: 1n }, 'a bigint'],
    ['a boolean', { h: false }, 'a boolean'],
    ['an object', { h: { a: 1 } }, 'an object'],
    ['a boxed string', { h: Object('text') as unknown }, 'an instance of String'],
    ['a typed array of wider elements', { h: new Uint16Array(2) }, 'an instance of Uint16Array'],
    ['an ArrayBuffer', { h: new ArrayBuffer(2) }, 'an instance of ArrayBuffer'],
    ['what only claims to be bytes', { h: Object.create(Uint8Array.prototype) as unknown }, 'the header "h"'],
    [
      'a Map',
      new Map([['a', 'b']]),
      `headers must be ${pairs}, not an instance of Map; an iterable of pairs`,
    ],
    ['a Set', new Set(['a']), 'an instance of Set'],
    ['URLSearchParams', new URLSearchParams('a=b'), 'an instance of URLSearchParams'],
    ['an instance of a class', new Tags(), 'an instance of Tags'],
    ['a Date', new Date(0), 'an instance of Date'],
    ['text', 'abc', 'not a string'],
    ['boxed text', Object('abc'), 'an instance of String'],
    ['a number of them', 7, 'not a number'],
    ['a function', () => ({}), 'not a function'],
    ['bytes', Buffer.from('abc'), 'an instance of Buffer'],
    ['a typed array', new Uint16Array(3), 'an instance of Uint16Array'],
    ['an array-like', { 0: ['a', 'b'], length: 1 }, 'the header "0"'],
    ['a list of text', ['ab'], 'headers[0] must be a pair [name, value], not a string'],
    ['a pair of one', [['a', 'b'], ['a']], 'headers[1] must be a pair [name, value], not an array of 1'],
    ['a pair of three', [['a', 'b', 'c']], 'an array of 3'],
    ['a pair that is an object', [{ key: 'a', value: 'b' }], 'not an object'],
    ['a hole', Array(1), 'headers[0] must be a pair [name, value], not undefined'],
    ['a name that is a number', [[1, 'x']], 'the name of headers[0] must be a string, not a number'],
    ['a name that is null', [[null, 'x']], 'not null'],
  ])('%s: refused by name, and the records around it delivered', async (_, headers, words) => {
    const { cluster, producer } = await arena()
    const orders = producer()
    const early = failure<KafkaError>(orders.send(anyHeaders(headers))) // no metadata yet
    await orders.send({ topic: 'orders', value: 'before' })
    const bad = failure<KafkaError>(orders.send(anyHeaders(headers)))
    await orders.send({ topic: 'orders', value: 'after' })
    for (const error of [await early, await bad]) {
      expect(error).toMatchObject({ name: 'SerializationError', retriable: false, mayHaveBeenWritten: false })
      expect(error.message).toContain('topic orders')
      expect(error.message).toContain(words)
    }
    expect(stored(cluster)).toEqual(['before', 'after'])
  })

  test.each<[what: string, headers: unknown, expected: readonly (readonly [string, string | null])[]]>([
    ['null', null, []],
    ['undefined', undefined, []],
    ['an empty object', {}, []],
    [
      'an object',
      { a: '1', b: Buffer.from('2'), c: null },
      [
        ['a', '1'],
        ['b', '2'],
        ['c', null],
      ],
    ],
    [
      'pairs that repeat a name',
      [
        ['a', '1'],
        ['a', new Uint8Array([50])],
      ],
      [
        ['a', '1'],
        ['a', '2'],
      ],
    ],
    ['an object without a prototype', Object.assign(Object.create(null), { a: '1' }), [['a', '1']]],
    ['an object of another realm', runInNewContext("({ a: '1' })"), [['a', '1']]],
    ['bytes of another realm', { a: runInNewContext('new Uint8Array([49])') as unknown }, [['a', '1']]],
    [
      'a getter',
      {
        get a() {
          return '1'
        },
      },
      [['a', '1']],
    ],
  ])('%s: as given', async (_, headers, expected) => {
    // prettier-ignore
    const { cluster, producer } = await arena()
    const orders = producer()
    await orders.send(anyHeaders(headers)) // waits for metadata
    await orders.send(anyHeaders(headers))
    const shown = cluster
      .records('orders')
      .map((record) => record.headers.map(([name, value]) => [name, value === null ? null : String(value)]))
    expect(shown).toEqual([expected, expected])
  })

  test('a getter that throws fails its record', async () => {
    const { producer } = await arena()
    const cause = new Error('not now')
    const headers = {
      get trace(): string {
        throw cause
      },
    }
    for (let i = 0; i < 2; i++) {
      expect(await failure(producer().send({ topic: 'orders', value: 'v', headers }))).toMatchObject({
        cause,
      })
    }
  })

  test.each<[entry: string, send: (headers: unknown) => Promise<unknown>]>([
    [
      'a topic handle',
      async (headers) => {
        const { producer } = await arena()
        return producer().topic('orders').send(anyHeaders(headers))
      },
    ],
    [
      'a transaction',
      async (headers) => {
        const { producer } = await arena()
        return producer({ transactionalId: 'tx' }).transaction((tx) => tx.send(anyHeaders(headers)))
      },
    ],
    [
      'a stream',
      async (headers) => {
        const { producer } = await arena()
        return pipeline([anyHeaders(headers)], producer().writable())
      },
    ],
    [
      'an interceptor',
      async (headers) => {
        const { producer } = await arena()
        const onSend = <R extends object>(record: R): R => ({ ...record, headers })
        return producer({ interceptors: [{ onSend }] }).send({ topic: 'orders', value: 'v' })
      },
    ],
    [
      'a serializer that wants to add to them',
      async (headers) => {
        const { producer } = await arena()
        const valueSerializer = (value: string, context: { headers: unknown[] }): string => {
          context.headers.push(['a', 'b'])
          return value
        }
        return producer<string, string>({ valueSerializer }).send(anyHeaders(headers) as never)
      },
    ],
    [
      'an asynchronous serializer',
      async (headers) => {
        const { producer } = await arena()
        return producer<string, string>({ valueSerializer: async (value) => value }).send(
          anyHeaders(headers) as never,
        )
      },
    ],
  ])('of %s are checked alike', async (_, send) => {
    // prettier-ignore
    const error = await failure<KafkaError>(send(new Map([['a', 'b']])))
    expect(error).toMatchObject({ name: 'SerializationError' })
    expect(error.message).toContain('an instance of Map')
  })

  test.each(['sync', 'async'])('what a serializer adds is checked too (%s)', async (kind) => {
    const { producer } = await arena()
    const orders = producer<string, string>({
      valueSerializer: (value, { headers }) => {
        const add = (): string => {
          headers.push(['schema', 7 as never])
          return value
        }
        return kind === 'sync' ? add() : Promise.resolve().then(add)
      },
    })
    const error = await failure<KafkaError>(orders.send({ topic: 'orders', value: 'v' }))
    expect(error).toMatchObject({ name: 'SerializationError' })
    expect(error.message).toContain('the header "schema" must be')
  })
})
