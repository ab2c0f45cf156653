/**
 * The first thing said on a connection: ApiVersions, in a version that both sides can read before either knows the other
 * (KIP-511), and who this client is.
 */
import { ConnectionError } from '../../errors.js'
import { ApiVersions } from '../../protocol/apis.js'
import { brokerError } from '../../protocol/error-codes.js'
import type { ResponseOf } from '../../protocol/schema.js'
import type { Reader } from '../../protocol/wire.js'
import { version } from '../../version.js'
import { BrokerVersions } from './broker-versions.js'
import type { RequestPipeline } from './request-pipeline.js'

/** What brokers show in their metrics of clients. */
export const clientSoftware = { name: 'kafka-producer', version } as const

const UNSUPPORTED_VERSION = 35

/**
 * The first version of ApiVersions of brokers which leave throttling to the client (KIP-219, Kafka 2.0). Older ones have
 * already held the answer back for the time that it names.
 */
const CLIENT_THROTTLES_SINCE = 2

type Answer = ResponseOf<typeof ApiVersions>

/** Version 4, unless the broker knows less: then it answers in version 0 what it does know. */
export async function negotiateVersions(requests: RequestPipeline, peer: string): Promise<BrokerVersions> {
  let answer = await ask(requests, ApiVersions.maxVersion)
  if (answer.errorCode === UNSUPPORTED_VERSION) {
    const isNamed = answer.apiKeys.some(({ apiKey }) => apiKey === ApiVersions.key)
    // Brokers before 2.4 do not say what they know; all know version 0.
    const version = isNamed ? new BrokerVersions(answer).highest(ApiVersions, peer) : 0
    answer = await ask(requests, version)
  }
  if (answer.errorCode !== 0) {
    const cause = brokerError(answer.errorCode, `ApiVersions to ${peer}`)
    throw new ConnectionError(cause.message, { cause })
  }
  return new BrokerVersions(answer)
}

function ask(requests: RequestPipeline, version: number): Promise<Answer> {
  requests.isThrottlingOurs = version >= CLIENT_THROTTLES_SINCE
  const body = { clientSoftwareName: clientSoftware.name, clientSoftwareVersion: clientSoftware.version }
  return requests.request(ApiVersions, version, body, {}, decode) as Promise<Answer>
}

/** An answer that refuses the version has the form of version 0, whichever was asked for. */
function decode(version: number, reader: Reader, bytes: Buffer): Answer {
  // Every version begins with the error code.
  const isRefusal = reader.remaining >= 2 && bytes.readInt16BE(reader.offset) === UNSUPPORTED_VERSION
  return ApiVersions.decodeResponse(isRefusal ? 0 : version, reader)
}
