/**
 * TLS: how a socket is made from the option `ssl`, and what its errors mean. The certificate and the name in it are
 * checked against the broker's advertised host unless the caller turned that off, and then a warning says so.
 */
import { isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import {
  checkServerIdentity,
  connect as tlsSocket,
  type ConnectionOptions,
  type PeerCertificate,
  type SecureVersion,
  type TLSSocket,
} from 'node:tls'
import { AuthenticationError, ConnectionError, KafkaError } from '../../errors.js'
import type { Logger } from '../../logger.js'
import { isTlsAllowed, sslProblem, type SslFunction } from '../../config/ssl-option.js'
import { ask, watch, type TimeLimit } from '../../user-code.js'
import { tcpConnect, type Address, type Connect } from './transport.js'

/** Sockets over TLS; `ssl` is asked at every connection, and has as long as `limit` says. */
export function tlsConnect(ssl: SslFunction, logger: Logger, limit: TimeLimit): Connect {
  let hasWarned = false
  const warnOfIdentity = once((host: string) =>
    logger.warn(
      'ssl.checkServerIdentity accepts a certificate that is not valid for this host: anybody with a certificate of the same CA can take its place',
      { host },
    ),
  )
  const connect = async ({ host, port, ip }: Address): Promise<Duplex> => {
    const options = await optionsOf(ssl, limit)
    const isVerified = options.rejectUnauthorized !== false
    if (!isVerified && !hasWarned) {
      hasWarned = true
      logger.warn(
        'TLS CERTIFICATES ARE NOT VERIFIED (ssl.rejectUnauthorized is false): anybody on the way can read and change what is sent, credentials included',
        { host, port },
      )
    }
    const name = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
    let socket
    try {
      socket = tlsSocket({
        ...options,
        ...ownIdentityCheck(options, warnOfIdentity),
        host: ip,
        port,
        // An address is checked against the addresses of the certificate; SNI knows only names.
        servername: options.servername ?? (isIP(name) === 0 ? name : ''),
        // Both stated, so that neither a flag nor the environment of the process weakens them.
        minVersion: options.minVersion ?? 'TLSv1.2',
        rejectUnauthorized: isVerified,
      })
    } catch (error) {
      // A key that does not fit, a wrong passphrase, no certificate at all.
      throw new AuthenticationError(`ssl cannot be used: ${(error as Error).message}`, {
        code: HANDSHAKE_FAILED,
        cause: error,
      })
    }
    refuseOldTls(socket, options.minVersion)
    socket.setNoDelay(true)
    socket.setKeepAlive(true)
    return socket
  }
  return Object.assign(connect, { otherwise: tcpConnect })
}

/** A secure context of the caller's brings a range of versions of its own, which the options above do not narrow. */
function refuseOldTls(socket: TLSSocket, minVersion: SecureVersion | undefined): void {
  socket.once('secureConnect', () => {
    const version = socket.getProtocol()
    if (isTlsAllowed(version, minVersion)) return
    const error = new Error(`the version is ${version}`)
    socket.destroy(Object.assign(error, { code: 'ERR_SSL_UNSUPPORTED_PROTOCOL' }))
  })
}

/** The caller's check of names, which Node calls where nothing catches what it throws. */
function ownIdentityCheck(
  { checkServerIdentity: own }: ConnectionOptions,
  warn: (host: string) => void,
): ConnectionOptions {
  if (own === undefined) return {}
  return {
    checkServerIdentity: (host, certificate) => {
      let problem: unknown
      try {
        problem = own(host, certificate)
      } catch (error) {
        problem = error
      }
      watch(problem, () => {})
      if (problem === undefined) {
        if (!isValidFor(host, certificate)) warn(host)
        return undefined
      }
      return problem instanceof Error
        ? problem
        : new Error('ssl.checkServerIdentity must return undefined or an Error')
    },
  }
}

function isValidFor(host: string, certificate: PeerCertificate): boolean {
  try {
    return checkServerIdentity(host, certificate) === undefined
  } catch {
    // A certificate without names.
    return false
  }
}

function once<T>(call: (given: T) => void): (given: T) => void {
  let isDone = false
  return (given) => {
    if (isDone) return
    isDone = true
    call(given)
  }
}

async function optionsOf(ssl: SslFunction, limit: TimeLimit): Promise<ConnectionOptions> {
  let options: ConnectionOptions
  try {
    options = await ask('the function ssl', ssl, limit)
  } catch (error) {
    if (error instanceof KafkaError) throw error
    // Perhaps the store of certificates is away for a moment.
    const said = error instanceof Error ? error.message : 'it threw something that is no error'
    throw new ConnectionError(`the function ssl failed: ${said}`, { cause: error })
  }
  const problem = sslProblem(options)
  if (problem !== undefined) {
    throw new AuthenticationError(`what the function ssl returned ${problem}`, { code: HANDSHAKE_FAILED })
  }
  return options
}

/** Kafka has no number for it. */
export const HANDSHAKE_FAILED = 'SSL_HANDSHAKE_FAILED'

const UNKNOWN_CA =
  'has a certificate from an authority that is not trusted here: give the PEM of its CA as ssl.ca'
const OUR_CERTIFICATE =
  'refused the certificate of this client: check ssl.cert and ssl.key, and that its CA is in the truststore of the broker'
const NOT_TLS =
  'answers, but not in TLS: it is a plaintext port, or another kind of server such as HTTP; check the port, or leave ssl out'

/** What the code of an error means, and what to change. */
const meanings: ReadonlyMap<string, string> = new Map([
  [
    'CERT_HAS_EXPIRED',
    'has a certificate that has expired: it has to be renewed (or the clock here is wrong)',
  ],
  ['CERT_NOT_YET_VALID', 'has a certificate that is not valid yet: check the clocks'],
  ['CERT_REVOKED', 'has a certificate that was revoked'],
  ['SELF_SIGNED_CERT_IN_CHAIN', UNKNOWN_CA],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', UNKNOWN_CA],
  ['UNABLE_TO_GET_ISSUER_CERT', UNKNOWN_CA],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', UNKNOWN_CA],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', UNKNOWN_CA],
  ['CERT_SIGNATURE_FAILURE', UNKNOWN_CA],
  [
    'ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED',
    'asks for a certificate of this client: give ssl.cert and ssl.key',
  ],
  [
    'ERR_SSL_SSLV3_ALERT_BAD_CERTIFICATE',
    'wants another certificate of this client, or one at all: give ssl.cert and ssl.key that it trusts',
  ],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_UNKNOWN', OUR_CERTIFICATE],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_EXPIRED', OUR_CERTIFICATE],
  ['ERR_SSL_SSLV3_ALERT_CERTIFICATE_REVOKED', OUR_CERTIFICATE],
  ['ERR_SSL_SSLV3_ALERT_UNSUPPORTED_CERTIFICATE', OUR_CERTIFICATE],
  ['ERR_SSL_TLSV1_ALERT_UNKNOWN_CA', OUR_CERTIFICATE],
  ['ERR_SSL_TLSV1_ALERT_ACCESS_DENIED', OUR_CERTIFICATE],
  [
    'ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION',
    'speaks no version of TLS that is allowed here (1.2 or newer, unless ssl.minVersion says otherwise)',
  ],
  [
    'ERR_SSL_UNSUPPORTED_PROTOCOL',
    'speaks no version of TLS that is allowed here (1.2 or newer, unless ssl.minVersion says otherwise)',
  ],
  ['ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE', 'has no cipher in common, or wants a certificate of this client'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', NOT_TLS],
  ['ERR_SSL_PACKET_LENGTH_TOO_LONG', NOT_TLS],
  ['ERR_SSL_HTTP_REQUEST', NOT_TLS],
])

