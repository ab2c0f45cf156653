/** A typed handle on one topic: one producer and its connections serve many kinds of records. */
import type { RecordIntake, RecordTypes } from './producer/record-intake.js'
import type { DeliveryCallback, Payload, ProducerRecord, RecordMetadata } from './record.js'

/** Sends records of one topic with serializers of its own; made by `producer.topic()`. */
export class TopicProducer<K = Payload, V = Payload> {
  /** The topic that the records go to. */
  readonly name: string
  readonly #intake: RecordIntake
  readonly #types: RecordTypes

  /** @internal */
  constructor(name: string, intake: RecordIntake, types: RecordTypes) {
    this.name = name
    this.#intake = intake
    this.#types = types
  }

  /** As the producer's `send`, for this topic. */
  send(record: Omit<ProducerRecord<K, V>, 'topic'>): Promise<RecordMetadata>
  send(record: Omit<ProducerRecord<K, V>, 'topic'>, callback: DeliveryCallback): void
  send(
    record: Omit<ProducerRecord<K, V>, 'topic'>,
    callback?: DeliveryCallback,
  ): Promise<RecordMetadata> | undefined {
    return this.#intake.send(this.name, record, this.#types, callback)
  }
}
