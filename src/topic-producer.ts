/** A typed handle on one topic: one producer and its connections serve many kinds of records. */
import { functionArgument, optionsArgument } from './config/arguments.js'
import type { Serializers } from './config/config.js'
import type { KafkaError } from './errors.js'
import type { Partitioner } from './partitioner.js'
import type { RecordIntake, RecordTypes } from './producer/intake/record-intake.js'
import type { DeliveryCallback, Payload, ProducerRecord, RecordMetadata } from './record.js'

/** A handle's serializers and partitioner. */
export type TopicOptions<K, V> = Serializers<K, V> & { readonly partitioner?: Partitioner | undefined }

/** A handle's types: those of the producer, or what the options say and of the producer only the partitioner. @internal */
export function topicTypes<K, V>(types: RecordTypes, options: TopicOptions<K, V> | undefined): RecordTypes {
  if (options === undefined) return types
  const names = ['keySerializer', 'valueSerializer', 'partitioner'] as const
  const given = optionsArgument('topic', names, options)
  for (const name of names) if (given[name] !== undefined) functionArgument('topic', name, given[name])
  return {
    keySerializer: options.keySerializer as RecordTypes['keySerializer'],
    valueSerializer: options.valueSerializer as RecordTypes['valueSerializer'],
    partitioner: options.partitioner ?? types.partitioner,
  }
}

/** Sends records of one topic with serializers of its own; made by `producer.topic()`. */
export class TopicProducer<K = Payload, V = Payload> {
  /** The topic that the records go to. */
  readonly name: string
  readonly #intake: RecordIntake
  readonly #types: RecordTypes
  readonly #refusal: (() => KafkaError | null) | undefined

  /** `refusal` tells why nothing can be sent any more through this handle, or null. @internal */
  constructor(name: string, intake: RecordIntake, types: RecordTypes, refusal?: () => KafkaError | null) {
    this.name = name
    this.#intake = intake
    this.#types = types
    this.#refusal = refusal
  }

  /** As the producer's `send`, for this topic. */
  send(record: Omit<ProducerRecord<K, V>, 'topic'>): Promise<RecordMetadata>
  send(record: Omit<ProducerRecord<K, V>, 'topic'>, callback: DeliveryCallback): void
  send(
    record: Omit<ProducerRecord<K, V>, 'topic'>,
    callback?: DeliveryCallback,
  ): Promise<RecordMetadata> | undefined {
    return this.#intake.send(this.name, record, this.#types, callback, this.#refusal)
  }
}
