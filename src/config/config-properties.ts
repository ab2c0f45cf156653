/**
 * A Java client's `producer.properties` as a config for this producer. A line is converted, known to mean nothing
 * here, unknown, or an error: no producer setting is dropped that would change what is delivered, or how.
 */
import { optionsArgument } from './arguments.js'
import { mustBe, Problem, show, type Option } from './option-kinds.js'
import type { ProducerConfig } from './config.js'
import { ConfigError } from '../errors.js'
import type { Logger } from '../logger.js'
import { roundRobin, type Partitioner } from '../partitioner.js'
import { producerOptions } from './producer-options.js'
import { readProperties } from './properties.js'
import type { Payload } from '../record.js'
import { saslFromProperties, sslFromProperties, sslSettings } from './security-properties.js'
import { float64, int32, int64, uuid, type Serializer } from '../serializer.js'
import { LONGEST_NAME, MANY_NAMES, nearest } from './unknown-option.js'
import { guardedLogger } from '../user-code.js'

const SERIALIZATION = 'org.apache.kafka.common.serialization.'

/** Java's serializers; undefined for those whose values are taken without a serializer here. */
const serializers = new Map<string, Serializer<never> | undefined>([
  [`${SERIALIZATION}StringSerializer`, undefined],
  [`${SERIALIZATION}ByteArraySerializer`, undefined],
  [`${SERIALIZATION}ByteBufferSerializer`, undefined],
  [`${SERIALIZATION}BytesSerializer`, undefined],
  [`${SERIALIZATION}IntegerSerializer`, int32()],
  [`${SERIALIZATION}LongSerializer`, int64()],
  [`${SERIALIZATION}DoubleSerializer`, float64()],
  [`${SERIALIZATION}UUIDSerializer`, uuid()],
])

const partitioners = new Map<string, () => Partitioner>([
  ['org.apache.kafka.clients.producer.RoundRobinPartitioner', roundRobin],
])

/** What a setting must be because this producer can do nothing else; in lower case, '' where it must be empty. */
const onlyThis = new Map([
  ['transaction.two.phase.commit.enable', 'false'],
  ['interceptor.classes', ''],
  ['config.providers', ''],
])

/** Java's own business, or details of something that `onlyThis` already refuses: without effect on what is delivered. */
const ignored = new Set([
  'auto.include.jmx.reporter',
  'enable.metrics.push',
  'metric.reporters',
  'metrics.num.samples',
  'metrics.recording.level',
  'metrics.sample.window.ms',
  'receive.buffer.bytes',
  'security.providers',
  'send.buffer.bytes',
])

/** Read by security-properties.ts; without a `security.protocol` that uses them Java does not look at them either. */
const isSecurityDetail = (name: string): boolean => name.startsWith('ssl.') || name.startsWith('sasl.')

/** A config as a file can say it, which fits records of any type as far as its serializers do. */
export type FileConfig<K = Payload, V = Payload> = ProducerConfig<K, V> & {
  readonly partitioner?: Partitioner | undefined
  readonly interceptors?: undefined
}

/** Options of `configFromProperties`. */
export interface PropertiesOptions {
  /** Told of names that are no producer settings, in one warning; stderr by default. */
  readonly logger?: Logger | undefined
}

type DottedOption = readonly [name: string, option: Option<unknown, unknown>]
const optionsByKafkaName = new Map<string, DottedOption>(
  Object.entries(producerOptions).flatMap(([name, option]) =>
    option.kafkaName === undefined ? [] : [[option.kafkaName, [name, option]] as const],
  ),
)

/**
 * Reads the text of a Java `producer.properties` (java.util.Properties syntax, Kafka's dotted names). Spread the
 * result to add what a file cannot say: `new Producer({ ...configFromProperties(text), valueSerializer: json() })`.
 *
 * Java's String, ByteArray, ByteBuffer and Bytes serializers need none here; its Integer, Long, Double and UUID
 * serializers become `int32()`, `int64()`, `float64()` and `uuid()`, and K and V are then for the caller to state:
 * `configFromProperties<number, string>(text)`. `security.protocol` brings `ssl.*` (stores in PEM, and key stores in
 * PKCS12, whose files are read at every connection) and `sasl.jaas.config` of the plain and the scram modules. Settings
 * of metrics and socket buffers are ignored, as are `ssl.*` and `sasl.*` without a `security.protocol` that uses them.
 *
 * One warning lists the names that are no producer settings, each with the nearest name where it looks misspelt; they have
 * no effect, as in Java. It goes to stderr, or to the logger of `configFromProperties(text, { logger })`.
 *
 * Throws one ConfigError that lists every line that cannot be used: an invalid value, a Java class without a counterpart,
 * a store in JKS, or a feature that this producer does not have.
 */
