import { once } from 'node:events'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { describe, expect, test } from 'vitest'
import { SystemClock } from '../../../src/time/clock.js'
import { Connection } from '../../../src/network/connection/connection.js'
import { systemLookup, tcpConnect } from '../../../src/network/connection/transport.js'
import { Metadata } from '../../../src/protocol/apis.js'
import { metadata, ScriptedBroker } from '../scripted-broker.js'
import { barrier } from '../../fault-barrier.js'

describe('the lookup', () => {
  test.each([
    ['127.0.0.1', '127.0.0.1'],
    ['::1', '::1'],
    ['[::1]', '::1'],
  ])('takes the address %s for itself', async (host, ip) => {
    await expect(systemLookup.addresses(host)).resolves.toEqual([ip])
  })

  test('finds every address of a name once', async () => {
    const found = await systemLookup.addresses('localhost')
    expect(found.length).toBeGreaterThan(0)
    expect(new Set(found).size).toBe(found.length)
    expect(found.every((ip) => ip === '127.0.0.1' || ip === '::1')).toBe(true)
  })

  test('says which name there is not', async () => {
    await expect(systemLookup.addresses('no-such-host.invalid')).rejects.toMatchObject({
      code: expect.stringMatching(/^(ENOTFOUND|EAI_AGAIN)$/) as unknown,
    })
  })

  test('finds a canonical name, or the address where it has none', async () => {
    const names = await systemLookup.canonicalNames('127.0.0.1')
    expect(names).toHaveLength(1)
    // TEST-NET-1 is nobody's.
    await expect(systemLookup.canonicalNames('192.0.2.1')).resolves.toEqual(['192.0.2.1'])
  }, 20_000)
})

test('a connection over TCP carries requests and answers, and leaves no socket', async () => {
  const broker = new ScriptedBroker(({ api }) =>
    api.key === Metadata.key ? metadata([[1, 'host', 9092]]) : undefined,
  )
  const server = createServer(broker.serve)
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const connection = new Connection({
    barrier,
    nodeId: -1,
    address: { host: 'localhost', port, ip: '127.0.0.1' },
    connect: tcpConnect,
    clock: new SystemClock(),
    setupTimeoutMs: 10_000,
    clientId: null,
    requestTimeoutMs: 30_000,
    connectionsMaxIdleMs: 540_000,
    socketMaxResponseBytes: 1_000_000,
  })
  await connection.open()
  let written = 0
  const response = await connection.request(
    Metadata,
    {
      topics: [],
      allowAutoTopicCreation: true,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    },
    { onWritten: () => written++ },
  )
  expect(response.brokers).toEqual([{ nodeId: 1, host: 'host', port: 9092, rack: null }])
  expect(written).toBe(1)
  connection.close()
  await connection.closed
  server.close()
  await once(server, 'close')
})

test('bytes that the kernel has not taken are let go when the socket is gone, not before', async () => {
  let deaf: Socket | undefined
  const server = createServer((socket) => {
    deaf = socket
    const broker = new ScriptedBroker()
    broker.serve(socket)
    socket.once('data', () => setImmediate(() => socket.pause()))
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  const order: string[] = []
  const connection = new Connection({
    barrier,
    nodeId: -1,
    address: { host: '127.0.0.1', port, ip: '127.0.0.1' },
    connect: (address) => tcpConnect(address).prependListener('close', () => order.push('socket gone')),
    clock: new SystemClock(),
    setupTimeoutMs: 10_000,
    clientId: null,
    requestTimeoutMs: 30_000,
    connectionsMaxIdleMs: 540_000,
    socketMaxResponseBytes: 1_000_000,
  })
  await connection.open()
  // Far more than the buffers of both kernels hold.
  const name = 'x'.repeat(30_000)
  const body = {
    topics: Array.from({ length: 1000 }, () => ({ topicId: '00000000-0000-0000-0000-000000000000', name })),
    allowAutoTopicCreation: true,
    includeClusterAuthorizedOperations: false,
    includeTopicAuthorizedOperations: false,
  }
  const request = connection.request(Metadata, body, { onWritten: () => order.push('let go') })
  const failed = request.catch((error: unknown) => String(error))
  await new Promise((resolve) => setImmediate(() => setImmediate(resolve)))
  connection.close()
  order.push('closed')
  await expect(failed).resolves.toContain('is closed')
  await connection.closed
  deaf?.destroy()
  server.close()
  await once(server, 'close')
  expect(order.filter((one) => one === 'let go')).toHaveLength(1)
  expect(order.indexOf('let go')).toBeGreaterThan(order.indexOf('closed'))
})
