/**
 * The headers of a record as an application gives them: read once, in order, and refused where they are not what
 * `Headers` says. A header that is stored as something else than it was is worse than one that is refused.
 *
 * Hot path: nothing here allocates for a record whose headers are right.
 */
import { isUint8Array } from 'node:util/types'
import { SerializationError } from '../errors.js'
import type { Headers, Payload } from '../record.js'

/** What takes headers, one after the other. */
export interface HeaderSink {
  begin(count: number): void
  header(name: string, value: Payload): void
}

/**
 * Hands the headers of a record for `topic` to `sink`. Getters, and the traps of a Proxy, are the application's code: it
 * may throw, and it may send another record meanwhile.
 */
export function readHeaders(headers: Headers, topic: string, sink: HeaderSink): void {
  if (Array.isArray(headers)) readPairs(headers, topic, sink)
  else if (isPlainObject(headers)) readObject(headers as Record<string, unknown>, topic, sink)
  else throw invalid(topic, `headers must be ${VALID}, not ${kindOf(headers)}${hintFor(headers)}`)
}

const VALID = 'a plain object or an array of [name, value] pairs'

function readPairs(pairs: readonly unknown[], topic: string, sink: HeaderSink): void {
  const { length } = pairs
  sink.begin(length)
  for (let i = 0; i < length; i++) {
    const pair: unknown = pairs[i]
    if (!Array.isArray(pair) || pair.length !== 2) {
      const given = Array.isArray(pair) ? `an array of ${pair.length}` : kindOf(pair)
      throw invalid(topic, `headers[${i}] must be a pair [name, value], not ${given}`)
    }
    const name: unknown = pair[0]
    if (typeof name !== 'string')
      throw invalid(topic, `the name of headers[${i}] must be a string, not ${kindOf(name)}`)
    sink.header(name, checkedValue(pair[1], name, topic))
  }
}

function readObject(headers: Record<string, unknown>, topic: string, sink: HeaderSink): void {
  const names = Object.keys(headers)
  sink.begin(names.length)
  for (const name of names) sink.header(name, checkedValue(headers[name], name, topic))
}

/** An object literal's, one without a prototype, or one of another realm; not an instance of a class. */
function isPlainObject(given: unknown): boolean {
  if (typeof given !== 'object' || given === null) return false
  const prototype: unknown = Object.getPrototypeOf(given)
  return prototype === Object.prototype || prototype === null || Object.getPrototypeOf(prototype) === null
}

function checkedValue(value: unknown, name: string, topic: string): Payload {
  if (typeof value === 'string' || value === null || isUint8Array(value)) return value
  const hint = Array.isArray(value)
    ? '; for several values give the headers as an array of pairs, where a name may repeat'
    : ''
  throw invalid(
    topic,
    `the header ${JSON.stringify(name)} must be a string, a Uint8Array or null, not ${kindOf(value)}${hint}`,
  )
}

function hintFor(headers: unknown): string {
  const isIterable = typeof headers === 'object' && headers !== null && Symbol.iterator in headers
  return isIterable ? '; an iterable of pairs can be given as [...pairs]' : ''
}

/** What a value is, in words that do not show it. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value)
  if (Array.isArray(value)) return 'an array'
  if (typeof value !== 'object') return `a ${typeof value}`
  const { constructor } = value as { constructor?: unknown }
  const name = typeof constructor === 'function' ? constructor.name : ''
  return name === '' || name === 'Object' ? 'an object' : `an instance of ${name}`
}

function invalid(topic: string, problem: string): SerializationError {
  return new SerializationError(`a record for topic ${topic} cannot be sent: ${problem}`)
}
