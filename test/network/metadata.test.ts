import fc from 'fast-check'
import { beforeEach, describe, expect, test } from 'vitest'
import { AuthorizationError, ProtocolError } from '../../src/errors.js'
import { Metadata, type TopicChange } from '../../src/network/metadata.js'
import { ZERO_UUID } from '../../src/protocol/apis.js'
import { metadata, type MetadataResponse, type TopicSketch } from './scripted-broker.js'

const ID = '00000000-0000-0000-0000-0000000000a1'
const OTHER_ID = '00000000-0000-0000-0000-0000000000a2'
const BROKERS = [
  [1, 'one', 9092],
  [2, 'two', 9092],
  [3, 'three', 9092],
] as const

const silent = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }

const config = { metadataMaxIdleMs: 300_000, retryBackoffMs: 100, logger: silent }

/** Where answers come from in tests to which it does not matter. */
const source = { broker: 'one:9092', at: 0, hasReliableEpochs: true }

let cache: Metadata

beforeEach(() => {
  cache = new Metadata(config)
  cache.use('orders')
})

function update(...topics: TopicSketch[]): readonly TopicChange[] | undefined {
  return take(metadata(BROKERS, topics))
}

function take(
  response: MetadataResponse,
  from: Partial<typeof source> = {},
): readonly TopicChange[] | undefined {
  return cache.update(response, new Set(cache.topics), { ...source, ...from })
}

/** An answer of a broker about the one partition of the topic. */
function told(
  leader: number,
  epoch: number,
  from: Partial<typeof source> = {},
  id: string = ID,
): readonly TopicChange[] | undefined {
  return take(metadata(BROKERS, [{ name: 'orders', id, partitions: [[leader, epoch]] }]), from)
}

function leaders(name = 'orders'): (readonly [number, number])[] | undefined {
  return cache.topic(name)?.partitions.map(({ leader, leaderEpoch }) => [leader, leaderEpoch])
}

