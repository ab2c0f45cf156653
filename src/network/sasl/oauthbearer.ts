/** OAUTHBEARER (RFC 7628, KIP-255): a bearer token, and extensions (KIP-342). */
import { AuthenticationError } from '../../errors.js'
import type { OAuthToken, SaslMechanism, SaslOAuthBearer } from '../../config/sasl-option.js'
import type { ReadCredentials } from './credentials.js'

const TOKEN = /^[A-Za-z0-9\-._~+/]+=*$/
const NAME = /^[A-Za-z]+$/
const VALUE = /^[\x20-\x7e\t\r\n]*$/

export function oauthBearer({ token }: SaslOAuthBearer, read: ReadCredentials): SaslMechanism {
  return {
    mechanism: 'OAUTHBEARER',
    authenticate: async (step) => {
      const given: unknown = await read('token', token)
      const answer = await step(
        Buffer.from(firstMessage(typeof given === 'string' ? { value: given } : given)),
      )
      if (answer.length === 0) return
      // A refusal comes as JSON first; only after one more step the broker says it as an error.
      await step(Buffer.of(1))
      throw new AuthenticationError(`the broker refused the token: ${statusOf(answer)}`)
    },
  }
}

/** Nothing that is put in may end a field: the separator is \x01. */
function firstMessage(given: unknown): string {
  const { value, extensions = {} } = (given ?? {}) as Partial<OAuthToken>
  if (typeof value !== 'string' || !TOKEN.test(value)) {
    throw new AuthenticationError('what the token function returned is no bearer token')
  }
  let message = `n,,\x01auth=Bearer ${value}\x01`
  for (const [name, extension] of Object.entries(extensions)) {
    if (!NAME.test(name) || name.toLowerCase() === 'auth') {
      throw new AuthenticationError(
        'an extension of the token has a name of other characters than letters, or auth',
      )
    }
    if (typeof extension !== 'string' || !VALUE.test(extension)) {
      throw new AuthenticationError(`the extension ${name} of the token has characters that are not allowed`)
    }
    message += `${name}=${extension}\x01`
  }
  return `${message}\x01`
}

function statusOf(answer: Uint8Array): string {
  const [, status] = /"status"\s*:\s*"([\w .-]{1,100})"/.exec(Buffer.from(answer).toString()) ?? []
  return status ?? 'without a reason'
}
