/** What all clients of this folder are told, and the records that they send: the Java client reads the same arguments. */
import { randomBytes } from 'node:crypto'
import { Arguments } from '../arguments.js'

const DISTINCT_VALUES = 64
const DISTINCT_KEYS = 10_000

/** Of how many records the application looks at one, in the lean loop. */
export const LOOKED_AT = 64

export interface Load {
  readonly bootstrapServers: string[]
  /** The file of the authority to trust: TLS then; plaintext where it is empty. */
  readonly ca: string
  readonly topic: string
  /** Records go round this many topics, `topic` being the first: bench-0, bench-1 and so on. */
  readonly topics: number
  /** Above 0, records go round so many partitions; 0 leaves them to the client's partitioner. */
  readonly spread: number
  /** Bytes of each value. */
  readonly size: number
  /** Records in the measured window. */
  readonly records: number
  readonly warmupMs: number
  readonly batchSize: number
  readonly bufferMemory: number
  readonly lingerMs: number
  readonly outstanding: number
  /** lean, callback, task or array: how the application sends, and what it waits for. */
  readonly loop: string
  /** String keys and one header on every record. */
  readonly keyed: boolean
  /** Only Node clients: 'cpu' or 'heap' profiles the window into this file. */
  readonly profile: string
  readonly profileFile: string
}

export function readLoad(): Load {
  const args = new Arguments(process.argv.slice(2))
  const load: Load = {
    bootstrapServers: args.string('bootstrapServers', '').split(','),
    ca: args.string('ca', ''),
    topic: args.string('topic', 'bench-0'),
    topics: args.number('topics', 1),
    spread: args.number('spread', 0),
    size: args.number('size', 100),
    records: args.number('records', 1_000_000),
    warmupMs: args.number('warmupMs', 1000),
    batchSize: args.number('batchSize', 16_384),
    bufferMemory: args.number('bufferMemory', 33_554_432),
    lingerMs: args.number('lingerMs', 5),
    outstanding: args.number('outstanding', 10_000),
    loop: args.string('loop', 'lean'),
    keyed: args.boolean('keyed', false),
    profile: args.string('profile', ''),
    profileFile: args.string('profileFile', ''),
  }
  args.done()
  return load
}

/** Few values, used again and again: what they hold must cost no one anything, yet not compress to nothing. */
export function values(size: number): Buffer[] {
  return Array.from({ length: DISTINCT_VALUES }, () => randomBytes(size))
}

export function keys(): string[] {
  return Array.from({ length: DISTINCT_KEYS }, (_, index) => `order-${String(index).padStart(6, '0')}`)
}

/** Sends in slices of about a tenth of a second until the warm-up is over; returns how many records that were. */
export async function warmUp(load: Load, send: (records: number) => Promise<void>): Promise<number> {
  const end = performance.now() + load.warmupMs
  // More than may be on their way, or nothing would ever be waited for.
  const slice = Math.max(50_000, 2 * load.outstanding)
  let sent = 0
  while (performance.now() < end) {
    await send(slice)
    sent += slice
  }
  return sent
}

/** The one line that the parent reads. */
export function print(result: object): void {
  process.stdout.write(`${JSON.stringify(result)}\n`)
}
