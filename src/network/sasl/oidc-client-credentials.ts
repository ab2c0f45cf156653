/**
 * A token function for OAUTHBEARER that asks an identity provider (RFC 6749, section 4.4; KIP-768). One token serves all
 * connections until most of its life is over; a request that fails does no harm while the old token lives.
 */
import { AuthenticationError, ConfigError, ConnectionError, KafkaError } from '../../errors.js'
import type { OAuthToken, OAuthTokenFunction, Secret } from '../../config/sasl-option.js'
import { show } from '../../config/option-kinds.js'
import { systemClock } from '../../time/clock.js'
import { ask, type TimeLimit } from '../../user-code.js'
import { credentialsReader, readText } from './credentials.js'

export interface OidcClientCredentialsOptions {
  /** The token endpoint; https, but for a loopback address. */
  readonly tokenEndpoint: string
  readonly clientId: Secret
  readonly clientSecret: Secret
  readonly scope?: string | undefined
  /** More form fields, such as `{ audience: 'kafka' }`. */
  readonly parameters?: Readonly<Record<string, string>> | undefined
  /** SASL extensions for the broker (KIP-342). */
  readonly extensions?: Readonly<Record<string, string>> | undefined
  /** Id and secret are form-encoded in the Authorization header, as RFC 6749 has it. Default false, as in Kafka. */
  readonly headerUrlencode?: boolean | undefined
  /** How long the provider may take, and each function given here, in milliseconds. Default 10000. */
  readonly timeoutMs?: number | undefined
  /** Default: the global fetch. One of your own brings a proxy, or a CA. */
  readonly fetch?: typeof globalThis.fetch | undefined
}

/** A new token is fetched when this part of the life of the old one is over (sasl.login.refresh.window.factor). */
const REFRESH_AFTER = 0.8
/** What lives longer is fetched this much before its end, at the latest (sasl.login.refresh.buffer.seconds). */
const REFRESH_BEFORE_MS = 300_000
/** Node fires a timer at once when its delay does not fit into 31 bits. */
const MAX_TIMEOUT_MS = 2 ** 31 - 1
const MAX_ANSWER_CHARACTERS = 256 * 1024
const LOOPBACK = new Set(['localhost', '127.0.0.1', '[::1]'])

interface Cached {
  readonly token: OAuthToken
  /** Wall time. */
  readonly refreshAt: number
  readonly expiresAt: number
}

/**
 * A ready `token` function: `sasl: { mechanism: 'OAUTHBEARER', token: oidcClientCredentials({ ... }) }`. A provider that
 * cannot be reached is a retriable error; one that refuses the client is an AuthenticationError. Throws ConfigError for an
 * endpoint that is no https URL, and for a `timeoutMs` that is no time.
 */
export function oidcClientCredentials(options: OidcClientCredentialsOptions): OAuthTokenFunction {
  const endpoint = endpointOf(options.tokenEndpoint)
  const limit = limitOf(options.timeoutMs)
  let cached: Cached | undefined
  let fetching: Promise<Cached> | undefined

  const refreshed = async (): Promise<OAuthToken> => {
    fetching ??= fetchToken(endpoint, options, limit).finally(() => (fetching = undefined))
    try {
      cached = await fetching
    } catch (error) {
      if (cached === undefined || Date.now() >= cached.expiresAt) throw error
    }
    return cached.token
  }
  return () => (cached !== undefined && Date.now() < cached.refreshAt ? cached.token : refreshed())
}

/** What is wrong is told without the text itself: credentials may stand in it, and in a query too. */
function endpointOf(given: unknown): URL {
  const endpoint = typeof given === 'string' && URL.canParse(given) ? new URL(given) : undefined
  if (endpoint === undefined) throw endpointError('must be an https URL, and is no URL')
  if (endpoint.protocol !== 'https:' && !LOOPBACK.has(endpoint.hostname)) {
    throw endpointError(`must be an https URL, not ${endpoint.protocol}, for a secret goes there`)
  }
  if (endpoint.username !== '' || endpoint.password !== '') {
    throw endpointError('must have no user name and no password in it; give clientId and clientSecret')
  }
  return endpoint
}

function limitOf(given: unknown): TimeLimit {
  const timeoutMs = given === undefined ? 10_000 : given
  if (typeof timeoutMs !== 'number' || !(timeoutMs > 0 && timeoutMs <= MAX_TIMEOUT_MS)) {
    const valid = `a number of milliseconds above 0 and up to ${MAX_TIMEOUT_MS}`
    throw new ConfigError([`timeoutMs of oidcClientCredentials must be ${valid}, not ${show(given)}`])
  }
  return { clock: systemClock, timeoutMs, option: 'timeoutMs of oidcClientCredentials' }
}

function endpointError(problem: string): ConfigError {
  return new ConfigError([`tokenEndpoint of oidcClientCredentials ${problem}`])
}

