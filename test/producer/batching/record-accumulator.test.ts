/** The accumulator by what it hands out and when, on a clock that moves only when a test says so. */
import { barrier } from '../../fault-barrier.js'
import { describe, expect, test } from 'vitest'
import { RecordTooLargeError } from '../../../src/errors.js'
import { DrainSchedule } from '../../../src/producer/batching/drain-schedule.js'
import { NextTurn } from '../../../src/producer/sending/next-turn.js'
import type { PartitionQueue, QueuedBatch } from '../../../src/producer/batching/partition-queue.js'
import {
  NO_ROOM,
  RecordAccumulator,
  type AccumulatorConfig,
  type Waited,
} from '../../../src/producer/batching/record-accumulator.js'
import { ZERO_UUID } from '../../../src/protocol/apis.js'
import { RecordDraft } from '../../../src/records/record-draft.js'
import { readRecordBatch } from '../../../src/records/read-record-batch.js'

const defaults: AccumulatorConfig = {
  batchSize: 200,
  bufferMemory: 2000,
  maxRequestSize: 1000,
  lingerMs: 5,
  deliveryTimeoutMs: 1000,
  partitionerAdaptivePartitioningEnable: true,
  partitionerAvailabilityTimeoutMs: 0,
}

/** Runs nothing: the test is the loop. */
const turn = new NextTurn(barrier)

class Bench {
  now = 0
  rooms = 0
  isHeld = false
  readonly schedule: DrainSchedule
  readonly accumulator: RecordAccumulator
  readonly settled: string[] = []
  readonly draft = new RecordDraft()
  /** Holds everything back while the test says so. */
  readonly gate = {
    hold: (): 'transaction' | null => (this.isHeld ? 'transaction' : null),
    admit: (): void => {},
    batchBegun: (): void => {},
    attach: (): void => {},
  }

  constructor(config: Partial<AccumulatorConfig> = {}) {
    this.schedule = new DrainSchedule(this.gate, turn)
    this.accumulator = new RecordAccumulator({
      config: { ...defaults, ...config },
      clock: { now: () => this.now },
      schedule: this.schedule,
      gate: this.gate,
      turn,
      compression: null,
      random: Math.random,
    })
    this.accumulator.onRoom(() => void this.rooms++)
  }

  /** A topic whose partitions are led by these brokers. */
  topic(name: string, ...leaders: number[]): PartitionQueue[] {
    const partitions = leaders.map((leader, index) => ({ index, leader, leaderEpoch: -1 }))
    const availablePartitions = partitions.filter((one) => one.leader >= 0).map(({ index }) => index)
    this.accumulator.updateTopic(name, { id: ZERO_UUID, partitions, availablePartitions })
    return this.accumulator.topic(name).partitions
  }

  /** Whether there was room. */
  append(queue: PartitionQueue, value: string, waited: Waited | null = null): boolean {
    const topic = this.accumulator.topic(queue.topic)
    this.draft.set(topic.name, this.now, null, value, undefined)
    const settle = (): void => void this.settled.push(value)
    return this.accumulator.append(topic, queue.partition, this.draft, settle, waited) !== NO_ROOM
  }

  /** One request to the broker, and its response, which settles nothing. */
  drain(nodeId: number, maxBytes = 1000): QueuedBatch[] {
    this.schedule.advance(this.now)
    const batches = this.schedule.drain(nodeId, maxBytes)
    for (const batch of batches) batch.queue.requestEnded(batch)
    return batches
  }

  /** What could be sent to the broker now, as values. */
  drained(nodeId: number, maxBytes?: number): string[][] {
    return this.drain(nodeId, maxBytes).map(valuesOf)
  }

  /** A batch comes back, to be sent again at this time. */
  putBack(batch: QueuedBatch, retryAtMs: number): void {
    batch.queue.putBack(batch, retryAtMs)
  }

  get leaderlessTopics(): string[] {
    return [...this.schedule.held('leader')].map(({ topic }) => topic)
  }
}

function valuesOf(batch: QueuedBatch): string[] {
  return readRecordBatch(batch.encode(false)).records.map(({ value }) => String(Buffer.from(value!)))
}

/** Fills a batch. */
const big = 'x'.repeat(130)

