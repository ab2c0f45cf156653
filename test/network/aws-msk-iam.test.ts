/** AWS_MSK_IAM with AWS's own signer: what goes to the broker is a presigned URL, made without any network. */
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { AuthenticationError, KafkaError } from '../../src/errors.js'
import { Connection } from '../../src/network/connection/connection.js'
import { saslLogin } from '../../src/network/sasl/login.js'
import { awsMskIam } from '../../src/network/sasl/aws-msk-iam.js'
import { SaslAuthenticate, SaslHandshake } from '../../src/protocol/apis.js'
import type { RequestOf } from '../../src/protocol/schema.js'
import { ManualClock } from './manual-clock.js'
import { MemoryNetwork } from './memory-transport.js'
import { ScriptedBroker } from './scripted-broker.js'
import { barrier } from '../fault-barrier.js'

const KEY_ID = 'AKIDEXAMPLE'
const SECRET = 'wJalrXUtnFEMI-EXAMPLEKEY'
const sasl = { mechanism: 'AWS_MSK_IAM', region: 'eu-central-1' } as const

let broker: ScriptedBroker
let one: Connection

beforeEach(() => {
  vi.stubEnv('AWS_ACCESS_KEY_ID', KEY_ID)
  vi.stubEnv('AWS_SECRET_ACCESS_KEY', SECRET)
  vi.stubEnv('AWS_SESSION_TOKEN', 'a-session')
  // Nothing of the machine's own.
  vi.stubEnv('AWS_PROFILE', undefined)
  const clock = new ManualClock()
  const network = new MemoryNetwork()
  broker = new ScriptedBroker()
  network.listen('127.0.0.1', 9098, (socket) => broker.serve(socket))
  one = new Connection({
    barrier,
    nodeId: 1,
    address: { host: 'b-1.example.kafka.eu-central-1.amazonaws.com', port: 9098, ip: '127.0.0.1' },
    connect: network.connect,
    clock,
    setupTimeoutMs: 10_000,
    clientId: null,
    requestTimeoutMs: 30_000,
    connectionsMaxIdleMs: 540_000,
    socketMaxResponseBytes: 1_000_000,
    authenticate: saslLogin(() => sasl, { clock, requestTimeoutMs: 30_000 }),
  })
})

afterEach(async () => {
  vi.unstubAllEnvs()
  one.close()
  await one.closed
})

/** Takes OAUTHBEARER, and answers the token with these. */
function answers(authBytes: string, errorCode = 0): void {
  broker.script = ({ api }) => {
    if (api.key === SaslHandshake.key) return { errorCode: 0, mechanisms: ['OAUTHBEARER'] }
    if (api.key !== SaslAuthenticate.key) return undefined
    const isFirst = broker.of('SaslAuthenticate').length === 1
    return {
      errorCode: isFirst ? 0 : errorCode,
      errorMessage: errorCode === 0 ? null : 'Access denied',
      authBytes: Buffer.from(isFirst ? authBytes : ''),
      sessionLifetimeMs: 0n,
    }
  }
}

test('signs a URL that lets the broker ask AWS who it is, and sends it as OAUTHBEARER', async () => {
  answers('')
  await one.open()
  expect(broker.of('SaslHandshake')[0]!.body).toEqual({ mechanism: 'OAUTHBEARER' })
  const [first] = broker.of('SaslAuthenticate')
  const message = Buffer.from((first!.body as RequestOf<typeof SaslAuthenticate>).authBytes).toString()
  const [header, token, ...rest] = message.split('\x01')
  expect([header, ...rest]).toEqual(['n,,', '', ''])
  const [, signed] = /^auth=Bearer ([\w-]+)$/.exec(token!)!
  const url = new URL(Buffer.from(signed!, 'base64url').toString())
  expect(url.protocol).toBe('https:')
  expect(url.host).toBe('kafka.eu-central-1.amazonaws.com')
  expect(Object.fromEntries(url.searchParams)).toMatchObject({
    Action: 'kafka-cluster:Connect',
    'X-Amz-Algorithm': 'AWS4-HMAC-SHA256',
    'X-Amz-Credential': expect.stringMatching(
      new RegExp(`^${KEY_ID}/\\d{8}/eu-central-1/kafka-cluster/aws4_request$`),
    ) as string,
    'X-Amz-Date': expect.stringMatching(/^\d{8}T\d{6}Z$/) as string,
    'X-Amz-Expires': '900',
    'X-Amz-Security-Token': 'a-session',
    'X-Amz-Signature': expect.stringMatching(/^[0-9a-f]{64}$/) as string,
    'X-Amz-SignedHeaders': 'host',
  })
  expect(url.href).not.toContain(SECRET)
})

test('a refusal names the mechanism that was asked for, and no secret', async () => {
  answers('{"status":"invalid_token"}', 58)
  const error = await refusal(one.open())
  expect(error).toBeInstanceOf(AuthenticationError)
  expect(error.message).toMatch(/^AWS_MSK_IAM authentication with broker 1 at b-1\..*Access denied/)
  expect(inspect(error, { depth: 9, showHidden: true })).not.toMatch(/EXAMPLEKEY|X-Amz|aHR0cHM/)
})

describe('a signer that', () => {
  const open = (load: (name: string) => unknown): Promise<void> => {
    const read = <T extends string | object>(_: string, source: T | (() => T | Promise<T>)): Promise<T> =>
      Promise.resolve(typeof source === 'function' ? (source as () => T | Promise<T>)() : source)
    const { authenticate } = awsMskIam(sasl, read, load)
    return authenticate(() => Promise.reject(new Error('no')), { host: 'b', port: 1 })
  }

  test('is not installed is asked for by name', async () => {
    const error = await refusal(open(() => undefined))
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error.message).toBe(
      'AWS_MSK_IAM needs the package aws-msk-iam-sasl-signer-js: npm install aws-msk-iam-sasl-signer-js',
    )
  })

  test('is broken says how', async () => {
    const missing = Object.assign(new Error("Cannot find module '@aws-sdk/x'"), { code: 'MODULE_NOT_FOUND' })
    const error = await refusal(
      open(() => {
        throw missing
      }),
    )
    expect(error.message).toMatch(/is installed, but cannot be loaded: Cannot find module '@aws-sdk\/x'/)
    expect(error.cause).toBe(missing)
  })
})

async function refusal(promise: Promise<unknown>): Promise<KafkaError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(KafkaError)
  return error as KafkaError
}
