/**
 * SCRAM (RFC 5802, RFC 7677): both sides prove that they know the password, and nobody says it. A server that cannot
 * prove it, that repeats another nonce than ours, or asks for too little or too much work, is refused.
 */
import { createHash, createHmac, pbkdf2, randomBytes, timingSafeEqual } from 'node:crypto'
import { promisify } from 'node:util'
import { AuthenticationError } from '../../errors.js'
import type { SaslMechanism, SaslPassword } from '../../config/sasl-option.js'
import { readText, type ReadCredentials } from './credentials.js'
import { saslprep } from './saslprep.js'

const derive = promisify(pbkdf2)

/** Fewer make a stolen proof easy to attack; Kafka stores no fewer either. */
const MIN_ITERATIONS = 4096
/** More would let a server keep our processor busy for as long as it likes. */
const MAX_ITERATIONS = 1_000_000
const MAX_SALT_BYTES = 1024
const NONCE_BYTES = 24

/** Channel binding is neither used nor wanted. */
const GS2_HEADER = 'n,,'

export function scram({ mechanism, username, password }: SaslPassword, read: ReadCredentials): SaslMechanism {
  const hash = mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
  const hmac = (key: Uint8Array, text: string): Buffer => createHmac(hash, key).update(text).digest()

  return {
    mechanism,
    authenticate: async (step) => {
      const user = prepared('user name', await readText(read, 'username', username))
      const secret = prepared('password', await readText(read, 'password', password))
      // 32 characters of base64, none of which is a comma.
      const nonce = randomBytes(NONCE_BYTES).toString('base64')
      const clientFirst = `n=${user.replaceAll('=', '=3D').replaceAll(',', '=2C')},r=${nonce}`
      const serverFirst = Buffer.from(await step(Buffer.from(GS2_HEADER + clientFirst))).toString()
      const { serverNonce, salt, iterations } = challenge(serverFirst, nonce)

      const { length } = createHash(hash).digest()
      const salted = await derive(secret, salt, iterations, length, hash)
      const clientKey = hmac(salted, 'Client Key')
      const storedKey = createHash(hash).update(clientKey).digest()
      const withoutProof = `c=${Buffer.from(GS2_HEADER).toString('base64')},r=${serverNonce}`
      const all = `${clientFirst},${serverFirst},${withoutProof}`
      const signature = hmac(storedKey, all)
      const proof = clientKey.map((byte, i) => byte ^ signature[i]!)
      const final = `${withoutProof},p=${Buffer.from(proof).toString('base64')}`
      const serverFinal = Buffer.from(await step(Buffer.from(final))).toString()
      verify(serverFinal, hmac(hmac(salted, 'Server Key'), all))
    },
  }
}

function prepared(what: string, text: string): string {
  const ready = saslprep(text)
  if (ready === undefined || ready === '') {
    throw new AuthenticationError(`the ${what} has characters that SASLprep (RFC 4013) does not allow`)
  }
  return ready
}

interface Challenge {
  readonly serverNonce: string
  readonly salt: Buffer
  readonly iterations: number
}

/** `r=<nonce>,s=<salt>,i=<iterations>`, perhaps with extensions behind that mean nothing to us. */
function challenge(serverFirst: string, nonce: string): Challenge {
  refuseError(serverFirst)
  const [, serverNonce = '', salt64 = '', count = ''] =
    /^r=([\x21-\x2b\x2d-\x7e]+),s=([A-Za-z0-9+/]+={0,2}),i=([1-9]\d{0,9})(?:,[A-Za-z]=[^,]*)*$/.exec(
      serverFirst,
    ) ?? []
  if (serverNonce === '') throw distrust('its first message is not one of SCRAM')
  if (!serverNonce.startsWith(nonce) || serverNonce.length === nonce.length) {
    throw distrust('its nonce does not begin with the one of this client')
  }
  const iterations = Number(count)
  if (iterations < MIN_ITERATIONS || iterations > MAX_ITERATIONS) {
    throw distrust(
      `it asks for ${iterations} iterations; from ${MIN_ITERATIONS} to ${MAX_ITERATIONS} are allowed`,
    )
  }
  const salt = Buffer.from(salt64, 'base64')
  if (salt.length === 0 || salt.length > MAX_SALT_BYTES) throw distrust(`its salt has ${salt.length} bytes`)
  return { serverNonce, salt, iterations }
}

function verify(serverFinal: string, expected: Buffer): void {
  refuseError(serverFinal)
  const [, signature64] = /^v=([A-Za-z0-9+/]+={0,2})(?:,[A-Za-z]=[^,]*)*$/.exec(serverFinal) ?? []
  if (signature64 === undefined) throw distrust('it did not prove that it knows the password')
  const signature = Buffer.from(signature64, 'base64')
  if (signature.length !== expected.length || !timingSafeEqual(signature, expected)) {
    throw distrust('its proof that it knows the password is wrong')
  }
}

/** A server may say in SCRAM's own words what it does not like. */
function refuseError(message: string): void {
  const [, said] = /^e=([\x20-\x2b\x2d-\x7e]{1,200})/.exec(message) ?? []
  if (said !== undefined) throw new AuthenticationError(`the broker says ${said}`)
}

function distrust(why: string): AuthenticationError {
  return new AuthenticationError(`the broker cannot be trusted: ${why}`)
}