/** The error of a socket over TLS in words; undefined where TLS has nothing to do with it. */
export function tlsFailure(error: Error, peer: string, isHandshake: boolean): KafkaError | undefined {
  const { code = '', reason = '' } = error as { readonly code?: unknown; readonly reason?: unknown }
  const text = typeof code === 'string' ? code : ''
  const refuse = (meaning: string): KafkaError =>
    new AuthenticationError(`${peer} ${meaning} (${text})`, { code: HANDSHAKE_FAILED, cause: error })
  if (text === 'ERR_TLS_CERT_ALTNAME_INVALID') {
    const names = typeof reason === 'string' ? reason : error.message
    return refuse(
      `has a certificate for another host: ${names.slice(0, 300)} - use a name that is in it, or have it issued for this one`,
    )
  }
  const meaning = meanings.get(text)
  if (meaning !== undefined) return refuse(meaning)
  if (text.startsWith('ERR_SSL_') || text.startsWith('ERR_TLS_')) {
    return refuse(`and this client cannot agree on TLS: ${error.message.slice(0, 300)}`)
  }
  return isHandshake && text === 'ECONNRESET' ? endOfHandshake(peer, error) : undefined
}

/** A server that was found to speak TLS, or plaintext, where the other was spoken to it. */
export function wrongProtocol(peer: string, speaks: 'TLS' | 'plaintext'): AuthenticationError {
  const what =
    speaks === 'TLS'
      ? 'speaks TLS: it expects TLS: set ssl'
      : 'speaks no TLS: it is a plaintext port; use another port, or leave ssl out'
  return new AuthenticationError(`${peer} ${what}`, { code: HANDSHAKE_FAILED })
}

/** A broker that reads the handshake as the size of a huge request hangs up; so may one that is being stopped. */
export function endOfHandshake(peer: string, cause?: Error): ConnectionError {
  return new ConnectionError(
    `${peer} closed the connection during the TLS handshake: perhaps it is a plaintext port; check the port, or leave ssl out`,
    { cause },
  )
}
