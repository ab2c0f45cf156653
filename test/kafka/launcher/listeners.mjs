// @ts-check
// The ports and listeners of a cluster, and its users.
/** @import { ClusterState, Listener } from './types.js' */

/**
 * By name. PROXY is PLAINTEXT, but advertised one port higher, where a test may put a TCP proxy.
 * @satisfies {Record<string, Listener>}
 */
export const LISTENERS = /** @type {const} */ ({
  PLAINTEXT: { offset: 0, protocol: 'PLAINTEXT' },
  SSL: { offset: 1, protocol: 'SSL', security: true },
  // Requires a client certificate; TLS 1.2 only.
  MTLS: { offset: 2, protocol: 'SSL', security: true },
  // OAUTHBEARER with unsecured tokens.
  SASL_PLAINTEXT: { offset: 3, protocol: 'SASL_PLAINTEXT', security: true },
  // OAUTHBEARER with RS256 tokens, checked against a local JWKS from Kafka 3.1.
  SASL_SSL: { offset: 4, protocol: 'SASL_SSL', security: true },
  PROXY: { offset: 5, protocol: 'PLAINTEXT', advertise: 6 },
  // The certificate names another host.
  SSL_BADHOST: { offset: 7, protocol: 'SSL', security: true },
  // The certificate has expired.
  SSL_EXPIRED: { offset: 8, protocol: 'SSL', security: true },
})

/** The controller's, where the only broker is the controller. */
export const CONTROLLER_OFFSET = 9
export const ZOOKEEPER_OFFSET = 90
/** The controller's, where it runs in its own process. */
export const SEPARATE_CONTROLLER_OFFSET = 91

/** Of the key stores. A user's password is `<user>-secret`. */
export const STORE_PASSWORD = 'secret'
export const USERS = { admin: 'admin-secret', alice: 'alice-secret', bob: 'bob-secret' }

/**
 * @param {{ readonly port: number }} cluster
 * @param {number} brokerId from 1
 * @param {number} offset
 */
export const portOf = (cluster, brokerId, offset) => cluster.port + 10 * (brokerId - 1) + offset

/**
 * @param {Pick<ClusterState, 'security'>} cluster
 * @returns {[string, Listener][]}
 */
export function activeListeners(cluster) {
  /** @type {[string, Listener][]} */
  const all = Object.entries(LISTENERS)
  return all.filter(([, listener]) => listener.security !== true || cluster.security)
}

/**
 * TLS listeners are advertised by name, the others by address, so that clients meet both kinds of host check.
 * @param {ClusterState} state
 * @param {number} brokerId
 * @param {Listener} listener
 */
export function advertisedAddress(state, brokerId, listener) {
  const host = listener.protocol.endsWith('SSL') ? 'localhost' : '127.0.0.1'
  return `${host}:${portOf(state, brokerId, listener.advertise ?? listener.offset)}`
}

/**
 * Every port on which a cluster without --security listens, or which it advertises.
 * @param {number} base
 * @param {number} brokers
 */
export function portsOf(base, brokers) {
  const cluster = { port: base, security: false }
  const ports = new Set([
    brokers > 1 ? base + SEPARATE_CONTROLLER_OFFSET : portOf(cluster, 1, CONTROLLER_OFFSET),
  ])
  for (let id = 1; id <= brokers; id++)
    for (const [, { offset, advertise }] of activeListeners(cluster))
      ports.add(portOf(cluster, id, offset)).add(portOf(cluster, id, advertise ?? offset))
  return [...ports]
}
