// @ts-check
// TLS and SASL: the settings of brokers, and of the Java clients that check every listener.
/** @import { ClusterState, Properties } from './types.js' */
import fs from 'node:fs'
import path from 'node:path'
import { STORE_PASSWORD, USERS } from './listeners.mjs'
import { token } from './token.mjs'
import { atLeast, usesZooKeeper } from './versions.mjs'

const PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule required'
const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule required'
const OAUTH = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required'

/**
 * The SASL mechanisms of the version's brokers.
 * @param {ClusterState} state
 */
export function mechanisms({ version }) {
  // KIP-900 (3.5) brought SCRAM to KRaft.
  const scram = usesZooKeeper(version) || atLeast(version, '3.5')
  return [
    'PLAIN',
    ...(scram ? ['SCRAM-SHA-256', 'SCRAM-SHA-512'] : []),
    ...(atLeast(version, '2.0') ? ['OAUTHBEARER'] : []),
  ]
}

/**
 * @param {ClusterState} state
 * @returns {Properties}
 */
export function securityProperties(state) {
  const certs = path.join(state.dir, 'certs')
  /** @type {Properties} */
  const properties = { ...keyStore(certs, 'server'), ...trustStore(certs, 'ca') }
  for (const name of ['badhost', 'expired'])
    for (const [key, value] of Object.entries(keyStore(certs, name)))
      properties[`listener.name.ssl_${name}.${key}`] = value
  if (atLeast(state.version, '1.1')) {
    properties['listener.name.mtls.ssl.client.auth'] = 'required'
    properties['listener.name.mtls.ssl.enabled.protocols'] = 'TLSv1.2'
    properties['listener.name.mtls.ssl.protocol'] = 'TLSv1.2'
    for (const listener of ['sasl_plaintext', 'sasl_ssl'])
      Object.assign(properties, saslProperties(state, listener, certs))
  } else properties['ssl.client.auth'] = 'requested'
  properties['sasl.enabled.mechanisms'] = mechanisms(state).join(',')
  if (state.reauthMs) properties['connections.max.reauth.ms'] = state.reauthMs
  return properties
}

/**
 * @param {ClusterState} state
 * @param {string} listener
 * @param {string} certs
 */
function saslProperties({ version }, listener, certs) {
  const prefix = `listener.name.${listener}`
  /** @type {Properties} */
  const properties = { [`${prefix}.plain.sasl.jaas.config`]: `${plainUsers()};` }
  for (const mechanism of ['scram-sha-256', 'scram-sha-512'])
    properties[`${prefix}.${mechanism}.sasl.jaas.config`] = `${SCRAM};`
  if (!atLeast(version, '2.0')) return properties
  const oauth = `${prefix}.oauthbearer.sasl`
  if (listener === 'sasl_ssl' && atLeast(version, '3.1')) {
    properties[`${oauth}.jaas.config`] = `${OAUTH};`
    properties[`${oauth}.server.callback.handler.class`] =
      `${oauthPackage(version)}.OAuthBearerValidatorCallbackHandler`
    properties[`${prefix}.sasl.oauthbearer.jwks.endpoint.url`] = `file://${path.join(certs, 'jwks.json')}`
    properties[`${prefix}.sasl.oauthbearer.expected.audience`] = 'kafka'
  } else properties[`${oauth}.jaas.config`] = `${OAUTH} unsecuredLoginStringClaim_sub="admin";`
  return properties
}

/**
 * JVM flags for the broker. Before 1.1, SASL is configured for the whole JVM.
 * @param {ClusterState} state
 */