export function configFromProperties<K = Payload, V = Payload>(
  source: string,
  options: PropertiesOptions = {},
): FileConfig<K, V> {
  const logger = loggerOf(options)
  const problems: string[] = []
  const unknown: string[] = []
  const config = new Map<string, unknown>()
  const settings = readProperties(source)
  for (const [name, written] of settings) {
    const text = written.trim()
    const known = optionsByKafkaName.get(name)
    const only = onlyThis.get(name)
    if (only !== undefined) {
      if (text.toLowerCase() !== only) problems.push(refused(name, only))
    } else if (known !== undefined) {
      const setting = convert(name, known[1], text)
      if (setting instanceof Problem) problems.push(`${name} ${setting.text}`)
      else if (setting !== undefined) config.set(known[0], setting)
    } else if (!ignored.has(name) && !isSecurityDetail(name)) {
      unknown.push(name)
    }
  }
  const protocol = config.get('securityProtocol')
  const uses = (part: string): boolean => typeof protocol === 'string' && protocol.includes(part)
  if (uses('SSL')) config.set('ssl', sslFromProperties(settings, problems, unknown))
  if (uses('SASL')) config.set('sasl', saslFromProperties(settings, problems))
  if (
    !config.has('bootstrapServers') &&
    !problems.some((problem) => problem.startsWith('bootstrap.servers '))
  ) {
    problems.push('bootstrap.servers is missing')
  }
  if (unknown.length > 0) warnOfUnknown(unknown, logger)
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.fromEntries(config) as unknown as FileConfig<K, V>
}

function loggerOf(options: PropertiesOptions): Logger {
  const { logger: given } = optionsArgument('configFromProperties', ['logger'], options)
  if (given === undefined) return guardedLogger(producerOptions.logger.default)
  const logger = producerOptions.logger.read(given)
  if (logger instanceof Problem) throw new ConfigError([`logger ${logger.text}`])
  return guardedLogger(logger)
}

/** What a name looks like, and a line of a key whose backslash is missing does not. */
const NAME = /^[a-z\d]+(?:[._-][a-z\d]+)*$/

/** Values are not shown, for they may be secrets; nor is a name that may be part of a value. */
function warnOfUnknown(names: readonly string[], logger: Logger): void {
  const candidates = [...optionsByKafkaName.keys(), ...onlyThis.keys(), ...ignored, ...sslSettings]
  const shown = names.slice(0, MANY_NAMES).map((name) => {
    const near = name.length <= LONGEST_NAME ? nearest(name, candidates) : undefined
    if (near !== undefined) return `${show(name)} (did you mean ${near}?)`
    return name.length <= LONGEST_NAME && NAME.test(name) ? show(name) : 'a name that is not shown'
  })
  if (names.length > MANY_NAMES) shown.push(`${names.length - MANY_NAMES} more`)
  logger.warn(
    `the properties hold names that are no producer settings and have no effect: ${shown.join(', ')}`,
  )
}

/** The setting for the config, undefined where the default does, or what is wrong with it. */
function convert(name: string, option: Option<unknown, unknown>, text: string): unknown {
  if (name === 'key.serializer' || name === 'value.serializer') {
    if (serializers.has(text)) return serializers.get(text)
    return new Problem(
      `names a Java class, ${show(text)}, without a counterpart; leave it out and give a function in code`,
    )
  }
  if (name === 'partitioner.class') {
    if (text === '') return undefined
    const partitioner = partitioners.get(text)
    if (partitioner !== undefined) return partitioner()
    return new Problem(
      `names a Java class, ${show(text)}, without a counterpart; leave it out and give a function in code`,
    )
  }
  const setting = option.fromText?.(text)
  if (setting === undefined) return mustBe(option.valid, text)
  const read = option.read(setting)
  return read instanceof Problem ? read : setting
}

/** Never shows what was given: it may be close to a secret. */
function refused(name: string, only: string): string {
  return only === ''
    ? `${name} must be empty or absent: this version has no counterpart`
    : `${name} must be ${only}: this version has nothing else`
}
