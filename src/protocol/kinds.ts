/**
 * What a table of apis.ts is made of: types, arrays, structs, and fields that only some versions have. Each compiles
 * for one version into closures that know it: nothing asks for a version while bytes are read or written. The types
 * are inferred from the declaration, so no field is ever declared twice.
 */
import { ProtocolError, UnsupportedVersionError } from '../errors.js'
import { Writer, type Reader } from './wire.js'

/** What a declaration is compiled for. */
export interface Target {
  readonly version: number
  /** Compact types and tagged fields (KIP-482). */
  readonly flexible: boolean
  /** The place in messages: `Metadata v9 request`, and deeper down the names of the fields. */
  readonly path: readonly string[]
}

export interface WireCodec<T> {
  write(writer: Writer, value: T): void
  read(reader: Reader): T
}

/** A type of the protocol. */
export interface Kind<T> {
  compile(target: Target): WireCodec<T>
}

/** A type that has a null on the wire; `compile` makes that an error. */
export interface NullableKind<T> extends Kind<T> {
  compileNullable(target: Target): WireCodec<T | null>
}

/** A field that some versions lack, where it reads as `fallback`. */
export interface Field<T> {
  readonly content: Kind<T>
  readonly fallback: T
  readonly from: number
  readonly to: number
  /** Its number in the section of tagged fields; undefined for a field in line. */
  readonly tag: number | undefined
  /** Whether a version without the field drops its value silently. */
  readonly ignorable: boolean
}

/** A struct: its fields in the order of the wire. */
export interface Fields {
  readonly [name: string]: Kind<unknown> | Field<unknown> | Fields
}

type Content = Kind<unknown> | Fields

/** The JavaScript type of a declaration. */
export type Value<D> =
  D extends Kind<infer T>
    ? T
    : D extends Field<infer T>
      ? T
      : D extends Fields
        ? { readonly [K in keyof D]: Value<D[K]> }
        : never

function fixed<T>(codec: WireCodec<T>): Kind<T> {
  return { compile: () => codec }
}

export const boolean: Kind<boolean> = fixed({
  write: (writer, value) => writer.boolean(value),
  read: (reader) => reader.boolean(),
})

export const int8: Kind<number> = fixed({
  write: (writer, value) => writer.int8(value),
  read: (reader) => reader.int8(),
})

export const int16: Kind<number> = fixed({
  write: (writer, value) => writer.int16(value),
  read: (reader) => reader.int16(),
})

export const int32: Kind<number> = fixed({
  write: (writer, value) => writer.int32(value),
  read: (reader) => reader.int32(),
})

export const int64: Kind<bigint> = fixed({
  write: (writer, value) => writer.int64(value),
  read: (reader) => reader.int64(),
})

export const float64: Kind<number> = fixed({
  write: (writer, value) => writer.float64(value),
  read: (reader) => reader.float64(),
})

/** Canonical text, 8-4-4-4-12 hex digits. */
export const uuid: Kind<string> = fixed({
  write: (writer, value) => writer.uuid(value),
  read: (reader) => reader.uuid(),
})

function sized<T>(what: string, compileNullable: (target: Target) => WireCodec<T | null>): NullableKind<T> {
  return {
    compileNullable,
    compile: (target) => {
      const codec = compileNullable(target)
      return {
        write: (writer, value) => {
          if (value === null) throw inexpressible(target, 'null')
          codec.write(writer, value)
        },
        read: (reader) => {
          const value = codec.read(reader)
          if (value === null) throw new ProtocolError(`null where ${what} is required`)
          return value
        },
      }
    },
  }
}

export const string: NullableKind<string> = sized('a string', ({ flexible }) =>
  flexible
    ? {
        write: (writer, value) => writer.compactNullableString(value),
        read: (reader) => reader.compactNullableString(),
      }
    : {
        write: (writer, value) => writer.nullableString(value),
        read: (reader) => reader.nullableString(),
      },
)

/** Copied when written; a view of the frame when read. */
export const bytes: NullableKind<Uint8Array> = sized('a byte array', ({ flexible }) =>
  flexible
    ? {
        write: (writer, value) => writer.compactNullableBytes(value),
        read: (reader) => reader.compactNullableBytes(),
      }
    : {
        write: (writer, value) => writer.nullableBytes(value),
        read: (reader) => reader.nullableBytes(),
      },
)

