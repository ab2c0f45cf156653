import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  ConnectionError,
  KafkaError,
  ProtocolError,
  TimeoutError,
  UnsupportedVersionError,
} from '../../../src/errors.js'
import { Connection, type ConnectionOptions } from '../../../src/network/connection/connection.js'
import { clientSoftware } from '../../../src/network/connection/version-negotiation.js'
import { ApiVersions, InitProducerId, Metadata, Produce } from '../../../src/protocol/apis.js'
import { ManualClock, settled } from '../manual-clock.js'
import { MemoryNetwork, type MemorySocket } from '../memory-transport.js'
import { allRanges, metadata, ScriptedBroker, versions, type Asked } from '../scripted-broker.js'
import { barrier } from '../../fault-barrier.js'

const address = { host: '127.0.0.1', port: 9092, ip: '127.0.0.1' }
const noTopics = {
  topics: [],
  allowAutoTopicCreation: true,
  includeClusterAuthorizedOperations: false,
  includeTopicAuthorizedOperations: false,
}
const produce = (records: Uint8Array | null = Buffer.from('records'), acks = -1) => ({
  transactionalId: null,
  acks,
  timeoutMs: 30_000,
  topicData: [
    {
      name: 'orders',
      topicId: '00000000-0000-0000-0000-000000000001',
      partitionData: [{ index: 0, records }],
    },
  ],
})
const produced = { responses: [], throttleTimeMs: 0, nodeEndpoints: [] }
const throttled = (throttleTimeMs: number) => ({ ...produced, throttleTimeMs })
const initialized = { throttleTimeMs: 0, errorCode: 0, producerId: 7n, producerEpoch: 0 }

let clock: ManualClock
let network: MemoryNetwork
let broker: ScriptedBroker
let reasons: (KafkaError | undefined)[]

beforeEach(() => {
  clock = new ManualClock()
  network = new MemoryNetwork()
  broker = new ScriptedBroker()
  network.listen('127.0.0.1', 9092, (socket) => broker.serve(socket))
  reasons = []
})

afterEach(async () => {
  await settled()
  assert.equal(clock.foregroundTimers, 0, 'timers that are left')
})

function connection(options: Partial<ConnectionOptions> = {}): Connection {
  return new Connection({
    barrier,
    nodeId: 1,
    address,
    connect: network.connect,
    clock,
    setupTimeoutMs: 10_000,
    clientId: 'a-test',
    requestTimeoutMs: 30_000,
    connectionsMaxIdleMs: 540_000,
    socketMaxResponseBytes: 1_000_000,
    onClose: (reason) => reasons.push(reason),
    ...options,
  })
}

async function opened(options: Partial<ConnectionOptions> = {}): Promise<Connection> {
  const one = connection(options)
  await one.open()
  return one
}

/** The client's end of the only connection. */
function clientSocket(): MemorySocket {
  return [...network.sockets][0]!
}

function rejection(promise: Promise<unknown>): Promise<KafkaError> {
  return promise.then(
    () => expect.fail('it was fulfilled'),
    (error: unknown) => error as KafkaError,
  )
}

/** Settles what is under way as the end of a test, so that no timer is left. */
async function end(one: Connection): Promise<void> {
  one.close()
  await one.closed
  expect(network.sockets.size).toBe(0)
}

