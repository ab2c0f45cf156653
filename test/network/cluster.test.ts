import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import {
  AuthenticationError,
  AuthorizationError,
  ConnectionError,
  KafkaError,
  ProducerClosedError,
  UnsupportedVersionError,
} from '../../src/errors.js'
import {
  Cluster,
  type ClusterOptions,
  type ConnectionEvent,
  type NetworkConfig,
} from '../../src/network/cluster.js'
import { BrokerTurns } from '../../src/network/broker-turns.js'
import type { TopicChange } from '../../src/network/metadata.js'
import { ApiVersions, Metadata, Produce, SaslHandshake } from '../../src/protocol/apis.js'
import { ManualClock, settled } from './manual-clock.js'
import { MemoryNetwork, type MemorySocket } from './memory-transport.js'
import { networkConfig } from './network-config.js'
import {
  allRanges,
  metadata,
  ScriptedBroker,
  versions,
  type Asked,
  type Script,
  type MetadataRequest,
  type MetadataResponse,
  type TopicSketch,
} from './scripted-broker.js'
import { barrier } from '../fault-barrier.js'

const ID = '00000000-0000-0000-0000-0000000000a1'

let clock: ManualClock
let network: MemoryNetwork
let cluster: Cluster | undefined
let changes: (readonly TopicChange[])[]
let errors: KafkaError[]
let events: [string, ConnectionEvent][]
let logged: string[]

const config: NetworkConfig = {
  ...networkConfig,
  logger: {
    debug: () => {},
    info: (message) => logged.push(message),
    warn: (message) => logged.push(message),
    error: (message) => logged.push(message),
  },
}

beforeEach(() => {
  clock = new ManualClock()
  network = new MemoryNetwork()
  changes = []
  errors = []
  events = []
  logged = []
})

afterEach(async () => {
  await cluster?.close()
  cluster = undefined
  await settled()
  assert.equal(network.sockets.size, 0, 'sockets that are left')
  assert.equal(clock.timers, 0, 'timers that are left')
})

function start(changed: Partial<NetworkConfig> = {}, options: Partial<ClusterOptions> = {}): Cluster {
  cluster = new Cluster({
    barrier,
    config: { ...config, ...changed },
    clock,
    connect: network.connect,
    lookup: network.lookup,
    // No jitter, and an order of brokers that is always the same.
    random: () => 0.5,
    onMetadata: (some) => changes.push(some),
    onMetadataError: (error) => errors.push(error),
    onConnect: (event) => events.push(['connect', event]),
    onDisconnect: (event) => events.push(['disconnect', event]),
    ...options,
  })
  return cluster
}

/** A cluster of brokers 1, 2, ... at 10.0.0.<id>:9092, which all know `topics`. */
class TinyCluster {
  readonly brokers = new Map<number, ScriptedBroker>()
  readonly topics = new Map<string, TopicSketch>()
  /** What every broker answers, in place of what it would, when it returns anything. */
  answer: (names: string[], asked: Asked) => MetadataResponse | 'nothing' | undefined = () => undefined

  constructor(size: number) {
    for (let id = 1; id <= size; id++) this.add(id)
  }

  add(id: number, ip = `10.0.0.${id}`): ScriptedBroker {
    const broker = new ScriptedBroker((asked) => {
      if (asked.api.key !== Metadata.key) return undefined
      const names = ((asked.body as MetadataRequest).topics ?? []).map(({ name }) => name!)
      return this.answer(names, asked) ?? this.describe(names)
    })
    this.brokers.set(id, broker)
    network.listen(ip, 9092, (socket) => broker.serve(socket))
    return broker
  }

  get endpoints(): (readonly [number, string, number])[] {
    return [...this.brokers.keys()].map((id) => [id, `10.0.0.${id}`, 9092] as const)
  }

  describe(names: string[]): MetadataResponse {
    const topics = names.map((name) => this.topics.get(name) ?? { name, errorCode: 3 })
    return metadata(this.endpoints, topics)
  }

  topic(name: string, partitions: TopicSketch['partitions'] = [[1, 0]]): void {
    this.topics.set(name, { name, id: ID, partitions })
  }

  /** The topics of every Metadata request, in order. */
  get requests(): string[][] {
    return this.metadata.map(({ body }) => ((body as MetadataRequest).topics ?? []).map(({ name }) => name!))
  }

  get metadata(): Asked[] {
    return [...this.brokers.values()].flatMap((broker) => broker.of('Metadata'))
  }
}

function rejection(promise: Promise<unknown>): Promise<KafkaError> {
  return promise.then(
    () => expect.fail('it was fulfilled'),
    (error: unknown) => error as KafkaError,
  )
}

