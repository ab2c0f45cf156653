/** What the launcher's modules pass between them. */

export interface StartOptions {
  readonly version?: string | undefined
  readonly port?: number | undefined
  readonly dir?: string | undefined
  readonly brokers?: number | undefined
  /** Settings for every broker and a separate controller. */
  readonly conf?: Readonly<Record<string, string>> | undefined
  /** Adds the TLS and SASL listeners. */
  readonly security?: boolean | undefined
  readonly acl?: boolean | undefined
  /** connections.max.reauth.ms (KIP-368). */
  readonly reauthMs?: number | undefined
  /** Loggers that write at DEBUG into the brokers' logs. */
  readonly debug?: readonly string[] | undefined
  readonly heap?: string | undefined
  /** The JVM's compiler: c1 starts faster, c2 runs faster. */
  readonly jit?: string | undefined
  /** Writes a class archive to this file when the broker stops. */
  readonly cdsDump?: string | undefined
}

export interface BrokerState {
  readonly id: number
  /** 0 while the broker is stopped. */
  pid: number
  paused: boolean
}

/** One cluster, as its state.json stores it. */
export interface ClusterState {
  readonly version: string
  readonly mode: 'kraft' | 'zookeeper'
  readonly dir: string
  readonly port: number
  readonly heap: string
  readonly jit: string
  readonly security: boolean
  readonly acl: boolean
  readonly reauthMs?: number | undefined
  readonly conf: Readonly<Record<string, string>>
  readonly debug: readonly string[]
  readonly cdsDump?: string | undefined
  readonly brokers: readonly BrokerState[]
  /** ZooKeeper or the separate controller. */
  aux?: { readonly name: string; pid: number }
  startMs?: number
}

export interface Listener {
  /** Added to the broker's base port. */
  readonly offset: number
  readonly protocol: 'PLAINTEXT' | 'SSL' | 'SASL_PLAINTEXT' | 'SASL_SSL'
  /** Only with --security. */
  readonly security?: boolean
  /** The advertised port's offset, if it differs. */
  readonly advertise?: number
}

export interface ClusterDescription {
  readonly version: string
  readonly mode: 'kraft' | 'zookeeper'
  readonly dir: string
  readonly startMs: number | undefined
  /** Comma-separated addresses by listener name. */
  readonly bootstrap: Readonly<Record<string, string>>
  /** The ports between which a test may put one TCP proxy per broker; see LISTENERS. */
  readonly proxy: readonly { readonly listen: number; readonly target: number }[]
  readonly brokers: readonly {
    readonly id: number
    readonly pid: number
    readonly paused: boolean
    readonly alive: boolean
    readonly port: number
    readonly logDir: string
    readonly log: string
  }[]
  readonly mechanisms?: readonly string[]
  readonly users?: Readonly<Record<string, string>>
  readonly certs?: Readonly<Record<string, string>>
}

/** The content of a .properties file. */
export type Properties = Record<string, string | number | boolean>

export interface TokenOptions {
  readonly sub?: string | undefined
  /** Seconds. */
  readonly ttl?: number | undefined
  readonly unsecured?: boolean | undefined
  readonly audience?: string | undefined
}

export interface CheckResult {
  readonly name: string
  readonly ok: boolean
  readonly got?: string
  readonly error?: string
  /** Why the broker or the client refused the connection, where it must. */
  readonly refused?: string | undefined
}