describe('opening', () => {
  test('agrees on the highest version of each API that both sides know', async () => {
    broker.ranges = new Map([...allRanges, [Produce.key, [0, 9] as const], [Metadata.key, [0, 99] as const]])
    const one = await opened()
    expect(one.version(Produce)).toBe(9)
    expect(one.version(Metadata)).toBe(Metadata.maxVersion)
    expect(one.isOpen).toBe(true)
    expect(one).toMatchObject({ nodeId: 1, host: '127.0.0.1', port: 9092, inFlight: 0 })
    await end(one)
  })

  test('says its name and version as the package says them', async () => {
    const one = await opened()
    expect(broker.of('ApiVersions')).toHaveLength(1)
    expect(broker.asked[0]).toMatchObject({
      version: 4,
      clientId: 'a-test',
      body: { clientSoftwareName: 'kafka-producer', clientSoftwareVersion: clientSoftware.version },
    })
    const json = readFileSync(join(__dirname, '../../../package.json'), 'utf8')
    expect(clientSoftware.version).toBe((JSON.parse(json) as { version: string }).version)
    await end(one)
  })

  test('asks again with the version that an older broker names (KIP-511)', async () => {
    const ranges = new Map([...allRanges, [ApiVersions.key, [0, 2] as const]])
    broker.script = (asked) => {
      if (asked.api.key !== ApiVersions.key) return undefined
      if (asked.version <= 2) return versions(ranges)
      asked.respond({ ...versions(ranges), errorCode: 35 }, { version: 0 })
      return 'nothing'
    }
    const one = await opened()
    expect(broker.asked.map(({ version }) => version)).toEqual([4, 2])
    await end(one)
  })

  test('falls back to version 0 where the refusal names nothing', async () => {
    broker.script = (asked) => {
      if (asked.version === 0) return versions(new Map([[Metadata.key, [0, 1] as const]]))
      asked.respond({ ...versions(new Map()), errorCode: 35 }, { version: 0 })
      return 'nothing'
    }
    const one = await opened()
    expect(broker.asked.map(({ version }) => version)).toEqual([4, 0])
    expect(one.version(Metadata)).toBe(1)
    await end(one)
  })

  test('gives up on a broker that refuses the very version it named', async () => {
    broker.script = (asked) => {
      asked.respond({ ...versions(), errorCode: 35 }, { version: 0 })
      return 'nothing'
    }
    const error = await rejection(connection().open())
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error.message).toContain('UNSUPPORTED_VERSION')
    expect(broker.asked).toHaveLength(2)
  })

  test('names both ranges where there is no version of ApiVersions in common', async () => {
    const ranges = new Map([[ApiVersions.key, [7, 9] as const]])
    broker.script = (asked) => {
      asked.respond({ ...versions(ranges), errorCode: 35 }, { version: 0 })
      return 'nothing'
    }
    const error = await rejection(connection().open())
    expect(error).toBeInstanceOf(UnsupportedVersionError)
    expect(error.message).toMatch(/versions 0 to 4, .* 7 to 9/)
  })

  test('passes on another error of ApiVersions', async () => {
    broker.script = () => ({ ...versions(), errorCode: 42 })
    const error = await rejection(connection().open())
    expect(error.message).toContain('INVALID_REQUEST')
    expect(error.retriable).toBe(true)
  })

  test('rejects a request that cannot be encoded, and hurts no other', async () => {
    const one = await opened()
    broker.script = () => metadata([[1, 'host', 9092]])
    const { length } = broker.asked
    const odd = {
      ...noTopics,
      topics: [
        { topicId: '00000000-0000-0000-0000-000000000000', name: { not: 'text' } as unknown as string },
      ],
    }
    const refused = rejection(one.request(Metadata, odd))
    const served = one.request(Metadata, noTopics)
    const error = await refused
    expect(error).toMatchObject({ code: 'INVALID_REQUEST', retriable: false })
    expect(error.message).toMatch(/^Metadata v\d+ cannot be encoded: /)
    await expect(served).resolves.toMatchObject({ brokers: [{ host: 'host' }] })
    expect(broker.asked).toHaveLength(length + 1)
    await end(one)
  })

  test('knows the features that are in force', async () => {
    broker.features = [{ name: 'transaction.version', maxVersionLevel: 2, minVersionLevel: 0 }]
    const one = await opened()
    expect(one.versions?.feature('transaction.version')).toBe(2)
    expect(one.versions?.feature('metadata.version')).toBe(0)
    await end(one)
  })

  test.each([
    ['does not know the API', undefined, /does not know this API/],
    ['speaks only newer versions', [90, 95], /versions 3 to 13, .* 90 to 95/],
    ['speaks only older versions', [0, 2], /versions 3 to 13, .* 0 to 2/],
    ['names a range that is upside down', [9, 5], /9 to 5/],
  ] as const)('refuses a request where the broker %s, and stays open', async (_, range, message) => {
    broker.ranges = new Map([...allRanges].filter(([key]) => key !== Produce.key))
    if (range !== undefined) broker.ranges = new Map([...broker.ranges, [Produce.key, range]])
    const one = await opened()
    let written = 0
    const error = await rejection(one.request(Produce, produce(), { onWritten: () => written++ }))
    expect(error).toBeInstanceOf(UnsupportedVersionError)
    expect(error.message).toMatch(message)
    expect(error.message).toContain('Produce')
    expect(written).toBe(1)
    expect(one.isOpen).toBe(true)
    await end(one)
  })

  test('says who refused, and how', async () => {
    network.unlisten('127.0.0.1', 9092)
    const error = await rejection(connection({ nodeId: -1 }).open())
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error.message).toBe('127.0.0.1:9092 refused the connection (ECONNREFUSED)')
    expect(reasons).toEqual([error])
  })

  test('gives up connecting when the setup timeout has passed', async () => {
    network.listen('127.0.0.1', 9092, 'silent')
    const failed = rejection(connection().open())
    await clock.advance(9999)
    expect(network.sockets.size).toBe(1)
    await clock.advance(1)
    expect((await failed).message).toContain('did not accept the connection within 10000 ms')
    expect(network.sockets.size).toBe(0)
  })

  test('gives up on a broker that accepts and stays silent', async () => {
    broker.script = () => 'nothing'
    const failed = rejection(connection().open())
    await clock.advance(30_000)
    expect(await failed).toBeInstanceOf(TimeoutError)
    expect(network.sockets.size).toBe(0)
  })

  test('says what it may mean when the other side hangs up at once', async () => {
    network.listen('127.0.0.1', 9092, (socket) => socket.destroy())
    const error = await rejection(connection().open())
    expect(error.message).toMatch(/closed the connection instead of saying what it speaks: it expects TLS/)
  })

  test('turns what connect throws into an error of its own', async () => {
    const one = connection({
      connect: () => {
        throw new RangeError('port out of range')
      },
    })
    const error = await rejection(one.open())
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error.message).toContain('port out of range')
    await one.closed
  })

  test('can be closed while it opens', async () => {
    network.listen('127.0.0.1', 9092, 'silent')
    const one = connection()
    const failed = rejection(one.open())
    await settled()
    const reason = new KafkaError('enough')
    one.close(reason)
    expect(await failed).toBe(reason)
    await one.closed
  })

  test('lets nobody in before it is authenticated, except who does that', async () => {
    let during: boolean | undefined
    broker.script = ({ api }) => (api.key === InitProducerId.key ? initialized : undefined)
    const body = { transactionalId: null, transactionTimeoutMs: 0, producerId: -1n, producerEpoch: -1 }
    const one = connection({
      authenticate: async (inside) => {
        during = inside.isOpen
        await inside.request(InitProducerId, body)
        return 0
      },
    })
    const opening = one.open()
    await expect(one.request(InitProducerId, body)).rejects.toThrow(/not open yet/)
    await opening
    expect(during).toBe(false)
    expect(broker.asked.map(({ api }) => api.name)).toEqual(['ApiVersions', 'InitProducerId'])
    await end(one)
  })

  test('is closed when authentication fails, with that very error', async () => {
    const refused = new KafkaError('wrong password')
    const one = connection({ authenticate: () => Promise.reject(refused) })
    expect(await rejection(one.open())).toBe(refused)
    expect(reasons).toEqual([refused])
    await one.closed
  })
})