describe('bootstrap', () => {
  test('finds the cluster through any server', async () => {
    const brokers = new TinyCluster(3)
    brokers.topic('orders', [
      [1, 0],
      [2, 0],
      [3, 0],
    ])
    const one = start({ bootstrapServers: [{ host: '10.0.0.2', port: 9092 }] })
    one.requestMetadataUpdate('orders')
    await settled()
    expect([...one.metadata.brokers.keys()]).toEqual([1, 2, 3])
    expect(one.metadata.topic('orders')?.availablePartitions).toEqual([0, 1, 2])
    expect(changes).toMatchObject([[{ name: 'orders', oldPartitionCount: 0, newPartitionCount: 3 }]])
  })

  test('goes on to the next server when one is dead', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    const one = start({
      bootstrapServers: [
        { host: '10.0.0.8', port: 9092 },
        { host: 'nowhere', port: 9092 },
        { host: '10.0.0.1', port: 9092 },
      ],
    })
    one.requestMetadataUpdate('orders')
    await settled()
    expect(one.metadata.topic('orders')).toBeDefined()
    expect(errors).toEqual([])
  })

  test('goes on to the next server when one accepts and stays silent', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    network.listen('10.0.0.8', 9092, () => {})
    network.listen('10.0.0.9', 9092, 'silent')
    const bootstrapServers = [8, 9, 1].map((id) => ({ host: `10.0.0.${id}`, port: 9092 }))
    const one = start({ bootstrapServers })
    one.requestMetadataUpdate('orders')
    await clock.advance(30_000)
    expect(one.metadata.topic('orders')).toBeUndefined()
    await clock.advance(10_000)
    expect(one.metadata.topic('orders')).toBeDefined()
  })

  test('keeps trying while all are dead, and can say what each answered', async () => {
    network.listen('10.0.0.3', 9092, (socket) => {
      socket.write('HTTP/1.1 400 Bad Request\r\n\r\n')
    })
    const one = start({
      bootstrapServers: [
        { host: '10.0.0.1', port: 9092 },
        { host: 'nowhere', port: 9092 },
        { host: '10.0.0.3', port: 9092 },
      ],
    })
    one.requestMetadataUpdate('orders')
    await settled()
    expect(one.lastErrors()).toBe(
      '10.0.0.1:9092 refused the connection (ECONNREFUSED); ' +
        'nowhere:9092: the name cannot be resolved (ENOTFOUND); ' +
        'the connection to 10.0.0.3:9092 was closed: ' +
        'this is no Kafka protocol: it looks like HTTP, which another kind of server speaks: check host and port',
    )
    expect(errors[0]?.message).toBe(`no broker can be reached: ${one.lastErrors()}`)
    expect(errors[0]?.retriable).toBe(true)

    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    await clock.advance(1000)
    expect(one.metadata.topic('orders')).toBeDefined()
    expect(one.lastErrors()).not.toContain('10.0.0.1')
  })

  test('tries ever more seldom, up to reconnectBackoffMaxMs', async () => {
    const one = start({ retryBackoffMs: 0, retryBackoffMaxMs: 0 })
    const times: number[] = []
    const began = clock.now()
    let seen = 0
    one.requestMetadataUpdate('orders')
    for (let i = 0; i < 5000; i += 10) {
      await clock.advance(10)
      if (network.attempts.length > seen) times.push(clock.now() - began)
      seen = network.attempts.length
    }
    expect(times.slice(0, 7)).toEqual([10, 50, 150, 350, 750, 1550, 2550])
  })

  test('asks for a new topic at once, but with back-off after that failed', async () => {
    const one = start()
    const times: number[] = []
    const began = clock.now()
    let seen = 0
    one.requestMetadataUpdate('orders')
    for (let i = 0; i < 1000; i += 10) {
      await clock.advance(10)
      if (network.attempts.length > seen) times.push(clock.now() - began)
      seen = network.attempts.length
    }
    expect(times).toEqual([10, 100, 300, 700])
  })

  test('goes on trying while one server is wrong for good and others are down, and says both', async () => {
    const odd = new ScriptedBroker((asked) => {
      const ranges = new Map([[ApiVersions.key, [7, 9] as const]])
      asked.respond({ ...versions(ranges), errorCode: 35 }, { version: 0 })
      return 'nothing'
    })
    network.listen('10.0.0.8', 9092, odd.serve)
    network.listen('10.0.0.9', 9092, (socket) => socket.write('HTTP/1.1 400 Bad Request\r\n\r\n'))
    const bootstrapServers = [8, 9, 1].map((id) => ({ host: `10.0.0.${id}`, port: 9092 }))
    const one = start({ bootstrapServers })
    const error = await rejection(one.anyConnection())
    expect(error.retriable).toBe(true)
    expect(error.message).toMatch(/10\.0\.0\.8:9092 .*looks like HTTP.*10\.0\.0\.1:9092 refused/)

    one.requestMetadataUpdate('orders')
    await clock.advance(5000)
    expect(errors.filter(({ retriable }) => !retriable)).toEqual([])
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    await clock.advance(2000)
    expect(one.metadata.topic('orders')).toBeDefined()
  })

  test('gives up at once when every server is wrong for good', async () => {
    for (const ip of ['10.0.0.8', '10.0.0.9']) {
      network.listen(ip, 9092, (socket) => socket.write(Buffer.of(0x15, 3, 3, 0, 2, 2, 70)))
    }
    const bootstrapServers = [8, 9].map((id) => ({ host: `10.0.0.${id}`, port: 9092 }))
    const one = start({ bootstrapServers })
    one.requestMetadataUpdate('orders')
    await settled()
    expect(errors).toHaveLength(1)
    expect(errors[0]).toBeInstanceOf(AuthenticationError)
    expect(errors[0]).toMatchObject({ code: 'SSL_HANDSHAKE_FAILED', retriable: false })
    expect(errors[0]!.message).toMatch(/expects TLS: set ssl/)
  })

  test('one no to the credentials is enough when nobody says yes', async () => {
    const { serve } = new ScriptedBroker()
    network.listen('10.0.0.1', 9092, serve)
    const bootstrapServers = [8, 1, 9].map((id) => ({ host: `10.0.0.${id}`, port: 9092 }))
    const denied = new AuthenticationError('no', { errno: 58 })
    const one = start({ bootstrapServers }, { authenticate: () => Promise.reject(denied) })
    expect(await rejection(one.anyConnection())).toBe(denied)
  })

  test('asks a server that hangs up on the first request whether it expects SASL', async () => {
    const hangUp: Script = ({ api, socket }) => {
      if (api.key === SaslHandshake.key) return { errorCode: 33, mechanisms: ['PLAIN', 'SCRAM-SHA-512'] }
      if (api.key === Metadata.key) socket.destroy()
      return api.key === Metadata.key ? 'nothing' : undefined
    }
    const servers = [new ScriptedBroker(hangUp), new ScriptedBroker(hangUp)]
    for (const [i, { serve }] of servers.entries()) network.listen(`10.0.0.${8 + i}`, 9092, serve)
    const bootstrapServers = [8, 9].map((id) => ({ host: `10.0.0.${id}`, port: 9092 }))
    start({ bootstrapServers }).requestMetadataUpdate('orders')
    await clock.advance(1900)
    const last = errors.at(-1)
    expect(last).toMatchObject({ code: 'ILLEGAL_SASL_STATE', retriable: false })
    expect(last!.message).toMatch(/expects SASL .*: set sasl \(the broker has PLAIN, SCRAM-SHA-512\)/)
  })

  test('a server that hung up for another reason is used as soon as it answers', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    const broker = brokers.brokers.get(1)!
    let hasHungUp = false
    const asked: string[] = []
    broker.script = ({ api, socket }) => {
      asked.push(api.name)
      if (api.key === SaslHandshake.key) return { errorCode: 34, mechanisms: [] }
      if (api.key !== Metadata.key) return undefined
      if (hasHungUp) return brokers.describe(['orders'])
      hasHungUp = true
      socket.destroy()
      return 'nothing'
    }
    const one = start()
    one.requestMetadataUpdate('orders')
    await clock.advance(1000)
    expect(one.metadata.topic('orders')).toBeDefined()
    expect(asked).toEqual(['ApiVersions', 'Metadata', 'ApiVersions', 'SaslHandshake', 'Metadata'])
  })

  test('tells of a refusal for good at once, and asks again when somebody asks', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    brokers.brokers.get(1)!.ranges = new Map([...allRanges, [Metadata.key, [90, 99] as const]])
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    expect(errors).toHaveLength(1)
    expect(errors[0]).toBeInstanceOf(UnsupportedVersionError)
    await clock.advance(10_000)
    expect(errors).toHaveLength(1)
    one.requestMetadataUpdate('orders')
    await clock.advance(1000)
    expect(errors).toHaveLength(2)
  })

  test('tries every address of a name', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    network.name('kafka', '::1', '10.0.0.7', '10.0.0.1')
    network.listen('10.0.0.7', 9092, 'silent')
    const one = start({ bootstrapServers: [{ host: 'kafka', port: 9092 }] })
    one.requestMetadataUpdate('orders')
    await settled()
    expect(network.attempts).toEqual(['::1:9092', '10.0.0.7:9092'])
    await clock.advance(10_000)
    expect(network.attempts).toEqual(['::1:9092', '10.0.0.7:9092', '10.0.0.1:9092'])
    expect(one.metadata.topic('orders')).toBeDefined()
  })

  test('says what every address of a name answered', async () => {
    network.name('kafka', '::1', '10.0.0.7')
    const one = start({ bootstrapServers: [{ host: 'kafka', port: 9092 }] })
    const error = await rejection(one.anyConnection())
    expect(error.message).toContain('kafka:9092 (::1) refused the connection (ECONNREFUSED)')
    expect(error.message).toContain('kafka:9092 (10.0.0.7) refused the connection (ECONNREFUSED)')
  })

  test('replaces names by their canonical names where that is asked for', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    network.name('kafka', '10.0.0.7', '10.0.0.1')
    network.name('seven.kafka', '10.0.0.7')
    network.name('one.kafka', '10.0.0.1')
    const one = start({
      bootstrapServers: [
        { host: 'kafka', port: 9092 },
        { host: 'nowhere', port: 9092 },
      ],
      clientDnsLookup: 'resolve_canonical_bootstrap_servers_only',
    })
    one.requestMetadataUpdate('orders')
    await settled()
    expect(one.metadata.topic('orders')).toBeDefined()
    expect(events[0]).toEqual(['connect', { nodeId: -2, host: 'one.kafka', port: 9092 }])
    expect(one.lastErrors()).toContain('seven.kafka:9092 (10.0.0.7) refused')
    expect(one.lastErrors()).toContain('nowhere:9092: the name cannot be resolved (ENOTFOUND)')
  })

  test('is the connection to a broker that moves to its address, and the attempt at the old address ends at once', async () => {
    const brokers = new TinyCluster(0)
    const bootstrap = brokers.add(9)
    let home = '10.0.0.1'
    network.listen('10.0.0.1', 9092, 'silent')
    brokers.answer = () => metadata([[1, home, 9092]])
    const one = start({ bootstrapServers: [{ host: '10.0.0.9', port: 9092 }] })
    one.requestMetadataUpdate()
    await settled()
    const failed = rejection(one.connect(1))
    await settled()
    home = '10.0.0.9'
    one.requestMetadataUpdate()
    await clock.advance(100)
    expect(one.metadata.brokers.get(1)?.host).toBe('10.0.0.9')
    expect((await failed).message).toBe('broker 1 moved from 10.0.0.1:9092 to 10.0.0.9:9092')
    expect(await one.connect(1)).toMatchObject({ host: '10.0.0.9', nodeId: 1 })
    expect(bootstrap.sockets).toHaveLength(1)
  })

  test('gives two brokers that share an address a connection each', async () => {
    const brokers = new TinyCluster(1)
    brokers.answer = () =>
      metadata([
        [1, '10.0.0.1', 9092],
        [2, '10.0.0.1', 9092],
      ])
    const one = start()
    one.requestMetadataUpdate()
    await settled()
    const [first, second] = [await one.connect(1), await one.connect(2)]
    expect(second).not.toBe(first)
    expect([first.nodeId, second.nodeId]).toEqual([1, 2])
  })

  test('uses the connection to a bootstrap server as the one to that broker, when it is one', async () => {
    const brokers = new TinyCluster(2)
    brokers.topic('orders')
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    expect(one.connection(1)).toBeDefined()
    expect(one.connection(1)?.nodeId).toBe(1)
    await expect(one.connect(1)).resolves.toBe(one.connection(1))
    expect(network.attempts).toEqual(['10.0.0.1:9092'])
  })
})

