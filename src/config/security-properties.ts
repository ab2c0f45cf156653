/**
 * The `ssl.*` and `sasl.*` settings of a Java client as the options `ssl` and `sasl`. Files are read at every connection,
 * so that renewed ones are used. What Node cannot do in the same way is a problem, and no problem shows a secret.
 */
import { readFileSync } from 'node:fs'
import type { ConnectionOptions } from 'node:tls'
import type { SaslOptions } from './sasl-option.js'

type Settings = ReadonlyMap<string, string>

/** Details of Java's own TLS, without a counterpart and without effect on who is trusted. */
const ignoredSsl = new Set([
  'ssl.keymanager.algorithm',
  'ssl.protocol',
  'ssl.provider',
  'ssl.secure.random.implementation',
  'ssl.trustmanager.algorithm',
])

const readSsl = [
  'ssl.cipher.suites',
  'ssl.enabled.protocols',
  'ssl.endpoint.identification.algorithm',
  'ssl.engine.factory.class',
  'ssl.key.password',
  'ssl.keystore.certificate.chain',
  'ssl.keystore.key',
  'ssl.keystore.location',
  'ssl.keystore.password',
  'ssl.keystore.type',
  'ssl.truststore.certificates',
  'ssl.truststore.location',
  'ssl.truststore.password',
  'ssl.truststore.type',
]

/** All names of `ssl.*` that Java knows. */
export const sslSettings: ReadonlySet<string> = new Set([...readSsl, ...ignoredSsl])

/** TLS options from `ssl.*`; adds to `problems`, and names that Java does not know to `unknown`. */
export function sslFromProperties(
  settings: Settings,
  problems: string[],
  unknown: string[],
): () => ConnectionOptions {
  const text = (name: string): string => settings.get(name)?.trim() ?? ''
  for (const name of settings.keys()) {
    if (name.startsWith('ssl.') && !sslSettings.has(name)) unknown.push(name)
  }
  for (const name of ['ssl.cipher.suites', 'ssl.engine.factory.class']) {
    if (text(name) !== '') problems.push(`${name} has no counterpart in a file; give ssl in code`)
  }
  const check = settings.get('ssl.endpoint.identification.algorithm')
  if (check !== undefined && check.trim().toLowerCase() !== 'https') {
    problems.push(
      'ssl.endpoint.identification.algorithm must be https; whoever wants no check gives ssl.checkServerIdentity in code',
    )
  }
  const versions = versionsOf(text('ssl.enabled.protocols'), problems)
  const trusted = trustOf(text, problems)
  const own = keysOf(text, problems)
  return () => ({ ...versions, ...trusted(), ...own() })
}

type Text = (name: string) => string
type Part = () => ConnectionOptions

function versionsOf(list: string, problems: string[]): ConnectionOptions {
  if (list === '') return {}
  const versions = list.split(',').map((version) => version.trim())
  if (versions.some((version) => version !== 'TLSv1.2' && version !== 'TLSv1.3')) {
    problems.push('ssl.enabled.protocols must be of TLSv1.2 and TLSv1.3; older versions are not safe')
    return {}
  }
  return {
    minVersion: versions.includes('TLSv1.2') ? 'TLSv1.2' : 'TLSv1.3',
    maxVersion: versions.includes('TLSv1.3') ? 'TLSv1.3' : 'TLSv1.2',
  }
}

/** The default type of both stores in Java. */
const typeOf = (written: string): string => (written === '' ? 'JKS' : written.toUpperCase())

function trustOf(text: Text, problems: string[]): Part {
  const pem = text('ssl.truststore.certificates')
  const file = text('ssl.truststore.location')
  if (pem === '' && file === '') return () => ({})
  if (typeOf(text('ssl.truststore.type')) !== 'PEM') {
    problems.push(
      'ssl.truststore.type must be PEM: Node reads no other store of authorities (keytool -exportcert -rfc writes one)',
    )
  }
  return pem === '' ? () => ({ ca: readFileSync(file) }) : () => ({ ca: pem })
}

