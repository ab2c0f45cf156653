import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { createServer as httpServer } from 'node:http'
import { createServer, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import {
  createSecureContext,
  createServer as tlsServer,
  type ConnectionOptions,
  type PeerCertificate,
  type TlsOptions,
  type TLSSocket,
} from 'node:tls'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { AuthenticationError, ConnectionError, type KafkaError } from '../../../src/errors.js'
import type { Logger } from '../../../src/logger.js'
import { SystemClock, type Clock } from '../../../src/time/clock.js'
import { Connection } from '../../../src/network/connection/connection.js'
import { tlsConnect } from '../../../src/network/connection/tls.js'
import { tcpConnect, type Connect } from '../../../src/network/connection/transport.js'
import { Metadata } from '../../../src/protocol/apis.js'
import type { SslFunction } from '../../../src/config/ssl-option.js'
import { ManualClock, settled } from '../manual-clock.js'
import { metadata, ScriptedBroker } from '../scripted-broker.js'
import { barrier } from '../../fault-barrier.js'

const pem = (name: string): Buffer => readFileSync(join(__dirname, '../../fixtures/tls', `${name}.pem`))
const ca = pem('ca')
const key = pem('key')

let broker: ScriptedBroker
let servers: Server[]
let connections: Connection[]
let warnings: string[]

beforeEach(() => {
  broker = new ScriptedBroker(({ api }) =>
    api.key === Metadata.key ? metadata([[1, 'host', 9092]]) : undefined,
  )
  servers = []
  connections = []
  warnings = []
})

afterEach(async () => {
  for (const one of connections) {
    one.close()
    await one.closed
  }
  for (const socket of broker.sockets) socket.destroy()
  for (const server of servers) {
    server.close()
    await once(server, 'close')
  }
})

const logger: Logger = {
  debug: () => {},
  info: () => {},
  warn: (message) => warnings.push(message),
  error: () => {},
}

async function listening(server: Server): Promise<number> {
  servers.push(server)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  return (server.address() as AddressInfo).port
}

/** The port of a broker over TLS, and what its clients showed. */
async function secureBroker(
  options: TlsOptions = {},
): Promise<{ port: number; shown: (readonly [sni: unknown, client: unknown, version: string | null])[] }> {
  const shown: (readonly [unknown, unknown, string | null])[] = []
  const server = tlsServer({ cert: pem('server'), key, ...options }, (socket: TLSSocket) => {
    const { servername } = socket as unknown as { readonly servername: unknown }
    // An empty object where the client showed none.
    const { subject } = socket.getPeerCertificate() as Partial<PeerCertificate>
    shown.push([servername, subject?.CN ?? '', socket.getProtocol()])
    broker.serve(socket)
  })
  server.on('tlsClientError', () => {})
  return { port: await listening(server), shown }
}

function connection(
  port: number,
  connect: Connect,
  host = 'localhost',
  clock: Clock = new SystemClock(),
): Connection {
  const one = new Connection({
    barrier,
    nodeId: 1,
    address: { host, port, ip: '127.0.0.1' },
    connect,
    clock,
    setupTimeoutMs: 10_000,
    clientId: null,
    requestTimeoutMs: 30_000,
    connectionsMaxIdleMs: 540_000,
    socketMaxResponseBytes: 1_000_000,
  })
  connections.push(one)
  return one
}

const limit = { clock: new SystemClock(), timeoutMs: 30_000, option: 'requestTimeoutMs' }

const over = (ssl: ConnectionOptions | SslFunction): Connect =>
  tlsConnect(typeof ssl === 'function' ? ssl : () => ssl, logger, limit)

const noTopics = {
  topics: [],
  allowAutoTopicCreation: true,
  includeClusterAuthorizedOperations: false,
  includeTopicAuthorizedOperations: false,
}

async function refusal(one: Connection): Promise<KafkaError> {
  const error: unknown = await one.open().then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(ConnectionError)
  expect(one.isOpen).toBe(false)
  return error as KafkaError
}

async function expectRefused(one: Connection, words: RegExp): Promise<void> {
  const error = await refusal(one)
  expect(error).toBeInstanceOf(AuthenticationError)
  expect(error).toMatchObject({ code: 'SSL_HANDSHAKE_FAILED', retriable: false })
  expect(error.message).toMatch(words)
}

describe('a connection over TLS', () => {
  test('checks the name, says it to the server, and carries requests', async () => {
    const { port, shown } = await secureBroker()
    const one = connection(port, over({ ca }))
    await one.open()
    expect((await one.request(Metadata, noTopics)).brokers).toHaveLength(1)
    expect(shown).toEqual([['localhost', '', 'TLSv1.3']])
    expect(warnings).toEqual([])
  })

  test('to an address checks the address, and says no name', async () => {
    const { port, shown } = await secureBroker()
    await connection(port, over({ ca }), '127.0.0.1').open()
    expect(shown[0]?.[0]).toBe(false)
  })

  test('gives the function requestTimeoutMs, connects in the time for that, and asks afresh the next time', async () => {
    const { port } = await secureBroker()
    const clock = new ManualClock()
    let calls = 0
    const ssl = (): Promise<ConnectionOptions> =>
      ++calls === 1 ? new Promise(() => {}) : Promise.resolve({ ca })
    const connect = tlsConnect(ssl, logger, { ...limit, clock })
    const refused = refusal(connection(port, connect, 'localhost', clock))
    await settled()
    await clock.advance(30_000)
    const error = await refused
    expect(error.message).toBe('the function ssl did not settle within 30000 ms (requestTimeoutMs)')
    expect(error.retriable).toBe(true)
    await connection(port, connect, 'localhost', clock).open()
    expect(calls).toBe(2)
  })

  test('shows the certificate of the client where the server asks for it', async () => {
    const { port, shown } = await secureBroker({ ca, requestCert: true })
    await connection(port, over({ ca, cert: pem('client'), key })).open()
    expect(shown[0]?.[1]).toBe('alice')
  })

  test('asks a function at every connection', async () => {
    const { port } = await secureBroker()
    const renewed: ConnectionOptions[] = [{ ca: pem('client') }, { ca }]
    const connect = over(() => Promise.resolve(renewed.shift()!))
    await expectRefused(connection(port, connect), /not trusted/)
    await connection(port, connect).open()
    expect(renewed).toEqual([])
  })

  test('speaks TLS 1.2 where the server has no more, and nothing below', async () => {
    const { port, shown } = await secureBroker({ maxVersion: 'TLSv1.2' })
    await connection(port, over({ ca })).open()
    expect(shown[0]?.[2]).toBe('TLSv1.2')

    const old = await secureBroker({
      minVersion: 'TLSv1.1',
      maxVersion: 'TLSv1.1',
      ciphers: 'ALL@SECLEVEL=0',
    })
    await expectRefused(connection(old.port, over({ ca, ciphers: 'ALL@SECLEVEL=0' })), /no version of TLS/)
  })

  test('is closed while the function is still thinking', async () => {
    const { port } = await secureBroker()
    let give: (options: ConnectionOptions) => void = () => {}
    const one = connection(
      port,
      over(() => new Promise((resolve) => (give = resolve))),
    )
    const opening = refusal(one)
    one.close(new ConnectionError('enough'))
    give({ ca })
    expect((await opening).message).toBe('enough')
    await one.closed
  })
})

describe('who is refused, and what to change', () => {
  test.each([
    [
      'another authority',
      'server',
      { ca: pem('client') },
      /not trusted here: give the PEM of its CA as ssl\.ca/,
    ],
    ['no authority', 'server', {}, /not trusted here/],
    [
      'another host',
      'elsewhere',
      { ca },
      /for another host: .*localhost.*kafka\.invalid.*use a name that is in it/,
    ],
    ['an old certificate', 'expired', { ca }, /has expired: it has to be renewed/],
  ] as const)('%s', async (_, cert, ssl, words) => {
    const { port } = await secureBroker({ cert: pem(cert) })
    await expectRefused(connection(port, over(ssl)), words)
    expect(broker.asked).toEqual([])
  })

  test('an address that is not in the certificate', async () => {
    const { port } = await secureBroker({ cert: pem('elsewhere') })
    await expectRefused(connection(port, over({ ca }), '127.0.0.1'), /for another host: .*127\.0\.0\.1/)
  })

  test.each(['TLSv1.2', 'TLSv1.3'] as const)('a client without a certificate, by %s', async (maxVersion) => {
    const { port } = await secureBroker({ ca, requestCert: true, rejectUnauthorized: true, maxVersion })
    await expectRefused(connection(port, over({ ca })), /certificate of this client|no cipher in common/)
  })

  test('a key that cannot be read', async () => {
    const { port } = await secureBroker()
    await expectRefused(
      connection(port, over({ ca, cert: pem('client'), key: 'none' })),
      /ssl cannot be used/,
    )
  })

  test('a function that returns nonsense, or fails', async () => {
    const { port } = await secureBroker()
    const nonsense = (() => 'ca.pem') as unknown as SslFunction
    await expectRefused(connection(port, over(nonsense)), /the function ssl returned must be an object/)
    await expectRefused(
      connection(
        port,
        over(() => ({ maxVersion: 'TLSv1.1' })),
      ),
      /maxVersion below its minVersion/,
    )
    const error = await refusal(
      connection(
        port,
        over(() => Promise.reject(new Error('no such file'))),
      ),
    )
    expect(error).toMatchObject({ retriable: true, message: 'the function ssl failed: no such file' })
  })

  test('TLS on a port that hangs up, as a plaintext broker does', async () => {
    const port = await listening(createServer((socket) => socket.once('data', () => socket.end())))
    const error = await refusal(connection(port, over({ ca })))
    // It may as well be a broker that is being stopped.
    expect(error.retriable).toBe(true)
    expect(error.message).toMatch(/during the TLS handshake: perhaps it is a plaintext port/)
    const rude = await listening(
      createServer((socket) => socket.on('error', () => {}).once('data', () => socket.resetAndDestroy())),
    )
    expect((await refusal(connection(rude, over({ ca })))).message).toMatch(/perhaps it is a plaintext port/)
  })

  test('TLS on a port of HTTP', async () => {
    const port = await listening(httpServer())
    await expectRefused(connection(port, over({ ca })), /answers, but not in TLS.*HTTP/)
  })

  test('plaintext on a port of TLS, and of HTTP', async () => {
    const { port } = await secureBroker()
    const tls = connection(port, tcpConnect)
    // A server that hangs up without a word may have any reason; who wants to know has to ask.
    expect((await refusal(tls)).retriable).toBe(true)
    expect(tls.doubt).toBe('TLS port')
    // Kafka answers with an alert.
    const alerting = createServer((socket) => socket.resume().end(Buffer.of(0x15, 3, 3, 0, 2, 2, 10)))
    await expectRefused(connection(await listening(alerting), tcpConnect), /expects TLS: set ssl/)
    const http = await refusal(connection(await listening(httpServer()), tcpConnect))
    expect(http).toBeInstanceOf(AuthenticationError)
    expect(http).toMatchObject({ code: 'PROTOCOL_ERROR', retriable: false })
    expect(http.message).toMatch(/looks like HTTP.*check host and port/)
  })
})

test('without verification everything passes, and one warning says what that means', async () => {
  const { port } = await secureBroker({ cert: pem('expired') })
  const connect = over({ rejectUnauthorized: false })
  await connection(port, connect).open()
  await connection(port, connect).open()
  expect(warnings).toEqual([expect.stringMatching(/CERTIFICATES ARE NOT VERIFIED/)])
})

test('the environment cannot turn the verification off', async () => {
  const { port } = await secureBroker({ cert: pem('expired') })
  process.env['NODE_TLS_REJECT_UNAUTHORIZED'] = '0'
  try {
    await expectRefused(connection(port, over({ ca })), /has expired/)
  } finally {
    delete process.env['NODE_TLS_REJECT_UNAUTHORIZED']
  }
})

describe('ssl.checkServerIdentity', () => {
  test('that accepts a certificate of another host is warned of once', async () => {
    const { port } = await secureBroker()
    const connect = over({ ca, checkServerIdentity: () => undefined })
    for (let i = 0; i < 2; i++) await connection(port, connect, 'elsewhere.example').open()
    expect(warnings).toEqual([expect.stringMatching(/checkServerIdentity accepts a certificate/)])
  })

  test('that accepts a valid certificate is not', async () => {
    const { port } = await secureBroker()
    await connection(port, over({ ca, checkServerIdentity: () => undefined })).open()
    expect(warnings).toEqual([])
  })

  test.each([
    [
      'throws',
      () => {
        throw new Error('not this one')
      },
      /not this one/,
    ],
    [
      'is asynchronous',
      () => Promise.reject(new Error('late')) as unknown as undefined,
      /must return undefined or an Error/,
    ],
  ])('that %s refuses the certificate', async (_, checkServerIdentity, message) => {
    const { port } = await secureBroker()
    await expect(connection(port, over({ ca, checkServerIdentity })).open()).rejects.toThrow(message)
  })
})

test.each(['options', 'a secure context'])(
  'TLS 1.1 in %s is spoken where ssl.minVersion names it',
  async (how) => {
    const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const
    const { port, shown } = await secureBroker(old)
    const given = how === 'options' ? { ca, ...old } : { secureContext: createSecureContext({ ca, ...old }) }
    await connection(port, over({ ...given, minVersion: 'TLSv1.1' })).open()
    expect(shown.map(([, , version]) => version)).toEqual(['TLSv1.1'])
  },
)

test('a secure context of the caller does not let a version below TLS 1.2 through', async () => {
  const old = { minVersion: 'TLSv1.1', maxVersion: 'TLSv1.1', ciphers: 'DEFAULT:@SECLEVEL=0' } as const
  const { port, shown } = await secureBroker(old)
  const context = createSecureContext({ ca, ...old })
  const error = await connection(port, over({ secureContext: context }))
    .open()
    .then(
      () => undefined,
      (reason: unknown) => reason as KafkaError,
    )
  expect(shown.map(([, , version]) => version)).toEqual(['TLSv1.1'])
  expect(error).toMatchObject({ name: 'AuthenticationError', code: 'SSL_HANDSHAKE_FAILED' })
  expect(error?.message).toMatch(
    /no version of TLS that is allowed here \(1\.2 or newer, unless ssl\.minVersion says otherwise\)/,
  )
})
