/** What a broker does with a FindCoordinator request. */
import { FindCoordinator } from '../../protocol/apis.js'
import { errorName } from '../../protocol/error-codes.js'
import type { RequestOf, ResponseOf } from '../../protocol/schema.js'
import type { CoordinatorType } from '../coordinators/coordinators.js'
import { errno } from './refusal.js'
import { NONE, type RequestContext, type Served } from '../broker/request-context.js'

type FindCoordinatorRequest = RequestOf<typeof FindCoordinator>
type FindCoordinatorResponse = ResponseOf<typeof FindCoordinator>
type Found = FindCoordinatorResponse['coordinators'][number]

/** By key type. Type 2, of share groups, is a type that Kafka knows from version 6 on. */
const TYPES: readonly (CoordinatorType | undefined)[] = ['group', 'transaction']
const SHARE = 2

function failed(key: string, errorCode: number): Found {
  return { key, nodeId: -1, host: '', port: -1, errorCode, errorMessage: '' }
}

function find({ state, version, forced }: RequestContext, keyType: number, key: string): Found {
  if (forced !== undefined) return failed(key, forced.errno)
  const type = TYPES[keyType]
  if (type === undefined) {
    // No broker of this cluster coordinates share groups.
    const isKnown = keyType === SHARE && version >= 6
    return failed(key, errno(isKnown ? 'COORDINATOR_NOT_AVAILABLE' : 'INVALID_REQUEST'))
  }
  const broker = state.brokers.get(state.coordinators.leaderOf(type, key))
  if (broker === undefined) return failed(key, errno('COORDINATOR_NOT_AVAILABLE'))
  const { nodeId, host, port } = broker
  return { ...failed(key, NONE), nodeId, host, port }
}

function findCoordinator(context: RequestContext, request: FindCoordinatorRequest): FindCoordinatorResponse {
  const { keyType, key, coordinatorKeys } = request
  if (context.version >= 4) {
    const coordinators = coordinatorKeys.map((each) => find(context, keyType, each))
    return { ...failed('', NONE), throttleTimeMs: 0, coordinators }
  }
  const found = find(context, keyType, key)
  return { ...found, errorMessage: errorName(found.errorCode), throttleTimeMs: 0, coordinators: [] }
}

export const servedFindCoordinator: Served<FindCoordinatorRequest, FindCoordinatorResponse> = {
  api: FindCoordinator,
  topics: () => [],
  batches: () => [],
  answer: findCoordinator,
}
