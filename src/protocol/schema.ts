/**
 * One API of the protocol as a pair of codecs for each version, made from its table in apis.ts. A codec is compiled for
 * an (API, version, direction) when it is first used. Both sides are here: the client's, and the broker's for tests.
 */
import { ProtocolError, UnsupportedVersionError } from '../errors.js'
import { ReadFailure, struct, type WireCodec, type Fields, type Value } from './kinds.js'
import { Writer, type Reader } from './wire.js'

/** One API of the protocol: the client's side of it and the broker's. */
export interface Api<Req, Res> {
  readonly name: string
  readonly key: number
  /** The range that this package speaks, both included. */
  readonly minVersion: number
  readonly maxVersion: number
  /** The first version with compact types and tagged fields. */
  readonly flexibleFrom: number

  /** A whole frame: size, request header, body. The first chunk begins with the size; `records` are by reference. */
  encodeRequest(version: number, correlationId: number, clientId: string | null, body: Req): Uint8Array[]
  /** Reads the body up to the reader's end, from behind the response header. Surplus bytes are an error. */
  decodeResponse(version: number, reader: Reader): Res
  /** Whether the response header has tagged fields (v1) behind its correlation id. */
  responseHeaderIsFlexible(version: number): boolean

  /** Reads the body up to the reader's end, from behind the request header. Surplus bytes are an error. */
  decodeRequest(version: number, reader: Reader): Req
  /** A whole frame: size, response header, body. */
  encodeResponse(version: number, correlationId: number, body: Res): Uint8Array[]
}

export type RequestOf<A> = A extends Api<infer Req, infer _> ? Req : never
export type ResponseOf<A> = A extends Api<infer _, infer Res> ? Res : never

interface Declaration<Req extends Fields, Res extends Fields> {
  readonly name: string
  readonly key: number
  /** First and last version. */
  readonly versions: readonly [number, number]
  readonly flexibleFrom: number
  /** False where the response header stays v0 even in flexible versions; true by default. */
  readonly flexibleResponseHeader?: boolean
  readonly request: Req
  readonly response: Res
}

/** Declares an API. */
export function api<const Req extends Fields, const Res extends Fields>(
  declaration: Declaration<Req, Res>,
): Api<Value<Req>, Value<Res>> {
  const { name, key, flexibleFrom, flexibleResponseHeader = true } = declaration
  const [minVersion, maxVersion] = declaration.versions
  const request = versioned('request', declaration, declaration.request)
  const response = versioned('response', declaration, declaration.response)
  const responseHeaderIsFlexible = (version: number): boolean =>
    flexibleResponseHeader && version >= flexibleFrom

  return {
    name,
    key,
    minVersion,
    maxVersion,
    flexibleFrom,
    encodeRequest: (version, correlationId, clientId, body) => {
      const codec = request(version)
      const writer = openFrame()
      writer.int16(key)
      writer.int16(version)
      writer.int32(correlationId)
      writer.nullableString(clientId)
      if (version >= flexibleFrom) writer.unsignedVarint(0)
      codec.write(writer, body)
      return closeFrame(writer)
    },
    decodeResponse: (version, reader) => response(version).read(reader),
    responseHeaderIsFlexible,
    decodeRequest: (version, reader) => request(version).read(reader),
    encodeResponse: (version, correlationId, body) => {
      const codec = response(version)
      const writer = openFrame()
      writer.int32(correlationId)
      if (responseHeaderIsFlexible(version)) writer.unsignedVarint(0)
      codec.write(writer, body)
      return closeFrame(writer)
    },
  }
}

/** The codec of a whole body for each version, compiled on first use. */
function versioned<D extends Fields>(
  direction: 'request' | 'response',
  { name, versions: [min, max], flexibleFrom }: Declaration<Fields, Fields>,
  fields: D,
): (version: number) => WireCodec<Value<D>> {
  const kind = struct(fields)
  const compiled = new Map<number, WireCodec<Value<D>>>()
  return (version) => {
    const known = compiled.get(version)
    if (known !== undefined) return known
    if (!Number.isInteger(version) || version < min || version > max) {
      throw new UnsupportedVersionError(`${name} v${version}: versions ${min} to ${max} are known`)
    }
    const title = `${name} v${version} ${direction}`
    const codec = kind.compile({ version, flexible: version >= flexibleFrom, path: [title] })
    const body: WireCodec<Value<D>> = {
      write: (writer, value) => codec.write(writer, value),
      read: (reader) => {
        try {
          const value = codec.read(reader)
          reader.expectEnd()
          return value
        } catch (error) {
          const reason = error instanceof ReadFailure ? error.reason : error
          if (!(reason instanceof ProtocolError)) throw reason
          throw new ProtocolError(`${title}: ${(error as Error).message}`, { cause: reason })
        }
      },
    }
    compiled.set(version, body)
    return body
  }
}

/**
 *   0  int32  size of what follows
 *   4         header, body
 */
function openFrame(): Writer {
  const writer = new Writer()
  writer.int32(0)
  return writer
}

function closeFrame(writer: Writer): Uint8Array[] {
  const size = writer.length - 4
  const chunks = writer.chunks()
  const first = chunks[0]!
  first[0] = size >> 24
  first[1] = size >> 16
  first[2] = size >> 8
  first[3] = size
  return chunks
}

/** Request header v1, or v2 where the version is flexible. */
export interface RequestHeader {
  readonly apiKey: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly clientId: string | null
}

/** Reads the header of a request frame without its size; the reader is left at the body. */
export function readRequestHeader(
  reader: Reader,
  isFlexible: (apiKey: number, apiVersion: number) => boolean,
): RequestHeader {
  const apiKey = reader.int16()
  const apiVersion = reader.int16()
  const correlationId = reader.int32()
  // The client id has an int16 length in both header versions, so that any broker can read any header.
  const clientId = reader.nullableString()
  if (isFlexible(apiKey, apiVersion)) reader.skipTaggedFields()
  return { apiKey, apiVersion, correlationId, clientId }
}
