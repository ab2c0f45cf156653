import { once } from 'node:events'
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { AuthenticationError, ConfigError, ConnectionError } from '../../src/errors.js'
import { oidcClientCredentials } from '../../src/network/sasl/oidc-client-credentials.js'

const SECRET = 's3cret-of-the-client'

let server: Server
let tokenEndpoint: string
let asked: { headers: IncomingMessage['headers']; body: string }[]
let answer: (response: ServerResponse) => void
const now = vi.spyOn(Date, 'now')

beforeEach(async () => {
  asked = []
  now.mockReturnValue(1_000_000)
  server = createServer((request, response) => {
    let body = ''
    request.setEncoding('utf8').on('data', (text: string) => (body += text))
    request.on('end', () => {
      asked.push({ headers: request.headers, body })
      answer(response)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  tokenEndpoint = `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`
})

afterEach(async () => {
  now.mockReset()
  server.closeAllConnections()
  server.close()
  await once(server, 'close')
})

const provider = (more: object = {}) =>
  oidcClientCredentials({ tokenEndpoint, clientId: 'orders', clientSecret: () => SECRET, ...more })

const gives =
  (body: object, status = 200) =>
  (response: ServerResponse): void => {
    response.writeHead(status).end(JSON.stringify(body))
  }

async function refusal(promise: unknown): Promise<Error> {
  const error = await Promise.resolve(promise).then(
    () => undefined,
    (reason: unknown) => reason as Error,
  )
  expect(error).toBeInstanceOf(Error)
  expect(inspect(error, { depth: 9 })).not.toContain(SECRET)
  return error!
}

describe('oidcClientCredentials', () => {
  test('asks as RFC 6749 has it', async () => {
    answer = gives({ access_token: 'a.b.c', expires_in: 300 })
    const token = await provider({
      scope: 'kafka',
      parameters: { audience: 'kafka' },
      extensions: { logicalCluster: 'lkc-1' },
    })()
    expect(token).toEqual({ value: 'a.b.c', extensions: { logicalCluster: 'lkc-1' } })
    expect(asked[0]!.headers.authorization).toBe(
      `Basic ${Buffer.from(`orders:${SECRET}`).toString('base64')}`,
    )
    expect(Object.fromEntries(new URLSearchParams(asked[0]!.body))).toEqual({
      grant_type: 'client_credentials',
      audience: 'kafka',
      scope: 'kafka',
    })
  })

  test('one token serves all until 80 % of its life are over, and those who ask together ask once', async () => {
    let count = 0
    answer = (response) => gives({ access_token: `t${++count}`, expires_in: 300 })(response)
    const token = provider()
    const both = await Promise.all([token(), token()])
    expect(both.map((one) => (one as { value: string }).value)).toEqual(['t1', 't1'])
    now.mockReturnValue(1_000_000 + 239_000)
    expect(await token()).toMatchObject({ value: 't1' })
    now.mockReturnValue(1_000_000 + 241_000)
    expect(await token()).toMatchObject({ value: 't2' })
    expect(asked).toHaveLength(2)
  })

  test('a provider that is down does no harm while the old token lives', async () => {
    answer = gives({ access_token: 't1', expires_in: 300 })
    const token = provider()
    await token()
    answer = gives({}, 503)
    now.mockReturnValue(1_000_000 + 290_000)
    expect(await token()).toMatchObject({ value: 't1' })
    now.mockReturnValue(1_000_000 + 301_000)
    const error = await refusal(token())
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error).toMatchObject({ retriable: true })
    expect(error.message).toMatch(/127\.0\.0\.1:\d+\/token answered 503/)
  })

  test('the life of a token stands in it when the provider does not say', async () => {
    const payload = Buffer.from(JSON.stringify({ exp: 1_000 + 100 })).toString('base64url')
    answer = gives({ access_token: `h.${payload}.s` })
    const token = provider()
    await token()
    now.mockReturnValue(1_000_000 + 79_000)
    await token()
    expect(asked).toHaveLength(1)
    now.mockReturnValue(1_000_000 + 81_000)
    await token()
    expect(asked).toHaveLength(2)
  })

  test.each([
    [
      'a refusal',
      () => gives({ error: 'invalid_client', echo: SECRET }, 401),
      /answered 401 \(invalid_client\)/,
    ],
    ['a refusal with an echo', () => gives({ error: SECRET }, 400), /answered 400$/],
    ['no token', () => gives({ token: SECRET }), /without an access_token/],
  ])('%s is an AuthenticationError', async (_, how, words) => {
    answer = how()
    const error = await refusal(provider()())
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error.message).toMatch(words)
  })

  test('no redirect is followed, and no endless answer read', async () => {
    answer = (response) => response.writeHead(302, { location: '/elsewhere' }).end()
    expect(await refusal(provider()())).toBeInstanceOf(ConnectionError)
    answer = (response) => response.end('x'.repeat(300_000))
    expect((await refusal(provider()())).message).toMatch(/too long/)
  })

  test('an answer that does not come is a time-out', async () => {
    answer = () => {}
    expect((await refusal(provider({ timeoutMs: 50 })())).message).toMatch(/did not settle within 50 ms/)
  })

  test.each(['fetch', 'clientId', 'clientSecret'] as const)(
    'a %s that never settles is a time-out, and the next attempt calls it afresh',
    async (name) => {
      answer = gives({ access_token: 'token' })
      const given = { fetch, clientId: () => 'orders', clientSecret: () => SECRET }
      let calls = 0
      const first = (...args: unknown[]): unknown =>
        ++calls === 1 ? new Promise(() => {}) : (given[name] as (...args: unknown[]) => unknown)(...args)
      const token = provider({ timeoutMs: 50, ...given, [name]: first })
      const error = await refusal(token())
      expect(error).toBeInstanceOf(ConnectionError)
      expect(error.message).toMatch(/did not settle within 50 ms \(timeoutMs of oidcClientCredentials\)/)
      // The second has as long as it takes.
      expect(calls).toBe(1)
      await vi.waitFor(async () => expect(await token()).toMatchObject({ value: 'token' }), 10_000)
    },
  )

  test.each([NaN, Infinity, 0, -1, '50', null, 2 ** 31])('timeoutMs %s is refused', (timeoutMs) => {
    expect(() => provider({ timeoutMs })).toThrow(ConfigError)
    expect(() => provider({ timeoutMs })).toThrow(/timeoutMs of oidcClientCredentials must be a number/)
  })

  test('a secret goes nowhere without TLS', () => {
    for (const tokenEndpoint of [
      'http://idp.example/token',
      'idp.example/token',
      'ftp://localhost.example/',
    ]) {
      expect(() => provider({ tokenEndpoint })).toThrow(ConfigError)
      expect(() => provider({ tokenEndpoint })).toThrow(/tokenEndpoint .*must be an https URL/)
    }
  })

  test('credentials in the endpoint are refused, and shown nowhere', () => {
    for (const tokenEndpoint of [
      'https://user:SECRET@idp.example/token',
      'http://user:SECRET@idp.example/token?SECRET',
      'SECRET',
    ]) {
      expect(() => provider({ tokenEndpoint })).toThrow(ConfigError)
      expect(() => provider({ tokenEndpoint })).not.toThrow(/SECRET/)
    }
    expect(() => provider({ tokenEndpoint: 'https://user:SECRET@idp.example/token' })).toThrow(
      /must have no user name and no password/,
    )
  })

  test('a query of the endpoint is sent, and never shown', async () => {
    const asked: string[] = []
    const fails = (url: unknown): Promise<Response> => {
      asked.push(String(url))
      return Promise.reject(new Error(`request to ${String(url)} failed`))
    }
    const endpoint = { tokenEndpoint: 'https://idp.example/token?key=HIDDEN', fetch: fails as typeof fetch }
    const error = await refusal(provider(endpoint)())
    expect(asked).toEqual(['https://idp.example/token?key=HIDDEN'])
    expect(error.message).toContain('https://idp.example/token')
    expect(inspect(error)).not.toContain('HIDDEN')
  })
})
