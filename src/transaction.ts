/** What the function given to `producer.transaction()` works with: everything it sends belongs to its transaction. */
import type { ConsumedOffsets, ConsumerGroupMetadata } from './consumer-offsets.js'
import { IllegalStateError } from './errors.js'
import type { RecordIntake, RecordTypes } from './producer/intake/record-intake.js'
import type { TransactionManager } from './producer/transactions/transaction-manager.js'
import type { DeliveryCallback, Payload, ProducerRecord, RecordMetadata } from './record.js'
import { TopicProducer, topicTypes, type TopicOptions } from './topic-producer.js'

/** One transaction; dead once the function that was given it has settled. */
export class Transaction<K = Payload, V = Payload> {
  readonly #intake: RecordIntake
  readonly #types: RecordTypes
  readonly #manager: TransactionManager
  #isOver = false

  /** @internal */
  constructor(intake: RecordIntake, types: RecordTypes, manager: TransactionManager) {
    this.#intake = intake
    this.#types = types
    this.#manager = manager
  }

  /** As the producer's `send`. A record that fails makes the commit fail, awaited or not. */
  send(record: ProducerRecord<K, V>): Promise<RecordMetadata>
  send(record: ProducerRecord<K, V>, callback: DeliveryCallback): void
  send(record: ProducerRecord<K, V>, callback?: DeliveryCallback): Promise<RecordMetadata> | undefined {
    return this.#intake.send(null, record, this.#types, callback, this.#refusal)
  }

  /** A handle on one topic that is as dead as the transaction once that is over; see the producer's `topic`. */
  topic(name: string): TopicProducer<K, V>
  topic<TK = Payload, TV = Payload>(name: string, options: TopicOptions<TK, TV>): TopicProducer<TK, TV>
  topic<TK, TV>(name: string, options?: TopicOptions<TK, TV>): TopicProducer<TK, TV> {
    return new TopicProducer(name, this.#intake, topicTypes(this.#types, options), this.#refusal)
  }

  /** As the producer's `sendOffsetsToTransaction`; it makes the commit fail when it fails, awaited or not. */
  sendOffsetsToTransaction(offsets: ConsumedOffsets, groupMetadata: ConsumerGroupMetadata): Promise<void> {
    try {
      const refusal = this.#refusal()
      if (refusal !== null) throw refusal
      return this.#manager.sendOffsets(offsets, groupMetadata)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /** Nothing more may be done with it. @internal */
  end(): void {
    this.#isOver = true
  }

  readonly #refusal = (): IllegalStateError | null =>
    this.#isOver
      ? new IllegalStateError('the function given to transaction() has ended, and its transaction with it')
      : null
}