describe('a connection to a broker', () => {
  async function ready(changed: Partial<NetworkConfig> = {}): Promise<[Cluster, TinyCluster]> {
    const brokers = new TinyCluster(3)
    brokers.topic('orders')
    const one = start(changed)
    one.requestMetadataUpdate('orders')
    await settled()
    return [one, brokers]
  }

  test('is made once, however many ask', async () => {
    const [one] = await ready()
    expect(one.connection(2)).toBeUndefined()
    const all = await Promise.all([one.connect(2), one.connect(2), one.connect(2)])
    expect(new Set(all).size).toBe(1)
    expect(one.connection(2)).toBe(all[0])
    expect(network.attempts).toEqual(['10.0.0.1:9092', '10.0.0.2:9092'])
    expect(events.at(-1)).toEqual(['connect', { nodeId: 2, host: '10.0.0.2', port: 9092 }])
  })

  test('to a broker that nobody knows is refused', async () => {
    const [one] = await ready()
    expect(await rejection(one.connect(99))).toBeInstanceOf(ConnectionError)
  })

  test('that was lost is made again after the reconnect back-off, and metadata is asked for', async () => {
    const [one, brokers] = await ready()
    const first = await one.connect(2)
    await clock.advance(1000)
    brokers.brokers.get(2)!.sockets[0]!.destroy()
    await settled()
    expect(first.isOpen).toBe(false)
    expect(one.connection(2)).toBeUndefined()
    expect(events.at(-1)).toMatchObject([
      'disconnect',
      { nodeId: 2, error: expect.any(ConnectionError) as unknown },
    ])
    expect(brokers.requests).toEqual([['orders'], ['orders']])
    const again = one.connect(2)
    await clock.advance(49)
    expect(brokers.brokers.get(2)!.sockets).toHaveLength(1)
    await clock.advance(1)
    expect((await again).isOpen).toBe(true)
  })

  test('fails after one attempt, and the next one waits longer', async () => {
    const [one] = await ready()
    network.unlisten('10.0.0.2', 9092)
    for (const wait of [0, 50, 100, 200, 400, 800, 1000, 1000]) {
      const failed = rejection(one.connect(2))
      const attempts = network.attempts.length
      await clock.advance(Math.max(0, wait - 1))
      expect(network.attempts.length - attempts).toBe(wait > 0 ? 0 : 1)
      await clock.advance(Math.min(1, wait))
      expect((await failed).message).toContain('broker 2 at 10.0.0.2:9092 refused the connection')
    }
  })

  test('that was open again is made again as soon as at first', async () => {
    const [one, brokers] = await ready()
    network.unlisten('10.0.0.2', 9092)
    for (let i = 0; i < 5; i++) {
      const failed = rejection(one.connect(2))
      await clock.advance(1000)
      await failed
    }
    network.listen('10.0.0.2', 9092, brokers.brokers.get(2)!.serve)
    const opened = one.connect(2)
    await clock.advance(1000)
    await opened
    brokers.brokers.get(2)!.sockets[0]!.destroy()
    await settled()
    const again = one.connect(2)
    await clock.advance(50)
    expect((await again).isOpen).toBe(true)
  })

  test('has more time to be set up after each failure (KIP-601)', async () => {
    const [one] = await ready()
    network.listen('10.0.0.2', 9092, 'silent')
    for (const limit of [10_000, 20_000, 30_000, 30_000]) {
      const failed = rejection(one.connect(2))
      await clock.advance(1000)
      const isOver = failed.then(() => clock.now())
      const began = clock.now()
      await clock.advance(limit)
      expect((await failed).message).toContain(`within ${limit} ms`)
      expect((await isOver) - began).toBeLessThanOrEqual(limit)
    }
  })

  test('goes to the new address of a broker that moved, without waiting for the old one', async () => {
    const [one, brokers] = await ready()
    network.unlisten('10.0.0.2', 9092)
    for (let i = 0; i < 5; i++) {
      const failed = rejection(one.connect(2))
      await clock.advance(1000)
      await failed
    }
    const failed = rejection(one.connect(2))
    await failed
    brokers.answer = (names) => ({
      ...brokers.describe(names),
      brokers: [
        { nodeId: 1, host: '10.0.0.1', port: 9092, rack: null },
        { nodeId: 2, host: '10.0.0.22', port: 9092, rack: null },
      ],
    })
    brokers.add(22)
    one.requestMetadataUpdate()
    await settled()
    const connection = await one.connect(2)
    expect(connection).toMatchObject({ host: '10.0.0.22', nodeId: 2 })
  })

  test('is ended with all that is in flight when metadata moves the broker', async () => {
    const [one, brokers] = await ready()
    const old = await one.connect(2)
    const body = { transactionalId: null, acks: -1, timeoutMs: 1, topicData: [] }
    const lost = rejection(old.request(Produce, body))
    brokers.answer = (names) => ({
      ...brokers.describe(names),
      brokers: [
        { nodeId: 1, host: '10.0.0.1', port: 9092, rack: null },
        { nodeId: 2, host: '10.0.0.22', port: 9092, rack: null },
      ],
    })
    brokers.add(22)
    one.requestMetadataUpdate()
    await clock.advance(100)
    expect(await lost).toMatchObject({
      name: 'ConnectionError',
      message: 'broker 2 moved from 10.0.0.2:9092 to 10.0.0.22:9092',
      retriable: true,
    })
    expect(old.isOpen).toBe(false)
    const asked = brokers.brokers.get(2)!.asked.length
    const attempts = network.attempts.length
    expect(await one.connect(2)).toMatchObject({ host: '10.0.0.22', nodeId: 2 })
    expect(network.attempts.slice(attempts)).toEqual(['10.0.0.22:9092'])
    expect(brokers.brokers.get(2)!.asked).toHaveLength(asked)
    // A move is no reason to ask for metadata: it was just there.
    expect(brokers.requests).toHaveLength(2)
  })

  test('is ended also when a Produce response moved the broker (KIP-951)', async () => {
    const [one] = await ready()
    const old = await one.connect(2)
    const endpoint = { host: '10.0.0.22', port: 9092 }
    one.metadata.updateLeader('orders', 0, { leaderId: 2, leaderEpoch: 1, endpoint })
    expect(one.connection(2)).toBeUndefined()
    expect(old.isOpen).toBe(false)
  })

  test('begins with the next address of the name after one was lost', async () => {
    const [one, brokers] = await ready()
    network.name('two', '10.0.0.2', '10.0.0.3')
    brokers.answer = (names) => ({
      ...brokers.describe(names),
      brokers: [{ nodeId: 2, host: 'two', port: 9092, rack: null }],
    })
    one.requestMetadataUpdate()
    await clock.advance(1000)
    await one.connect(2)
    brokers.brokers.get(2)!.sockets[0]!.destroy()
    await clock.advance(100)
    await one.connect(2)
    expect(network.attempts.filter((to) => to !== '10.0.0.1:9092')).toEqual([
      '10.0.0.2:9092',
      '10.0.0.3:9092',
    ])
  })

  test('that is idle is closed without fuss, and made again at once when it is wanted', async () => {
    const [one, brokers] = await ready({ metadataMaxAgeMs: 10_000_000 })
    await one.connect(2)
    await clock.advance(540_000)
    expect(network.sockets.size).toBe(0)
    expect(events.at(-1)).toEqual(['disconnect', { nodeId: 2, host: '10.0.0.2', port: 9092 }])
    expect(brokers.requests).toHaveLength(1)
    expect((await one.connect(2)).isOpen).toBe(true)
  })

  test('that a frozen machine slept through is replaced before it is used', async () => {
    const [one] = await ready()
    const first = await one.connect(2)
    clock.jumpWall(3_600_000)
    expect(one.connection(2)).toBeUndefined()
    expect(first.isOpen).toBe(false)
    expect(await one.connect(2)).not.toBe(first)
  })
})