export function securityFlags(state) {
  const jwks = path.join(state.dir, 'certs', 'jwks.json')
  const flags = [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://${jwks}`]
  if (!atLeast(state.version, '1.1')) {
    const jaas = path.join(state.dir, 'jaas.conf')
    fs.writeFileSync(jaas, `KafkaServer {\n ${plainUsers()};\n ${SCRAM};\n};\n`)
    flags.push(`-Djava.security.auth.login.config=${jaas}`)
  }
  return flags
}

/**
 * Writes the settings of a Java client for each listener and mechanism, those that must fail included.
 * @param {ClusterState} state
 * @param {string} dir
 * @param {(file: string, properties: Properties) => void} write
 */
export function writeClientConfigs(state, dir, write) {
  const certs = path.join(state.dir, 'certs')
  const trust = { ...trustStore(certs, 'ca'), 'ssl.endpoint.identification.algorithm': 'https' }
  const ssl = { 'security.protocol': 'SSL', ...trust }
  /** @type {Record<string, Properties>} */
  const configs = {
    PLAINTEXT: {},
    SSL: ssl,
    MTLS: { ...ssl, ...keyStore(certs, 'client') },
    'MTLS-nocert': ssl,
    'MTLS-stranger': { ...ssl, ...keyStore(certs, 'stranger') },
    'SSL-otherca': { ...ssl, ...trustStore(certs, 'other-ca') },
    SSL_BADHOST: ssl,
    SSL_EXPIRED: ssl,
  }
  for (const listener of ['SASL_PLAINTEXT', 'SASL_SSL'])
    for (const mechanism of mechanisms(state)) {
      const base = {
        'security.protocol': listener,
        'sasl.mechanism': mechanism,
        ...(listener === 'SASL_SSL' ? trust : {}),
      }
      const name = `${listener}-${mechanism}`
      if (mechanism === 'OAUTHBEARER')
        configs[name] = { ...base, ...oauthClient(state, listener, path.join(dir, 'token.jwt')) }
      else {
        configs[name] = { ...base, ...passwordClient(mechanism, USERS.alice) }
        configs[`${name}-badpassword`] = { ...base, ...passwordClient(mechanism, 'wrong') }
      }
    }
  for (const [name, properties] of Object.entries(configs))
    write(path.join(dir, `${name}.properties`), properties)
}

/**
 * @param {string} mechanism
 * @param {string} password
 */
const passwordClient = (mechanism, password) => ({
  'sasl.jaas.config': `${mechanism === 'PLAIN' ? PLAIN : SCRAM} username="alice" password="${password}";`,
})

/**
 * @param {ClusterState} state
 * @param {string} listener
 * @param {string} tokenFile
 * @returns {Properties}
 */
function oauthClient(state, listener, tokenFile) {
  if (listener !== 'SASL_SSL' || !atLeast(state.version, '3.1'))
    return { 'sasl.jaas.config': `${OAUTH} unsecuredLoginStringClaim_sub="alice";` }
  fs.writeFileSync(tokenFile, token(state.dir))
  return {
    'sasl.jaas.config': `${OAUTH};`,
    'sasl.login.callback.handler.class': `${oauthPackage(state.version)}.OAuthBearerLoginCallbackHandler`,
    'sasl.oauthbearer.token.endpoint.url': `file://${tokenFile}`,
  }
}

/**
 * @param {string} certs
 * @param {string} name
 */
const keyStore = (certs, name) => ({
  'ssl.keystore.location': path.join(certs, `${name}.p12`),
  'ssl.keystore.type': 'PKCS12',
  'ssl.keystore.password': STORE_PASSWORD,
  'ssl.key.password': STORE_PASSWORD,
})

/**
 * @param {string} certs
 * @param {string} ca
 */
const trustStore = (certs, ca) => ({
  'ssl.truststore.location': path.join(certs, `${ca}-trust.p12`),
  'ssl.truststore.type': 'PKCS12',
  'ssl.truststore.password': STORE_PASSWORD,
})

function plainUsers() {
  const users = Object.entries(USERS).map(([user, password]) => `user_${user}="${password}"`)
  return `${PLAIN} ${users.join(' ')}`
}

/** @param {string} version */
const oauthPackage = (version) =>
  `org.apache.kafka.common.security.oauthbearer${atLeast(version, '3.4') ? '' : '.secured'}`
