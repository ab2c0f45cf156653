/**
 * The option `ssl`: Node's own TLS options, or a function that gives them. What is kept is always a function, so that
 * no key and no passphrase stands in a resolved config.
 */
import type { ConnectionOptions, SecureVersion } from 'node:tls'
import { Problem, show, type Option } from './option-kinds.js'

/** Asked at every connection: renewed certificates are used without a restart. */
export type SslFunction = () => ConnectionOptions | Promise<ConnectionOptions>

const VALID = 'an object of tls.ConnectionOptions ({} for the usual ones), or a function that returns one'

/** Each connection has these of its own. */
const OURS = ['host', 'port', 'path', 'socket']

/** The oldest first. */
const TLS_VERSIONS: readonly SecureVersion[] = ['TLSv1', 'TLSv1.1', 'TLSv1.2', 'TLSv1.3']

/** TLS options, or the function that gives them. */
export function ssl(kafkaName: string): Option<ConnectionOptions | SslFunction, SslFunction | undefined> {
  return {
    kafkaName,
    valid: VALID,
    default: undefined,
    defaultText: 'none',
    read: (given) => {
      if (typeof given === 'function') return given as SslFunction
      const problem = sslProblem(given)
      return problem === undefined ? () => given as ConnectionOptions : new Problem(problem)
    },
    fromText: undefined,
  }
}

/** What is wrong with TLS options, in words that follow `ssl`; never shows what was given. */
export function sslProblem(given: unknown): string | undefined {
  // A string may be a key in PEM.
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return `must be ${VALID}, not ${typeof given === 'string' ? 'a string' : show(given)}`
  }
  const options = given as Readonly<Record<string, unknown>>
  const ours = OURS.filter((name) => options[name] !== undefined)
  if (ours.length > 0) return `must not have ${ours.join(', ')}: each connection has its own`
  if (options['secureProtocol'] !== undefined) {
    return 'must not have secureProtocol; minVersion and maxVersion limit the version'
  }
  for (const name of ['minVersion', 'maxVersion']) {
    const version = options[name]
    if (version !== undefined && !TLS_VERSIONS.includes(version as SecureVersion)) {
      return `has a ${name} other than ${TLS_VERSIONS.map((one) => `'${one}'`).join(', ')}`
    }
  }
  const { minVersion, maxVersion } = options as ConnectionOptions
  if (maxVersion !== undefined && !isTlsAllowed(maxVersion, minVersion)) {
    return 'has a maxVersion below its minVersion, which is TLSv1.2 unless it names an older one'
  }
  return undefined
}

/** Below TLS 1.2, which is not safe, only what `minVersion` names. */
export function isTlsAllowed(version: string | null, minVersion: SecureVersion = 'TLSv1.2'): boolean {
  return TLS_VERSIONS.indexOf(version as SecureVersion) >= TLS_VERSIONS.indexOf(minVersion)
}