describe('any connection', () => {
  test('is the open one with the fewest requests in flight', async () => {
    const brokers = new TinyCluster(2)
    const one = start()
    one.requestMetadataUpdate()
    await settled()
    const first = await one.connect(1)
    const second = await one.connect(2)
    const body = { transactionalId: null, acks: -1, timeoutMs: 1, topicData: [] }
    const waiting = rejection(first.request(Produce, body))
    await expect(one.anyConnection()).resolves.toBe(second)
    brokers.brokers.get(1)!.sockets[0]!.destroy()
    await waiting
  })

  test('is a broker rather than a bootstrap server, and rather one that does not throttle', async () => {
    const brokers = new TinyCluster(2)
    brokers.add(9)
    brokers.answer = (names) => ({
      ...brokers.describe(names),
      brokers: brokers.describe([]).brokers.slice(0, 2),
    })
    const one = start({ bootstrapServers: [{ host: '10.0.0.9', port: 9092 }] })
    one.requestMetadataUpdate()
    await settled()
    await expect(one.anyConnection()).resolves.toMatchObject({ nodeId: -1 })
    const first = await one.connect(1)
    await expect(one.anyConnection()).resolves.toBe(first)
    const second = await one.connect(2)
    await expect(one.anyConnection()).resolves.toBe(first)
    brokers.answer = (names) => ({ ...brokers.describe(names), throttleTimeMs: 5000 })
    one.requestMetadataUpdate()
    await clock.advance(100)
    expect(first.throttledUntil).toBeGreaterThan(clock.now())
    await expect(one.anyConnection()).resolves.toBe(second)
    await clock.advance(5000)
    await expect(one.anyConnection()).resolves.toBe(first)
  })

  test('is each open one with the same likelihood among equals', async () => {
    const { brokers } = new TinyCluster(3)
    const random: number[] = []
    const one = start({}, { random: () => random.shift() ?? 0.5 })
    one.requestMetadataUpdate()
    await settled()
    for (const id of brokers.keys()) await one.connect(id)
    random.push(0.9, 0.9, 0.1, 0.9, 0.9, 0.1)
    const found: number[] = []
    for (let i = 0; i < 3; i++) found.push((await one.anyConnection()).nodeId)
    expect(found).toEqual([1, 2, 3])
  })

  test('is another one for what the last one could not answer: an open one first, then one new one at a time', async () => {
    const brokers = new TinyCluster(4)
    const one = start()
    one.requestMetadataUpdate()
    await settled()
    await one.connect(2)
    network.unlisten('10.0.0.4', 9092)
    const turns = new BrokerTurns()
    const ask = async (): Promise<number> => {
      const connection = await one.anyConnection(turns)
      turns.took(connection)
      return connection.nodeId
    }
    expect(new Set([await ask(), await ask()])).toEqual(new Set([1, 2]))
    expect(network.attempts).toHaveLength(2)
    // Broker 3 is connected to, and broker 4 in vain; then it is the turn of those that are open.
    const more = [await ask(), await ask(), await ask(), await ask()]
    expect(network.attempts).toHaveLength(4)
    expect(more.toSorted((a, b) => a - b)).toEqual([1, 1, 2, 3])
    expect(brokers.brokers.get(3)!.sockets).toHaveLength(1)
    turns.startOver()
    expect(await ask()).toBe(1)
  })

  test('goes to a bootstrap server when no known broker can be reached', async () => {
    const brokers = new TinyCluster(1)
    const bootstrap = brokers.add(9)
    brokers.answer = (names) =>
      metadata(
        [[1, '10.0.0.1', 9092]],
        names.map((name) => ({ name, errorCode: 3 })),
      )
    const one = start({ bootstrapServers: [{ host: '10.0.0.9', port: 9092 }] })
    one.requestMetadataUpdate()
    await settled()
    network.unlisten('10.0.0.1', 9092)
    bootstrap.sockets[0]!.destroy()
    await clock.advance(5000)
    const found = await one.anyConnection()
    expect(found).toMatchObject({ host: '10.0.0.9', nodeId: -1 })
  })

  test('does not, with the strategy none', async () => {
    const brokers = new TinyCluster(1)
    const bootstrap = brokers.add(9)
    brokers.answer = () => metadata([[1, '10.0.0.1', 9092]])
    const one = start({
      bootstrapServers: [{ host: '10.0.0.9', port: 9092 }],
      metadataRecoveryStrategy: 'none',
    })
    one.requestMetadataUpdate()
    await settled()
    network.unlisten('10.0.0.1', 9092)
    bootstrap.sockets[0]!.destroy()
    await clock.advance(5000)
    expect(bootstrap.sockets).toHaveLength(1)
    const failed = rejection(one.anyConnection())
    await clock.advance(1000)
    expect((await failed).message).toContain('10.0.0.1:9092 refused')
  })
})