describe('when a batch goes', () => {
  test('after lingerMs, with everything that came until then', () => {
    const bench = new Bench()
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    bench.now = 4
    bench.append(queue!, 'b')
    expect(bench.drained(1)).toEqual([])
    expect(bench.schedule.nextDeadline).toBe(5)
    bench.now = 5
    expect(bench.drained(1)).toEqual([['a', 'b']])
    expect(bench.drained(1)).toEqual([])
  })

  test('at once with lingerMs 0', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    expect(bench.schedule.readyNodes()).toEqual([1])
    expect(bench.drained(1)).toEqual([['a']])
  })

  test('when it is full, the next one lingering on its own', () => {
    const bench = new Bench()
    const [queue] = bench.topic('orders', 1)
    const half = 'x'.repeat(100)
    bench.append(queue!, half)
    bench.append(queue!, half)
    expect(bench.drained(1)).toEqual([[half]])
    expect(bench.drained(1)).toEqual([])
    bench.now = 5
    expect(bench.drained(1)).toEqual([[half]])
    // Where no further record could fit it need not wait for one.
    bench.append(queue!, big)
    expect(bench.drained(1)).toEqual([[big]])
  })

  test('with a flush, and what comes after the flush lingers', () => {
    const bench = new Bench()
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    void bench.accumulator.flush()
    expect(bench.drained(1)).toEqual([['a']])
    bench.append(queue!, 'b')
    expect(bench.drained(1)).toEqual([])
  })

  test('as soon as its partition has a leader', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', -1)
    bench.append(queue!, 'a')
    expect(bench.schedule.readyNodes()).toEqual([])
    expect(bench.leaderlessTopics).toEqual(['orders'])
    bench.topic('orders', 3)
    expect(bench.leaderlessTopics).toEqual([])
    expect(bench.schedule.readyNodes()).toEqual([3])
    expect(bench.drained(3)).toEqual([['a']])
  })

  test('to the new leader only, once the leader has moved', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    bench.topic('orders', 2)
    expect(bench.drained(1)).toEqual([])
    expect(bench.schedule.readyNodes()).toEqual([2])
    expect(bench.drained(2)).toEqual([['a']])
  })

  test('not while the gate holds it back, and then when the gate has another answer', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.isHeld = true
    bench.append(queue!, 'a')
    expect(bench.drained(1)).toEqual([])
    expect([...bench.schedule.held('transaction')]).toEqual([queue])
    bench.isHeld = false
    bench.schedule.reconsider(queue!)
    expect(bench.drained(1)).toEqual([['a']])
  })

  test('not when the gate holds back what could have gone before', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    expect(bench.schedule.readyNodes()).toEqual([1])
    bench.isHeld = true
    bench.schedule.reconsiderAll()
    expect(bench.schedule.readyNodes()).toEqual([])
    bench.isHeld = false
    bench.schedule.reconsiderAll()
    expect(bench.drained(1)).toEqual([['a']])
  })
})

describe('one drain', () => {
  test('takes one batch of each partition of the broker, and the others with the next', () => {
    const bench = new Bench()
    const [one, two, elsewhere] = bench.topic('orders', 1, 1, 2)
    for (const queue of [one!, one!, one!, two!, elsewhere!]) bench.append(queue, big)
    bench.now = 5
    expect(bench.drain(1).map(({ queue }) => queue.partition)).toEqual([0, 1])
    expect(bench.drain(1).map(({ queue }) => queue.partition)).toEqual([0])
    expect(bench.drain(2).map(({ queue }) => queue.partition)).toEqual([2])
  })

  test('takes one batch of a partition whose leader went away and came back', () => {
    const bench = new Bench()
    const [queue] = bench.topic('orders', 1)
    for (let i = 0; i < 3; i++) bench.append(queue!, big)
    bench.topic('orders', -1)
    bench.topic('orders', 1)
    expect(bench.drained(1)).toHaveLength(1)
    expect(bench.drained(1)).toHaveLength(1)
  })

  test('stays within maxBytes, always takes one, and begins the next with what was left out', () => {
    const bench = new Bench({ lingerMs: 0, batchSize: 400, bufferMemory: 4000 })
    const queues = bench.topic('orders', 1, 1, 1, 1)
    for (const queue of queues) bench.append(queue, big)
    for (const queue of queues) bench.append(queue, 'x'.repeat(300))
    const partitions = (maxBytes: number): number[] =>
      bench.drain(1, maxBytes).map(({ queue }) => queue.partition)
    const size = queues[0]!.head!.records.size
    expect(partitions(size * 2 + 10)).toEqual([0, 1])
    // The second batches of 0 and 1 stand behind the first ones of 2 and 3.
    expect(partitions(size * 2 + 10)).toEqual([2, 3])
    expect(partitions(1)).toEqual([0])
    expect(partitions(10_000)).toEqual([1, 2, 3])
    expect(partitions(10_000)).toEqual([])
  })
})