describe('requests', () => {
  test('are pipelined and answered in order', async () => {
    const one = await opened()
    const waiting: Asked[] = []
    broker.script = (asked) => {
      waiting.push(asked)
      return 'nothing'
    }
    const first = one.request(Metadata, noTopics)
    const second = one.request(Produce, produce())
    await settled()
    expect(waiting.map(({ api }) => api.name)).toEqual(['Metadata', 'Produce'])
    expect(one.inFlight).toBe(2)
    waiting[0]!.respond(metadata([[1, 'a', 1]]))
    await expect(first).resolves.toMatchObject({ clusterId: 'a-cluster' })
    expect(one.inFlight).toBe(1)
    waiting[1]!.respond(produced)
    await expect(second).resolves.toMatchObject({ responses: [] })
    expect(one.inFlight).toBe(0)
    expect(clock.foregroundTimers).toBe(0)
    await end(one)
  })

  test('use no higher version than they are told', async () => {
    broker.script = ({ api }) => (api.key === Produce.key ? produced : undefined)
    const one = await opened()
    await one.request(Produce, produce(), { maxVersion: 11 })
    expect(broker.of('Produce')[0]!.version).toBe(11)
    await end(one)
  })

  test('of one tick leave as one writev, records by reference among them', async () => {
    broker.script = ({ api }) => (api.key === Produce.key ? produced : undefined)
    const one = await opened()
    const socket = clientSocket()
    socket.writes.length = 0
    await Promise.all([one.request(Produce, produce()), one.request(Produce, produce())])
    expect(socket.writes).toHaveLength(1)
    expect(socket.writes[0]).toBeGreaterThanOrEqual(4)
    await one.request(Produce, produce())
    expect(socket.writes).toHaveLength(2)
    await end(one)
  })

  test('are decoded from an answer that comes byte by byte', async () => {
    const one = await opened()
    broker.script = (asked) => {
      for (const byte of asked.frame(metadata([[1, 'host', 9092]]))) asked.socket.write(Buffer.of(byte))
      return 'nothing'
    }
    await expect(one.request(Metadata, noTopics)).resolves.toMatchObject({ brokers: [{ host: 'host' }] })
    await end(one)
  })

  test('are answered ten at a time from one chunk', async () => {
    const one = await opened()
    const frames: Buffer[] = []
    broker.script = (asked) => {
      frames.push(asked.frame(throttled(0)))
      if (frames.length === 10) asked.socket.write(Buffer.concat(frames))
      return 'nothing'
    }
    const all = Array.from({ length: 10 }, () => one.request(Produce, produce()))
    await expect(Promise.all(all)).resolves.toHaveLength(10)
    await end(one)
  })

  test('that cannot be encoded are rejected without harm to the connection', async () => {
    const one = await opened()
    let written = 0
    const body = { ...noTopics, topics: [{ topicId: 'no uuid', name: 'x' }] }
    await rejection(one.request(Metadata, body, { onWritten: () => written++ }))
    expect(written).toBe(1)
    expect(one.isOpen).toBe(true)
    expect(one.inFlight).toBe(0)
    await end(one)
  })

  test('without an answer are fulfilled when the socket has taken them, and count until then', async () => {
    const one = await opened()
    const socket = clientSocket()
    socket.isStalled = true
    let isDone = false
    const sent = one.request(Produce, produce(undefined, 0), { expectsResponse: false }).then((nothing) => {
      isDone = true
      return nothing
    })
    await settled()
    expect(isDone).toBe(false)
    expect(one.inFlight).toBe(1)
    socket.resumeWrites()
    await expect(sent).resolves.toBeUndefined()
    expect(one.inFlight).toBe(0)
    expect(clock.foregroundTimers).toBe(0)
    await end(one)
  })

  test('without an answer fail when the socket does not take them', async () => {
    const one = await opened()
    clientSocket().failure = Object.assign(new Error('write EPIPE'), { code: 'EPIPE' })
    let written = 0
    const error = await rejection(
      one.request(Produce, produce(undefined, 0), { expectsResponse: false, onWritten: () => written++ }),
    )
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error.message).toContain('EPIPE')
    await one.closed
    expect(written).toBe(1)
  })

  test('without an answer are timed out when the socket does not take them', async () => {
    const one = await opened()
    clientSocket().isStalled = true
    const failed = rejection(one.request(Produce, produce(undefined, 0), { expectsResponse: false }))
    await clock.advance(30_000)
    expect(await failed).toBeInstanceOf(TimeoutError)
    expect((await failed).message).toContain('did not take Produce')
    await one.closed
  })
})