/** Settles in time, whatever the functions of the options do: attempts that follow share it until then. */
async function fetchToken(
  endpoint: URL,
  options: OidcClientCredentialsOptions,
  limit: TimeLimit,
): Promise<Cached> {
  const { clientId, clientSecret, scope, parameters, extensions } = options
  const read = credentialsReader(limit)
  const id = await readText(read, 'clientId', clientId)
  const secret = await readText(read, 'clientSecret', clientSecret)
  const encode = options.headerUrlencode === true ? encodeURIComponent : (text: string) => text
  const form = new URLSearchParams({ grant_type: 'client_credentials', ...parameters })
  if (scope !== undefined) form.set('scope', scope)
  const { status, text } = await exchange(options.fetch ?? fetch, endpoint, limit, {
    method: 'POST',
    headers: {
      accept: 'application/json',
      authorization: `Basic ${Buffer.from(`${encode(id)}:${encode(secret)}`).toString('base64')}`,
      'content-type': 'application/x-www-form-urlencoded',
    },
    body: form.toString(),
    // What is meant for this endpoint goes to no other.
    redirect: 'error',
  })
  const answer = parsed(text)
  if (status !== 200) {
    const reason = word(answer['error'])
    const what = `the token endpoint at ${placeOf(endpoint)} answered ${status}${reason === '' ? '' : ` (${reason})`}`
    throw status >= 500 || status === 429 ? new ConnectionError(what) : new AuthenticationError(what)
  }
  const value = answer['access_token']
  if (typeof value !== 'string') {
    throw new AuthenticationError(
      `the token endpoint at ${placeOf(endpoint)} answered without an access_token`,
    )
  }
  const lifeMs = lifeOf(value, answer['expires_in'])
  const bufferMs = lifeMs > 2 * REFRESH_BEFORE_MS ? REFRESH_BEFORE_MS : 0
  const now = Date.now()
  return {
    token: { value, extensions },
    refreshAt: now + Math.min(lifeMs * REFRESH_AFTER, lifeMs - bufferMs),
    expiresAt: now + lifeMs,
  }
}

interface Exchanged {
  readonly status: number
  readonly text: string
}

/** One request within the limit, and its response; aborted when the time is over, which a `fetch` need not heed. */
async function exchange(
  send: typeof globalThis.fetch,
  endpoint: URL,
  limit: TimeLimit,
  request: RequestInit,
): Promise<Exchanged> {
  const abort = new AbortController()
  const call = (): Promise<Exchanged> => respond(send, endpoint, { ...request, signal: abort.signal })
  try {
    return await ask(`the request to the token endpoint at ${placeOf(endpoint)}`, call, limit)
  } finally {
    abort.abort()
  }
}

async function respond(
  send: typeof globalThis.fetch,
  endpoint: URL,
  request: RequestInit,
): Promise<Exchanged> {
  try {
    const response = await send(endpoint, request)
    let text = ''
    const decoder = new TextDecoder()
    for await (const chunk of (response.body ?? []) as AsyncIterable<Uint8Array>) {
      text += decoder.decode(chunk, { stream: true })
      if (text.length > MAX_ANSWER_CHARACTERS) throw new ConnectionError('its answer is too long for a token')
    }
    return { status: response.status, text }
  } catch (error) {
    const { name, message, cause } = error as Error
    const more = cause instanceof Error ? ` (${cause.message})` : ''
    // A fetch of the user's may name the whole URL.
    const said = `${message}${more}`.slice(0, 500)
    const isTelling = endpoint.search !== '' && said.includes(endpoint.search)
    throw new ConnectionError(
      `the token endpoint at ${placeOf(endpoint)} cannot be reached: ${isTelling ? name : said}`,
      { cause: isTelling || error instanceof KafkaError ? undefined : error },
    )
  }
}

/** Without the query, which may be a secret. */
function placeOf({ origin, pathname }: URL): string {
  return `${origin}${pathname}`
}

function parsed(text: string): Readonly<Record<string, unknown>> {
  try {
    const answer: unknown = JSON.parse(text)
    return typeof answer === 'object' && answer !== null ? (answer as Record<string, unknown>) : {}
  } catch {
    // Whatever it is, it is no answer of a token endpoint, and the callers say what is missing.
    return {}
  }
}

/** An error code of OAuth; anything else might be an echo of what was sent. */
function word(reason: unknown): string {
  return typeof reason === 'string' && /^[a-z_]{1,60}$/.test(reason) ? reason : ''
}

/** In milliseconds: what the provider says, or the token itself; 0, and so no cache, where neither does. */
function lifeOf(token: string, expiresIn: unknown): number {
  if (expiresIn !== undefined && Number.isFinite(Number(expiresIn)))
    return Math.max(0, Number(expiresIn) * 1000)
  const payload = parsed(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())
  const { exp } = payload as { readonly exp?: unknown }
  return typeof exp === 'number' ? Math.max(0, exp * 1000 - Date.now()) : 0
}
