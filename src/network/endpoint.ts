/** Where a broker listens. */
import { ConnectionError } from '../errors.js'

export interface Endpoint {
  readonly host: string
  readonly port: number
}

export function isSameEndpoint(a: Endpoint, b: Endpoint): boolean {
  return a.host === b.host && a.port === b.port
}

/** A name of DNS is no longer, and the host of a broker stands in many messages. */
export const MAX_HOST_LENGTH = 255

/** Something can listen there. */
export function isEndpoint({ host, port }: Endpoint): boolean {
  return host !== '' && host.length <= MAX_HOST_LENGTH && port > 0 && port < 65_536
}

export function inWords({ host, port }: Endpoint): string {
  return `${host}:${port}`
}

export function unresolved(endpoint: Endpoint, cause: unknown): ConnectionError {
  const { code, message } = cause as NodeJS.ErrnoException
  return new ConnectionError(`${inWords(endpoint)}: the name cannot be resolved (${code ?? message})`, {
    cause,
  })
}
