/** A bootstrap server that speaks another protocol: the sends fail at once and say what to change, unless others work. */
import { readFileSync } from 'node:fs'
import { createServer as httpServer } from 'node:http'
import { connect, createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { createServer as tlsServer } from 'node:tls'
import { once } from 'node:events'
import {
  AuthenticationError,
  Producer,
  type KafkaError,
  type Logger,
  type ProducerConfig,
} from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'
import { afterEach, expect, test } from 'vitest'

const silent: Logger = { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} }
const pem = (name: string): Buffer => readFileSync(join(__dirname, '../fixtures/tls', `${name}.pem`))
const ssl = { ca: pem('ca') }

let servers: Server[] = []

afterEach(async () => {
  for (const server of servers) {
    server.close()
    await once(server, 'close')
  }
  servers = []
})

async function listening(server: Server): Promise<string> {
  servers.push(server)
  server.on('connection', (socket) => socket.on('error', () => {}))
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return `127.0.0.1:${(server.address() as AddressInfo).port}`
}

const overTls = () =>
  listening(
    tlsServer({ cert: pem('server'), key: pem('key') }, (socket) => socket.on('error', () => {}).resume()),
  )

const web = () => listening(httpServer())

/** A stranger that hangs up at the first byte. */
const rude = () => listening(createServer((socket) => socket.once('data', () => socket.destroy())))

/** What a send comes to, and how long it took. */
async function outcome(config: ProducerConfig): Promise<[KafkaError | 'delivered', number]> {
  await using producer = new Producer({ ...config, logger: silent })
  const start = performance.now()
  const result = await producer.send({ topic: 'orders', value: 'v' }).then(
    () => 'delivered' as const,
    (error: unknown) => error as KafkaError,
  )
  return [result, performance.now() - start]
}

async function expectRefused(config: ProducerConfig, words: RegExp): Promise<void> {
  const [error, ms] = await outcome(config)
  expect(error).toBeInstanceOf(AuthenticationError)
  expect((error as KafkaError).retriable).toBe(false)
  expect((error as KafkaError).message).toMatch(words)
  expect(ms).toBeLessThan(2000)
}

test('plaintext on a TLS port fails the send at once', async () => {
  await expectRefused({ bootstrapServers: await overTls() }, /expects TLS: set ssl/)
})

test('TLS on a plaintext port of Kafka fails the send at once', async () => {
  await using cluster = await TestCluster.start({ brokers: 1, topics: { orders: { partitions: 1 } } })
  const { bootstrapServers } = cluster
  await expectRefused({ bootstrapServers, ssl }, /plaintext port.*leave ssl out/)
})

test('HTTP on the port fails the send at once, with TLS and without', async () => {
  await expectRefused({ bootstrapServers: await web() }, /looks like HTTP.*check host and port/)
  await expectRefused({ bootstrapServers: await web(), ssl }, /answers, but not in TLS.*HTTP/)
})

test('three servers that are wrong, each in its own way, fail the send at once', async () => {
  const bootstrapServers = [await overTls(), await web(), await overTls()]
  await expectRefused({ bootstrapServers }, /expects TLS|looks like HTTP/)
})

test('a wrong server among others stops nobody', async () => {
  await using cluster = await TestCluster.start({ brokers: 1, topics: { orders: { partitions: 1 } } })
  const wrong = [await overTls(), await web()]
  const [result] = await outcome({ bootstrapServers: [...wrong, ...cluster.bootstrapServers] })
  expect(result).toBe('delivered')
})

test('a wrong server beside one that is down is tried again until maxBlockMs', async () => {
  const bootstrapServers = [await overTls(), '127.0.0.1:1']
  const [error, ms] = await outcome({ bootstrapServers, maxBlockMs: 500 })
  expect(error).toMatchObject({ code: 'TIMEOUT', retriable: true })
  expect((error as KafkaError).message).toMatch(
    /expects TLS: set ssl.*127\.0\.0\.1:1 refused|refused.*expects TLS/,
  )
  expect(ms).toBeGreaterThanOrEqual(499)
})

test('a server that hangs up and answers nothing is no proof, with TLS and without', async () => {
  for (const more of [{}, { ssl }]) {
    const [error] = await outcome({ bootstrapServers: await rude(), maxBlockMs: 500, ...more })
    expect(error).toMatchObject({ code: 'TIMEOUT', retriable: true })
    expect((error as KafkaError).message).toMatch(
      /expects TLS, or is no Kafka broker|perhaps it is a plaintext port/,
    )
  }
})

test('records survive one HTTP 503 of a load balancer', async () => {
  await using cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
  const [host = '', port = ''] = (cluster.bootstrapServers[0] ?? '').split(':')
  let connections = 0
  const balancer = await listening(
    createServer((socket) => {
      if (connections++ === 0) {
        socket.resume().end('HTTP/1.1 503 Service Unavailable\r\n\r\n')
        return
      }
      const broker = connect(Number(port), host)
      socket.pipe(broker).pipe(socket)
      socket.on('close', () => broker.destroy())
      broker.on('close', () => socket.destroy()).on('error', () => {})
    }),
  )
  await using producer = new Producer({ bootstrapServers: balancer, logger: silent })
  await producer.send({ topic: 'orders', value: 'paid' })
  expect(connections).toBeGreaterThan(1)
  expect(cluster.records('orders').map(({ value }) => String(value))).toEqual(['paid'])
})
