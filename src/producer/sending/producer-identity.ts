/** Under which producer id and epoch a broker lets the producer write. */
import { ProtocolError } from '../../errors.js'
import type { ProducerIdAndEpoch } from '../batching/partition-sequences.js'

/**
 * The identity of a successful response. A batch with a negative producer id or epoch is one without idempotence, so a
 * broker that gives such a number would turn it off without a word: the request is worth another attempt instead.
 */
export function givenIdentity(
  { producerId, producerEpoch }: ProducerIdAndEpoch,
  request: string,
): ProducerIdAndEpoch {
  if (producerId >= 0n && producerEpoch >= 0) return { producerId, producerEpoch }
  throw new ProtocolError(
    `${request} succeeded with producer id ${producerId} and epoch ${producerEpoch}, neither of which may be negative`,
    { retriable: true },
  )
}