describe('metadata of a topic', () => {
  test('comes from the answer, with the partitions in order', () => {
    const changes = update({
      name: 'orders',
      id: ID,
      partitions: [
        { index: 1, leader: 2, epoch: 5 },
        { index: 0, leader: 1, epoch: 4 },
        { index: 2, leader: -1, epoch: 6 },
      ],
    })
    expect(cache.topic('orders')).toEqual({
      name: 'orders',
      id: ID,
      partitions: [
        { index: 0, leader: 1, leaderEpoch: 4 },
        { index: 1, leader: 2, leaderEpoch: 5 },
        { index: 2, leader: -1, leaderEpoch: 6 },
      ],
      availablePartitions: [0, 1],
    })
    expect(changes).toEqual([
      {
        name: 'orders',
        oldPartitionCount: 0,
        newPartitionCount: 3,
        leadersChanged: true,
        isRecreated: false,
        error: undefined,
      },
    ])
    expect(cache.clusterId).toBe('a-cluster')
    expect(cache.brokers.get(2)).toEqual({ id: 2, host: 'two', port: 9092, rack: null })
  })

  test('does not change where the answer says the same', () => {
    update({ name: 'orders', id: ID, partitions: [[1, 4]] })
    expect(update({ name: 'orders', id: ID, partitions: [[1, 4]] })).toEqual([])
  })

  test('does not go back to an older leader epoch that one answer tells', () => {
    update({
      name: 'orders',
      id: ID,
      partitions: [
        [1, 4],
        [2, 7],
      ],
    })
    expect(
      update({
        name: 'orders',
        id: ID,
        partitions: [
          [3, 3],
          [3, 8],
        ],
      }),
    ).toMatchObject([{ leadersChanged: true }])
    expect(leaders()).toEqual([
      [1, 4],
      [3, 8],
    ])
  })

  test('takes another leader at the same epoch: only one of them can be right, and the later one is likelier', () => {
    update({ name: 'orders', id: ID, partitions: [[-1, 4]] })
    update({ name: 'orders', id: ID, partitions: [[2, 4]] })
    expect(leaders()).toEqual([[2, 4]])
  })

  test('believes any epoch of a topic that was created again', () => {
    update({
      name: 'orders',
      id: ID,
      partitions: [
        [1, 40],
        [1, 41],
      ],
    })
    const changes = update({ name: 'orders', id: OTHER_ID, partitions: [[2, 0]] })
    expect(leaders()).toEqual([[2, 0]])
    expect(cache.topic('orders')?.id).toBe(OTHER_ID)
    expect(changes).toMatchObject([{ isRecreated: true, oldPartitionCount: 2, newPartitionCount: 1 }])
  })

  test('believes brokers that know no epochs', () => {
    update({ name: 'orders', partitions: [[1, 4]] })
    update({ name: 'orders', partitions: [[2, -1]] })
    expect(leaders()).toEqual([[2, -1]])
  })

  test('keeps its id, and its epochs, when an older broker of the same cluster does not tell the id', () => {
    update({ name: 'orders', id: ID, partitions: [[1, 4]] })
    const changes = update({ name: 'orders', id: ZERO_UUID, partitions: [[2, 3]] })
    expect(cache.topic('orders')?.id).toBe(ID)
    expect(leaders()).toEqual([[1, 4]])
    expect(changes).toEqual([])
  })

  test('tells from how many partitions to how many it grew', () => {
    update({ name: 'orders', id: ID, partitions: [[1, 1]] })
    expect(
      update({
        name: 'orders',
        id: ID,
        partitions: [
          [1, 1],
          [2, 0],
        ],
      }),
    ).toMatchObject([{ oldPartitionCount: 1, newPartitionCount: 2, isRecreated: false }])
  })

  test('does not lose partitions to a broker that has not heard of them, unless it is another topic', () => {
    update({
      name: 'orders',
      id: ID,
      partitions: [
        [1, 1],
        [2, 0],
      ],
    })
    expect(update({ name: 'orders', id: ID, partitions: [[1, 1]] })).toEqual([])
    expect(leaders()).toEqual([
      [1, 1],
      [2, 0],
    ])
  })

  test('keeps its partitions also where they are too many for the arguments of one call', () => {
    const many = Array.from({ length: 200_000 }, () => [1, 1] as const)
    update({ name: 'orders', id: ID, partitions: many })
    expect(update({ name: 'orders', id: ID, partitions: [[1, 1]] })).toEqual([])
    expect(cache.topic('orders')?.partitions).toHaveLength(200_000)
  })

  test('is left as it is by an answer about others', () => {
    cache.use('clicks')
    update(
      { name: 'orders', id: ID, partitions: [[1, 1]] },
      { name: 'clicks', id: OTHER_ID, partitions: [[2, 1]] },
    )
    cache.update(
      metadata(BROKERS, [{ name: 'clicks', id: OTHER_ID, partitions: [[3, 2]] }]),
      new Set(['clicks']),
      source,
    )
    expect(leaders()).toEqual([[1, 1]])
    expect(leaders('clicks')).toEqual([[3, 2]])
  })

  test('has no leader that is not among the brokers, also when another answer removes the broker', () => {
    update({
      name: 'orders',
      id: ID,
      partitions: [
        [1, 1],
        [9, 1],
      ],
    })
    expect(cache.topic('orders')).toMatchObject({ availablePartitions: [0] })
    const changes = cache.update(metadata([[2, 'two', 9092]]), new Set(), source)
    expect(leaders()).toEqual([
      [-1, 1],
      [-1, 1],
    ])
    expect(changes).toMatchObject([{ name: 'orders', leadersChanged: true }])
  })
})