describe('a request that is not answered in time', () => {
  test('ends the connection with all that is in flight, each told what happened', async () => {
    const one = await opened()
    const first = rejection(one.request(Produce, produce()))
    await clock.advance(10_000)
    const second = rejection(one.request(Metadata, noTopics))
    await clock.advance(19_999)
    expect(one.isOpen).toBe(true)
    await clock.advance(1)
    expect(await first).toBeInstanceOf(TimeoutError)
    expect((await first).message).toMatch(
      /^broker 1 at 127\.0\.0\.1:9092 did not answer Produce v13 within 30000 ms/,
    )
    expect(await second).toBeInstanceOf(ConnectionError)
    expect((await second).message).toContain('did not answer Produce v13')
    expect((await second).cause).toBe(await first)
    expect(one.isOpen).toBe(false)
    expect(reasons).toEqual([await second])
  })

  test('has the time that it asked for, however long those before it may wait', async () => {
    const one = await opened()
    const patient = rejection(one.request(Produce, produce()))
    const hasty = rejection(one.request(Metadata, noTopics, { timeoutMs: 1000 }))
    await clock.advance(1000)
    expect(await hasty).toBeInstanceOf(TimeoutError)
    expect(await patient).toBeInstanceOf(ConnectionError)
  })

  test('is measured from its own start, not from that of the one before it', async () => {
    const one = await opened()
    const waiting: Asked[] = []
    broker.script = (asked) => {
      waiting.push(asked)
      return 'nothing'
    }
    const first = one.request(Produce, produce())
    await clock.advance(20_000)
    const second = rejection(one.request(Produce, produce()))
    waiting[0]!.respond(produced)
    await first
    await clock.advance(29_999)
    expect(one.isOpen).toBe(true)
    await clock.advance(1)
    expect(await second).toBeInstanceOf(TimeoutError)
  })

  test('leaves an answer that comes later to nobody', async () => {
    const one = await opened()
    const failed = rejection(one.request(Produce, produce()))
    await clock.advance(30_000)
    await failed
    broker.of('Produce')[0]!.respond(produced)
    await settled()
    expect(reasons).toHaveLength(1)
  })
})