describe('metadata', () => {
  test('of a thousand new topics, or of one asked for a thousand times, is one request', async () => {
    const brokers = new TinyCluster(1)
    for (let i = 0; i < 1000; i++) brokers.topic(`topic-${i}`)
    brokers.topic('orders')
    const one = start()
    for (let i = 0; i < 1000; i++) one.requestMetadataUpdate(`topic-${i}`)
    await settled()
    expect(brokers.requests).toHaveLength(1)
    expect(brokers.requests[0]).toHaveLength(1000)
    for (let i = 0; i < 1000; i++) one.requestMetadataUpdate('orders')
    await settled()
    expect(brokers.requests).toHaveLength(2)
    expect(brokers.requests[1]).toEqual(['orders'])
  })

  test('that is asked for while a request is under way comes with the next one, once, without waiting', async () => {
    const brokers = new TinyCluster(1)
    const held: Asked[] = []
    brokers.answer = (_, asked) => {
      held.push(asked)
      return 'nothing'
    }
    for (const name of ['a', 'b', 'c']) brokers.topic(name)
    const one = start()
    one.requestMetadataUpdate('a')
    await settled()
    for (const name of ['b', 'a', 'c', 'b', 'a']) one.requestMetadataUpdate(name)
    await settled()
    expect(brokers.requests).toEqual([['a']])
    held[0]!.respond(brokers.describe(['a']))
    await settled()
    expect(brokers.requests).toEqual([['a'], ['b', 'c']])
    held[1]!.respond(brokers.describe(['b', 'c']))
    await clock.advance(10_000)
    expect(brokers.requests).toHaveLength(2)
  })

  test('is asked for by name, letting brokers create topics, and without authorized operations', async () => {
    const brokers = new TinyCluster(1)
    const one = start()
    one.requestMetadataUpdate()
    await settled()
    one.requestMetadataUpdate('orders')
    await settled()
    expect(brokers.metadata.map(({ body, version }) => [version, body])).toEqual(
      [[], [{ topicId: '00000000-0000-0000-0000-000000000000', name: 'orders' }]].map((topics) => [
        13,
        {
          topics,
          allowAutoTopicCreation: true,
          includeClusterAuthorizedOperations: false,
          includeTopicAuthorizedOperations: false,
        },
      ]),
    )
  })

  test('is asked for again, ever more seldom, while a topic is being created', async () => {
    const brokers = new TinyCluster(1)
    const times: number[] = []
    const began = clock.now()
    brokers.answer = (names) => {
      times.push(clock.now() - began)
      const errorCode = times.length === 1 ? 3 : 5
      return times.length < 7 ? metadata(brokers.endpoints, [{ name: names[0]!, errorCode }]) : undefined
    }
    brokers.topic('orders')
    const one = start()
    one.requestMetadataUpdate('orders')
    await clock.advance(99)
    expect(one.metadata.topicError('orders')).toMatchObject({ code: 'UNKNOWN_TOPIC_OR_PARTITION' })
    await clock.advance(10_000)
    // The pauses double, up to the longest.
    expect(times).toEqual([0, 100, 300, 700, 1500, 2500, 3500])
    expect(one.metadata.topic('orders')).toBeDefined()
    expect(changes.at(-1)).toMatchObject([{ error: undefined, newPartitionCount: 1 }])
  })

  test('of a partition without a leader is asked for again', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders', [
      [1, 0],
      [-1, 3],
    ])
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    brokers.topic('orders', [
      [1, 0],
      [1, 4],
    ])
    await clock.advance(100)
    expect(one.metadata.topic('orders')?.availablePartitions).toEqual([0, 1])
    await clock.advance(10_000)
    expect(brokers.requests).toHaveLength(2)
  })

  test.each([
    [29, AuthorizationError, 'TOPIC_AUTHORIZATION_FAILED'],
    [17, KafkaError, 'INVALID_TOPIC_EXCEPTION'],
  ])('that is refused (%i) is not asked for again until somebody asks', async (errorCode, type, code) => {
    const brokers = new TinyCluster(1)
    brokers.topics.set('orders', { name: 'orders', errorCode })
    const one = start()
    one.requestMetadataUpdate('orders')
    await clock.advance(60_000)
    expect(brokers.requests).toHaveLength(1)
    expect(one.metadata.topicError('orders')).toBeInstanceOf(type)
    expect(one.metadata.topicError('orders')?.code).toBe(code)
    brokers.topic('orders')
    one.requestMetadataUpdate('orders')
    expect(one.metadata.topicError('orders')).toBeUndefined()
    await clock.advance(1000)
    expect(one.metadata.topic('orders')).toBeDefined()
  })

  test('with an absurd leader epoch does no harm once honest answers follow: the partition has its leader soon', async () => {
    const brokers = new TinyCluster(2)
    brokers.topic('orders', [[1, 5]])
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    const absurd = { name: 'orders', id: ID, partitions: [[9, 0x7fff_ffff]] as const }
    brokers.answer = () => metadata(brokers.endpoints, [absurd])
    one.requestMetadataUpdate('orders')
    // Long enough for the pauses between requests to have become as long as they get.
    await clock.advance(20_000)
    expect(one.metadata.topic('orders')?.availablePartitions).toEqual([])
    brokers.answer = () => undefined
    await clock.advance(config.retryBackoffMaxMs + 1_000)
    expect(one.metadata.topic('orders')?.partitions).toEqual([{ index: 0, leader: 1, leaderEpoch: 5 }])
    const asked = brokers.requests.length
    await clock.advance(60_000)
    expect(brokers.requests).toHaveLength(asked)
  })

  test('of a broker before Metadata version 9 is believed without its leader epochs', async () => {
    const brokers = new TinyCluster(1)
    brokers.brokers.get(1)!.ranges = new Map([...allRanges, [Metadata.key, [0, 8]]])
    brokers.topic('orders', [[1, 5]])
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    expect(one.metadata.topic('orders')?.partitions).toEqual([{ index: 0, leader: 1, leaderEpoch: -1 }])
  })

  test('that is asked for on errors keeps the distance of the back-off', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    for (let i = 0; i < 50; i++) one.requestMetadataUpdate('orders')
    await clock.advance(99)
    expect(brokers.requests).toHaveLength(1)
    await clock.advance(1)
    expect(brokers.requests).toHaveLength(2)
    one.requestMetadataUpdate('orders')
    await clock.advance(100)
    expect(brokers.requests).toHaveLength(3)
    one.requestMetadataUpdate('orders')
    await clock.advance(199)
    expect(brokers.requests).toHaveLength(3)
    await clock.advance(1)
    expect(brokers.requests).toHaveLength(4)
    // After a quiet time the first one need not wait, and the distance is the smallest again.
    await clock.advance(10_000)
    one.requestMetadataUpdate('orders')
    await settled()
    expect(brokers.requests).toHaveLength(5)
    one.requestMetadataUpdate('orders')
    await clock.advance(100)
    expect(brokers.requests).toHaveLength(6)
  })

  test('is refreshed by age, for the topics in use only, and tells that a topic grew', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    brokers.topic('once')
    const one = start()
    one.requestMetadataUpdate('orders')
    one.requestMetadataUpdate('once')
    await settled()
    brokers.topic('orders', [
      [1, 0],
      [1, 0],
    ])
    // A full answer starts the age: the first request was about new topics only.
    one.requestMetadataUpdate()
    await clock.advance(1000)
    expect(changes.at(-1)).toMatchObject([{ name: 'orders', oldPartitionCount: 1, newPartitionCount: 2 }])
    const before = brokers.requests.length
    one.metadata.use('orders')
    await clock.advance(300_000)
    expect(brokers.requests.slice(before)).toEqual([['orders']])
    expect(one.metadata.topic('once')).toBeUndefined()
  })

  test('is refreshed by age also when only new topics were ever asked for', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    one.metadata.use('orders')
    await clock.advance(300_000)
    expect(brokers.requests).toHaveLength(2)
  })

  test.each([
    ['login', new AuthenticationError('not now', { errno: 58 })],
    ['handshake', new AuthenticationError('not now', { code: 'SSL_HANDSHAKE_FAILED' })],
  ])('is refreshed by age again after a refused %s at the time of the refresh', async (_, refusal) => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    let isRefused = false
    const authenticate = (): Promise<number> => (isRefused ? Promise.reject(refusal) : Promise.resolve(0))
    const one = start({ metadataMaxAgeMs: 1000, connectionsMaxIdleMs: 900 }, { authenticate })
    one.requestMetadataUpdate('orders')
    await settled()
    isRefused = true
    await clock.advance(1500)
    expect(errors.at(-1)).toMatchObject({ name: 'AuthenticationError', retriable: false })
    expect(brokers.requests).toHaveLength(1)
    isRefused = false
    brokers.topic('orders', [
      [1, 0],
      [1, 0],
    ])
    await clock.advance(2500)
    expect(one.metadata.topic('orders')?.partitions).toHaveLength(2)
  })

  test('does not come from a broker that knows no brokers: others are asked', async () => {
    const brokers = new TinyCluster(2)
    brokers.topic('orders')
    brokers.answer = (_, asked) =>
      brokers.brokers.get(1)!.asked.includes(asked)
        ? metadata([], [{ name: 'orders', partitions: [[1, 1]] }])
        : undefined
    const bootstrapServers = [1, 2].map((id) => ({ host: `10.0.0.${id}`, port: 9092 }))
    const one = start({ bootstrapServers })
    one.requestMetadataUpdate('orders')
    await settled()
    expect(errors[0]?.message).toContain('knows no brokers')
    expect(one.metadata.brokers.size).toBe(0)
    await clock.advance(1000)
    expect(one.metadata.topic('orders')).toBeDefined()
  })

  test('that does not come in time is asked for elsewhere', async () => {
    const brokers = new TinyCluster(2)
    brokers.topic('orders')
    const one = start()
    one.requestMetadataUpdate()
    await settled()
    brokers.answer = (_, asked) => (brokers.brokers.get(1)!.asked.includes(asked) ? 'nothing' : undefined)
    one.requestMetadataUpdate('orders')
    await clock.advance(30_000)
    expect(errors).toHaveLength(1)
    await clock.advance(1000)
    expect(one.metadata.topic('orders')).toBeDefined()
  })

  test('survives an answer that is nonsense, and is asked for again', async () => {
    const brokers = new TinyCluster(1)
    brokers.topic('orders')
    let count = 0
    brokers.answer = (names, asked) => {
      if (count++ > 0) return undefined
      const frame = asked.frame(brokers.describe(names))
      frame.fill(0xff, 12)
      asked.socket.write(frame)
      return 'nothing'
    }
    const one = start()
    one.requestMetadataUpdate('orders')
    await clock.advance(1000)
    expect(one.metadata.topic('orders')).toBeDefined()
    expect(errors[0]?.message).toContain('Metadata v13 response')
  })
})