describe('a leader epoch below the known one', () => {
  const two = { broker: 'two:9092' }

  test('is believed when another broker repeats it; until then it is in doubt, and asked about again', () => {
    told(1, 5)
    expect(told(2, 0)).toEqual([])
    expect(leaders()).toEqual([[1, 5]])
    expect([cache.isInDoubt('orders'), cache.isUnsettled('orders')]).toEqual([true, true])
    expect(told(2, 0, two)).toMatchObject([{ leadersChanged: true }])
    expect(leaders()).toEqual([[2, 0]])
    expect([cache.isInDoubt('orders'), cache.isUnsettled('orders')]).toEqual([false, false])
  })

  test('is believed when the same broker repeats it retryBackoffMs later, and no sooner', () => {
    told(1, 5)
    told(2, 0, { at: 1000 })
    told(2, 0, { at: 1099 })
    expect(leaders()).toEqual([[1, 5]])
    told(2, 0, { at: 1100 })
    expect(leaders()).toEqual([[2, 0]])
  })

  test('is no repetition of another one', () => {
    told(1, 5)
    told(2, 3)
    told(2, 4, two)
    expect(leaders()).toEqual([[1, 5]])
  })

  test.each([
    ['the known one', 1, 5],
    ['a newer one', 3, 6],
  ])('is forgotten when an answer tells %s', (_, leader, epoch) => {
    told(1, 5)
    told(2, 4)
    told(leader, epoch, two)
    expect(cache.isInDoubt('orders')).toBe(false)
    told(2, 4, { at: 60_000 })
    expect(leaders()).toEqual([[leader, epoch]])
  })

  test('is the right one where one answer, or one hint, told an absurd epoch', () => {
    told(1, 5)
    told(9, 0x7fff_ffff)
    expect(leaders()).toEqual([[-1, 0x7fff_ffff]])
    told(1, 5)
    told(1, 5, two)
    expect(leaders()).toEqual([[1, 5]])
    cache.updateLeader('orders', 0, { leaderId: 2, leaderEpoch: 0x7fff_ffff })
    told(1, 6)
    told(1, 6, two)
    expect(leaders()).toEqual([[1, 6]])
  })

  test('of a partition that is gone is in doubt no longer', () => {
    update({ name: 'orders', id: ZERO_UUID, partitions: [[1, 5], [1, 5]] }) // prettier-ignore
    update({ name: 'orders', id: ZERO_UUID, partitions: [[1, 5], [1, 4]] }) // prettier-ignore
    expect(cache.isInDoubt('orders')).toBe(true)
    update({ name: 'orders', id: ZERO_UUID, partitions: [[1, 5]] })
    expect(cache.isUnsettled('orders')).toBe(false)
  })

  test('counts for nothing where leader epochs are not reliable: the last answer is believed', () => {
    const old = { hasReliableEpochs: false }
    told(1, 5, old)
    told(2, 4, old)
    expect(leaders()).toEqual([[2, -1]])
    expect(cache.isInDoubt('orders')).toBe(false)
  })
})

describe('the id of a topic that was replaced', () => {
  test('does not come back with a broker that is behind, nor do the leaders that it tells', () => {
    told(1, 7)
    told(2, 0, {}, OTHER_ID)
    for (let at = 0; at < 60_000; at += 10_000) {
      expect(told(1, 8, { at, broker: 'two:9092' })).toEqual([])
      expect(cache.topic('orders')?.id).toBe(OTHER_ID)
      expect(leaders()).toEqual([[2, 0]])
      told(2, 0, { at }, OTHER_ID)
    }
  })

  test('comes back when for 30 s it is the only one: the other one was a mistake', () => {
    told(1, 0)
    told(2, 7, {}, OTHER_ID)
    told(1, 0, { at: 1_000 })
    told(1, 0, { at: 30_999 })
    expect(cache.topic('orders')?.id).toBe(OTHER_ID)
    expect(told(1, 0, { at: 31_000 })).toMatchObject([{ isRecreated: true }])
    expect(cache.topic('orders')?.id).toBe(ID)
    told(2, 7, { at: 31_000 }, OTHER_ID)
    expect(cache.topic('orders')?.id).toBe(ID)
  })

  test('comes back sooner where a leader refuses the other one: a producer that began with a broker that was ahead', () => {
    told(1, 0)
    told(2, 7, {}, OTHER_ID)
    cache.refuseId('orders', OTHER_ID)
    expect(cache.isUnsettled('orders')).toBe(false)
    told(1, 0, { at: 1_000 })
    expect(cache.isUnsettled('orders')).toBe(true)
    told(1, 0, { at: 1_499 })
    expect(cache.topic('orders')?.id).toBe(OTHER_ID)
    told(1, 0, { at: 1_500 })
    expect(cache.topic('orders')?.id).toBe(ID)
    expect(cache.isUnsettled('orders')).toBe(false)
  })

  test('comes back no sooner where a leader refuses another id than the present one', () => {
    told(1, 0)
    told(2, 7, {}, OTHER_ID)
    cache.refuseId('orders', ID)
    told(1, 0, { at: 1_000 })
    told(1, 0, { at: 2_000 })
    expect(cache.topic('orders')?.id).toBe(OTHER_ID)
  })

  test('is one of the last sixteen: a topic that is created again and again piles up nothing', () => {
    const idOf = (n: number): string => `00000000-0000-0000-0000-0000000001${String(n).padStart(2, '0')}`
    for (let n = 0; n <= 17; n++) told(1, 0, {}, idOf(n))
    told(1, 0, {}, idOf(1))
    expect(cache.topic('orders')?.id).toBe(idOf(17))
    told(1, 0, {}, idOf(0))
    expect(cache.topic('orders')?.id).toBe(idOf(0))
  })

  test('may come back after a start from the bootstrap servers: they may be of another cluster', () => {
    told(1, 0)
    told(2, 7, {}, OTHER_ID)
    cache.forgetBrokers()
    told(1, 0)
    expect(cache.topic('orders')?.id).toBe(ID)
  })
})

