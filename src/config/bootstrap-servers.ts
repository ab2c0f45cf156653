/** The addresses to begin with, read from what a caller or a properties file says. */
import { listed, Problem, show, type Option } from './option-kinds.js'

/** One broker to begin with; the host without brackets. */
export interface BootstrapServer {
  readonly host: string
  readonly port: number
}

const VALID = "'host:port' or '[IPv6 address]:port', in a list or in one string with commas"
/** A protocol before an address, as in Confluent's templates (`SASL_SSL://host:9092`), has no effect: Java skips it too. */
const HOST_PORT =
  /^(?:[\w.%-]*:\/\/)?(?:\[([0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%[\w.-]+)?)\]|([\w.-]+)):(\d{1,5})$/

/** The option `bootstrapServers`; it has no default, and config.ts refuses a config without it. */
export function bootstrapServers(
  kafkaName: string,
): Option<string | readonly string[], readonly BootstrapServer[]> {
  return {
    kafkaName,
    valid: VALID,
    default: [],
    defaultText: 'required',
    read,
    fromText: (text) => text,
  }
}

function read(given: unknown): readonly BootstrapServer[] | Problem {
  const list: unknown = typeof given === 'string' ? [given] : given
  if (!Array.isArray(list) || !list.every((one) => typeof one === 'string')) {
    return new Problem(`must be ${VALID}, not ${show(given)}`)
  }
  const servers: BootstrapServer[] = []
  const wrong: string[] = []
  const items = list.flatMap((one) => one.split(',')).map((one) => one.trim())
  // A comma in a password cuts it in two, so an @ anywhere speaks of every item.
  const mayHoldSecret = items.some((item) => item.includes('@'))
  for (const [index, item] of items.entries()) {
    // Empty items are passed over, as the Java client does: a comma at the end of a list is no mistake.
    if (item === '') continue
    const server = address(item)
    if (server !== undefined) servers.push(server)
    else if (!mayHoldSecret && isHarmless(item)) wrong.push(show(item))
    else wrong.push(`item ${index + 1} (not shown, for it may hold a password)`)
  }
  if (wrong.length > 0) {
    return new Problem(`must be ${VALID}, which ${listed(wrong)} ${wrong.length > 1 ? 'are' : 'is'} not`)
  }
  return servers.length > 0 ? servers : new Problem(`must name at least one broker: ${VALID}`)
}

/** More than a name of DNS, brackets and a port have. */
const LONGEST_ITEM = 300

function address(item: string): BootstrapServer | undefined {
  const match = item.length <= LONGEST_ITEM ? HOST_PORT.exec(item) : null
  if (match === null) return undefined
  const port = Number(match[3])
  return port >= 1 && port <= 65_535 ? { host: (match[1] ?? match[2])!, port } : undefined
}

/** A host or an IPv6 address, perhaps with a scheme before it, and behind it digits only: nothing else is shown. */
const HARMLESS = /^(?:[a-z_]{1,20}:\/\/)?(?:[\w. -]*|[0-9a-f:.[\]]*)(?::\d*)?$/i

function isHarmless(item: string): boolean {
  return item.length <= LONGEST_ITEM && HARMLESS.test(item)
}
