/**
 * The requests about transactions, to the coordinators of the transactional id and of consumer groups: their bodies, and
 * what the answers mean. When which is due, one at a time, and what follows is the transaction manager's part.
 */
import type { offsetsByTopic, ConsumerGroupMetadata } from '../../consumer-offsets.js'
import { ProtocolError, UnsupportedVersionError, type KafkaError } from '../../errors.js'
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  EndTxn,
  InitProducerId,
  TxnOffsetCommit,
} from '../../protocol/apis.js'
import { errorByCode } from '../../protocol/error-codes.js'
import {
  addOffsetsToTxnReactions,
  addPartitionsToTxnReactions,
  coordinatorReaction,
  endTxnReactions,
  initTransactionsReactions,
  txnOffsetCommitReactions,
  type CoordinatorReaction,
  type Table,
} from '../../protocol/reactions.js'
import type { TopicPartition } from '../../record.js'
import { Coordinator, type CoordinatorParts, type Verdict } from './coordinator.js'
import type { ProducerIdAndEpoch } from '../batching/partition-sequences.js'
import { givenIdentity } from '../sending/producer-identity.js'

/** The last versions of classic transactions; the next one is for transactions v2. */
export const CLASSIC = { produce: 11, endTxn: 4, txnOffsetCommit: 4 } as const

/** Coordinators give epochs up to 32766, and fence with one or two of them by themselves. */
const NEARLY_LAST_EPOCH = 32_760
const UNKNOWN_SERVER_ERROR = -1

/** The transaction that a request is about. */
export interface Asker {
  readonly identity: ProducerIdAndEpoch
  readonly isV2: boolean
  /** False: records and offsets of the transaction are not asked about again. */
  readonly isWanted: () => boolean
  /** An attempt was sent and not answered: it may still arrive, after the next one. */
  readonly onLost: () => void
}

export class TransactionRequests {
  readonly #transactionalId: string
  readonly #transactionTimeoutMs: number
  readonly #parts: CoordinatorParts
  readonly #coordinator: Coordinator
  readonly #groups = new Map<string, Coordinator>()
  #isClosed = false

  constructor(transactionalId: string, transactionTimeoutMs: number, parts: CoordinatorParts) {
    this.#transactionalId = transactionalId
    this.#transactionTimeoutMs = transactionTimeoutMs
    this.#parts = parts
    this.#coordinator = new Coordinator('transaction', transactionalId, parts)
  }

  /** What the last attempt at the transactional id's coordinator ended with, if not well. */
  get lastError(): KafkaError | null {
    return this.#coordinator.lastError
  }

  /** The same for what is asked about a group's offsets, of either coordinator. */
  lastErrorOf(groupId: string): KafkaError | null {
    return this.lastError ?? this.#groups.get(groupId)?.lastError ?? null
  }