describe('a broker that throttles', () => {
  const first = throttled(2000)

  test('is left alone for the time that it asks for, and then gets what waited, in order', async () => {
    let answers = 0
    broker.script = ({ api }) => (api.key === Produce.key ? (answers++ === 0 ? first : produced) : undefined)
    const one = await opened()
    await one.request(Produce, produce())
    expect(one.throttledUntil).toBe(clock.now() + 2000)
    let written = 0
    const waiting = [
      one.request(Produce, produce(), { onWritten: () => written++ }),
      one.request(Produce, produce(), { onWritten: () => written++ }),
    ]
    expect(one.inFlight).toBe(2)
    await clock.advance(1999)
    expect(broker.of('Produce')).toHaveLength(1)
    expect(written).toBe(0)
    await clock.advance(1)
    await Promise.all(waiting)
    expect(broker.of('Produce')).toHaveLength(3)
    expect(written).toBe(2)
    await end(one)
  })

  test('gets what is asked as the time ends behind what waited for it', async () => {
    let answers = 0
    broker.script = ({ api }) => (api.key === Produce.key ? (answers++ === 0 ? first : produced) : undefined)
    const one = await opened()
    await one.request(Produce, produce())
    const later: Promise<unknown>[] = []
    // Due at the same time as the end of throttling, and set before it.
    clock.setTimer(2000, () => later.push(one.request(Produce, produce())))
    const held = one.request(Produce, produce())
    await clock.advance(2000)
    await Promise.all([held, ...later])
    expect(broker.of('Produce').map(({ correlationId }) => correlationId)).toEqual([1, 2, 3])
    await end(one)
  })

  test('cannot make it wait without end, nor with a negative time', async () => {
    const times = [2_147_483_647, -5]
    broker.script = ({ api }) => (api.key === Produce.key ? throttled(times.shift()!) : undefined)
    const one = await opened()
    await one.request(Produce, produce())
    expect(one.throttledUntil).toBe(clock.now() + 600_000)
    const second = one.request(Produce, produce())
    await clock.advance(600_000)
    await second
    expect(one.throttledUntil).toBeLessThanOrEqual(clock.now())
    await end(one)
  })

  test('does not make a request late that it has not read yet, however long it throttles', async () => {
    let unread: (() => void) | undefined
    broker.script = (asked) => {
      if (asked.api.key !== Produce.key) return undefined
      if (unread === undefined) {
        unread = () => {}
        return throttled(60_000)
      }
      unread = () => asked.respond(produced)
      return null
    }
    const one = await opened()
    const first = one.request(Produce, produce())
    const second = one.request(Produce, produce())
    await first
    await clock.advance(60_000)
    unread?.()
    expect(await second).toEqual(produced)
    await end(one)
  })

  test('does not take the time of waiting from the time for the answer', async () => {
    broker.script = ({ api, correlationId }) =>
      api.key === Produce.key ? (correlationId === 1 ? throttled(20_000) : 'nothing') : undefined
    const one = await opened()
    await one.request(Produce, produce())
    const second = rejection(one.request(Produce, produce()))
    await clock.advance(49_999)
    expect(one.isOpen).toBe(true)
    await clock.advance(1)
    expect(await second).toBeInstanceOf(TimeoutError)
  })

  test('has done so by itself where it is older than 2.0', async () => {
    broker.ranges = new Map([...allRanges, [ApiVersions.key, [0, 1] as const]])
    broker.script = (asked) => {
      if (asked.api.key === Produce.key) return first
      if (asked.version <= 1) return undefined
      asked.respond({ ...versions(broker.ranges), errorCode: 35 }, { version: 0 })
      return 'nothing'
    }
    const one = await opened()
    await one.request(Produce, produce())
    expect(one.throttledUntil).toBe(0)
    await end(one)
  })

  test('rejects what waits when the connection ends meanwhile', async () => {
    broker.script = ({ api }) => (api.key === Produce.key ? first : undefined)
    const one = await opened()
    await one.request(Produce, produce())
    let written = 0
    const failed = rejection(one.request(Produce, produce(), { onWritten: () => written++ }))
    one.close()
    expect(await failed).toBeInstanceOf(ConnectionError)
    expect(written).toBe(1)
    expect(broker.of('Produce')).toHaveLength(1)
  })
})

