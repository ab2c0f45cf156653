/** What to say of a name that is no option: the name that was probably meant. */
import { show } from './option-kinds.js'

/** Names that other Node clients use for the same thing. */
const elsewhere = new Map([
  ['brokers', 'bootstrapServers'],
  ['bootstrapBrokers', 'bootstrapServers'],
  ['metadata.broker.list', 'bootstrapServers'],
  ['idempotent', 'enableIdempotence'],
  ['maxInFlightRequests', 'maxInFlightRequestsPerConnection'],
  ['requestTimeout', 'requestTimeoutMs'],
  ['connectionTimeout', 'socketConnectionSetupTimeoutMs'],
  ['metadataMaxAge', 'metadataMaxAgeMs'],
  ['createPartitioner', 'partitioner'],
  ['serializers', 'keySerializer and valueSerializer'],
  ['compression', 'compressionType'],
  ['compression.codec', 'compressionType'],
  ['retry', 'retries, retryBackoffMs and deliveryTimeoutMs'],
  ['maxRetries', 'retries'],
  ['message.send.max.retries', 'retries'],
  ['logLevel', 'logger'],
  ['logCreator', 'logger'],
  ['message.timeout.ms', 'deliveryTimeoutMs'],
  ['request.required.acks', 'acks'],
  ['queue.buffering.max.ms', 'lingerMs'],
  ['queue.buffering.max.kbytes', 'bufferMemory'],
  ['message.max.bytes', 'maxRequestSize'],
  ['batch.num.messages', 'batchSize, in bytes'],
  ['transactionTimeout', 'transactionTimeoutMs'],
  ['authenticationTimeout', 'socketConnectionSetupTimeoutMs'],
  ['enforceRequestTimeout', 'requestTimeoutMs'],
  ['tls', 'ssl'],
  ['sasl.username', 'sasl'],
  ['sasl.password', 'sasl'],
  ['sasl.mechanisms', 'sasl'],
  ['ssl.ca.location', 'ssl'],
])

/** The problem with an unknown name, given the table of options. The setting itself may be a secret: never shown. */
export function unknownOption(
  name: string,
  options: Readonly<Record<string, { readonly kafkaName: string | undefined }>>,
): string {
  const same =
    Object.keys(options).find((option) => options[option]!.kafkaName === name) ?? elsewhere.get(name)
  if (same !== undefined) return `${show(name)} is written ${same} here`
  const near = name.length <= LONGEST_NAME ? nearest(camelCase(name), Object.keys(options)) : undefined
  return `${show(name)} is no option${near === undefined ? '' : `; did you mean ${near}?`}`
}

/** No option has as long a name, and no slip of the hand makes one of it. */
export const LONGEST_NAME = 100

function camelCase(name: string): string {
  return name.replaceAll(/[._-]+(\w)/g, (_, letter: string) => letter.toUpperCase())
}

/** So many are worth a search for what was meant; more are no slips, but another kind of object. */
export const MANY_NAMES = 20

/** A problem for each unknown name, and one for all where they are many. */
export function unknownNames(names: readonly string[], problemOf: (name: string) => string): string[] {
  const problems = names.slice(0, MANY_NAMES).map(problemOf)
  if (names.length > MANY_NAMES) problems.push(`${names.length - MANY_NAMES} more names are unknown`)
  return problems
}

/** The candidate with the fewest edits between, when these are few enough for a slip of the hand. */
export function nearest(name: string, candidates: readonly string[]): string | undefined {
  let best: string | undefined
  let fewest = Math.max(2, Math.floor(name.length / 4)) + 1
  for (const candidate of candidates) {
    // No need to lay out a table for what the lengths rule out.
    if (Math.abs(candidate.length - name.length) >= fewest) continue
    const count = edits(name.toLowerCase(), candidate.toLowerCase())
    if (count < fewest) {
      best = candidate
      fewest = count
    }
  }
  return best
}

/** Insertions, deletions, replacements and swaps of neighbours from one word to another. */
function edits(from: string, to: string): number {
  let beforeLast: number[] = []
  let last = Array.from({ length: to.length + 1 }, (_, index) => index)
  for (let i = 1; i <= from.length; i++) {
    const row = [i]
    for (let j = 1; j <= to.length; j++) {
      const replaced = last[j - 1]! + (from[i - 1] === to[j - 1] ? 0 : 1)
      let count = Math.min(replaced, last[j]! + 1, row[j - 1]! + 1)
      if (i > 1 && j > 1 && from[i - 1] === to[j - 2] && from[i - 2] === to[j - 1]) {
        count = Math.min(count, beforeLast[j - 2]! + 1)
      }
      row.push(count)
    }
    beforeLast = last
    last = row
  }
  return last[to.length]!
}