  /** Ends every request that is under way. */
  close(): void {
    this.#isClosed = true
    this.#coordinator.close()
    for (const group of this.#groups.values()) group.close()
  }

  /** Also ends what is open. */
  async initProducerId(current: ProducerIdAndEpoch): Promise<ProducerIdAndEpoch> {
    const transactionalId = this.#transactionalId
    const transactionTimeoutMs = this.#transactionTimeoutMs
    const { producerId, producerEpoch } = await this.#coordinator.request(InitProducerId, {
      body: () => ({ transactionalId, transactionTimeoutMs, ...current }),
      verdict: (response) => {
        const said = verdict(initTransactionsReactions, response.errorCode)
        if (said.reaction === 'success') givenIdentity(response, InitProducerId.name)
        // Where the last epoch was given and the answer got lost, a coordinator fails whenever it is asked again.
        const isEnd = current.producerEpoch >= NEARLY_LAST_EPOCH && said.errorCode === UNKNOWN_SERVER_ERROR
        return isEnd ? { ...said, reaction: 'fatal' } : said
      },
    })
    return { producerId, producerEpoch }
  }

  /** KIP-360. */
  async raiseEpoch(current: ProducerIdAndEpoch): Promise<ProducerIdAndEpoch> {
    try {
      return await this.initProducerId(current)
    } catch (error) {
      if (!(error instanceof UnsupportedVersionError)) throw error
      throw new UnsupportedVersionError(
        `records of an aborted transaction may still be on their way, and brokers before 2.5 cannot fence them: ${error.message}`,
        { fatal: true, cause: error },
      )
    }
  }

  /** Brokers before 2.5 cannot: that something comes late is rare enough to go on. */
  async raiseEpochIfPossible(current: ProducerIdAndEpoch): Promise<ProducerIdAndEpoch> {
    try {
      return await this.initProducerId(current)
    } catch (error) {
      if (!(error instanceof UnsupportedVersionError)) throw error
      return current
    }
  }

  async addPartitions(
    { identity: { producerId, producerEpoch }, isWanted, onLost }: Asker,
    partitions: readonly TopicPartition[],
  ): Promise<void> {
    const topics = new Map<string, number[]>()
    for (const { topic, partition } of partitions) {
      topics.set(topic, [...(topics.get(topic) ?? []), partition])
    }
    const v3AndBelowTopics = [...topics].map(([name, numbers]) => ({ name, partitions: numbers }))
    await this.#coordinator.request(AddPartitionsToTxn, {
      body: () => ({
        v3AndBelowTransactionalId: this.#transactionalId,
        v3AndBelowProducerId: producerId,
        v3AndBelowProducerEpoch: producerEpoch,
        v3AndBelowTopics,
      }),
      verdict: ({ resultsByTopicV3AndBelow }) => {
        const verdicts = resultsByTopicV3AndBelow.flatMap(({ name, resultsByPartition }) =>
          resultsByPartition.map(({ partitionIndex, partitionErrorCode }) => ({
            ...verdict(addPartitionsToTxnReactions, partitionErrorCode),
            of: place(name, partitionIndex),
          })),
        )
        const mentioned = new Set(verdicts.map((one) => one.of))
        const asked = partitions.map(({ topic, partition }) => place(topic, partition))
        return unlessMissing(
          AddPartitionsToTxn.name,
          worst(verdicts),
          asked.filter((one) => !mentioned.has(one)),
        )
      },
      isWanted,
      onLost,
    })
  }

  async addOffsets({ identity, isWanted, onLost }: Asker, groupId: string): Promise<void> {
    await this.#coordinator.request(AddOffsetsToTxn, {
      body: () => ({ transactionalId: this.#transactionalId, ...identity, groupId }),
      verdict: ({ errorCode }) => ({
        ...verdict(addOffsetsToTxnReactions, errorCode),
        of: `consumer group ${groupId}`,
      }),
      isWanted,
      onLost,
    })
  }

  async commitOffsets(
    { identity, isV2, isWanted, onLost }: Asker,
    topics: ReturnType<typeof offsetsByTopic>,
    { groupId, generationId = -1, memberId = '', groupInstanceId = null }: ConsumerGroupMetadata,
  ): Promise<void> {
    const who = { transactionalId: this.#transactionalId, ...identity }
    let left = topics
    await this.#group(groupId).request(TxnOffsetCommit, {
      body: () => ({ ...who, groupId, generationId, memberId, groupInstanceId, topics: left }),
      verdict: ({ topics: answers }) => {
        const verdicts = answers.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex, errorCode }) => ({
            ...verdict(txnOffsetCommitReactions, errorCode),
            of: place(name, partitionIndex),
          })),
        )
        const done = new Set(verdicts.filter(({ reaction }) => reaction === 'success').map((one) => one.of))
        left = left
          .map(({ name, partitions }) => ({
            name,
            partitions: partitions.filter(({ partitionIndex }) => !done.has(place(name, partitionIndex))),
          }))
          .filter(({ partitions }) => partitions.length > 0)
        const missing = left.flatMap(({ name, partitions }) =>
          partitions.map(({ partitionIndex }) => place(name, partitionIndex)),
        )
        return unlessMissing(TxnOffsetCommit.name, worst(verdicts), missing)
      },
      isWanted,
      onLost,
      ...(isV2 ? {} : { maxVersion: CLASSIC.txnOffsetCommit }),
    })
  }

  /**
   * Fulfilled with the identity for the next transaction, the same one in classic transactions. `mayTakeEffect` is told
   * true when the request is about to go out, and false when it was refused before anything can have come of it.
   */
  async endTxn(
    { identity, isV2, onLost }: Asker,
    committed: boolean,
    mayTakeEffect: (may: boolean) => void,
  ): Promise<ProducerIdAndEpoch> {
    let attempts = 0
    const { producerId, producerEpoch } = await this.#coordinator.request(EndTxn, {
      body: () => {
        attempts++
        mayTakeEffect(true)
        return { transactionalId: this.#transactionalId, ...identity, committed }
      },
      verdict: (response) => {
        const said = verdict(endTxnReactions, response.errorCode)
        if (said.reaction === 'success' && response.producerId >= 0n) givenIdentity(response, EndTxn.name)
        // A refusal says nothing of the attempts before it.
        if (attempts === 1 && isRefusal(said)) mayTakeEffect(false)
        return said
      },
      onLost,
      ...(isV2 ? {} : { maxVersion: CLASSIC.endTxn }),
    })
    return producerId >= 0n ? { producerId, producerEpoch } : identity
  }

  #group(groupId: string): Coordinator {
    let group = this.#groups.get(groupId)
    if (group === undefined) {
      group = new Coordinator('group', groupId, this.#parts)
      this.#groups.set(groupId, group)
      if (this.#isClosed) group.close()
    }
    return group
  }
}

function place(topic: string, partition: number): string {
  return `${topic}-${partition}`
}

function verdict(table: Table<CoordinatorReaction>, errorCode: number): Verdict {
  return { reaction: coordinatorReaction(table, errorCode), errorCode }
}

/** The coordinator knows the request, and will not do it; an error that it is not known for may have come too late. */
function isRefusal({ reaction, errorCode }: Verdict): boolean {
  return (reaction === 'fatal' || reaction === 'abortable') && errorByCode(errorCode).name in endTxnReactions
}

const bySeverity: readonly CoordinatorReaction[] = ['fatal', 'abortable', 'find', 'retry', 'success']

/** Of several answers in one, the one that decides. */
function worst(verdicts: readonly Verdict[]): Verdict {
  let decisive: Verdict = { reaction: 'success', errorCode: 0 }
  for (const one of verdicts) {
    if (bySeverity.indexOf(one.reaction) < bySeverity.indexOf(decisive.reaction)) decisive = one
  }
  return decisive
}

/** What an answer says nothing of has not been done; it is worth asking again. */
function unlessMissing(api: string, said: Verdict, missing: readonly string[]): Verdict {
  if (said.reaction !== 'success' || missing.length === 0) return said
  throw new ProtocolError(`a broker answered ${api} without a word on ${missing.join(', ')}`, {
    retriable: true,
  })
}
