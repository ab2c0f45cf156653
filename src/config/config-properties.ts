/**
 * A Java client's `producer.properties` as a config for this producer. A line is converted, known to mean nothing
 * here, or an error: no setting is dropped that would change what is delivered, or how.
 */
import { mustBe, Problem, show, type Option } from './option-kinds.js'
import type { ProducerConfig } from './config.js'
import { ConfigError } from '../errors.js'
import { roundRobin, type Partitioner } from '../partitioner.js'
import { producerOptions } from './producer-options.js'
import { readProperties } from './properties.js'
import type { Payload } from '../record.js'
import { saslFromProperties, sslFromProperties } from './security-properties.js'
import { float64, int32, int64, uuid, type Serializer } from '../serializer.js'
import { nearest } from './unknown-option.js'

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
 * Throws one ConfigError that lists every line that cannot be used: an unknown name, an invalid value, a Java class
 * without a counterpart, or a feature that this producer does not have.
 */
export function configFromProperties<K = Payload, V = Payload>(source: string): FileConfig<K, V> {
  const problems: string[] = []
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
      const near = nearest(name, [...optionsByKafkaName.keys(), ...onlyThis.keys(), ...ignored])
      problems.push(
        `${show(name)} is no producer setting${near === undefined ? '' : `; did you mean ${near}?`}`,
      )
    }
  }
  const protocol = config.get('securityProtocol')
  const uses = (part: string): boolean => typeof protocol === 'string' && protocol.includes(part)
  if (uses('SSL')) config.set('ssl', sslFromProperties(settings, problems))
  if (uses('SASL')) config.set('sasl', saslFromProperties(settings, problems))
  if (
    !config.has('bootstrapServers') &&
    !problems.some((problem) => problem.startsWith('bootstrap.servers '))
  ) {
    problems.push('bootstrap.servers is missing')
  }
  if (problems.length > 0) throw new ConfigError(problems)
  return Object.fromEntries(config) as unknown as FileConfig<K, V>
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
