/**
 * Talks about one transaction with a cluster, and notes each answer in a word: an error's name, a base offset, or who
 * the producer is. Producer ids are p0, p1 and so on as they turn up, so that two clusters can be compared.
 */
import { setTimeout as delay } from 'node:timers/promises'
import {
  AddOffsetsToTxn,
  AddPartitionsToTxn,
  EndTxn,
  FindCoordinator,
  InitProducerId,
  TxnOffsetCommit,
} from '../../src/protocol/apis.js'
import { errorName } from '../../src/protocol/error-codes.js'
import type { RequestOf } from '../../src/protocol/schema.js'
import { batch, type BatchOptions, type RawClient } from './raw-client.js'

export interface Producer {
  readonly producerId: bigint
  readonly epoch: number
}

/** Where the talk takes place. */
export interface Setting {
  readonly client: RawClient
  readonly topic: string
  /** The first partition that belongs to this talk. */
  readonly firstPartition: number
  /** Of the transactional id and the group. */
  readonly name: string
}

interface Asking {
  readonly version?: number
  /** Who asks; default: who the last InitProducerId or EndTxn made of the producer. */
  readonly as?: Producer
  /** Note CONCURRENT_TRANSACTIONS too, where a client would come again. */
  readonly once?: boolean
}

/** What passes by itself in a real cluster. */
const PASSING = new Set([
  'CONCURRENT_TRANSACTIONS',
  'NOT_ENOUGH_REPLICAS',
  'COORDINATOR_NOT_AVAILABLE',
  'COORDINATOR_LOAD_IN_PROGRESS',
  'NOT_COORDINATOR',
  'NOT_LEADER_OR_FOLLOWER', // of a topic that was just created
])

export class TransactionTalk {
  readonly notes: string[] = []
  me: Producer = { producerId: -1n, epoch: -1 }
  transactionalId: string
  readonly groupId: string
  readonly client: RawClient
  readonly #setting: Setting
  readonly #seen: bigint[] = []

  constructor(setting: Setting) {
    this.#setting = setting
    this.client = setting.client
    this.transactionalId = `tx-${setting.name}`
    this.groupId = `group-${setting.name}`
  }

  /** The producer as it was some epochs ago, or will be. */
  later(epochs: number): Producer {
    return { ...this.me, epoch: this.me.epoch + epochs }
  }

  async find(keyType: number): Promise<void> {
    const key = keyType === 0 ? this.groupId : this.transactionalId
    await this.#note({}, async () => {
      const coordinatorKeys = [key]
      const answer = await this.client.request(FindCoordinator, 6, { key, keyType, coordinatorKeys })
      return errorName(answer.coordinators[0]!.errorCode)
    })
  }

  async init(asking: Asking & { timeoutMs?: number } = {}): Promise<void> {
    const { version = 5, as = { producerId: -1n, epoch: -1 } } = asking
    await this.#note(asking, async () => {
      const answer = await this.client.request(InitProducerId, version, {
        transactionalId: this.transactionalId,
        transactionTimeoutMs: asking.timeoutMs ?? 60_000,
        producerId: as.producerId,
        producerEpoch: as.epoch,
      })
      return this.#became(answer)
    })
  }

  async add(partitions: readonly number[], asking: Asking = {}): Promise<void> {
    const { version = 3, as = this.me } = asking
    const names = partitions.map((each) => this.#setting.firstPartition + each)
    await this.#note(asking, async () => {
      const answer = await this.client.request(AddPartitionsToTxn, version, {
        v3AndBelowTransactionalId: this.transactionalId,
        v3AndBelowProducerId: as.producerId,
        v3AndBelowProducerEpoch: as.epoch,
        v3AndBelowTopics: [{ name: this.#setting.topic, partitions: names }],
      })
      const rows = answer.resultsByTopicV3AndBelow[0]!.resultsByPartition
      const sorted = rows.toSorted((a, b) => a.partitionIndex - b.partitionIndex)
      return [...new Set(sorted.map((row) => errorName(row.partitionErrorCode)))].join(' ')
    })
  }

  async addOffsets(asking: Asking = {}): Promise<void> {
    const { version = 4, as = this.me } = asking
    await this.#note(asking, async () => {
      const answer = await this.client.request(AddOffsetsToTxn, version, {
        transactionalId: this.transactionalId,
        producerId: as.producerId,
        producerEpoch: as.epoch,
        groupId: this.groupId,
      })
      return errorName(answer.errorCode)
    })
  }

  /** One record; `Produce` version 12 where no other is asked for. */
  async produce(partition: number, options: BatchOptions & Asking = {}): Promise<void> {
    const { version = 12, as = this.me, once = false, ...rest } = options
    await this.#note({ once }, async () => {
      const bytes = batch({
        values: [`${as.epoch}`],
        attributes: 0x10,
        timestamp: 1_700_000_000_000,
        ...as,
        ...rest,
      })
      const { topic, firstPartition } = this.#setting
      const answer = await this.client.produce(bytes, {
        topic,
        partition: firstPartition + partition,
        version,
        transactionalId: this.transactionalId,
      })
      return answer.errorCode === 0 ? String(answer.baseOffset) : errorName(answer.errorCode)
    })
  }

  async commitOffsets(
    asking: Asking & Partial<RequestOf<typeof TxnOffsetCommit>> & { metadata?: string } = {},
  ): Promise<void> {
    const { version = 5, as = this.me, once, metadata = 'so far', ...rest } = asking
    await this.#note({ once: once ?? false }, async () => {
      const answer = await this.client.request(TxnOffsetCommit, version, {
        transactionalId: this.transactionalId,
        groupId: this.groupId,
        producerId: as.producerId,
        producerEpoch: as.epoch,
        generationId: -1,
        memberId: '',
        groupInstanceId: null,
        topics: [
          {
            name: this.#setting.topic,
            partitions: [
              {
                partitionIndex: this.#setting.firstPartition,
                committedOffset: 42n,
                committedLeaderEpoch: -1,
                committedMetadata: metadata,
              },
            ],
          },
        ],
        ...rest,
      })
      const rows = answer.topics.flatMap(({ partitions }) => partitions)
      return rows.map((row) => errorName(row.errorCode)).join(' ')
    })
  }

  async end(committed: boolean, asking: Asking = {}): Promise<void> {
    const { version = 5, as = this.me } = asking
    const ask = () =>
      this.client.request(EndTxn, version, {
        transactionalId: this.transactionalId,
        producerId: as.producerId,
        producerEpoch: as.epoch,
        committed,
      })
    await this.#note(asking, async () => {
      const answer = await ask()
      // The same request again has the same answer, but only once the markers are written.
      while (answer.errorCode === 0 && PASSING.has(errorName((await ask()).errorCode))) await delay(10)
      return this.#became(answer)
    })
  }

  #became(answer: { errorCode: number; producerId: bigint; producerEpoch: number }): string {
    const { errorCode, producerId, producerEpoch: epoch } = answer
    if (errorCode !== 0 || producerId === -1n) return errorName(errorCode)
    this.me = { producerId, epoch }
    if (!this.#seen.includes(producerId)) this.#seen.push(producerId)
    return `p${this.#seen.indexOf(producerId)}/${epoch}`
  }

  async #note({ once = false }: Asking, ask: () => Promise<string>): Promise<void> {
    const attempts = once ? 1 : 500
    let note = await ask()
    // Only a cluster that writes its markers later makes this wait.
    for (let i = 1; i < attempts && PASSING.has(note); i++) {
      await delay(10)
      note = await ask()
    }
    this.notes.push(note)
  }
}
