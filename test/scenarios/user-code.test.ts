/** Code of the application that throws, rejects, or calls with the wrong arguments: it hurts itself and nothing else. */
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { KafkaError } from '../../src/index.js'
import type { Logger } from '../../src/index.js'
import { arena, failure, frozenArena, requests, stored, turnsUntil } from './arena.js'

const slip = new Error('a slip of the application')

function unhandled(): unknown[] {
  const seen: unknown[] = []
  const on = (reason: unknown): void => void seen.push(reason)
  process.on('unhandledRejection', on)
  process.on('uncaughtException', on)
  onTestFinished(() => {
    process.off('unhandledRejection', on)
    process.off('uncaughtException', on)
  })
  return seen
}

/** Turns enough for a rejection to be found unhandled. */
async function turns(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve))
}

describe('a logger that throws', () => {
  const throwing: Logger['debug'] = () => {
    throw slip
  }
  const logger = { debug: throwing, info: throwing, warn: throwing, error: throwing }

  test('loses no retry', async () => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const { cluster, producer } = await arena()
    cluster.fail({ api: 'Produce', nth: 1 }, { error: 'NOT_LEADER_OR_FOLLOWER' })
    await producer({ logger }).send({ topic: 'orders', value: 'v' })
    expect(stored(cluster)).toEqual(['v'])
  })

  test('survives a lost connection', async () => {
    vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    const seen = unhandled()
    const { cluster, producer } = await arena()
    const one = producer({ logger })
    await one.send({ topic: 'orders', value: 'v1' })
    cluster.fail({ api: 'Produce', nth: 1 }, 'close')
    await one.send({ topic: 'orders', value: 'v2' })
    expect(stored(cluster)).toEqual(['v1', 'v2'])
    expect(seen).toEqual([])
  })
})

describe('a listener', () => {
  test('that throws keeps no other from being called', async () => {
    const { producer, log } = await arena()
    const one = producer()
    const called: string[] = []
    one.on('connect', () => {
      called.push('first')
      throw slip
    })
    one.on('connect', () => void called.push('second'))
    await one.connect()
    expect(called).toEqual(['first', 'second'])
    expect(log).toContain("error: a listener of 'connect' threw")
  })

  test('that rejects is logged', async () => {
    const seen = unhandled()
    const { producer, log } = await arena()
    const one = producer()
    const rejecting: () => unknown = () => Promise.reject(slip)
    one.on('connect', rejecting)
    await one.connect()
    await turns()
    expect(log).toContain("error: a listener of 'connect' threw")
    expect(seen).toEqual([])
  })

  test('must be a function', async () => {
    const { producer } = await arena()
    const one = producer()
    for (const call of ['on', 'off'] as const) {
      expect(() => one[call]('connect', 'log' as never)).toThrow(
        expect.objectContaining({ code: 'INVALID_ARGUMENT' }),
      )
    }
  })
})

test('a delivery callback that rejects is logged, behind interceptors too', async () => {
  const seen = unhandled()
  const { producer, log } = await arena()
  const rejecting = (() => Promise.reject(slip)) as () => void
  producer().send({ topic: 'orders', value: 'v' }, rejecting)
  producer({ interceptors: [{ onSend: (record) => record }] }).send(
    { topic: 'orders', value: 'v' },
    rejecting,
  )
  const threw = 'error: a delivery callback threw'
  await turnsUntil(() => log.filter((line) => line === threw).length === 2) // A line of each producer.
  await turns()
  expect(seen).toEqual([])
})

test('an interceptor that is asynchronous is logged, and the record goes on', async () => {
  const seen = unhandled()
  const { cluster, producer, log } = await arena()
  const asynchronous = {
    onSend: (() => Promise.reject(slip)) as never,
    onAcknowledgement: (() => Promise.reject(slip)) as () => void,
  }
  await producer({ interceptors: [asynchronous] }).send({ topic: 'orders', value: 'v' })
  await turns()
  expect(stored(cluster)).toEqual(['v'])
  expect(log).toContain("error: an interceptor's onSend threw")
  expect(log).toContain("error: an interceptor's onAcknowledgement threw")
  expect(seen).toEqual([])
})

test('a partitioner that is asynchronous fails its record, and nothing else', async () => {
  const seen = unhandled()
  const { producer } = await arena()
  const partitioner = (() => Promise.reject(slip)) as never
  const error = await failure<KafkaError>(producer({ partitioner }).send({ topic: 'orders', value: 'v' }))
  expect(error).toMatchObject({ code: 'PARTITIONER_FAILED', retriable: false })
  expect(error.message).toContain('must be a synchronous function')
  await turns()
  expect(seen).toEqual([])
})

