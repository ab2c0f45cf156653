/**
 * What the leader of a partition asks the transaction coordinator before it lets a transaction in (KIP-890). What it
 * asks depends on what the client can take: see `verificationFor`.
 */
import type { TopicPartition } from '../../record.js'
import { KafkaError } from '../../errors.js'
import type { Claim, TransactionCoordinator } from '../coordinators/transaction-coordinator.js'
import { partitionName } from '../coordinators/transaction-state.js'

/**
 * `'add'`: the partitions are taken into the transaction. Otherwise they must be in it, or the answer is
 * TRANSACTION_ABORTABLE, and INVALID_TXN_STATE to clients that do not know that: `'check'` and `'check-old'`.
 */
export type Verification = 'add' | 'check' | 'check-old'

/** By the version of a request: the first one that adds partitions, and that one before which knows all errors. */
export function verificationFor(version: number, addsSince: number): Verification {
  if (version >= addsSince) return 'add'
  return version === addsSince - 1 ? 'check' : 'check-old'
}

/** The code of the error for each partition that the transaction does not let in, by the partition's name. */
export function enterTransaction(
  transactions: TransactionCoordinator,
  verification: Verification,
  claim: Claim,
  partitions: readonly TopicPartition[],
): Map<string, string> {
  const abortable = verification === 'check-old' ? 'INVALID_TXN_STATE' : 'TRANSACTION_ABORTABLE'
  try {
    if (verification === 'add') {
      transactions.addPartitions(undefined, claim, partitions)
      return new Map()
    }
    const missing = transactions.missingPartitions(claim, partitions)
    return new Map(missing.map((each) => [partitionName(each), abortable]))
  } catch (error) {
    if (!(error instanceof KafkaError)) throw error
    // A producer expects to hear of its epoch in this place.
    const code = error.code === 'PRODUCER_FENCED' ? 'INVALID_PRODUCER_EPOCH' : error.code
    return new Map(partitions.map((each) => [partitionName(each), code]))
  }
}