describe('what an answer names that cannot be used', () => {
  let lines: unknown[]

  beforeEach(() => {
    lines = []
    const note = (message: string, fields: unknown): void => void lines.push([message, fields])
    cache = new Metadata({ ...config, logger: { ...config.logger, warn: note, debug: note } })
    cache.use('orders')
  })

  test('is told of brokers in one line with their number', () => {
    const unusable = Array.from({ length: 1000 }, (_, i) => [i + 10, '', 9092] as const)
    take(metadata([...BROKERS, ...unusable]))
    expect(lines).toEqual([
      ['metadata names brokers that cannot be used', { count: 1000, nodeId: 10, host: '', port: 9092 }],
    ])
    expect(cache.brokers.size).toBe(3)
  })

  test('is told of topics in one line with their number', () => {
    update(...Array.from({ length: 1000 }, (_, i) => ({ name: `t${i}`, partitions: [[1, 1]] as const })))
    expect(lines).toEqual([['metadata of topics was ignored', { count: 1000 }]])
  })

  test('holds for a host that is longer than any name', () => {
    take(metadata([...BROKERS, [4, ' '.repeat(300_000), 9092]]))
    expect(cache.brokers.has(4)).toBe(false)
    expect(JSON.stringify(lines).length).toBeLessThan(400)
  })
})

describe('an error of a topic', () => {
  test.each([
    [3, 'UNKNOWN_TOPIC_OR_PARTITION'],
    [5, 'LEADER_NOT_AVAILABLE'],
  ])('that may pass (%i) leaves what is known, and is gone with the next good answer', (errorCode, code) => {
    update({ name: 'orders', id: ID, partitions: [[1, 1]] })
    const changes = update({ name: 'orders', errorCode })
    expect(leaders()).toEqual([[1, 1]])
    expect(cache.topicError('orders')).toMatchObject({ code, retriable: true })
    expect(changes?.[0]?.error).toBe(cache.topicError('orders'))
    expect(cache.isUnsettled('orders')).toBe(true)
    update({ name: 'orders', id: ID, partitions: [[1, 1]] })
    expect(cache.topicError('orders')).toBeUndefined()
    expect(cache.isUnsettled('orders')).toBe(false)
  })

  test('is an AuthorizationError that names the topic, and the topic cannot be used any more', () => {
    update({ name: 'orders', id: ID, partitions: [[1, 1]] })
    update({ name: 'orders', errorCode: 29 })
    expect(cache.topicError('orders')).toBeInstanceOf(AuthorizationError)
    expect(cache.topicError('orders')?.message).toContain('orders')
    expect(cache.topic('orders')).toBeUndefined()
    expect(cache.isUnsettled('orders')).toBe(false)
  })

  test('that is for good is forgotten on demand; one that may pass is not', () => {
    update({ name: 'orders', errorCode: 17 })
    expect(cache.topicError('orders')).toMatchObject({ code: 'INVALID_TOPIC_EXCEPTION', retriable: false })
    cache.forgetRefusal('orders')
    expect(cache.topicError('orders')).toBeUndefined()
    update({ name: 'orders', errorCode: 3 })
    cache.forgetRefusal('orders')
    expect(cache.topicError('orders')).toBeDefined()
  })

  test.each([-2, 999, 32_767])('that nobody knows (%i) is a refusal that names the number', (errorCode) => {
    update({ name: 'orders', errorCode })
    expect(cache.topicError('orders')?.message).toContain(String(errorCode))
    expect(cache.topicError('orders')?.retriable).toBe(false)
  })
})

