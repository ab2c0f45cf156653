import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { ApiVersions, InitProducerId, Produce } from '../../src/protocol/apis.js'
import { Faults, type FaultMatch } from '../../src/testing/faults.js'
import { TestCluster } from '../../src/testing/index.js'
import { batch, produceRequest, RawClient } from './raw-client.js'

describe('which requests a fault hits', () => {
  /** The positions, from 1, of those of `count` Produce requests that are hit. */
  function hits(match: Omit<FaultMatch, 'api'>, count = 10, faults = new Faults()): number[] {
    faults.add({ api: 'Produce', ...match }, 'close')
    const positions = Array.from({ length: count }, (_, i) => i + 1)
    return positions.filter(() => faults.match('Produce', 1, ['orders']) !== undefined)
  }

  test('by default the next one, once', () => {
    expect(hits({})).toEqual([1])
  })

  test('nth counts from 1, times says how many from there on', () => {
    expect(hits({ nth: 3 })).toEqual([3])
    expect(hits({ nth: 3, times: 2 })).toEqual([3, 4])
    expect(hits({ nth: 8, times: Infinity })).toEqual([8, 9, 10])
  })

  test('only those that match count', () => {
    const faults = new Faults()
    faults.add({ api: 'Produce', broker: 2, topic: 'orders', nth: 2 }, 'close')
    expect(faults.match('Produce', 2, ['orders'])).toBeUndefined()
    expect(faults.match('Metadata', 2, ['orders'])).toBeUndefined()
    expect(faults.match('Produce', 1, ['orders'])).toBeUndefined()
    expect(faults.match('Produce', 2, ['clicks'])).toBeUndefined()
    expect(faults.match('Produce', 2, ['clicks', 'orders'])).toMatchObject({
      action: 'close',
      topic: 'orders',
    })
  })

  test('with a probability about so many, and the same ones for the same seed', () => {
    const some = hits({ probability: 0.3, seed: 7 }, 1000)
    expect(some.length).toBeGreaterThan(250)
    expect(some.length).toBeLessThan(350)
    expect(hits({ probability: 0.3, seed: 7 }, 1000)).toEqual(some)
    expect(hits({ probability: 0.3, seed: 8 }, 1000)).not.toEqual(some)
    expect(hits({ probability: 0.3, seed: 7, times: 2 }, 1000)).toEqual(some.slice(0, 2))
    expect(hits({ probability: 0 })).toEqual([])
    expect(hits({ probability: 1 })).toHaveLength(10)
  })

  test('of several that are due the one injected first applies, and all of them count', () => {
    const faults = new Faults()
    faults.add({ api: 'Produce' }, 'close')
    faults.add({ api: 'Produce', nth: 2 }, 'drop-answer')
    faults.add({ api: 'Produce', times: 2 }, 'drop-request')
    const actions = [1, 2, 3, 4].map(() => faults.match('Produce', 1, [])?.action)
    expect(actions).toEqual(['close', 'drop-answer', 'drop-request', 'drop-request'])
  })

  test('none any more once it is taken back', () => {
    const faults = new Faults()
    const undo = faults.add({ api: 'Produce', times: Infinity }, 'close')
    expect(faults.match('Produce', 1, [])).toBeDefined()
    undo()
    undo()
    expect(faults.match('Produce', 1, [])).toBeUndefined()
  })

  test.each([
    { nth: 0 },
    { nth: 1.5 },
    { times: 0 },
    { times: NaN },
    { probability: 2 },
    { probability: NaN },
  ])('%o is refused', (match) => {
    expect(() => new Faults().add({ api: 'Produce', ...match }, 'close')).toThrow(RangeError)
  })

  test.each([NaN, Infinity, -1, '5', null, undefined])('a time of %s is refused', (time) => {
    const given = time as number
    expect(() => new Faults().add({ api: 'Produce' }, { delayMs: given })).toThrow(
      /delayMs is .*milliseconds/,
    )
    expect(() => new Faults().add({ api: 'Produce' }, { throttleMs: given })).toThrow(RangeError)
  })

  test('an error that the protocol does not have is refused by its name, and taken as a number', () => {
    expect(() => new Faults().add({ api: 'Produce' }, { error: 'NO_SUCH_ERROR' })).toThrow('NO_SUCH_ERROR')
    new Faults().add({ api: 'Produce' }, { error: 999 })
  })
})