describe('starting again from the bootstrap servers', () => {
  async function moved(changed: Partial<NetworkConfig> = {}): Promise<[Cluster, TinyCluster]> {
    const brokers = new TinyCluster(2)
    brokers.topic('orders', [[2, 7]])
    const one = start(changed)
    one.requestMetadataUpdate('orders')
    await settled()
    await one.connect(2)
    return [one, brokers]
  }

  test('happens when a broker asks for it (KIP-1102), and ends its connections', async () => {
    const [one, brokers] = await moved()
    let asks = 1
    brokers.answer = (names) => {
      if (asks-- > 0) return { ...brokers.describe(names), errorCode: 129 }
      return undefined
    }
    brokers.topic('orders', [[2, 3]])
    const old = one.connection(2)
    one.requestMetadataUpdate()
    await clock.advance(100)
    expect(old?.isOpen).toBe(false)
    expect(one.metadata.topic('orders')?.availablePartitions).toEqual([])
    expect(errors).toEqual([])
    await clock.advance(1000)
    // Lower than before: another cluster may stand behind the same names.
    expect(one.metadata.topic('orders')?.partitions).toEqual([{ index: 0, leader: 2, leaderEpoch: 3 }])
  })

  test('happens when no metadata came for too long although brokers can be reached', async () => {
    const [one, brokers] = await moved({ requestTimeoutMs: 10_000 })
    // All is well for some time first: that does not count.
    await clock.advance(250_000)
    one.metadata.use('orders')
    brokers.answer = () => 'nothing'
    one.requestMetadataUpdate()
    await clock.advance(290_000)
    expect(one.metadata.brokers.size).toBe(2)
    one.metadata.use('orders')
    await clock.advance(30_000)
    expect(one.metadata.brokers.size).toBe(0)
    expect(logged).toContain('starting again from the bootstrap servers')
    brokers.answer = () => undefined
    await clock.advance(30_000)
    expect(one.metadata.topic('orders')?.availablePartitions).toEqual([0])
  })

  test('never happens with the strategy none', async () => {
    const [one, brokers] = await moved({ metadataRecoveryStrategy: 'none', requestTimeoutMs: 10_000 })
    brokers.answer = () => 'nothing'
    one.requestMetadataUpdate()
    await clock.advance(600_000)
    expect(one.metadata.brokers.size).toBe(2)
    brokers.answer = (names) => ({ ...brokers.describe(names), errorCode: 129 })
    await clock.advance(60_000)
    expect(one.metadata.brokers.size).toBe(2)
    expect(errors.at(-1)?.code).toBe('REBOOTSTRAP_REQUIRED')
  })

  test('leaves no connection of an attempt that was under way', async () => {
    const [one, brokers] = await moved()
    network.listen('10.0.0.3', 9092, 'silent')
    let accept: (() => void) | undefined
    const third = new ScriptedBroker()
    network.listen('10.0.0.2', 9092, (socket: MemorySocket) => {
      accept = () => third.serve(socket)
    })
    brokers.brokers.get(2)!.sockets[0]!.destroy()
    await clock.advance(200)
    const failed = rejection(one.connect(2))
    await clock.advance(200)
    let asks = 1
    brokers.answer = (names) => (asks-- > 0 ? { ...brokers.describe(names), errorCode: 129 } : undefined)
    one.requestMetadataUpdate()
    await clock.advance(500)
    accept!()
    expect((await failed).message).toContain('starting again from the bootstrap servers')
    await settled()
    expect([...network.sockets]).toHaveLength(1)
  })
})