describe('an answer that makes no sense', () => {
  test('names brokers that cannot be: they are left out', () => {
    take(
      metadata([
        [-1, 'minus', 9092],
        [1, '', 9092],
        [2, 'zero', 0],
        [3, 'large', 70_000],
        [4, 'good', 9092],
      ]),
    )
    expect([...cache.brokers.keys()]).toEqual([4])
  })

  test('without a usable broker is not taken in at all', () => {
    update({ name: 'orders', id: ID, partitions: [[1, 1]] })
    expect(take(metadata([], [{ name: 'orders', id: ID, partitions: [[2, 2]] }]))).toBeUndefined()
    expect(take(metadata([[-1, 'x', 1]]))).toBeUndefined()
    expect(leaders()).toEqual([[1, 1]])
    expect(cache.brokers.size).toBe(3)
  })

  test.each<[string, TopicSketch['partitions'] & {}]>([
    ['no partitions', []],
    [
      'a partition twice',
      [
        { index: 0, leader: 1, epoch: 1 },
        { index: 0, leader: 2, epoch: 1 },
      ],
    ],
    [
      'a gap',
      [
        { index: 0, leader: 1, epoch: 1 },
        { index: 2, leader: 2, epoch: 1 },
      ],
    ],
    ['a negative index', [{ index: -1, leader: 1, epoch: 1 }]],
    ['an enormous index', [{ index: 2_147_483_647, leader: 1, epoch: 1 }]],
  ])('about the partitions (%s) changes nothing, and is asked again', (_, partitions) => {
    update({ name: 'orders', id: ID, partitions: [[1, 1]] })
    const changes = update({ name: 'orders', id: ID, partitions })
    expect(leaders()).toEqual([[1, 1]])
    expect(cache.topicError('orders')).toBeInstanceOf(ProtocolError)
    expect(cache.isUnsettled('orders')).toBe(true)
    expect(changes?.[0]?.error).toBeInstanceOf(ProtocolError)
  })

  test('about topics that nobody asked for, without a name, or twice, is passed over', () => {
    cache.use('clicks')
    const response = metadata(BROKERS, [
      { name: 'stranger', partitions: [[1, 1]] },
      { name: null, partitions: [[1, 1]] },
      { name: 'clicks', partitions: [[1, 1]] },
      { name: 'orders', partitions: [[1, 1]] },
      {
        name: 'orders',
        partitions: [
          [2, 2],
          [2, 2],
        ],
      },
    ])
    expect(cache.update(response, new Set(['orders']), source)).toHaveLength(1)
    expect([...cache.topics]).toEqual(['orders', 'clicks'])
    expect(leaders()).toEqual([[1, 1]])
    expect(cache.topic('clicks')).toBeUndefined()
    expect(cache.isUnsettled('clicks')).toBe(true)
  })

  test('never breaks what is promised: dense partitions, known leaders, epochs that do not fall', () => {
    const row = fc.record({
      index: fc.integer({ min: -1, max: 4 }),
      leader: fc.integer({ min: -2, max: 5 }),
      epoch: fc.integer({ min: 0, max: 6 }),
    })
    const answer = fc.record({
      brokers: fc.array(
        fc.tuple(fc.integer({ min: -1, max: 4 }), fc.constantFrom('', 'host'), fc.constantFrom(0, 9092)),
      ),
      errorCode: fc.constantFrom(0, 0, 0, 3, 5, 29),
      id: fc.constantFrom(ID, ID, ID, OTHER_ID),
      partitions: fc.oneof(
        fc.array(row, { maxLength: 5 }),
        fc.array(row, { maxLength: 5 }).map((rows) => rows.map((one, index) => ({ ...one, index }))),
      ),
    })
    fc.assert(
      fc.property(fc.array(answer, { maxLength: 12 }), (answers) => {
        const one = new Metadata(config)
        one.use('orders')
        for (const { brokers, errorCode, id, partitions } of answers) {
          const before = one.topic('orders')
          const response = metadata(brokers, [{ name: 'orders', id, errorCode, partitions }])
          one.update(response, new Set(['orders']), source)
          const after = one.topic('orders')
          if (after === undefined) continue
          expect(after.partitions.map(({ index }) => index)).toEqual(
            after.partitions.map((_, index) => index),
          )
          for (const { leader } of after.partitions)
            expect(leader === -1 || one.brokers.has(leader)).toBe(true)
          expect(after.availablePartitions).toEqual(
            after.partitions.filter(({ leader }) => leader !== -1).map(({ index }) => index),
          )
          if (before?.id !== after.id) continue
          expect(after.partitions.length).toBeGreaterThanOrEqual(before.partitions.length)
          for (const { index, leaderEpoch } of before.partitions) {
            expect(after.partitions[index]!.leaderEpoch).toBeGreaterThanOrEqual(leaderEpoch)
          }
        }
      }),
    )
  })
})

