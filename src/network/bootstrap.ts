/** The bootstrap servers of the config as addresses to connect to. */
import type { NetworkConfig } from './cluster.js'
import { unresolved, type Endpoint } from './endpoint.js'
import type { Lookup } from './connection/transport.js'

/** Fulfilled once; a name that cannot be resolved makes the next call look all of them up again. */
export class BootstrapServers {
  readonly #config: Pick<NetworkConfig, 'bootstrapServers' | 'clientDnsLookup'>
  readonly #lookup: Lookup
  readonly #onUnresolved: (server: Endpoint, message: string) => void
  #endpoints: Promise<readonly Endpoint[]> | undefined

  constructor(
    config: Pick<NetworkConfig, 'bootstrapServers' | 'clientDnsLookup'>,
    lookup: Lookup,
    onUnresolved: (server: Endpoint, message: string) => void,
  ) {
    this.#config = config
    this.#lookup = lookup
    this.#onUnresolved = onUnresolved
  }

  /** In the order of the config; each name replaced by its canonical names where the config asks for that. */
  endpoints(): Promise<readonly Endpoint[]> {
    this.#endpoints ??= this.#resolve()
    return this.#endpoints
  }

  /** Names are looked up again the next time. */
  forget(): void {
    this.#endpoints = undefined
  }

  async #resolve(): Promise<readonly Endpoint[]> {
    const { bootstrapServers, clientDnsLookup } = this.#config
    if (clientDnsLookup !== 'resolve_canonical_bootstrap_servers_only') return bootstrapServers
    const endpoints: Endpoint[] = []
    for (const { host, port } of bootstrapServers) {
      let hosts: readonly string[] = [host]
      try {
        hosts = await this.#lookup.canonicalNames(host)
      } catch (error) {
        // The attempt to connect will say the same.
        this.#onUnresolved({ host, port }, unresolved({ host, port }, error).message)
        this.forget()
      }
      for (const name of hosts) endpoints.push({ host: name, port })
    }
    return endpoints
  }
}
