/**
 * From what a caller gives to what the producer works with: the types of a config, the rules between options, and one
 * error that lists everything that is wrong. The options themselves are in producer-options.ts.
 */
import { MAX_INT, Problem, show, type Option } from './option-kinds.js'
import { ConfigError } from '../errors.js'
import type { ProducerInterceptor } from '../interceptor.js'
import { sticky, type Partitioner } from '../partitioner.js'
import { producerOptions } from './producer-options.js'
import type { Payload } from '../record.js'
import type { Serializer } from '../serializer.js'
import { unknownNames, unknownOption } from './unknown-option.js'
import { guardedLogger } from '../user-code.js'

type Table = typeof producerOptions
/** The name of an option. */
export type OptionName = keyof Table
type Given<O> = O extends Option<infer G, infer _Kept> ? G : never
type Kept<O> = O extends Option<infer _Given, infer K> ? K : never

/** The options whose types follow the producer's K and V. */
type Generic = 'keySerializer' | 'valueSerializer' | 'partitioner' | 'interceptors'
interface Typed<K, V> {
  readonly partitioner: Partitioner<NoInfer<K>, NoInfer<V>>
  readonly interceptors: readonly ProducerInterceptor<NoInfer<K>, NoInfer<V>>[]
}

/** A serializer must be given where keys (or values) are more than strings, bytes and null. */
export type Serializers<K, V> = ([K] extends [Payload]
  ? { readonly [P in keyof Pick<Table, 'keySerializer'>]?: Serializer<K> | undefined }
  : { readonly [P in keyof Pick<Table, 'keySerializer'>]: Serializer<K> }) &
  ([V] extends [Payload]
    ? { readonly [P in keyof Pick<Table, 'valueSerializer'>]?: Serializer<V> | undefined }
    : { readonly [P in keyof Pick<Table, 'valueSerializer'>]: Serializer<V> })

/** What `new Producer` takes. Only `bootstrapServers` is required; undefined is the same as absent. */
export type ProducerConfig<K = Payload, V = Payload> = {
  readonly [P in keyof Pick<Table, 'bootstrapServers'>]: Given<Table[P]>
} & {
  readonly [P in keyof Pick<Table, Exclude<OptionName, Generic | 'bootstrapServers'>>]?:
    Given<Table[P]> | undefined
} & {
  readonly [P in keyof Pick<Table, 'partitioner' | 'interceptors'>]?: Typed<K, V>[P] | undefined
} & Serializers<K, V>

type Resolving = { -readonly [P in OptionName]: Kept<Table[P]> }
/** A checked config: every option present, every default applied, cross-field rules obeyed. */
export type ResolvedConfig = Readonly<Resolving>

/** What the rules find: a problem refuses the config, the others are logged once it is accepted. */
interface Findings {
  readonly problems: string[]
  readonly warnings: string[]
  readonly infos: string[]
}

/** A rule between options; it is passed over when one of them is invalid on its own. */
interface Rule {
  readonly options: readonly OptionName[]
  /** Sees every option with its default applied; may adjust the config as the Java client does. */
  readonly apply: (config: Resolving, isGiven: (name: OptionName) => boolean, findings: Findings) => void
}

/** Mechanisms that send what proves the identity as it is. */
const READABLE_MECHANISMS = new Set(['PLAIN', 'OAUTHBEARER', 'AWS_MSK_IAM'])