describe('what a fault does', () => {
  let cluster: TestCluster
  let client: RawClient
  /** Timers that the cluster has set, by hand. */
  let timers: { delayMs: number; fire: () => void }[]

  beforeEach(async () => {
    timers = []
    const clock = {
      wallNow: () => Date.now(),
      setTimer: (delayMs: number, fire: () => void) => {
        const timer = { delayMs, fire }
        timers.push(timer)
        return { cancel: () => void timers.splice(timers.indexOf(timer), 1) }
      },
    }
    cluster = await TestCluster.start({
      clock,
      topics: { orders: { partitions: 2 }, clicks: { partitions: 1 } },
    })
    client = await RawClient.connect(cluster.bootstrapServers[0]!)
  })

  afterEach(async () => {
    client.close()
    await cluster.close()
  })

  const stored = (topic = 'orders') => cluster.records(topic).length
  const send = (value = 'value') => client.send(Produce, 12, produceRequest(batch({ values: [value] })))
  const answer = (id: number) => client.answer(Produce, 12, id)
  const fresh = () => RawClient.connect(cluster.bootstrapServers[0]!)

  /** A request that the broker has carried out shows that the ones before it were dealt with. */
  async function settled(): Promise<void> {
    const other = await fresh()
    await other.apiVersions()
    other.close()
  }

  async function appeared(count: number): Promise<void> {
    while (stored() < count) await settled()
  }

  test('throttleMs is in the answer, which comes at once, and nothing is read for so long', async () => {
    cluster.fail({ api: 'Produce' }, { throttleMs: 700 })
    const first = send('one')
    const second = send('two')
    expect(await answer(first)).toMatchObject({
      throttleTimeMs: 700,
      responses: [{ partitionResponses: [{ errorCode: 0 }] }],
    })
    expect(timers).toMatchObject([{ delayMs: 700 }])
    await settled()
    expect(stored()).toBe(1)
    timers[0]!.fire()
    expect(await answer(second)).toMatchObject({ throttleTimeMs: 0 })
    expect(stored()).toBe(2)
  })

  test('leaderEpoch stands in the next Metadata answer, in place of the partitions own', async () => {
    cluster.fail({ api: 'Metadata', topic: 'orders' }, { leaderEpoch: 0x7fffffff })
    const epochs = async () =>
      (await client.metadata(['orders', 'clicks'])).topics.map(({ partitions }) =>
        partitions.map(({ leaderEpoch }) => leaderEpoch),
      )
    expect(await epochs()).toEqual([[0x7fffffff, 0x7fffffff], [0]])
    expect(await epochs()).toEqual([[0, 0], [0]])
  })

  describe('error', () => {
    test('is the answer of each partition, and nothing is appended', async () => {
      cluster.fail({ api: 'Produce' }, { error: 'KAFKA_STORAGE_ERROR' })
      expect(await client.produce(batch())).toMatchObject({ errorCode: 56, baseOffset: -1n })
      expect(await client.produce(batch())).toMatchObject({ errorCode: 0, baseOffset: 0n })
      const fault = { error: 'KAFKA_STORAGE_ERROR' }
      expect(cluster.requests).toMatchObject([
        { fault, batches: [{ outcome: 'KAFKA_STORAGE_ERROR' }] },
        { fault: undefined, batches: [{ outcome: 'NONE' }] },
      ])
    })

    test('may be a number that nobody knows', async () => {
      cluster.fail({ api: 'Produce' }, { error: 999 })
      expect(await client.produce(batch())).toMatchObject({ errorCode: 999 })
    })

    test('is that of the one topic that it is ordered for', async () => {
      cluster.fail({ api: 'Produce', topic: 'clicks' }, { error: 'MESSAGE_TOO_LARGE' })
      const { topicData } = produceRequest(batch())
      const both = {
        ...produceRequest(null),
        topicData: [...topicData, { ...topicData[0]!, name: 'clicks' }],
      }
      const { responses } = await client.request(Produce, 12, both)
      expect(responses.map(({ partitionResponses }) => partitionResponses[0]!.errorCode)).toEqual([0, 10])
      expect([stored('orders'), stored('clicks')]).toEqual([1, 0])
    })

    test.each([
      ['REQUEST_TIMED_OUT', 7],
      ['NOT_ENOUGH_REPLICAS_AFTER_APPEND', 20],
    ])('%s comes after the append', async (error, errorCode) => {
      cluster.fail({ api: 'Produce' }, { error })
      const bytes = batch({ producerId: 3n })
      expect(await client.produce(bytes)).toMatchObject({ errorCode, baseOffset: -1n })
      expect(stored()).toBe(1)
      expect(await client.produce(bytes)).toMatchObject({ errorCode: 0, baseOffset: 0n })
      expect(stored()).toBe(1)
    })

    test('closes the connection where acks=0 leaves no other way', async () => {
      cluster.fail({ api: 'Produce' }, { error: 'KAFKA_STORAGE_ERROR' })
      client.send(Produce, 12, produceRequest(batch(), { acks: 0 }))
      expect(await client.ended).toBe('end')
    })

    test('is that of each topic in Metadata', async () => {
      cluster.fail({ api: 'Metadata' }, { error: 'LEADER_NOT_AVAILABLE' })
      cluster.fail({ api: 'Metadata', topic: 'clicks', nth: 2 }, { error: 29 })
      const codes = async () =>
        (await client.metadata(['orders', 'clicks'])).topics.map((topic) => topic.errorCode)
      expect(await codes()).toEqual([5, 5])
      expect(await codes()).toEqual([0, 29])
      expect(await codes()).toEqual([0, 0])
    })

    test('stands at the top of Metadata for REBOOTSTRAP_REQUIRED, or where there is no topic', async () => {
      cluster.fail({ api: 'Metadata', times: 2 }, { error: 'REBOOTSTRAP_REQUIRED' })
      cluster.fail({ api: 'Metadata', nth: 3 }, { error: 'UNKNOWN_SERVER_ERROR' })
      expect(await client.metadata(['orders'])).toMatchObject({ errorCode: 129, topics: [{ errorCode: 0 }] })
      expect(await client.metadata([])).toMatchObject({ errorCode: 129 })
      expect(await client.metadata([])).toMatchObject({ errorCode: -1, topics: [] })
      expect(await client.metadata([])).toMatchObject({ errorCode: 0 })
    })

    test('is the answer of InitProducerId and of ApiVersions', async () => {
      cluster.fail({ api: 'InitProducerId' }, { error: 'CLUSTER_AUTHORIZATION_FAILED' })
      expect(await client.initProducerId()).toMatchObject({
        errorCode: 31,
        producerId: -1n,
        producerEpoch: -1,
      })
      cluster.fail({ api: 'ApiVersions' }, { error: 'INVALID_REQUEST' })
      expect(await client.apiVersions()).toMatchObject({ errorCode: 42, apiKeys: [] })
      cluster.fail({ api: 'ApiVersions' }, { error: 'UNSUPPORTED_VERSION' })
      const id = client.send(ApiVersions, 4, { clientSoftwareName: 'raw', clientSoftwareVersion: '1' })
      expect(await client.answer(ApiVersions, 0, id)).toMatchObject({
        errorCode: 35,
        apiKeys: [{ apiKey: 18 }],
      })
    })
  })

  describe('delayMs', () => {
    test('holds the answer back, not the append, and what follows waits', async () => {
      cluster.fail({ api: 'Produce' }, { delayMs: 5000 })
      const ids = [send(), send()]
      await appeared(1)
      await settled()
      expect(stored()).toBe(1)
      expect(client.received).toHaveLength(0)
      expect(timers.map(({ delayMs }) => delayMs)).toEqual([5000])
      timers.shift()!.fire()
      await answer(ids[0]!)
      await answer(ids[1]!)
      expect(stored()).toBe(2)
    })

    test('leaves no timer when the connection ends first', async () => {
      cluster.fail({ api: 'Produce' }, { delayMs: 5000 })
      send()
      await appeared(1)
      client.close()
      while (cluster.connectionCount(1) > 0) await new Promise((resolve) => setImmediate(resolve))
      expect(timers).toEqual([])
    })

    test('that is over while the broker is paused ends with the pause', async () => {
      cluster.fail({ api: 'Produce' }, { delayMs: 5000 })
      const ids = [send(), send()]
      await appeared(1)
      cluster.pauseBroker(1)
      timers.shift()!.fire()
      for (let i = 0; i < 20; i++) await new Promise((resolve) => setImmediate(resolve))
      expect(client.received).toHaveLength(0)
      cluster.resumeBroker(1)
      await answer(ids[0]!)
      await answer(ids[1]!)
    })
  })

  test('drop-request: it does not arrive, nor does what follows on the connection, which stays open', async () => {
    cluster.fail({ api: 'Produce', nth: 2 }, 'drop-request')
    await answer(send('one'))
    send('two')
    send('three')
    await settled()
    expect(stored()).toBe(1)
    expect(client.duplex.destroyed).toBe(false)
    expect(client.received).toHaveLength(0)
    const other = await fresh()
    expect(await other.produce(batch())).toMatchObject({ errorCode: 0 })
    other.close()
    expect(cluster.requests.filter(({ api }) => api === 'Produce').map(({ fault }) => fault)).toEqual([
      undefined,
      'drop-request',
      undefined,
    ])
  })

  test('drop-answer: it is carried out, as is what follows, and no answer arrives on the connection', async () => {
    cluster.fail({ api: 'Produce', nth: 2 }, 'drop-answer')
    await answer(send('one'))
    send('two')
    send('three')
    await appeared(3)
    await settled()
    expect(client.duplex.destroyed).toBe(false)
    expect(client.received).toHaveLength(0)
    expect(cluster.requests.filter(({ api }) => api === 'Produce').map(({ fault }) => fault)).toEqual([
      undefined,
      'drop-answer',
      undefined,
    ])
  })

  test('close: the connection is reset and the request is not carried out', async () => {
    cluster.fail({ api: 'Produce' }, 'close')
    send()
    expect(await client.ended).toBe('reset')
    expect(stored()).toBe(0)
    expect(cluster.requests).toMatchObject([{ fault: 'close', batches: [{ outcome: null }] }])
  })

  test('cutAfterBytes: it is carried out, and the connection is reset after so much of the answer', async () => {
    for (const [index, cutAfterBytes] of [0, 1, 4, 11].entries()) {
      cluster.fail({ api: 'Produce' }, { cutAfterBytes })
      const cut = await fresh()
      cut.send(Produce, 12, produceRequest(batch()))
      // Bytes and a reset that arrive together are an end to Node.
      expect(await cut.ended).toMatch(cutAfterBytes === 0 ? 'reset' : /end|reset/)
      expect(cut.received).toHaveLength(cutAfterBytes)
      expect(stored()).toBe(index + 1)
    }
  })

  test('cutAfterBytes with acks=0 is a reset after the append', async () => {
    cluster.fail({ api: 'Produce' }, { cutAfterBytes: 3 })
    client.send(Produce, 12, produceRequest(batch(), { acks: 0 }))
    expect(await client.ended).toBe('reset')
    expect(stored()).toBe(1)
  })

  test('hits every API alike', async () => {
    cluster.fail({ api: 'InitProducerId' }, 'close')
    client.send(InitProducerId, 5, {
      transactionalId: null,
      transactionTimeoutMs: 1,
      producerId: -1n,
      producerEpoch: -1,
    })
    expect(await client.ended).toBe('reset')
    cluster.fail({ api: 'ApiVersions' }, { cutAfterBytes: 6 })
    const other = await fresh()
    other.send(ApiVersions, 4, { clientSoftwareName: 'raw', clientSoftwareVersion: '1' })
    await other.ended
    expect(other.received).toHaveLength(6)
  })
})