/** Record batches, or null: written by reference, read as a view of the frame. */
export const records: Kind<Uint8Array | null> = {
  compile: ({ flexible }) => ({
    write: (writer, value) => {
      if (flexible) writer.unsignedVarint(value === null ? 0 : value.length + 1)
      else writer.int32(value === null ? -1 : value.length)
      if (value !== null) writer.reference(value)
    },
    read: flexible ? (reader) => reader.compactNullableBytes() : (reader) => reader.nullableBytes(),
  }),
}

/** An array of one type, or of structs. */
export function array<const D extends Content>(element: D): NullableKind<readonly Value<D>[]> {
  const kind = kindOf(element)
  return sized('an array', ({ version, flexible, path }) => {
    const codec = kind.compile({ version, flexible, path: [...path.slice(0, -1), `${path.at(-1)}[]`] })
    return {
      write: (writer, values) => {
        const length = values === null ? -1 : values.length
        if (flexible) writer.unsignedVarint(length + 1)
        else writer.int32(length)
        for (let i = 0; i < length; i++) codec.write(writer, values![i]!)
      },
      read: (reader) => {
        const length = flexible ? reader.compactArrayLength() : reader.arrayLength()
        if (length === -1) return null
        // Filled by push: a length that lies costs no more memory than the elements that are there.
        const values: Value<D>[] = []
        try {
          while (values.length < length) values.push(codec.read(reader))
        } catch (error) {
          throw located(error, `[${values.length}]`)
        }
        return values
      },
    }
  })
}

/** Also null, from version `from` on; in all versions without it. */
export function nullable<T>(kind: NullableKind<T>, from = 0): Kind<T | null> {
  return {
    // Below `from` a null is refused when written and never comes out when read.
    compile: (target): WireCodec<T | null> =>
      target.version >= from ? kind.compileNullable(target) : kind.compile(target),
  }
}

/** A field from version `from` on. */
export function since<const D extends Content>(
  from: number,
  content: D,
  fallback: Value<D>,
): Field<Value<D>> {
  return between(from, Infinity, content, fallback)
}

/** A field up to version `to`, that one included. */
export function until<const D extends Content>(to: number, content: D, fallback: Value<D>): Field<Value<D>> {
  return between(0, to, content, fallback)
}

/** A field of the versions `from` to `to`, both included. */
export function between<const D extends Content>(
  from: number,
  to: number,
  content: D,
  fallback: Value<D>,
): Field<Value<D>> {
  return {
    content: kindOf(content),
    fallback: frozen(fallback),
    from,
    to,
    tag: undefined,
    ignorable: true,
  }
}

/** A tagged field from version `from` on; it is left out of the bytes when its value is the fallback. */
export function tagged<const D extends Content>(
  from: number,
  tag: number,
  content: D,
  fallback: Value<D>,
): Field<Value<D>> {
  return { ...since(from, content, fallback), tag }
}

/**
 * A field whose value must not get lost: writing anything but the fallback in a version that lacks the field is an
 * UnsupportedVersionError.
 */
export function notIgnorable<T extends number | bigint | string | boolean | null>(field: Field<T>): Field<T> {
  return { ...field, ignorable: false }
}

type Struct = Record<string, unknown>

interface TaggedMember {
  readonly name: string
  readonly codec: WireCodec<unknown>
  readonly tag: number
  /** The bytes of the fallback, which stand for "left out". */
  readonly absent: Uint8Array
}

/** The fields in their order, and in flexible versions the section of tagged fields. */
export function struct<const D extends Fields>(fields: D): Kind<Value<D>> {
  return { compile: (target) => compileStruct(fields, target) as WireCodec<unknown> as WireCodec<Value<D>> }
}