describe('bytes of a request', () => {
  test('are let go once, when they are written, which may be before the answer', async () => {
    const one = await opened()
    let written = 0
    const answer = one.request(Produce, produce(), { onWritten: () => written++ })
    expect(written).toBe(0)
    await settled()
    expect(written).toBe(1)
    broker.of('Produce')[0]!.respond(produced)
    await answer
    await end(one)
    expect(written).toBe(1)
  })

  test('are held until the socket is gone when the connection ends while they are being written', async () => {
    const one = await opened()
    const socket = clientSocket()
    socket.isStalled = true
    const order: string[] = []
    socket.prependListener('close', () => order.push('socket gone'))
    // The first is being written, the second waits behind it in the stream.
    const first = rejection(one.request(Produce, produce(), { onWritten: () => order.push('first') }))
    await settled()
    const second = rejection(one.request(Produce, produce(), { onWritten: () => order.push('second') }))
    await settled()
    one.close(new ConnectionError('cut'))
    order.push('closed')
    await Promise.all([first, second])
    await one.closed
    expect(order).toEqual(['closed', 'socket gone', 'first', 'second'])
    socket.resumeWrites()
    await settled()
    expect(order).toHaveLength(4)
  })

  test('are let go once when the connection ends before they were written at all', async () => {
    const one = await opened()
    let written = 0
    const failed = rejection(one.request(Produce, produce(), { onWritten: () => written++ }))
    one.close()
    expect(written).toBe(0)
    await failed
    await one.closed
    await settled()
    expect(written).toBe(1)
  })

  test('are let go when the connection was closed long before, but not from within the call', async () => {
    const one = await opened()
    await end(one)
    let written = 0
    const failed = rejection(one.request(Produce, produce(), { onWritten: () => written++ }))
    expect(written).toBe(0)
    expect(await failed).toBeInstanceOf(ConnectionError)
    expect(written).toBe(1)
  })
})

