/**
 * The kinds of options that the table in producer-options.ts is made of. An option knows what it accepts, and says so in words
 * that complete "must be ..."; it knows nothing of the other options.
 */

/** What is wrong with a value, in words that follow the option's name. */
export class Problem {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** `Given` is what a caller may pass, `Kept` what the producer works with. */
export interface Option<Given, Kept = Given> {
  /** Kafka's dotted name; undefined for an option that Kafka does not have. */
  readonly kafkaName: string | undefined
  /** Completes "must be". */
  readonly valid: string
  readonly default: Kept
  /** The default in words, where it is not a plain value. */
  readonly defaultText?: string
  /** The value as it is kept, or what is wrong with it. Never called with undefined. */
  readonly read: (value: unknown) => Kept | Problem
  /** From the text of a properties file to a value for `read`; undefined where no text can say it. */
  readonly fromText: ((text: string) => unknown) | undefined
  /** Carries the type only. */
  readonly given?: Given
}

interface Bounds {
  readonly default: number
  readonly min?: number
  readonly max?: number
}

/** The largest value of Kafka's INT options, and of Node's timers. */
export const MAX_INT = 2_147_483_647

/** Kafka's INT: at most 2147483647. */
export function int(kafkaName: string, bounds: Bounds): Option<number> {
  return integer(kafkaName, { max: MAX_INT, ...bounds })
}

/** Kafka's LONG, as far as a number is exact. */
export function long(kafkaName: string | undefined, bounds: Bounds): Option<number> {
  return integer(kafkaName, { max: Number.MAX_SAFE_INTEGER, ...bounds })
}

function integer(kafkaName: string | undefined, bounds: Bounds & { readonly max: number }): Option<number> {
  const { min = -Number.MAX_SAFE_INTEGER, max } = bounds
  const valid = min === -Number.MAX_SAFE_INTEGER ? 'an integer' : `an integer from ${min} to ${max}`
  return {
    kafkaName,
    valid,
    default: bounds.default,
    read: (value) =>
      Number.isSafeInteger(value) && (value as number) >= min && (value as number) <= max
        ? (value as number)
        : mustBe(valid, value),
    fromText: (text) => (/^[+-]?\d+$/.test(text) ? fromDigits(text, max) : text),
  }
}

/** No long has more; leading zeros are a slip. */
const MAX_DIGITS = 20

/** Java's largest long, the usual way to say "for ever", is the largest exact number here. */
function fromDigits(text: string, max: number): number | string {
  if (text.length > MAX_DIGITS) return text
  const number = Number(text)
  if (Number.isSafeInteger(number)) return number
  return max === Number.MAX_SAFE_INTEGER && BigInt.asIntN(64, BigInt(text)) === BigInt(text) && number > 0
    ? max
    : text
}

/** true or false; the strings are refused. */
export function boolean(kafkaName: string, fallback: boolean): Option<boolean> {
  const valid = 'true or false'
  return {
    kafkaName,
    valid,
    default: fallback,
    read: (value) => (typeof value === 'boolean' ? value : mustBe(valid, value)),
    fromText: (text) => {
      const lower = text.toLowerCase()
      return lower === 'true' || (lower === 'false' ? false : text)
    },
  }
}

/** One of a few literals. */
export function oneOf<const T extends string | number>(
  kafkaName: string,
  values: readonly T[],
  fallback: NoInfer<T>,
): Option<T> {
  const valid = values.map((value) => show(value)).join(', ')
  return {
    kafkaName,
    valid: `one of ${valid}`,
    default: fallback,
    read: (value) => values.find((one) => one === value) ?? mustBe(`one of ${valid}`, value),
    fromText: (text) => values.find((one) => String(one) === text.toLowerCase()) ?? text,
  }
}

/** Text of at most as many bytes as a string of the protocol may have. */
export function text(kafkaName: string, fallback: { default: string; defaultText: string }): Option<string> {
  const valid = 'a string of at most 32767 bytes'
  return {
    kafkaName,
    valid,
    ...fallback,
    read: (value) =>
      typeof value === 'string' && Buffer.byteLength(value) <= 32_767 ? value : mustBe(valid, value),
    fromText: (value) => value,
  }
}

/** A value of the program itself: a function or an object. */
export function value<T>(
  kafkaName: string | undefined,
  valid: string,
  accepts: (value: unknown) => boolean,
  fallback: { default: T; defaultText: string },
): Option<NonNullable<T>, T> {
  return {
    kafkaName,
    valid,
    ...fallback,
    read: (given) => (accepts(given) ? (given as T) : mustBe(valid, given)),
    fromText: undefined,
  }
}

/** The usual problem: what would be valid, and what was given. */
export function mustBe(valid: string, value: unknown): Problem {
  return new Problem(`must be ${valid}, not ${show(value)}`)
}

const LONGEST = 60

/** A value in an error message: short, on one line. */
export function show(value: unknown): string {
  switch (typeof value) {
    case 'string':
      return showText(value)
    case 'bigint':
      return value === BigInt.asIntN(64, value) ? `${value}n` : 'a bigint of more than 64 bits'
    case 'number':
    case 'boolean':
    case 'undefined':
      return String(value)
    case 'symbol':
      return 'a symbol'
    case 'function':
      return 'a function'
    case 'object':
      if (value === null) return 'null'
      return Array.isArray(value) ? `a list of ${value.length}` : 'an object'
  }
}

/** Cut before it is written out: what is long may be very long. */
function showText(text: string): string {
  const written = JSON.stringify(text.slice(0, LONGEST))
  return text.length <= LONGEST && written.length <= LONGEST
    ? written
    : `${written.slice(0, LONGEST)}... (${text.length} characters)`
}

const LONGEST_LIST = 10

/** Several findings in one message: the first of them, and how many more there are. */
export function listed(items: readonly string[], separator = ', '): string {
  const rest = items.length - LONGEST_LIST
  const first = items.slice(0, LONGEST_LIST).join(separator)
  return rest > 0 ? `${first}${separator}and ${rest} more` : first
}
