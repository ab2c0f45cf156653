/** What the functions that answer requests get and give. */
import type { Api } from '../../protocol/schema.js'
import type { ClusterState } from '../state/cluster-state.js'
import type { ApiName, FaultAction } from '../faults.js'
import type { GroupCoordinator } from '../coordinators/group-coordinator.js'
import type { TransactionCoordinator } from '../coordinators/transaction-coordinator.js'

/** A batch in a Produce request. Fields of the batch are -1 where its bytes are too few to hold them. */
export interface ReceivedBatch {
  readonly topic: string
  readonly partition: number
  readonly sizeInBytes: number
  readonly producerId: bigint
  readonly epoch: number
  readonly baseSequence: number
  readonly recordCount: number
  /** What the broker made of it, `'NONE'` where it was appended or known already; null: not carried out. */
  outcome: string | null
}

export interface Versions {
  readonly min: number
  readonly max: number
}

/** What a function needs to know beside the request. */
export interface RequestContext {
  readonly state: ClusterState
  readonly transactions: TransactionCoordinator
  readonly groups: GroupCoordinator
  /** The broker that was asked. */
  readonly nodeId: number
  readonly version: number
  /** The broker's time, milliseconds since the epoch. */
  readonly now: number
  /** The advertised versions of each API served. */
  readonly versions: ReadonlyMap<ApiName, Versions>
  /** The journal's entry of each batch, in the request's order. */
  readonly batches: readonly ReceivedBatch[]
  /** An injected error: the response in place of the broker's own, for this topic or for all. */
  readonly forced: { readonly errno: number; readonly topic: string | undefined } | undefined
  /** An injected leader epoch, which Metadata gives in place of the partitions' own, for this topic or for all. */
  readonly forged: { readonly leaderEpoch: number; readonly topic: string | undefined } | undefined
}

/** `'nothing'`: acks=0, no answer is expected. `'close'`: acks=0 and an error, which only a closed connection tells. */
export type Answer<Res> = Res | 'nothing' | 'close'

export interface Served<Req, Res> {
  readonly api: Api<Req, Res>
  /** Names of the topics in the request. */
  topics(state: ClusterState, request: Req, version: number): string[]
  /** The journal's entries of the batches in the request. */
  batches(state: ClusterState, request: Req): ReceivedBatch[]
  /** What has to start before the request can be answered; undefined where nothing has to. */
  starts?(request: Req): Promise<unknown> | undefined
  answer(context: RequestContext, request: Req): Answer<Res>
}

/** The error code of success. */
export const NONE = 0

/** One request that reached a broker. */
export interface ReceivedRequest {
  readonly api: ApiName
  readonly version: number
  /** Node id of the broker. */
  readonly broker: number
  readonly clientId: string | null
  readonly correlationId: number
  /** The topics that the request names; one that does not exist by the name or id given. */
  readonly topics: readonly string[]
  /** The batches of a Produce request, in its order. */
  readonly batches: readonly ReceivedBatch[]
  /** The fault that struck it. */
  readonly fault: FaultAction | undefined
}
