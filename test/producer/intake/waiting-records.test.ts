import { describe, expect, test } from 'vitest'
import { Generation } from '../../../src/producer/batching/flush-generations.js'
import { TopicQueues } from '../../../src/producer/batching/topic-queues.js'
import {
  WaitingRecords,
  type WaitingRecord,
  type WaitsFor,
} from '../../../src/producer/intake/waiting-records.js'
import { ZERO_UUID } from '../../../src/protocol/apis.js'
import { ManualClock } from '../../network/manual-clock.js'

const noParts = { reconsider: () => {}, compress: null, release: () => {} }

class Bench {
  readonly clock = new ManualClock()
  readonly placed: string[] = []
  readonly expired: string[] = []
  /** How many more records find room. */
  room = Infinity
  readonly waiting = new WaitingRecords({
    clock: this.clock,
    maxBytes: 2000,
    place: (record) => {
      if (this.room === 0) return 'room'
      this.room--
      this.waiting.remove(record)
      this.placed.push(String(record.value))
      return null
    },
    needsRoom: () => {},
    expired: (record) => void this.expired.push(String(record.value)),
  })

  topic(name: string, partitions = 0): TopicQueues {
    const topic = new TopicQueues(name, noParts, 100)
    this.learn(topic, partitions)
    return topic
  }

  learn(topic: TopicQueues, partitions: number): void {
    const rows = Array.from({ length: partitions }, (_, index) => ({ index, leader: 1, leaderEpoch: -1 }))
    topic.update({ id: ZERO_UUID, partitions: rows, availablePartitions: rows.map(({ index }) => index) })
  }

  add(topic: TopicQueues, value: string, waitsFor: WaitsFor, inMs = 1000, bytes = 100): WaitingRecord {
    const record: WaitingRecord = {
      topic,
      partition: undefined,
      choice: null,
      sentAtMs: this.clock.now(),
      timestamp: 0,
      generation: new Generation(0),
      callback: () => {},
      partitioner: () => -1,
      original: { key: null, value },
      key: null,
      value,
      headers: undefined,
      waitsFor,
      isGone: false,
      bytes,
      deadline: null,
    }
    this.waiting.add(record, this.clock.now() + inMs)
    return record
  }
}

describe('order', () => {
  test('records of a topic go in the order in which they came, once its metadata is there', () => {
    const bench = new Bench()
    const [orders, clicks] = [bench.topic('orders'), bench.topic('clicks')]
    bench.add(orders, 'a', 'metadata')
    bench.add(clicks, 'x', 'metadata')
    bench.add(orders, 'b', 'metadata')
    bench.waiting.advanceTopic(orders)
    expect(bench.placed).toEqual([])
    bench.learn(orders, 1)
    bench.waiting.advanceTopic(orders)
    expect(bench.placed).toEqual(['a', 'b'])
    expect([...bench.waiting.topics]).toEqual([clicks])
    expect([orders.waiting, clicks.waiting, bench.waiting.count]).toEqual([0, 1, 1])
  })

  test('a slow serializer holds back what came later for its topic, and nothing of other topics', () => {
    const bench = new Bench()
    const [orders, clicks] = [bench.topic('orders', 1), bench.topic('clicks', 1)]
    const slow = bench.add(orders, 'a', 'serializer', 1000, 0)
    const fast = bench.add(orders, 'b', 'serializer', 1000, 0)
    bench.add(clicks, 'x', 'metadata')
    bench.waiting.serialized(fast, 50, 1000)
    bench.waiting.advanceTopic(clicks)
    expect(bench.placed).toEqual(['x'])
    bench.waiting.serialized(slow, 50, 1000)
    expect(bench.placed).toEqual(['x', 'a', 'b'])
  })

  test('room is given in the order in which it was asked for, over all topics', () => {
    const bench = new Bench()
    bench.room = 0
    const [orders, clicks] = [bench.topic('orders', 1), bench.topic('clicks', 1)]
    bench.add(orders, 'a', 'room')
    bench.add(clicks, 'x', 'room')
    bench.add(orders, 'b', 'room')
    bench.waiting.advanceRoom()
    expect(bench.placed).toEqual([])
    bench.room = 2
    bench.waiting.advanceRoom()
    expect(bench.placed).toEqual(['a', 'x'])
    expect(bench.waiting.areWaitingForRoom).toBe(true)
    bench.room = 1
    bench.waiting.advanceRoom()
    expect(bench.waiting.areWaitingForRoom).toBe(false)
  })

  test('what has its metadata does not overtake those that wait for room already, though there is some', () => {
    const bench = new Bench()
    const [orders, clicks] = [bench.topic('orders'), bench.topic('clicks', 1)]
    bench.add(orders, 'a', 'metadata')
    bench.add(clicks, 'x', 'room')
    bench.learn(orders, 1)
    bench.waiting.advanceTopic(orders)
    expect(bench.placed).toEqual([])
    bench.waiting.advanceRoom()
    expect(bench.placed).toEqual(['x', 'a'])
  })

  test('what has its metadata but finds no room joins the end of the line for room', () => {
    const bench = new Bench()
    bench.room = 0
    const [orders, clicks] = [bench.topic('orders'), bench.topic('clicks', 1)]
    bench.add(orders, 'a', 'metadata')
    bench.add(clicks, 'x', 'room')
    bench.learn(orders, 1)
    bench.waiting.advanceTopic(orders)
    bench.room = Infinity
    bench.waiting.advanceRoom()
    expect(bench.placed).toEqual(['x', 'a'])
  })
})

