/**
 * SASL on a connection: the chosen mechanism and no other, step by step in SaslAuthenticate requests (bare, with brokers
 * before 1.0). Credentials are asked for anew each time, before the first step, so that requests wait for the broker
 * only. No error holds a secret.
 */
import { AuthenticationError, KafkaError } from '../../errors.js'
import { SaslAuthenticate, SaslHandshake } from '../../protocol/apis.js'
import { brokerError } from '../../protocol/error-codes.js'
import type { SaslMechanism, SaslOptions, SaslStep } from '../../config/sasl-option.js'
import type { Clock } from '../../time/clock.js'
import { ask, watch, type TimeLimit } from '../../user-code.js'
import type { Connection } from '../connection/connection.js'
import { awsMskIam } from './aws-msk-iam.js'
import { credentialsReader } from './credentials.js'
import { oauthBearer } from './oauthbearer.js'
import { plain } from './plain.js'
import { scram } from './scram.js'

export interface SaslParts {
  readonly clock: Clock
  /** What a function that gives credentials may take, or a mechanism of the application's for all its steps. */
  readonly requestTimeoutMs: number
}

const UNSUPPORTED_SASL_MECHANISM = 33
const ILLEGAL_SASL_STATE = 34

/** Logs in with `sasl`; fulfilled with the milliseconds of the session, 0 for one without an end. */
export function saslLogin(
  sasl: () => SaslOptions,
  parts: SaslParts,
): (connection: Connection) => Promise<number> {
  const mechanism = mechanismOf(sasl(), parts)
  const { mechanism: name } = sasl()
  return async (connection) => {
    const who = `${name} authentication with ${connection.peer}`
    const log = new Login(connection, mechanism.mechanism, who)
    try {
      await mechanism.authenticate((message) => log.step(message), connection)
    } catch (error) {
      if (!(error instanceof KafkaError)) {
        throw new AuthenticationError(`${who} failed: ${messageOf(error)}`, { cause: error })
      }
      if (log.said.has(error)) throw error
      // A mechanism knows what is wrong, not where.
      const { code, errno, retriable, cause } = error
      const ErrorClass = error.constructor as typeof KafkaError
      throw new ErrorClass(`${who} failed: ${error.message}`, { code, errno, retriable, cause })
    }
    return log.sessionMs
  }
}

class Login {
  readonly #connection: Connection
  readonly #mechanism: string
  readonly #who: string
  #hasShakenHands = false
  /** From the last answer. */
  sessionMs = 0
  /** Errors that name the broker. */
  readonly said = new WeakSet<Error>()

  constructor(connection: Connection, mechanism: string, who: string) {
    this.#connection = connection
    this.#mechanism = mechanism
    this.#who = who
  }

  async step(message: Uint8Array): Promise<Uint8Array> {
    try {
      if (!this.#hasShakenHands) await this.#shakeHands()
      this.#hasShakenHands = true
      // Kafka 1.0 brought the request, and with it the broker's word on why it refuses (KIP-152).
      if (!this.#connection.knows(SaslAuthenticate)) return await this.#connection.exchangeBare(message)
      const answer = await this.#connection.request(
        SaslAuthenticate,
        { authBytes: message },
        { authenticates: true },
      )
      const { errorCode, errorMessage: said } = answer
      if (errorCode !== 0)
        throw this.#refusal(errorCode, said !== null && repeats(said, message) ? null : said)
      this.sessionMs = Number(answer.sessionLifetimeMs)
      return answer.authBytes
    } catch (error) {
      if (error instanceof Error) this.said.add(error)
      throw error
    }
  }

  async #shakeHands(): Promise<void> {
    const { errorCode, mechanisms } = await this.#connection.request(
      SaslHandshake,
      { mechanism: this.#mechanism },
      // Version 1 announces SaslAuthenticate.
      { authenticates: true, maxVersion: this.#connection.knows(SaslAuthenticate) ? 1 : 0 },
    )
    if (errorCode === 0) return
    const offered = listOf(mechanisms)
    const hint = errorCode === ILLEGAL_SASL_STATE ? 'this listener takes no SASL: leave sasl out' : null
    throw this.#refusal(
      errorCode,
      errorCode === UNSUPPORTED_SASL_MECHANISM ? `the broker has ${offered}` : hint,
    )
  }

  #refusal(errno: number, said: string | null): AuthenticationError {
    const { code, message } = brokerError(errno, this.#who, { message: said?.slice(0, 500) ?? null })
    return new AuthenticationError(message, { code, errno })
  }
}

/**
 * For a listener that hung up on a first request without SASL: throws AuthenticationError where it expects SASL, so that
 * the configuration has to change, and does nothing where it does not.
 */
export async function expectNoSasl(connection: Connection): Promise<number> {
  if (!connection.knows(SaslHandshake)) return 0
  const { errorCode, mechanisms } = await connection.request(
    SaslHandshake,
    { mechanism: 'NONE' },
    { authenticates: true, maxVersion: 0 },
  )
  if (errorCode !== UNSUPPORTED_SASL_MECHANISM) return 0
  throw new AuthenticationError(
    `${connection.peer} expects SASL on this listener: set sasl (the broker has ${listOf(mechanisms)})`,
    { code: 'ILLEGAL_SASL_STATE' },
  )
}

/** Whether a broker says again what it was sent, which may be a password: as it is, or as base64 or hex. */
function repeats(said: string, message: Uint8Array): boolean {
  const sent = Buffer.from(message)
  // The separators of PLAIN and OAUTHBEARER.
  const parts = sent.toString().replaceAll('\u0001', '\0').split('\0')
  const written = [...parts, sent.toString('base64'), sent.toString('hex')]
  return written.some((part) => part !== '' && said.includes(part))
}

/** A broker may say anything. */
function listOf(mechanisms: readonly string[]): string {
  return mechanisms.slice(0, 20).join(', ').slice(0, 300) || 'none'
}

function mechanismOf(options: SaslOptions, parts: SaslParts): SaslMechanism {
  const { clock, requestTimeoutMs: timeoutMs } = parts
  const limit = { clock, timeoutMs, option: 'requestTimeoutMs' }
  if ('authenticate' in options) return limited(options, limit)
  const read = credentialsReader(limit)
  switch (options.mechanism) {
    case 'PLAIN':
      return plain(options, read)
    case 'SCRAM-SHA-256':
    case 'SCRAM-SHA-512':
      return scram(options, read)
    case 'OAUTHBEARER':
      return oauthBearer(options, read)
    case 'AWS_MSK_IAM':
      return awsMskIam(options, read)
  }
}

/** A mechanism of the application's, which may never settle, and need not look after the promises of its steps. */
function limited({ mechanism, authenticate }: SaslMechanism, limit: TimeLimit): SaslMechanism {
  return {
    mechanism,
    authenticate: (step, broker) => {
      const watched: SaslStep = (message) => {
        const answer = step(message)
        watch(answer, () => {})
        return answer
      }
      return ask('authenticate of sasl', () => authenticate(watched, broker), limit)
    },
  }
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : 'the mechanism threw something that is no error'
}
