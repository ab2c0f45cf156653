/** Whether the batches of a Produce request belong to an open transaction, where they say that they do. */
import type { KafkaError } from '../../errors.js'
import { BATCH_OVERHEAD_BYTES } from '../../records/read-record-batch.js'
import type { Partition } from '../state/cluster-state.js'
import { Refusal } from './refusal.js'
import type { RequestContext } from '../broker/request-context.js'
import { partitionName } from '../coordinators/transaction-state.js'
import { enterTransaction, verificationFor } from './transaction-verification.js'

/** The first version of Produce that takes partitions into the transaction by itself. */
const ADDS_SINCE = 12

/** One batch of the request. */
export interface Incoming {
  readonly topic: string
  readonly partition: Partition
  readonly batch: Uint8Array
}

interface Transactional extends Incoming {
  readonly producerId: bigint
  readonly epoch: number
  readonly sequence: number
}

/** By partition: the refusal, or that the transaction has it. Partitions without an entry need no verification. */
export type Verdicts = ReadonlyMap<Partition, Refusal | 'verified'>

function transactional(incoming: Incoming): Transactional | undefined {
  const { batch } = incoming
  if (batch.length < BATCH_OVERHEAD_BYTES) return undefined
  const data = new DataView(batch.buffer, batch.byteOffset, batch.byteLength)
  const producerId = data.getBigInt64(43)
  if ((data.getInt16(21) & 0x10) === 0 || producerId === -1n) return undefined
  return { ...incoming, producerId, epoch: data.getInt16(51), sequence: data.getInt32(53) }
}

/** Throws INVALID_PRODUCER_ID_MAPPING where the request mixes producers. */
export function verifyBatches(
  { transactions, version }: RequestContext,
  transactionalId: string,
  all: readonly Incoming[],
): Verdicts {
  const verdicts = new Map<Partition, Refusal | 'verified'>()
  const batches = all.map(transactional).filter((each) => each !== undefined)
  const first = batches[0]
  if (first === undefined) return verdicts
  if (batches.some(({ producerId, epoch }) => producerId !== first.producerId || epoch !== first.epoch)) {
    throw new Refusal('INVALID_PRODUCER_ID_MAPPING', 'transactional batches of more than one producer')
  }
  const verification = verificationFor(version, ADDS_SINCE)
  const unknown = batches.filter(({ partition, producerId, epoch, sequence }) => {
    try {
      return partition.log.producers.startVerification(producerId, epoch, sequence, verification === 'add')
    } catch (error) {
      if (!(error instanceof Refusal)) throw error
      verdicts.set(partition, error)
      return false
    }
  })
  if (unknown.length === 0) return verdicts
  const claim = { transactionalId, producerId: first.producerId, epoch: first.epoch }
  const named = unknown.map(({ topic, partition }) => ({ topic, partition: partition.index }))
  const refused = enterTransaction(transactions, verification, claim, named)
  for (const { topic, partition } of unknown) {
    const code = refused.get(partitionName({ topic, partition: partition.index }))
    verdicts.set(partition, code === undefined ? 'verified' : produceRefusal(code, verification === 'add'))
  }
  return verdicts
}

function produceRefusal(code: string, adds: boolean): Refusal {
  // Old clients do not expect an error of the coordinator in the answer to Produce: they are told to come again.
  if (code === 'COORDINATOR_NOT_AVAILABLE' || (code === 'CONCURRENT_TRANSACTIONS' && !adds)) {
    return new Refusal('NOT_ENOUGH_REPLICAS', `the transaction coordinator could not be asked: ${code}`)
  }
  return new Refusal(code, `the partition is not in the transaction: ${code}`)
}

/** Whether Kafka explains a refusal of this kind in words. */
export function isExplained({ code }: KafkaError): boolean {
  return code === 'NOT_ENOUGH_REPLICAS' || code === 'INVALID_TXN_STATE'
}
