/** What a record keeps of the caller's once `send` has returned: copies, for the caller may reuse its own. */
import { isUint8Array } from 'node:util/types'
import type { Headers, Payload } from '../../record.js'
import { readHeaders } from '../../records/headers.js'

export type HeaderPair = readonly [string, Payload]

/** Bytes are copied; text needs no copy, and other objects are passed on as they are. */
export function copyOf<T>(value: T): T | Buffer {
  return isUint8Array(value) ? Buffer.from(value) : value
}

/** Headers as a list of pairs of its own, their bytes copied too. Throws SerializationError for what are no headers. */
export function copyHeaders(headers: Headers | undefined, topic: string): HeaderPair[] | undefined {
  return headers === undefined
    ? undefined
    : pairsOf(headers, topic).map(([name, value]) => [name, copyOf(value)])
}

/** Headers as a list of pairs of its own, with the bytes that were given. */
export function pairsOf(headers: Headers, topic: string): HeaderPair[] {
  const pairs: HeaderPair[] = []
  readHeaders(headers, topic, {
    begin: () => {},
    header: (name, value) => void pairs.push([name, value]),
  })
  return pairs
}