const rules: readonly Rule[] = [
  {
    // Checked before idempotence is turned off for another reason: more than 5 needs `false` by name.
    options: ['enableIdempotence', 'maxInFlightRequestsPerConnection'],
    apply(config, _isGiven, { problems }) {
      const inFlight = config.maxInFlightRequestsPerConnection
      if (config.enableIdempotence && inFlight > 5) {
        problems.push(
          `maxInFlightRequestsPerConnection must be at most 5 with idempotence, not ${inFlight}; more needs enableIdempotence: false`,
        )
      }
    },
  },
  {
    options: ['enableIdempotence', 'acks', 'retries'],
    apply(config, isGiven, { problems, infos }) {
      if (!config.enableIdempotence) return
      const against: string[] = []
      if (config.acks !== -1) {
        against.push(`acks is ${config.acks}`)
        if (isGiven('enableIdempotence')) {
          problems.push(`acks must be 'all' with enableIdempotence: true, not ${config.acks}`)
        }
      }
      if (config.retries === 0) {
        against.push('retries is 0')
        if (isGiven('enableIdempotence'))
          problems.push('retries must be above 0 with enableIdempotence: true')
      }
      if (against.length === 0 || isGiven('enableIdempotence')) return
      config.enableIdempotence = false
      infos.push(`idempotence is turned off because ${against.join(' and ')}`)
    },
  },
  {
    // After the rule above: what turned idempotence off is in conflict with transactions, too.
    options: ['enableIdempotence', 'transactionalId', 'acks', 'retries'],
    apply({ enableIdempotence, transactionalId, acks, retries }, isGiven, { problems }) {
      if (transactionalId === undefined || enableIdempotence) return
      const not = isGiven('enableIdempotence')
        ? 'enableIdempotence: false'
        : acks !== -1
          ? `acks ${acks}`
          : `retries ${retries}`
      problems.push(`transactionalId needs idempotence, so not ${not}`)
    },
  },
  {
    options: ['deliveryTimeoutMs', 'lingerMs', 'requestTimeoutMs'],
    apply(config, isGiven, { problems, warnings }) {
      config.lingerMs = Math.min(config.lingerMs, MAX_INT)
      const least = Math.min(config.lingerMs + config.requestTimeoutMs, MAX_INT)
      if (config.deliveryTimeoutMs >= least) return
      const sum = `lingerMs + requestTimeoutMs (${config.lingerMs} + ${config.requestTimeoutMs})`
      if (isGiven('deliveryTimeoutMs')) {
        problems.push(`deliveryTimeoutMs must be at least ${sum}, not ${config.deliveryTimeoutMs}`)
      } else {
        warnings.push(
          `deliveryTimeoutMs is raised from ${config.deliveryTimeoutMs} to ${least}, which is ${sum}`,
        )
        config.deliveryTimeoutMs = least
      }
    },
  },
  {
    options: ['reconnectBackoffMs', 'reconnectBackoffMaxMs'],
    apply(config, isGiven, { warnings }) {
      if (!isGiven('reconnectBackoffMs') || isGiven('reconnectBackoffMaxMs')) return
      config.reconnectBackoffMaxMs = config.reconnectBackoffMs
      warnings.push(
        `every pause before connecting again is ${config.reconnectBackoffMs} ms, because reconnectBackoffMs is given and reconnectBackoffMaxMs is not`,
      )
    },
  },
  notAbove('reconnectBackoffMs', 'reconnectBackoffMaxMs'),
  notAbove('retryBackoffMs', 'retryBackoffMaxMs'),
  notAbove('socketConnectionSetupTimeoutMs', 'socketConnectionSetupTimeoutMaxMs'),
  {
    options: ['partitioner', 'partitionerIgnoreKeys'],
    apply(config, isGiven, { warnings }) {
      if (!config.partitionerIgnoreKeys) return
      if (isGiven('partitioner')) {
        warnings.push('partitionerIgnoreKeys has no effect, because a partitioner is given')
      } else {
        config.partitioner = sticky()
      }
    },
  },
  {
    options: ['securityProtocol', 'ssl', 'sasl'],
    apply(config, isGiven, { problems, warnings }) {
      const { ssl, sasl } = config
      if (!isGiven('securityProtocol')) {
        const transport = ssl === undefined ? 'PLAINTEXT' : 'SSL'
        config.securityProtocol = sasl === undefined ? transport : `SASL_${transport}`
      }
      const protocol = config.securityProtocol
      const isSecure = protocol.endsWith('SSL')
      const isAuthenticated = protocol.startsWith('SASL_')
      if (ssl !== undefined && !isSecure) problems.push(`securityProtocol ${protocol} has no use for ssl`)
      if (sasl !== undefined && !isAuthenticated)
        problems.push(`securityProtocol ${protocol} has no use for sasl`)
      if (sasl === undefined && isAuthenticated) problems.push(`securityProtocol ${protocol} needs sasl`)
      if (isSecure) config.ssl ??= () => ({})
      const mechanism = sasl?.().mechanism ?? ''
      if (!isSecure && READABLE_MECHANISMS.has(mechanism)) {
        warnings.push(
          `${mechanism} over ${protocol} shows the credentials to everybody on the way; use SASL_SSL`,
        )
      }
    },
  },
  {
    options: ['batchSize'],
    apply(config) {
      config.batchSize = Math.max(1, config.batchSize)
    },
  },
]

