/** When a batch may go, under which identity; the brokers are one function that answers InitProducerId. */
import { describe, expect, test } from 'vitest'
import { ConnectionError, UnsupportedVersionError, type KafkaError } from '../../../src/errors.js'
import { Backoff } from '../../../src/time/backoff.js'
import type { Connection } from '../../../src/network/connection/connection.js'
import type { QueuedBatch } from '../../../src/producer/batching/partition-queue.js'
import { Idempotence } from '../../../src/producer/sending/idempotence.js'
import { ManualClock, settled } from '../../network/manual-clock.js'
import { madeBatch, madeQueue } from '../made-batch.js'
import { barrier } from '../../fault-barrier.js'

interface Answer {
  readonly errorCode?: number
  readonly producerId?: bigint
  readonly producerEpoch?: number
}

class Bench {
  readonly clock = new ManualClock()
  asked = 0
  isWanted = true
  readonly fatal: KafkaError[] = []
  readonly answers: (Answer | Error)[] = []
  readonly queue = madeQueue()
  readonly manager = new Idempotence({
    barrier,
    cluster: { anyConnection: () => Promise.resolve(this.#connection()) },
    clock: this.clock,
    backoff: new Backoff(100, 1000, () => 0.5),
    isWanted: () => this.isWanted,
    onFatal: (error) => this.fatal.push(error),
  })

  constructor(...answers: (Answer | Error)[]) {
    this.answers.push(...answers)
  }

  async start(): Promise<this> {
    this.manager.ensureProducerId(false)
    await settled()
    return this
  }

  /** There is a producer id, and the broker has acknowledged a record under it: sequences go on at 1. */
  async open(): Promise<this> {
    await this.start()
    const first = madeBatch(0, 1, this.queue)
    this.drain(first)
    this.queue.acknowledged(first, 0n)
    return this
  }

  /** A batch that goes, as the schedule lets it; what it waits for when it may not. */
  drain(batch: QueuedBatch): string | null {
    const hold = this.manager.hold(batch.queue, batch)
    if (hold !== null) return hold
    this.manager.admit(batch.queue, batch)
    return `${batch.producerId}:${batch.producerEpoch}/${batch.baseSequence}`
  }

  /** A batch whose request is in flight. */
  sent(batch: QueuedBatch): QueuedBatch {
    this.drain(batch)
    this.queue.add(batch)
    this.queue.take()
    return batch
  }

  batch(ordinal: number, records = 1): QueuedBatch {
    return madeBatch(ordinal + 1, records, this.queue)
  }

  #connection(): Connection {
    const request = (): Promise<object> => {
      const answer = this.answers[Math.min(this.asked++, this.answers.length - 1)]!
      if (answer instanceof Error) return Promise.reject(answer)
      return Promise.resolve({ throttleTimeMs: 0, errorCode: 0, producerId: 7n, producerEpoch: 0, ...answer })
    }
    return { nodeId: 1, request } as unknown as Connection
  }
}

describe('the producer id', () => {
  test('is asked for once, however often it is wanted, and nothing goes before it is there', async () => {
    const bench = new Bench({})
    const batch = bench.batch(0)
    expect(bench.drain(batch)).toBe('producer-id')
    bench.manager.ensureProducerId(false)
    await bench.start()
    await bench.start()
    expect(bench.asked).toBe(1)
    expect(bench.drain(batch)).toBe('7:0/0')
  })

  test('is asked for again after a back-off, while somebody wants it', async () => {
    const bench = await new Bench(new ConnectionError('gone'), { errorCode: 14 }, {}).start()
    expect(bench.manager.lastError).toMatchObject({ code: 'NETWORK_EXCEPTION' })
    await bench.clock.advance(99)
    expect(bench.asked).toBe(1)
    await bench.clock.advance(1)
    expect(bench.manager.lastError).toMatchObject({ code: 'COORDINATOR_LOAD_IN_PROGRESS' })
    await bench.clock.advance(200)
    expect(bench.manager).toMatchObject({ lastError: null })
  })

  test.each([
    { producerId: -1n, producerEpoch: 0 },
    { producerId: 7n, producerEpoch: -1 },
    { producerId: -1n, producerEpoch: -1 },
  ])('that is negative turns idempotence off nowhere: another one is asked for (%o)', async (nonsense) => {
    const bench = await new Bench(nonsense, {}).start()
    const batch = bench.batch(0)
    expect(bench.drain(batch)).toBe('producer-id')
    expect(bench.manager.lastError).toMatchObject({ name: 'ProtocolError', retriable: true })
    await bench.clock.advance(100)
    expect(bench.drain(batch)).toBe('7:0/0')
  })

  test('is not asked for any more when nobody wants it, or after the close', async () => {
    for (const give of [
      (bench: Bench) => (bench.isWanted = false),
      (bench: Bench) => bench.manager.close(),
    ]) {
      const bench = new Bench({ errorCode: 14 })
      bench.manager.ensureProducerId(false)
      give(bench)
      await bench.clock.advance(10_000)
      expect(bench.asked).toBe(1)
      expect(bench.clock.timers).toBe(0)
    }
  })

  test('that no broker can give is fatal, and says what to do without it', async () => {
    const bench = await new Bench(new UnsupportedVersionError('no InitProducerId')).start()
    expect(bench.fatal).toMatchObject([{ name: 'UnsupportedVersionError', fatal: true }])
    expect(bench.fatal[0]!.message).toContain('enableIdempotence: false')
  })
})

describe('a batch', () => {
  test('that is the first under its identity goes alone, until it is acknowledged', async () => {
    const bench = await new Bench({}).start()
    const [a, b, c] = [bench.batch(0, 3), bench.batch(1, 2), bench.batch(2)]
    expect([bench.drain(a), bench.drain(b)]).toEqual(['7:0/0', 'response'])
    bench.queue.acknowledged(a, 0n)
    expect([bench.drain(b), bench.drain(c)]).toEqual(['7:0/3', '7:0/5'])
  })

  test('that is tried again keeps its sequence, and goes only as the oldest', async () => {
    const bench = await new Bench({}).open()
    const [a, b] = [bench.batch(0, 3), bench.batch(1, 2)]
    bench.drain(a)
    bench.drain(b)
    expect(bench.drain(b)).toBe('response')
    expect(bench.drain(a)).toBe('7:0/1')
    bench.queue.acknowledged(a, 1n)
    expect(bench.drain(b)).toBe('7:0/4')
  })

  test('does not go to a new leader while the old one has something unanswered', async () => {
    const bench = await new Bench({}).open()
    bench.queue.move(1, 0)
    const a = bench.sent(bench.batch(0))
    bench.queue.move(2, 1)
    const b = bench.batch(1)
    expect(bench.drain(b)).toBe('response')
    bench.queue.requestEnded(a)
    expect(bench.drain(b)).toBe('7:0/2')
  })

  test('behind one that was given up waits for what is in flight, then goes on where there was no gap', async () => {
    const bench = await new Bench({}).open()
    const [a, b, c] = [bench.batch(0), bench.batch(1), bench.batch(2)]
    bench.drain(a)
    bench.drain(b)
    bench.queue.abandoned(a)
    expect(bench.drain(c)).toBe('response')
    bench.queue.acknowledged(b, 2n)
    expect(bench.drain(c)).toBe('7:0/3')
  })

  test('behind a gap begins a new epoch, when nothing is on the wire', async () => {
    const bench = await new Bench({}).open()
    const [a, b, c] = [bench.batch(0), bench.batch(1), bench.batch(2)]
    bench.drain(a)
    bench.sent(b)
    bench.queue.abandoned(a)
    bench.queue.mustRestart()
    expect(bench.drain(b)).toBe('response')
    bench.queue.requestEnded(b)
    expect(bench.drain(b)).toBe('7:1/0')
    bench.queue.acknowledged(b, 1n)
    expect(bench.drain(c)).toBe('7:1/1')
    expect(bench.asked).toBe(1)
  })

  test('that needs an epoch beyond 32767 waits for a new producer id', async () => {
    const bench = await new Bench({ producerEpoch: 32_767 }, { producerId: 8n }).start()
    const [a, b] = [bench.batch(0), bench.batch(1)]
    expect(bench.drain(a)).toBe('7:32767/0')
    bench.queue.abandoned(a)
    expect(bench.drain(b)).toBe('producer-id')
    bench.manager.ensureProducerId(true)
    await settled()
    expect(bench.asked).toBe(2)
    expect(bench.drain(b)).toBe('8:0/0')
  })

  test('of another partition keeps its old producer id until what is in flight there is settled', async () => {
    const bench = await new Bench({ producerEpoch: 32_767 }, { producerId: 8n }).start()
    const other = madeQueue(1)
    const [one, two] = [madeBatch(0, 1, other), madeBatch(1, 1, other)]
    expect(bench.drain(one)).toBe('7:32767/0')
    const a = bench.batch(0)
    bench.drain(a)
    bench.queue.abandoned(a)
    expect(bench.drain(bench.batch(1))).toBe('producer-id')
    bench.manager.ensureProducerId(true)
    await settled()
    expect(bench.manager.hold(other, one)).toBeNull()
    expect(bench.drain(two)).toBe('response')
    other.acknowledged(one, 0n)
    expect(bench.drain(two)).toBe('8:0/0')
  })
})
