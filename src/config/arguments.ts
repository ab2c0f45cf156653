/**
 * Checks of what a method is called with, where it enters: a value that is not usable is refused by name here, and gets
 * no further. Each check throws a KafkaError with code INVALID_ARGUMENT that names the call, the argument, what would be
 * valid and what was given. Options of the constructor have their own table, in producer-options.ts.
 */
import { show } from './option-kinds.js'
import { KafkaError } from '../errors.js'

/** The error of a wrong argument: `invalidArgument('close', 'timeoutMs', 'a number from 0', NaN)`. @internal */
export function invalidArgument(call: string, name: string, valid: string, given: unknown): KafkaError {
  return new KafkaError(`${call}: ${name} must be ${valid}, not ${show(given)}`, { code: 'INVALID_ARGUMENT' })
}

/** Milliseconds; Infinity for no limit. @internal */
export function timeArgument(call: string, name: string, given: unknown): number {
  if (typeof given === 'number' && given >= 0) return given
  throw invalidArgument(call, name, 'a number of milliseconds from 0 on, or Infinity for no limit', given)
}

/** A function that is required. @internal */
export function functionArgument<F>(call: string, name: string, given: F): F {
  if (typeof given === 'function') return given
  throw invalidArgument(call, name, 'a function', given)
}

/**
 * The named options of a call, an absent one as undefined; `{}` may be left out. Refuses an option that the call does not
 * know, for it would be ignored without a word. @internal
 */
export function optionsArgument<const N extends string>(
  call: string,
  names: readonly N[],
  given: unknown,
): Readonly<Record<N, unknown>> {
  const options: unknown = given === undefined ? {} : given
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    throw invalidArgument(call, 'the argument', `an object { ${names.join(', ')} }`, given)
  }
  const entries = new Map<string, unknown>(Object.entries(options))
  for (const [name, value] of entries) {
    if (value === undefined || names.some((known) => known === name)) continue
    throw new KafkaError(`${call}: the option ${show(name)} is unknown; known: ${names.join(', ')}`, {
      code: 'INVALID_ARGUMENT',
    })
  }
  return Object.fromEntries(names.map((name) => [name, entries.get(name)])) as Record<N, unknown>
}
