/** The addresses to begin with, read from what a caller or a properties file says. */
import { Problem, show, type Option } from './config-option.js'

/** One broker to begin with; the host without brackets. */
export interface BootstrapServer {
  readonly host: string
  readonly port: number
}

const VALID = "'host:port' or '[IPv6 address]:port', in a list or in one string with commas"
const HOST_PORT = /^(?:\[([0-9a-fA-F:.]*:[0-9a-fA-F:.]*(?:%[\w.-]+)?)\]|([\w.-]+)):(\d{1,5})$/

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
  // Empty items are passed over, as the Java client does: a comma at the end of a list is no mistake.
  for (const item of list.flatMap((one) => one.split(',')).map((one) => one.trim())) {
    if (item === '') continue
    const server = address(item)
    if (server === undefined) wrong.push(show(withoutCredentials(item)))
    else servers.push(server)
  }
  if (wrong.length > 0)
    return new Problem(`must be ${VALID}, which ${wrong.join(', ')} ${wrong.length > 1 ? 'are' : 'is'} not`)
  return servers.length > 0 ? servers : new Problem(`must name at least one broker: ${VALID}`)
}

function address(item: string): BootstrapServer | undefined {
  const match = HOST_PORT.exec(item)
  if (match === null) return undefined
  const port = Number(match[3])
  return port >= 1 && port <= 65_535 ? { host: (match[1] ?? match[2])!, port } : undefined
}

/** A URL in place of an address may hold a password. */
function withoutCredentials(item: string): string {
  return item.replace(/^(.*\/\/)?[^/]*@/, '$1***@')
}
