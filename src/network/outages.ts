/** Which servers cannot be reached, in their last words, and the log of it: a line for an outage, not one for each attempt. */
import type { KafkaError } from '../errors.js'
import { listed } from '../config/option-kinds.js'
import { inWords, type Endpoint } from './endpoint.js'
import { RepeatedWarning, type RepeatedWarningParts } from '../repeated-warning.js'

/** While an outage lasts and servers are tried, a line is written this often. */
const OUTAGE_LOG_MS = 30_000

export class Outages {
  readonly #warning: RepeatedWarning
  /** By address, the oldest first. */
  readonly #errors = new Map<string, string>()

  constructor(parts: Omit<RepeatedWarningParts, 'everyMs'>) {
    this.#warning = new RepeatedWarning({ ...parts, everyMs: OUTAGE_LOG_MS })
  }

  /** An attempt to reach a server failed. */
  failed(nodeId: number, endpoint: Endpoint, error: KafkaError): void {
    this.note(endpoint, error.message)
    this.#warning.happened(error.code, 'a broker cannot be reached', {
      nodeId,
      host: endpoint.host,
      port: endpoint.port,
      error: error.message,
      unreachable: this.#errors.size,
    })
  }

  /** An attempt to fetch metadata failed, mostly because of what is told already. */
  metadataFailed(error: KafkaError, attempt: number): void {
    this.#warning.happened(error.code, 'metadata could not be fetched', { error: error.message, attempt })
  }

  metadataCame(): void {
    if (this.#errors.size === 0) this.#warning.over()
  }

  /** Something else about a server that is worth knowing as long as it cannot be reached. */
  note(endpoint: Endpoint, message: string): void {
    this.#errors.set(inWords(endpoint), message)
  }

  reached(endpoint: Endpoint): void {
    if (this.#errors.delete(inWords(endpoint)) && this.#errors.size === 0) this.#warning.over()
  }

  /** Forgets the servers that are none of these any more. */
  keepOnly(endpoints: Iterable<Endpoint>): void {
    if (this.#errors.size === 0) return
    const kept = new Set(Array.from(endpoints, inWords))
    for (const address of this.#errors.keys()) if (!kept.has(address)) this.#errors.delete(address)
    if (this.#errors.size === 0) this.#warning.over()
  }

  /** "127.0.0.1:1 refused the connection (ECONNREFUSED); ...", of the first ones where there are many. */
  inWords(): string {
    return listed([...this.#errors.values()], '; ')
  }
}