describe('a leader that a Produce answer names (KIP-951)', () => {
  beforeEach(() => {
    update({
      name: 'orders',
      id: ID,
      partitions: [
        [1, 4],
        [2, 4],
      ],
    })
  })

  test('is taken when its epoch is newer', () => {
    const before = cache.topic('orders')
    expect(cache.updateLeader('orders', 0, { leaderId: 3, leaderEpoch: 5 })).toBe(true)
    expect(leaders()).toEqual([
      [3, 5],
      [2, 4],
    ])
    expect(before?.partitions[0]?.leader).toBe(1)
  })

  test.each([4, 3, -1])('is ignored when its epoch (%i) is not newer', (leaderEpoch) => {
    expect(cache.updateLeader('orders', 0, { leaderId: 3, leaderEpoch })).toBe(false)
    expect(leaders()).toEqual([
      [1, 4],
      [2, 4],
    ])
  })

  test('may be a broker that is new, where the answer says how to reach it', () => {
    expect(cache.updateLeader('orders', 0, { leaderId: 9, leaderEpoch: 5 })).toBe(false)
    expect(
      cache.updateLeader('orders', 0, {
        leaderId: 9,
        leaderEpoch: 5,
        endpoint: { host: 'nine', port: 9092 },
      }),
    ).toBe(true)
    expect(cache.brokers.get(9)).toEqual({ id: 9, host: 'nine', port: 9092, rack: null })
    expect(leaders()).toEqual([
      [9, 5],
      [2, 4],
    ])
  })

  test('is ignored where it cannot be', () => {
    const endpoint = { host: 'nine', port: 70_000 }
    expect(cache.updateLeader('orders', 0, { leaderId: 9, leaderEpoch: 5, endpoint })).toBe(false)
    expect(cache.updateLeader('orders', 0, { leaderId: -1, leaderEpoch: 5 })).toBe(false)
    expect(cache.updateLeader('orders', 7, { leaderId: 1, leaderEpoch: 5 })).toBe(false)
    expect(cache.updateLeader('strange', 0, { leaderId: 1, leaderEpoch: 5 })).toBe(false)
  })

  test('is not undone by older metadata', () => {
    cache.updateLeader('orders', 0, { leaderId: 3, leaderEpoch: 5 })
    update({
      name: 'orders',
      id: ID,
      partitions: [
        [1, 4],
        [2, 4],
      ],
    })
    expect(leaders()).toEqual([
      [3, 5],
      [2, 4],
    ])
  })
})

describe('use', () => {
  test('keeps a topic, and the lack of it drops the topic after metadataMaxIdleMs', () => {
    cache.expire(0)
    cache.expire(299_999)
    expect([...cache.topics]).toEqual(['orders'])
    cache.use('orders')
    cache.expire(300_000)
    cache.expire(599_999)
    expect([...cache.topics]).toEqual(['orders'])
    cache.expire(600_000)
    expect([...cache.topics]).toEqual([])
    expect(cache.isUnsettled('orders')).toBe(false)
  })

  test('of a topic again after it was dropped begins anew', () => {
    update({ name: 'orders', id: ID, partitions: [[1, 9]] })
    cache.expire(0)
    cache.expire(300_000)
    cache.use('orders')
    expect(cache.topic('orders')).toBeUndefined()
    expect(cache.isUnsettled('orders')).toBe(true)
  })
})

test('starting again forgets brokers, leaders and epochs, and keeps the topics', () => {
  update({
    name: 'orders',
    id: ID,
    partitions: [
      [1, 9],
      [2, 9],
    ],
  })
  cache.forgetBrokers()
  expect(cache.brokers.size).toBe(0)
  expect(leaders()).toEqual([
    [-1, -1],
    [-1, -1],
  ])
  update({
    name: 'orders',
    id: ID,
    partitions: [
      [3, 2],
      [3, 2],
    ],
  })
  expect(leaders()).toEqual([
    [3, 2],
    [3, 2],
  ])
})