describe('the end of a connection', () => {
  test('by the broker rejects what is in flight, with how many that was', async () => {
    const one = await opened()
    const failed = rejection(one.request(Produce, produce()))
    await settled()
    broker.sockets[0]!.destroy()
    expect((await failed).message).toBe(
      'broker 1 at 127.0.0.1:9092 closed the connection with 1 requests unanswered, as the first ones: perhaps this listener expects SASL',
    )
    expect((await failed).retriable).toBe(true)
    await one.closed
  })

  test('by a reset names the reset', async () => {
    const one = await opened()
    const failed = rejection(one.request(Produce, produce()))
    await settled()
    ;(broker.sockets[0] as MemorySocket).reset()
    expect((await failed).message).toContain('ECONNRESET')
    await one.closed
  })

  test('in the middle of an answer says so', async () => {
    const one = await opened()
    broker.script = (asked) => {
      asked.socket.end(asked.frame(metadata([[1, 'host', 1]])).subarray(0, 20))
      return 'nothing'
    }
    const error = await rejection(one.request(Metadata, noTopics))
    expect(error.message).toContain('closed the connection in the middle of an answer')
    await one.closed
  })

  test('comes once, whatever happens afterwards', async () => {
    const one = await opened()
    one.close(new KafkaError('first'))
    one.close(new KafkaError('second'))
    await one.closed
    expect(reasons.map((reason) => reason?.message)).toEqual(['first'])
    await expect(one.request(Metadata, noTopics)).rejects.toThrow('first')
  })

  test('of a connection that was never opened needs no socket', async () => {
    const one = connection()
    one.close()
    await one.closed
    await expect(one.open()).rejects.toBeInstanceOf(ConnectionError)
    expect(network.attempts).toEqual([])
  })
})

describe('an idle connection', () => {
  test('is closed when its time has passed, without a reason to report', async () => {
    const one = await opened()
    await clock.advance(539_999)
    expect(one.isOpen).toBe(true)
    await clock.advance(1)
    expect(one.isOpen).toBe(false)
    expect(reasons).toEqual([undefined])
    expect(clock.timers).toBe(0)
  })

  test('is not idle while it is used', async () => {
    broker.script = ({ api }) => (api.key === Produce.key ? produced : undefined)
    const one = await opened()
    await clock.advance(500_000)
    await one.request(Produce, produce())
    await clock.advance(539_999)
    expect(one.isOpen).toBe(true)
    await clock.advance(1)
    expect(one.isOpen).toBe(false)
  })

  test('is not idle while an answer is due', async () => {
    const one = await opened({ requestTimeoutMs: 2_000_000 })
    const late = one.request(Produce, produce())
    await clock.advance(1_500_000)
    expect(one.isOpen).toBe(true)
    broker.of('Produce')[0]!.respond(produced)
    await late
    await end(one)
  })

  test('lives for ever where the limit is negative', async () => {
    const one = await opened({ connectionsMaxIdleMs: -1 })
    await clock.advance(10_000_000)
    expect(one.isOpen).toBe(true)
    expect(one.isStale).toBe(false)
    await end(one)
  })

  test('is stale as soon as the wall clock says so: a frozen machine has no other', async () => {
    const one = await opened()
    expect(one.isStale).toBe(false)
    clock.jumpWall(600_000)
    expect(one.isStale).toBe(true)
    await end(one)
  })
})