describe('close', () => {
  test('ends connections and attempts, and nothing starts afterwards', async () => {
    const brokers = new TinyCluster(2)
    brokers.topic('orders')
    network.listen('10.0.0.3', 9092, 'silent')
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    brokers.answer = () => metadata([...brokers.endpoints, [3, '10.0.0.3', 9092], [4, '10.0.0.4', 9092]])
    one.requestMetadataUpdate()
    await clock.advance(1000)
    await one.connect(2)
    await rejection(one.connect(4))
    const waiting = [rejection(one.connect(3)), rejection(one.connect(4))]
    const request = rejection(
      one.connection(2)!.request(Produce, {
        transactionalId: null,
        acks: -1,
        timeoutMs: 1,
        topicData: [],
      }),
    )
    await settled()
    await one.close()
    for (const error of await Promise.all([...waiting, request]))
      expect(error).toBeInstanceOf(ProducerClosedError)
    expect(network.sockets.size).toBe(0)
    expect(clock.timers).toBe(0)
    one.requestMetadataUpdate('orders')
    expect(await rejection(one.connect(1))).toBeInstanceOf(ProducerClosedError)
    expect(await rejection(one.anyConnection())).toBeInstanceOf(ProducerClosedError)
    await one.close()
  })

  test('is quiet while metadata is on its way, or waited for', async () => {
    const brokers = new TinyCluster(1)
    brokers.answer = () => 'nothing'
    const one = start()
    one.requestMetadataUpdate('orders')
    await settled()
    await one.close()
    await settled()
    expect(errors).toEqual([])
    expect(changes).toEqual([])

    const other = start({ bootstrapServers: [{ host: '10.0.0.9', port: 9092 }] })
    other.requestMetadataUpdate('orders')
    await settled()
    errors = []
    await other.close()
    await settled()
    expect(errors).toEqual([])
  })

  test('of a cluster that never connected is immediate', async () => {
    await start().close()
    expect(network.attempts).toEqual([])
  })
})