function compileStruct(fields: Fields, target: Target): WireCodec<Struct> {
  const { version, flexible, path } = target
  const names: string[] = []
  const codecs: WireCodec<unknown>[] = []
  const tags: TaggedMember[] = []
  const refused: { name: string; fallback: unknown }[] = []
  // Every object read is a copy of this one, so all have the fields of the table, in its order.
  const template: Struct = {}
  for (const [name, declared] of Object.entries(fields)) {
    const field = isField(declared) ? declared : undefined
    template[name] = field?.fallback
    if (field !== undefined && (version < field.from || version > field.to)) {
      if (!field.ignorable) refused.push({ name, fallback: field.fallback })
      continue
    }
    const kind = isField(declared) ? declared.content : kindOf(declared)
    const codec = kind.compile({ version, flexible, path: [...path, name] })
    if (field?.tag === undefined) {
      names.push(name)
      codecs.push(codec)
    } else {
      tags.push({ name, codec, tag: field.tag, absent: encoded(codec, field.fallback) })
    }
  }
  tags.sort((a, b) => a.tag - b.tag)
  const count = names.length

  return {
    write: (writer, value) => {
      for (const { name, fallback } of refused) {
        if (value[name] !== fallback) throw inexpressible({ path: [...path, name] }, String(value[name]))
      }
      for (let i = 0; i < count; i++) codecs[i]!.write(writer, value[names[i]!])
      if (flexible) {
        if (tags.length === 0) writer.unsignedVarint(0)
        else writeTags(writer, value, tags)
      }
    },
    read: (reader) => {
      const value = { ...template }
      let i = 0
      try {
        for (; i < count; i++) value[names[i]!] = codecs[i]!.read(reader)
      } catch (error) {
        throw located(error, names[i]!)
      }
      if (flexible) readTags(reader, value, tags)
      return value
    },
  }
}

function writeTags(writer: Writer, value: Struct, members: readonly TaggedMember[]): void {
  const present: { tag: number; content: Uint8Array }[] = []
  for (const { name, codec, tag, absent } of members) {
    const content = encoded(codec, value[name])
    if (Buffer.compare(content, absent) !== 0) present.push({ tag, content })
  }
  writer.unsignedVarint(present.length)
  for (const { tag, content } of present) {
    writer.unsignedVarint(tag)
    writer.unsignedVarint(content.length)
    writer.raw(content)
  }
}

function readTags(reader: Reader, value: Struct, members: readonly TaggedMember[]): void {
  let step = 'tagged fields'
  try {
    for (let count = reader.tagCount(); count > 0; count--) {
      step = 'tagged fields'
      const tag = reader.unsignedVarint()
      const length = reader.unsignedVarint()
      const member = members.find((each) => each.tag === tag)
      step = member === undefined ? `tag ${tag}` : member.name
      if (member === undefined) reader.skip(length)
      else value[member.name] = reader.within(length, member.codec)
    }
  } catch (error) {
    throw located(error, step)
  }
}

function encoded(codec: WireCodec<unknown>, value: unknown): Uint8Array {
  const writer = new Writer(64)
  codec.write(writer, value)
  return Buffer.concat(writer.chunks())
}

function kindOf<D extends Content>(content: D): Kind<Value<D>> {
  const kind = typeof content['compile'] === 'function' ? content : struct(content as Fields)
  return kind as Kind<Value<D>>
}

function isField(declared: Fields[string]): declared is Field<unknown> {
  return typeof (declared as { ignorable?: unknown }).ignorable === 'boolean'
}

/** A fallback is shared by all objects that lack the field, so nobody may change it. */
function frozen<T>(fallback: T): T {
  if (typeof fallback === 'object' && fallback !== null) {
    Object.values(fallback).forEach(frozen)
    Object.freeze(fallback)
  }
  return fallback
}

function inexpressible({ path }: Pick<Target, 'path'>, value: string): UnsupportedVersionError {
  return new UnsupportedVersionError(
    `${path[0]}: ${path.slice(1).join('.')}: this version cannot carry ${value}`,
  )
}

/** A malformed message on its way up. Each level adds its step to the path, so that reading well costs nothing. */
export class ReadFailure extends Error {
  readonly reason: ProtocolError
  readonly path: string

  constructor(reason: ProtocolError, path: string) {
    super(`${path}: ${reason.message}`)
    this.reason = reason
    this.path = path
  }
}

function located(error: unknown, step: string): unknown {
  if (error instanceof ProtocolError) return new ReadFailure(error, step)
  if (!(error instanceof ReadFailure)) return error
  return new ReadFailure(
    error.reason,
    error.path.startsWith('[') ? step + error.path : `${step}.${error.path}`,
  )
}