describe('an answer that makes no sense', () => {
  const size = (value: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeInt32BE(value)
    return bytes
  }
  const id = (asked: Asked): Buffer => size(asked.correlationId)

  test.each<[string, (asked: Asked) => Buffer, RegExp]>([
    [
      'wrongCorrelation',
      (asked) => asked.frame(produced, { correlationId: 77 }),
      /correlation id 77 where 1 \(Produce v13\) was due/,
    ],
    ['negativeLength', () => size(-1), /negative/],
    ['hugeLength', () => Buffer.concat([size(2_147_483_647), Buffer.alloc(50)]), /above the limit/],
    ['zeroLength', () => size(0), /less than a header/],
    ['shortLength', () => Buffer.concat([size(2), Buffer.alloc(2)]), /less than a header/],
    [
      'cutBody',
      (asked) => {
        const body = asked.frame(produced).subarray(4, -3)
        return Buffer.concat([size(body.length), body])
      },
      /Produce v13 response/,
    ],
    [
      'surplus bytes',
      (asked) => {
        const body = Buffer.concat([asked.frame(produced).subarray(4), Buffer.alloc(9)])
        return Buffer.concat([size(body.length), body])
      },
      /Produce v13 response/,
    ],
    [
      'hugeArray',
      (asked) => {
        const body = Buffer.concat([id(asked), Buffer.of(0, 0xff, 0xff, 0xff, 0xff, 0x07)])
        return Buffer.concat([size(body.length), body])
      },
      /Produce v13 response/,
    ],
    [
      'an endless varint',
      (asked) => {
        const body = Buffer.concat([id(asked), Buffer.alloc(12, 0xff)])
        return Buffer.concat([size(body.length), body])
      },
      /closed/,
    ],
    ['random', () => Buffer.from('00000123deadbeefcafebabe8badf00d'.repeat(20), 'hex'), /closed/],
    ['http', () => Buffer.from('HTTP/1.1 400 Bad Request\r\n\r\n'), /HTTP/],
    ['tlsAlert', () => Buffer.of(0x15, 3, 3, 0, 2, 2, 70), /looks like TLS/],
  ])(
    '(%s) closes the connection, whole or byte by byte, and can be tried again',
    async (_, poison, message) => {
      for (const isWhole of [true, false]) {
        broker.script = (asked) => {
          if (asked.api.key === ApiVersions.key) return undefined
          const bytes = poison(asked)
          if (isWhole) asked.socket.write(bytes)
          else for (const byte of bytes) asked.socket.write(Buffer.of(byte))
          return 'nothing'
        }
        const one = await opened()
        let written = 0
        const both = [
          rejection(one.request(Produce, produce(), { onWritten: () => written++ })),
          rejection(one.request(Produce, produce(), { onWritten: () => written++ })),
        ]
        // What is cut short looks like an answer still to come.
        await clock.advance(0)
        for (const error of await Promise.all(both)) {
          expect(error).toBeInstanceOf(ConnectionError)
          expect(error.message).toMatch(message)
          expect(error.retriable).toBe(true)
          expect(error.cause).toBeInstanceOf(ProtocolError)
        }
        await one.closed
        expect(written).toBe(2)
        expect(network.sockets.size).toBe(0)
      }
    },
  )

  test('(twice) closes the connection, and the first time counts', async () => {
    const one = await opened()
    broker.script = (asked) => {
      const frame = asked.frame(produced)
      asked.socket.write(Buffer.concat([frame, frame]))
      return 'nothing'
    }
    await expect(one.request(Produce, produce())).resolves.toMatchObject({ responses: [] })
    await one.closed
    expect(reasons[0]?.message).toContain('an answer that nobody waits for')
  })

  test('(twice) is never taken for the answer to the next request', async () => {
    const one = await opened()
    const waiting: Asked[] = []
    broker.script = (asked) => {
      waiting.push(asked)
      return 'nothing'
    }
    const first = one.request(Produce, produce())
    const second = rejection(one.request(Produce, produce()))
    await settled()
    waiting[0]!.respond(produced)
    waiting[0]!.respond(produced)
    await first
    expect((await second).message).toMatch(/correlation id 1 where 2 /)
  })

  test('to a request with acks=0 closes the connection', async () => {
    const one = await opened()
    broker.script = ({ api }) => (api.key === Produce.key ? produced : undefined)
    await one.request(Produce, produce(undefined, 0), { expectsResponse: false })
    await one.closed
    expect(reasons[0]?.message).toContain('an answer that nobody waits for')
  })

  test.each([
    ['says what it speaks', versions(), {}],
    ['refuses the version', { ...versions(new Map()), errorCode: 35 }, { version: 0 }],
  ])('(twice) where the broker %s leaves no connection that seems open', async (_, answer, options) => {
    broker.script = (asked) => {
      const frame = asked.frame(answer, options)
      asked.socket.write(Buffer.concat([frame, frame]))
      return 'nothing'
    }
    const one = connection()
    const error = await rejection(one.open())
    expect(error.message).toContain('an answer that nobody waits for')
    expect(error).toBe(reasons[0])
    expect(one.isOpen).toBe(false)
    expect(broker.asked).toHaveLength(1)
  })

  test('while opening closes the connection too', async () => {
    broker.script = (asked) => {
      asked.socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
      return 'nothing'
    }
    const error = await rejection(connection({ nodeId: -1 }).open())
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error.message).toMatch(/^the connection to 127\.0\.0\.1:9092 was closed: .*HTTP/)
  })
})