type DurationName =
  | 'reconnectBackoffMs'
  | 'reconnectBackoffMaxMs'
  | 'retryBackoffMs'
  | 'retryBackoffMaxMs'
  | 'socketConnectionSetupTimeoutMs'
  | 'socketConnectionSetupTimeoutMaxMs'

/** A first duration above its maximum: the maximum holds from the start. */
function notAbove(first: DurationName, max: DurationName): Rule {
  return {
    options: [first, max],
    apply(config, _isGiven, { warnings }) {
      if (config[first] <= config[max]) return
      warnings.push(
        `${first} (${config[first]}) is above ${max} (${config[max]}), which holds from the start`,
      )
      config[first] = config[max]
    },
  }
}

let generatedClientIds = 0

/**
 * Checks a config and fills it up. Throws one ConfigError that lists everything that is wrong; warns through the
 * config's logger of what was adjusted. Reads only the object's own properties and never changes it.
 */
export function resolveConfig<K = Payload, V = Payload>(config: ProducerConfig<K, V>): ResolvedConfig {
  const whole: unknown = config
  if (typeof whole !== 'object' || whole === null || Array.isArray(whole)) {
    throw new ConfigError([
      `the config must be an object with at least bootstrapServers, not ${typeof whole === 'string' ? 'a string' : show(whole)}`,
    ])
  }
  // A Map, so that no name of Object.prototype is ever taken for an option.
  const given = new Map<string, unknown>(Object.entries(whole).filter(([, setting]) => setting !== undefined))
  const findings: Findings = { problems: [], warnings: [], infos: [] }
  const { problems } = findings
  const unknown = [...given.keys()].filter((name) => !Object.hasOwn(producerOptions, name))
  for (const problem of unknownNames(unknown, (name) => unknownOption(name, producerOptions))) {
    problems.push(problem)
  }
  const kept = new Map<string, unknown>()
  const invalid = new Set<string>()
  for (const [name, option] of Object.entries(producerOptions)) {
    const setting = given.get(name)
    const result = setting === undefined ? option.default : option.read(setting)
    kept.set(name, result)
    if (!(result instanceof Problem)) continue
    problems.push(`${name} ${result.text}`)
    invalid.add(name)
  }
  if (!given.has('bootstrapServers')) {
    problems.push(`bootstrapServers is missing; it must be ${producerOptions.bootstrapServers.valid}`)
  }
  const resolved = Object.fromEntries(kept) as unknown as Resolving
  for (const rule of rules) {
    if (!rule.options.some((name) => invalid.has(name))) {
      rule.apply(resolved, (name) => given.has(name), findings)
    }
  }
  if (problems.length > 0) throw new ConfigError(problems)
  resolved.logger = guardedLogger(resolved.logger)
  if (!given.has('clientId')) resolved.clientId = `producer-${++generatedClientIds}`
  for (const warning of findings.warnings) resolved.logger.warn(warning, { clientId: resolved.clientId })
  for (const info of findings.infos) resolved.logger.info(info, { clientId: resolved.clientId })
  return resolved
}
