/**
 * What a broker does with each request: a table with one entry an API. An entry sees the state of the cluster and
 * one request, and gives the answer; connections, faults and time are the business of
 * broker-connection.ts.
 */
import { ApiVersions } from '../../protocol/apis.js'
import type { RequestOf, ResponseOf } from '../../protocol/schema.js'
import type { ApiName } from '../faults.js'
import { servedFindCoordinator } from './find-coordinator-request.js'
import { servedMetadata } from './metadata-request.js'
import { servedProduce } from './produce-request.js'
import { errno } from './refusal.js'
import { NONE, type RequestContext, type Served, type Versions } from '../broker/request-context.js'
import {
  servedAddOffsetsToTxn,
  servedAddPartitionsToTxn,
  servedEndTxn,
  servedInitProducerId,
} from './transaction-requests.js'
import { servedTxnOffsetCommit } from './txn-offset-commit-request.js'

const SOFTWARE = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/
/** What Kafka 4.2 can do: transactions of the second kind (KIP-890). */
const TRANSACTION_VERSION = 2

type ApiVersionsResponse = ResponseOf<typeof ApiVersions>

function apiVersions(context: RequestContext, request: RequestOf<typeof ApiVersions>): ApiVersionsResponse {
  const { version, versions, transactions, forced } = context
  if (forced !== undefined) return failedApiVersions(forced.errno, versions)
  if (
    version >= 3 &&
    !(SOFTWARE.test(request.clientSoftwareName) && SOFTWARE.test(request.clientSoftwareVersion))
  ) {
    return failedApiVersions(errno('INVALID_REQUEST'), versions)
  }
  return {
    ...failedApiVersions(NONE, versions),
    apiKeys: [...versions].map(([name, range]) => apiKey(name, range)),
    // Versions before 4 cannot say that a feature begins at 0 (KAFKA-17011): they leave it out.
    supportedFeatures:
      version < 4 ? [] : [{ name: 'transaction.version', minVersion: 0, maxVersion: TRANSACTION_VERSION }],
    finalizedFeaturesEpoch: transactions.featuresEpoch,
    finalizedFeatures: [
      {
        name: 'transaction.version',
        maxVersionLevel: transactions.transactionVersion,
        minVersionLevel: transactions.transactionVersion,
      },
    ],
  }
}

function apiKey(name: ApiName, { min, max }: Versions): ApiVersionsResponse['apiKeys'][number] {
  return { apiKey: served[name].api.key, minVersion: min, maxVersion: max }
}

/** With UNSUPPORTED_VERSION the answer names the versions of ApiVersions itself, so that the client can ask again. */
export function failedApiVersions(
  errorCode: number,
  versions: ReadonlyMap<ApiName, Versions>,
): ApiVersionsResponse {
  const own = versions.get('ApiVersions')
  const isUnsupported = errorCode === errno('UNSUPPORTED_VERSION')
  return {
    errorCode,
    apiKeys: isUnsupported && own !== undefined ? [apiKey('ApiVersions', own)] : [],
    throttleTimeMs: 0,
    supportedFeatures: [],
    finalizedFeaturesEpoch: -1n,
    finalizedFeatures: [],
    zkMigrationReady: false,
  }
}

/** The APIs that the cluster serves. */
export const served: Readonly<Record<ApiName, Served<unknown, unknown>>> = {
  Produce: servedProduce,
  Metadata: servedMetadata,
  FindCoordinator: servedFindCoordinator,
  ApiVersions: { api: ApiVersions, topics: () => [], batches: () => [], answer: apiVersions },
  InitProducerId: servedInitProducerId,
  AddPartitionsToTxn: servedAddPartitionsToTxn,
  AddOffsetsToTxn: servedAddOffsetsToTxn,
  EndTxn: servedEndTxn,
  TxnOffsetCommit: servedTxnOffsetCommit,
}