function keysOf(text: Text, problems: string[]): Part {
  const key = text('ssl.keystore.key')
  const cert = text('ssl.keystore.certificate.chain')
  const file = text('ssl.keystore.location')
  if (key === '' && cert === '' && file === '') return () => ({})
  const type = typeOf(text('ssl.keystore.type'))
  const password = text('ssl.key.password') || text('ssl.keystore.password')
  const passphrase = password === '' ? {} : { passphrase: password }
  if (type === 'PKCS12' && file !== '') return () => ({ pfx: readFileSync(file), ...passphrase })
  if (type !== 'PEM') {
    problems.push(
      'ssl.keystore.type must be PEM or PKCS12: Node reads no JKS (keytool -importkeystore converts one)',
    )
    return () => ({})
  }
  if (file === '' && (key === '' || cert === '')) {
    problems.push('ssl.keystore.key and ssl.keystore.certificate.chain belong together')
  }
  return file === ''
    ? () => ({ key, cert, ...passphrase })
    : () => {
        // One file with the key and its certificates; each reader takes what is its own.
        const both = readFileSync(file)
        return { key: both, cert: both, ...passphrase }
      }
}

const MODULES = new Map([
  ['org.apache.kafka.common.security.plain.PlainLoginModule', ['PLAIN']],
  ['org.apache.kafka.common.security.scram.ScramLoginModule', ['SCRAM-SHA-256', 'SCRAM-SHA-512']],
])

/** A mechanism with its credentials from `sasl.*`; adds to `problems`. */
export function saslFromProperties(settings: Settings, problems: string[]): SaslOptions | undefined {
  for (const name of [
    'sasl.client.callback.handler.class',
    'sasl.login.callback.handler.class',
    'sasl.login.class',
  ]) {
    if (settings.get(name)?.trim())
      problems.push(`${name} names a Java class; leave it out and give sasl in code`)
  }
  const mechanism = settings.get('sasl.mechanism')?.trim() ?? 'GSSAPI'
  if (mechanism === 'OAUTHBEARER') {
    problems.push('sasl.mechanism OAUTHBEARER needs code: sasl with token: oidcClientCredentials({ ... })')
    return undefined
  }
  if (mechanism !== 'PLAIN' && mechanism !== 'SCRAM-SHA-256' && mechanism !== 'SCRAM-SHA-512') {
    problems.push(
      'sasl.mechanism must be PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512; give sasl in code for another',
    )
    return undefined
  }
  const jaas = parseJaas(settings.get('sasl.jaas.config') ?? '')
  if (jaas === undefined) {
    problems.push(
      'sasl.jaas.config must be one login module: <class> required username="..." password="...";',
    )
    return undefined
  }
  if (MODULES.get(jaas.module)?.includes(mechanism) !== true) {
    problems.push(`sasl.jaas.config must name the login module of ${mechanism}`)
    return undefined
  }
  const { username = '', password = '' } = Object.fromEntries(jaas.options)
  if (username === '' || password === '') {
    problems.push('sasl.jaas.config must have a username and a password')
    return undefined
  }
  if (jaas.options.get('tokenauth')?.toLowerCase() === 'true') {
    problems.push('sasl.jaas.config has tokenauth: delegation tokens have no counterpart')
    return undefined
  }
  // A function, so that a dump of the config shows none of it.
  return { mechanism, username, password: () => password }
}

const OPTION = /\s+([\w.]+)\s*=\s*(?:"((?:[^"\\]|\\[^])*)"|'((?:[^'\\]|\\[^])*)'|([^\s;"']+))/y

/** More than any name and password; expressions that go through it keep what they have seen on a stack. */
const LONGEST_JAAS = 65_536

function parseJaas(source: string): { module: string; options: Map<string, string> } | undefined {
  if (source.length > LONGEST_JAAS) return undefined
  const [head, module] = /^\s*([\w.$]+)\s+(?:required|requisite|sufficient|optional)/i.exec(source) ?? []
  if (head === undefined || module === undefined) return undefined
  const options = new Map<string, string>()
  OPTION.lastIndex = head.length
  let at = head.length
  for (let found = OPTION.exec(source); found !== null; found = OPTION.exec(source)) {
    const [, name, double, single, bare] = found
    const quoted = double ?? single
    options.set(name!, quoted === undefined ? bare! : quoted.replaceAll(/\\([^])/g, '$1'))
    at = OPTION.lastIndex
  }
  return /^\s*;\s*$/.test(source.slice(at)) ? { module, options } : undefined
}
