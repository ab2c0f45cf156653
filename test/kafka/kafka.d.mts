/** Types of what the tests use of kafka.mjs. */

/** A cluster as state.json beside its data describes it. */
export interface ClusterState {
  readonly version: string
  readonly dir: string
}

export interface ClusterDescription {
  readonly version: string
  readonly mode: 'kraft' | 'zookeeper'
  readonly dir: string
  readonly startMs: number
  /** Comma-separated addresses by listener name. */
  readonly bootstrap: Readonly<Record<string, string>>
  /** One TCP proxy per broker belongs between these ports; see LISTENERS. */
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
}

export interface StartOptions {
  readonly version?: string
  readonly port?: number
  readonly dir?: string
  readonly brokers?: number
  readonly conf?: Readonly<Record<string, string>>
  /** The TLS and SASL listeners as well. */
  readonly security?: boolean
  readonly acl?: boolean
  readonly reauthMs?: number | undefined
  /** Loggers at DEBUG, in the brokers' logs. */
  readonly debug?: readonly string[]
}

export const CACHE: string
export const DEFAULT_VERSION: string
export function atLeast(version: string, wanted: string): boolean
export function portsOf(base: number, brokers: number): number[]
export function compilerCheck(): [string, ...string[]]
export function compileCommand(
  version: string,
  sources: readonly string[],
  outputDir: string,
): [string, ...string[]]
export function javaCommand(
  version: string,
  cls: string,
  args: readonly string[],
  options?: { readonly jvm?: readonly string[]; readonly classes?: readonly string[] },
): [string, ...string[]]
export function start(options: StartOptions): Promise<ClusterState>
/** A bearer token for the OAUTHBEARER listeners of the cluster in `dir`. */
export function token(
  dir: string,
  options?: {
    readonly sub?: string
    readonly ttl?: number
    readonly unsecured?: boolean
    readonly audience?: string
  },
): string
export function load(dir: string): ClusterState
export function describe(state: ClusterState): ClusterDescription
export function kill(state: ClusterState, id: number): Promise<void>
export function pause(state: ClusterState, id: number): void
export function resume(state: ClusterState, id: number): void
export function restart(state: ClusterState, id: number, options?: { readonly hard?: boolean }): Promise<void>
export function stop(
  state: ClusterState,
  options?: { readonly clean?: boolean; readonly purge?: boolean },
): Promise<void>