describe('bounds', () => {
  test('waiting records count their bytes and 256 more each', () => {
    const bench = new Bench()
    const orders = bench.topic('orders')
    const records = ['a', 'b', 'c', 'd'].map((value) => bench.add(orders, value, 'metadata', 1000, 144))
    // 4 * 400 are taken.
    expect(bench.waiting.admits(144)).toBe(true)
    expect(bench.waiting.admits(145)).toBe(false)
    bench.waiting.remove(records[0]!)
    expect(bench.waiting.admits(544)).toBe(true)
    expect(bench.waiting.admits(545)).toBe(false)
  })

  test('a record whose serializer is at work counts its bytes when it has them', () => {
    const bench = new Bench()
    const record = bench.add(bench.topic('orders'), 'a', 'serializer', 1000, 0)
    expect(bench.waiting.admits(1488)).toBe(true)
    bench.waiting.serialized(record, 1000, 1000)
    expect(bench.waiting.admits(488)).toBe(true)
    expect(bench.waiting.admits(489)).toBe(false)
  })
})

describe('time', () => {
  test('each record waits for its own time, and no timer is left when none waits', async () => {
    const bench = new Bench()
    const orders = bench.topic('orders')
    bench.add(orders, 'late', 'metadata', 300)
    bench.add(orders, 'soon', 'metadata', 100)
    await bench.clock.advance(99)
    expect(bench.expired).toEqual([])
    await bench.clock.advance(1)
    expect(bench.expired).toEqual(['soon'])
    await bench.clock.advance(200)
    expect(bench.expired).toEqual(['soon', 'late'])
    expect([bench.waiting.count, bench.clock.timers]).toEqual([0, 0])
  })

  test('a serializer that never ends lets those behind it go when its time is over', async () => {
    const bench = new Bench()
    const orders = bench.topic('orders', 1)
    bench.add(orders, 'stuck', 'serializer', 100)
    bench.add(orders, 'next', 'metadata', 500)
    await bench.clock.advance(100)
    expect(bench.expired).toEqual(['stuck'])
    expect(bench.placed).toEqual(['next'])
    expect(orders.waiting).toBe(0)
  })

  test('one that gives up its place in the line for room makes way for the next', async () => {
    const bench = new Bench()
    bench.room = 0
    const orders = bench.topic('orders', 1)
    bench.add(orders, 'large', 'room', 100)
    bench.add(orders, 'small', 'room', 500)
    bench.room = 1
    await bench.clock.advance(100)
    expect(bench.expired).toEqual(['large'])
    expect(bench.placed).toEqual(['small'])
  })
})