describe('a batch that comes back', () => {
  test('waits for its time, then goes before what is newer', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    const [batch] = bench.drain(1)
    bench.append(queue!, 'b')
    bench.putBack(batch!, 100)
    expect(bench.drained(1)).toEqual([])
    expect(bench.schedule.nextDeadline).toBe(100)
    bench.now = 100
    expect(bench.drained(1)).toEqual([['a']])
    expect(bench.drained(1)).toEqual([['b']])
  })

  test('does not wait where there is a new leader', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    bench.putBack(bench.drain(1)[0]!, 100)
    expect(bench.drained(1)).toEqual([])
    bench.topic('orders', 2)
    expect(bench.drained(2)).toEqual([['a']])
  })

  test('several of one partition go back to the order of their records', () => {
    const bench = new Bench()
    const [queue] = bench.topic('orders', 1)
    for (const letter of ['a', 'b', 'c']) bench.append(queue!, letter.repeat(130))
    bench.now = 5
    const batches = [...bench.drain(1), ...bench.drain(1), ...bench.drain(1)]
    expect(batches).toHaveLength(3)
    for (const at of [1, 2, 0]) bench.putBack(batches[at]!, 0)
    const order = [bench.drained(1), bench.drained(1), bench.drained(1)].flat(2).map((value) => value[0])
    expect(order).toEqual(['a', 'b', 'c'])
  })
})

describe('delivery timeout', () => {
  test('counts from the send, also of a record that had to wait before', () => {
    const bench = new Bench()
    const [one, two] = bench.topic('orders', 1, 1)
    bench.now = 600
    bench.append(one!, 'waited', { sentAtMs: 100, generation: bench.accumulator.flushes.current })
    bench.append(two!, 'new')
    bench.now = 1099
    expect(bench.accumulator.takeExpired(bench.now)).toBeUndefined()
    bench.now = 1100
    expect(valuesOf(bench.accumulator.takeExpired(bench.now)!)).toEqual(['waited'])
    expect(bench.accumulator.takeExpired(bench.now)).toBeUndefined()
    expect(bench.schedule.nextDeadline).toBe(605)
  })

  test('takes a batch out of its queue, and lets the next one go', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    const [batch] = bench.drain(1)
    bench.now = 500
    bench.append(queue!, 'b')
    bench.putBack(batch!, 5000)
    expect(bench.drained(1)).toEqual([])
    bench.now = 1000
    expect(bench.accumulator.takeExpired(bench.now)).toBe(batch)
    expect(bench.drained(1)).toEqual([['b']])
  })

  test('finds a batch that is on the wire too', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    const [batch] = bench.drain(1)
    bench.now = 1000
    expect(bench.accumulator.takeExpired(bench.now)).toBe(batch)
  })
})

describe('split', () => {
  test('halves share the records in order, down to single ones, each with its own memory', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    for (const value of ['a', 'b', 'c', 'd', 'e']) bench.append(queue!, value)
    const [whole] = bench.drain(1)
    bench.append(queue!, 'later')
    bench.accumulator.split(whole!)
    const pieces: QueuedBatch[] = []
    for (let [batch] = bench.drain(1); batch !== undefined; [batch] = bench.drain(1)) {
      if (batch.recordCount > 1) bench.accumulator.split(batch)
      else pieces.push(batch)
    }
    expect(pieces.map(valuesOf)).toEqual([['a'], ['b'], ['c'], ['d'], ['e'], ['later']])
    expect(pieces.map(({ deadlineMs }) => deadlineMs)).toEqual(Array(6).fill(1000))
    expect(bench.accumulator.incompleteCount).toBe(6)
    for (const batch of pieces) {
      batch.succeed(0n, -1, { callbackThrew: () => {}, recordFailed: () => {} })
      bench.accumulator.complete(batch)
    }
    expect(bench.settled).toEqual(['a', 'b', 'c', 'd', 'e', 'later'])
    expect(bench.accumulator.pool.availableBytes).toBe(2000)
    expect(bench.accumulator.flushes.isEmpty).toBe(true)
  })
})

