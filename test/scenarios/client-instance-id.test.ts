/** The id that a cluster gives its clients for their metrics (KIP-714). */
import { createServer, type AddressInfo, type Server } from 'node:net'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { Producer } from '../../src/index.js'
import { ScriptedBroker } from '../network/scripted-broker.js'
import { arena } from './arena.js'

const ID = '00010203-0405-0607-0809-0a0b0c0d0e0f'

let broker: ScriptedBroker
let server: Server
let producer: Producer

beforeEach(async () => {
  broker = new ScriptedBroker()
  server = createServer(broker.serve)
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve)
  })
  producer = new Producer({ bootstrapServers: `127.0.0.1:${(server.address() as AddressInfo).port}` })
})

afterEach(async () => {
  await producer.close()
  server.close()
})

function answer(errorCode: number): object {
  return {
    throttleTimeMs: 0,
    errorCode,
    clientInstanceId: ID,
    subscriptionId: 1,
    acceptedCompressionTypes: [],
    pushIntervalMs: 300_000,
    telemetryMaxBytes: 1,
    deltaTemporality: false,
    requestedMetrics: [],
  }
}

test('is asked for once', async () => {
  broker.script = ({ api }) => (api.name === 'GetTelemetrySubscriptions' ? answer(0) : undefined)
  expect(await producer.clientInstanceId(5000)).toBe(ID)
  expect(await producer.clientInstanceId(5000)).toBe(ID)
  expect(broker.of('GetTelemetrySubscriptions').map(({ body }) => body)).toEqual([
    { clientInstanceId: '00000000-0000-0000-0000-000000000000' },
  ])
})

test('is refused with the error of the broker', async () => {
  broker.script = ({ api }) => (api.name === 'GetTelemetrySubscriptions' ? answer(42) : undefined)
  await expect(producer.clientInstanceId(5000)).rejects.toMatchObject({ code: 'INVALID_REQUEST', errno: 42 })
})

test('is not to be had from brokers without a receiver of metrics', async () => {
  const { producer: make } = await arena()
  await expect(make().clientInstanceId(5000)).rejects.toMatchObject({
    name: 'UnsupportedVersionError',
    message: expect.stringContaining('GetTelemetrySubscriptions') as string,
  })
})
