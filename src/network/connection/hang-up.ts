/**
 * What the end of a socket means: in words, by what was going on when it came, and what it leaves in doubt. Functions
 * only; to close the connection is the caller's part.
 */
import { AuthenticationError, ConnectionError, type KafkaError } from '../../errors.js'
import type { Foreign } from './frame-reader.js'
import { endOfHandshake, HANDSHAKE_FAILED, tlsFailure } from './tls.js'

/**
 * A hang-up that may mean a mistake in the configuration, and may mean nothing: TLS was spoken to a plaintext port, or
 * the other way round; a request was made where the listener expects SASL first. Whoever wants to know has to ask.
 */
export type Doubt = 'plaintext port' | 'TLS port' | 'SASL expected'

/** What was going on when the socket ended. */
export interface Moment {
  readonly peer: string
  readonly isTls: boolean
  /** What the other side has not yet shown that it takes part in; undefined when it has answered a request. */
  readonly firstTime: 'connecting' | 'negotiating' | 'requests' | undefined
  /** Some bytes of an answer are here, others are not. */
  readonly isInsideFrame: boolean
  /** Requests without an answer. */
  readonly unanswered: number
  /** The first of them is a message of SASL without a request around it. */
  readonly isBare: boolean
}

export interface Ending {
  readonly reason: KafkaError
  readonly doubt: Doubt | undefined
}

/** The socket failed. */
export function brokenBy(error: Error, { peer, isTls, firstTime, unanswered }: Moment): Ending {
  const isConnecting = firstTime === 'connecting'
  const isHandshake = isTls && isConnecting
  const tls = isTls ? tlsFailure(error, peer, isHandshake) : undefined
  let doubt: Doubt | undefined
  if (isHandshake && tls?.retriable === true) doubt = 'plaintext port'
  else if (firstTime === 'negotiating' && !isTls) doubt = 'TLS port'
  else if (firstTime === 'requests' && unanswered > 0) doubt = 'SASL expected'
  if (tls !== undefined) return { reason: tls, doubt }
  const says = meanings.get((error as NodeJS.ErrnoException).code)
  const message = isConnecting
    ? `${peer} ${says ?? `cannot be reached: ${error.message}`}`
    : `the connection to ${peer} broke: ${error.message}`
  return { reason: new ConnectionError(message, { cause: error }), doubt }
}

/** The other side hung up. */
export function hungUp({ peer, isTls, firstTime, isInsideFrame, unanswered, isBare }: Moment): Ending {
  if (isTls && firstTime === 'connecting') return { reason: endOfHandshake(peer), doubt: 'plaintext port' }
  let doubt: Doubt | undefined
  let when = ''
  if (isInsideFrame) when = ' in the middle of an answer'
  else if (firstTime === 'negotiating') {
    if (!isTls) doubt = 'TLS port'
    when = ' instead of saying what it speaks: it expects TLS, or is no Kafka broker from 0.10 on'
  } else if (unanswered > 0) {
    when = ` with ${unanswered} requests unanswered`
    if (firstTime === 'requests') {
      doubt = 'SASL expected'
      when += ', as the first ones: perhaps this listener expects SASL'
    }
    if (isBare) when = ' instead of answering: brokers before 1.0 do so when they refuse the credentials'
  }
  return { reason: new ConnectionError(`${peer} closed the connection${when}`), doubt }
}

/** This side gave the connection up. */
export function closedBy(cause: KafkaError, peer: string): ConnectionError {
  return new ConnectionError(closed(cause, peer), { cause })
}

/**
 * Bytes that are no answer. As the very first ones they may be another protocol, which no second attempt changes, unless
 * a load balancer says in it that no server is available now.
 */
export function unreadable(cause: KafkaError, peer: string, foreign: Foreign | undefined): KafkaError {
  if (foreign === undefined || foreign === 'HTTP 5xx') return closedBy(cause, peer)
  const code = foreign === 'TLS' ? HANDSHAKE_FAILED : cause.code
  return new AuthenticationError(closed(cause, peer), { code, cause })
}

function closed(cause: KafkaError, peer: string): string {
  return `the connection to ${peer} was closed: ${cause.message}`
}

/** What a failed attempt to connect means, where the code of the system tells. */
const meanings: ReadonlyMap<unknown, string> = new Map([
  ['ECONNREFUSED', 'refused the connection (ECONNREFUSED)'],
  ['ECONNRESET', 'reset the connection (ECONNRESET)'],
  ['ETIMEDOUT', 'did not answer (ETIMEDOUT)'],
  ['EHOSTUNREACH', 'cannot be reached: no route to the host (EHOSTUNREACH)'],
  ['ENETUNREACH', 'cannot be reached: no route to the network (ENETUNREACH)'],
])