describe('an argument that is no time', () => {
  test.each([NaN, -1, '10000', null, {}])('%s given to close: it closes, then says so', async (timeoutMs) => {
    const { cluster, producer } = await arena()
    const one = producer({ lingerMs: 60_000 })
    const sent = one.send({ topic: 'orders', value: 'v' })
    const error = await failure<KafkaError>(one.close({ timeoutMs: timeoutMs as number }))
    expect(error).toMatchObject({ code: 'INVALID_ARGUMENT', retriable: false })
    expect(error.message).toContain('timeoutMs')
    expect((await sent).offset).toBe(0n)
    expect(stored(cluster)).toEqual(['v'])
    expect(await one.close()).toBe(0)
  })

  test.each([5000, null, () => {}, { timeout: 5000 }])('close(%s) closes, then says so', async (given) => {
    const { cluster, producer } = await arena()
    const one = producer({ lingerMs: 60_000 })
    void one.send({ topic: 'orders', value: 'v' })
    const error = await failure<KafkaError>(one.close(given as never))
    expect(error.code).toBe('INVALID_ARGUMENT')
    expect(stored(cluster)).toEqual(['v'])
  })

  test('Infinity is no limit', async () => {
    const { clock, producer } = await frozenArena()
    const one = producer()
    const sent = one.send({ topic: 'orders', value: 'v' })
    const closed = one.close({ timeoutMs: Infinity })
    await clock.advance(1000)
    await sent
    expect(await closed).toBe(0)
  })

  test('flush(cb) flushes, then says so', async () => {
    const { cluster, producer } = await arena()
    const one = producer({ lingerMs: 60_000 })
    void one.send({ topic: 'orders', value: 'v' })
    const flush = one.flush.bind(one) as (given: unknown) => Promise<void>
    const error = await failure<KafkaError>(flush(() => {}))
    expect(error).toMatchObject({
      code: 'INVALID_ARGUMENT',
      message: 'flush: the argument must be left out, not a function',
    })
    expect(stored(cluster)).toEqual(['v'])
  })

  test.each([NaN, -1, '5', null])('clientInstanceId(%s) is refused', async (timeoutMs) => {
    const { producer } = await arena()
    const error = await failure<KafkaError>(producer().clientInstanceId(timeoutMs as number))
    expect(error.code).toBe('INVALID_ARGUMENT')
  })

  test('clientInstanceId() takes maxBlockMs', async () => {
    const { cluster, clock, producer } = await frozenArena()
    cluster.fail({ api: 'ApiVersions' }, 'drop-request')
    const asked = failure(producer({ maxBlockMs: 700 }).clientInstanceId())
    await clock.advance(700)
    expect((await asked).message).toBe('no client instance id within 700 ms')
  })
})

describe('what is no topic', () => {
  test.each([undefined, null, 5, {}, ['t'], '', 'a b', 'x'.repeat(40_000)])(
    'partitionsFor(%s) is refused, and nothing else is hurt',
    async (topic) => {
      const seen = unhandled()
      const { cluster, producer } = await arena()
      const one = producer()
      const error = await failure<KafkaError>(one.partitionsFor(topic as string))
      expect(error).toMatchObject({ code: 'INVALID_TOPIC_EXCEPTION', retriable: false })
      expect(error.message).toContain(topic === undefined ? 'partitionsFor without a topic' : 'topic ')
      expect(error.message).not.toContain('a record')
      await one.send({ topic: 'orders', value: 'v' })
      await turns()
      expect(requests(cluster, 'Metadata').length).toBeGreaterThan(0)
      expect(seen).toEqual([])
    },
  )

  test('writable({ topic }) and topic(name, options) look at their arguments', async () => {
    const { producer } = await arena()
    const one = producer()
    const code = (call: () => unknown): unknown => {
      try {
        return call()
      } catch (error) {
        return error instanceof KafkaError ? error.code : error
      }
    }
    expect(code(() => one.writable('orders' as never))).toBe('INVALID_ARGUMENT')
    expect(code(() => one.writable({ topic: 5 as never }))).toBe('INVALID_TOPIC_EXCEPTION')
    expect(code(() => one.topic('orders', { valueSerializer: 'json' as never }))).toBe('INVALID_ARGUMENT')
    expect(code(() => one.topic('orders', { serializer: () => '' } as never))).toBe('INVALID_ARGUMENT')
  })
})

test('transaction() without a function begins none', async () => {
  const { producer } = await arena()
  const one = producer({ transactionalId: 't' })
  expect(await failure(one.transaction(undefined as never))).toMatchObject({ code: 'INVALID_ARGUMENT' })
  await one.transaction((tx) => tx.send({ topic: 'orders', value: 'v' }))
})

test('fake timers leave a producer on real time, and show in timestamps', async () => {
  const { cluster, producer } = await arena()
  const one = producer({ lingerMs: 1 })
  onTestFinished(() => void vi.useRealTimers())
  vi.useFakeTimers({
    now: 5_000_000,
    toFake: ['setTimeout', 'clearTimeout', 'setImmediate', 'queueMicrotask', 'performance', 'Date'],
  })
  const { timestamp } = await one.send({ topic: 'orders', value: 'v1' })
  vi.useRealTimers()
  expect(timestamp).toBe(5_000_000)
  await one.send({ topic: 'orders', value: 'v2' })
  expect(stored(cluster)).toEqual(['v1', 'v2'])
})
