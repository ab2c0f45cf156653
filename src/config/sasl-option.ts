/**
 * The option `sasl`: which mechanism, and the credentials for it. What is kept is a function that returns it, so that
 * no secret stands in a resolved config, and no problem ever shows what was given.
 */
import { Problem, show, type Option } from './option-kinds.js'

/** A secret, or a function that is asked for it at every authentication, so that a new one is used without a restart. */
export type Secret = string | (() => string | Promise<string>)

/** What a function for OAUTHBEARER may return instead of the bare token. */
export interface OAuthToken {
  /** The token as the broker is to see it, a JWT as a rule. */
  readonly value: string
  /** SASL extensions (KIP-342): names are letters, values printable ASCII. */
  readonly extensions?: Readonly<Record<string, string>> | undefined
}

/** Asked at every authentication; has `requestTimeoutMs` to answer. */
export type OAuthTokenFunction = () => string | OAuthToken | Promise<string | OAuthToken>

/**
 * User name and password. PLAIN shows them to whoever reads the connection, so it is for TLS only. With SCRAM (RFC 5802)
 * the password never crosses the network, and the broker proves that it knows it.
 */
export interface SaslPassword {
  readonly mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512'
  readonly username: Secret
  readonly password: Secret
}

/** A bearer token (RFC 7628): from a function of your own, or from `oidcClientCredentials()`. Over TLS only. */
export interface SaslOAuthBearer {
  readonly mechanism: 'OAUTHBEARER'
  readonly token: OAuthTokenFunction
}

/**
 * Amazon MSK with IAM, signed by the package aws-msk-iam-sasl-signer-js, which has to be installed. The credentials are
 * found as in every AWS SDK: environment, profile, role.
 */
export interface SaslAwsMskIam {
  readonly mechanism: 'AWS_MSK_IAM'
  /** The region of the cluster, `'eu-central-1'`. */
  readonly region: string
}

/** Sends a message of the mechanism and waits for the broker's. Rejects with AuthenticationError when that is a no. */
export type SaslStep = (message: Uint8Array) => Promise<Uint8Array>

/** The broker that a mechanism talks to. */
export interface SaslBroker {
  /** The name from the config or the metadata, which a Kerberos principal is made of. */
  readonly host: string
  readonly port: number
}

/**
 * A mechanism of one's own, such as GSSAPI: `authenticate` runs for each connection, and again on it before a session
 * ends (KIP-368). It is over when it returns; what it throws refuses the broker. It has `requestTimeoutMs` for all its
 * steps.
 */
export interface SaslMechanism {
  /** The name that the broker knows. */
  readonly mechanism: string
  readonly authenticate: (step: SaslStep, broker: SaslBroker) => Promise<void>
}

export type SaslOptions = SaslPassword | SaslOAuthBearer | SaslAwsMskIam | SaslMechanism

/** What each mechanism needs beside its name. */
const needs: Readonly<
  Record<string, readonly (readonly [name: string, accepts: 'secret' | 'text' | 'function'])[]>
> = {
  PLAIN: [
    ['username', 'secret'],
    ['password', 'secret'],
  ],
  'SCRAM-SHA-256': [
    ['username', 'secret'],
    ['password', 'secret'],
  ],
  'SCRAM-SHA-512': [
    ['username', 'secret'],
    ['password', 'secret'],
  ],
  OAUTHBEARER: [['token', 'function']],
  AWS_MSK_IAM: [['region', 'text']],
}

const wanted = {
  secret: 'a string that is not empty, or a function',
  text: 'a string that is not empty',
  function: 'a function',
}

/** A mechanism with its credentials. */
export function sasl(kafkaName: string): Option<SaslOptions, (() => SaslOptions) | undefined> {
  return {
    kafkaName,
    valid: "an object such as { mechanism: 'SCRAM-SHA-512', username, password }",
    default: undefined,
    defaultText: 'none',
    read: (given) => {
      const problem = saslProblem(given)
      if (problem !== undefined) return new Problem(problem)
      // A copy: what the caller does to the object afterwards has no effect. A mechanism may be an instance of a class.
      const options = given as SaslOptions
      const copy =
        'authenticate' in options
          ? { mechanism: options.mechanism, authenticate: options.authenticate.bind(options) }
          : { ...options }
      return () => copy
    },
    fromText: undefined,
  }
}

function saslProblem(given: unknown): string | undefined {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) {
    return "must be an object such as { mechanism: 'SCRAM-SHA-512', username, password }"
  }
  const options = given as Readonly<Record<string, unknown>>
  const { mechanism } = options as { readonly mechanism?: unknown }
  const names = Object.keys(needs).join(', ')
  if (typeof mechanism !== 'string' || mechanism === '') return `needs a mechanism: one of ${names}`
  if (options['authenticate'] !== undefined) {
    return typeof options['authenticate'] === 'function' ? undefined : 'needs authenticate to be a function'
  }
  const needed = Object.hasOwn(needs, mechanism) ? needs[mechanism]! : undefined
  if (needed === undefined) {
    return `needs a mechanism: one of ${names}; another one comes with a function authenticate`
  }
  const known = new Set(['mechanism', ...needed.map(([name]) => name)])
  for (const [name, accepts] of needed) {
    const value = options[name]
    const isText = typeof value === 'string' && value !== ''
    if (accepts !== 'function' && isText) continue
    if (accepts !== 'text' && typeof value === 'function') continue
    const what = wanted[accepts]
    return `needs ${name} for ${mechanism}: ${what}`
  }
  // The name may be a slip with a secret behind it; the value is never shown.
  const unknown = Object.keys(options).find((name) => !known.has(name))
  return unknown === undefined ? undefined : `has ${show(unknown)}, which means nothing to ${mechanism}`
}