describe('memory', () => {
  test('is taken batch by batch, refused when it is spent, and given back when a batch is done', () => {
    const bench = new Bench({ lingerMs: 0, bufferMemory: 400 })
    const queues = bench.topic('orders', 1, 1, 1)
    expect(bench.append(queues[0]!, 'a')).toBe(true)
    expect(bench.append(queues[1]!, 'b')).toBe(true)
    expect(bench.accumulator.pool.availableBytes).toBe(0)
    expect(bench.append(queues[2]!, 'c')).toBe(false)
    // There is room in a batch that is open.
    expect(bench.append(queues[0]!, 'd')).toBe(true)
    const [batch] = bench.drain(1)
    bench.accumulator.complete(batch!)
    expect(bench.rooms).toBe(1)
    expect(bench.append(queues[2]!, 'c')).toBe(true)
  })

  test('of a batch is kept while a socket or an answer is outstanding, whatever became of its records', () => {
    const bench = new Bench({ lingerMs: 0 })
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a')
    bench.schedule.advance(bench.now)
    const [batch] = bench.schedule.drain(1, 1000)
    batch!.hold()
    bench.accumulator.complete(batch!)
    expect(bench.accumulator.pool.availableBytes).toBe(1800)
    queue!.requestEnded(batch!)
    bench.accumulator.release(batch!)
    expect(bench.accumulator.pool.availableBytes).toBe(1800)
    batch!.letGo()
    bench.accumulator.release(batch!)
    bench.accumulator.release(batch!)
    expect(bench.accumulator.pool.availableBytes).toBe(2000)
    expect(bench.rooms).toBe(1)
  })

  test('a record larger than a batch gets one of its own', () => {
    const bench = new Bench()
    const [queue] = bench.topic('orders', 1)
    const large = 'x'.repeat(500)
    bench.append(queue!, 'a')
    bench.append(queue!, large)
    bench.append(queue!, 'b')
    expect(bench.drained(1)).toEqual([['a']])
    expect(bench.drained(1)).toEqual([[large]])
    bench.now = 5
    expect(bench.drained(1)).toEqual([['b']])
  })

  test.each([
    [{ maxRequestSize: 300 }, 'maxRequestSize (300)'],
    [{ bufferMemory: 250 }, 'bufferMemory (250)'],
  ])('a record that can never fit is refused by name: %o', (config, limit) => {
    const bench = new Bench(config)
    const [queue] = bench.topic('orders', 1)
    expect(() => bench.append(queue!, 'x'.repeat(301))).toThrow(RecordTooLargeError)
    expect(() => bench.append(queue!, 'x'.repeat(301))).toThrow(limit)
    expect(bench.accumulator.pool.availableBytes).toBe(bench.accumulator.pool.totalBytes)
    expect(bench.append(queue!, 'a')).toBe(true)
  })
})

describe('a record that waited joins the flush that waits for it', () => {
  test('its batch goes at once, and ends the flush', async () => {
    const bench = new Bench()
    const { flushes } = bench.accumulator
    const [queue] = bench.topic('orders', 1)
    const generation = flushes.current
    flushes.enter(generation)
    const flushed = flushes.flush()
    bench.append(queue!, 'a', { sentAtMs: 0, generation })
    flushes.leave(generation)
    const [batch] = bench.drain(1)
    expect(valuesOf(batch!)).toEqual(['a'])
    bench.accumulator.complete(batch!)
    await flushed
    expect(flushes.isEmpty).toBe(true)
  })

  test('without a flush it lingers as any other', () => {
    const bench = new Bench()
    const [queue] = bench.topic('orders', 1)
    bench.append(queue!, 'a', { sentAtMs: 0, generation: bench.accumulator.flushes.current })
    expect(bench.drained(1)).toEqual([])
  })
})

describe('load', () => {
  /** How often the sticky choice falls on each partition, of 600 moves. */
  function spread(bench: Bench): number[] {
    const topic = bench.accumulator.topic('orders')
    const counts = topic.partitions.map(() => 0)
    bench.accumulator.measureLoad(topic, bench.now)
    for (let i = 0; i < 600; i++) {
      counts[topic.sticky.partition(topic)]!++
      topic.sticky.appended(1000, true, topic)
    }
    return counts
  }

  test('a partition with a long queue gets fewer records', () => {
    const bench = new Bench()
    const queues = bench.topic('orders', 1, 2, 3)
    for (let i = 0; i < 5; i++) bench.append(queues[1]!, big)
    const [one, two, three] = spread(bench)
    expect(two!).toBeLessThan(one! / 3)
    expect(Math.abs(one! - three!)).toBeLessThan(30)
  })

  test('a broker that does not take what there is for it is avoided, until it does', () => {
    const bench = new Bench({ partitionerAvailabilityTimeoutMs: 50 })
    bench.topic('orders', 1, 2, 3)
    bench.accumulator.stalled(2, 0)
    bench.now = 40
    bench.accumulator.stalled(2, 40)
    bench.now = 51
    expect(spread(bench)[1]).toBeLessThanOrEqual(1) // the one that was chosen before may go on
    bench.accumulator.takesAll(2)
    bench.now = 100
    expect(spread(bench)[1]).toBeGreaterThan(150)
  })

  test('without adaptive partitioning queues do not matter', () => {
    const bench = new Bench({ partitionerAdaptivePartitioningEnable: false })
    const queues = bench.topic('orders', 1, 2, 3)
    for (let i = 0; i < 5; i++) bench.append(queues[1]!, big)
    expect(spread(bench)[1]).toBeGreaterThan(150)
  })
})
