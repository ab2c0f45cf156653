/** The libraries for Node behind one face, for what is not their speed at full load: start, latency, a stall. */
import type * as KafkaProducer from 'kafka-producer'
import { requirePeer } from './peers.js'

export interface Opening {
  readonly bootstrapServers: string[]
  readonly topic: string
  readonly lingerMs: number
}

export interface Sender {
  /** Resolves when all of them are acknowledged. */
  send(values: readonly Buffer[]): Promise<unknown>
  close(): Promise<unknown>
}

type Open = (opening: Opening) => Promise<Sender> | Sender

/** Loads the library, and returns how a producer of it is opened. */
export const libraries: Readonly<Record<string, () => Open>> = {
  none: () => () => ({ send: () => Promise.resolve(), close: () => Promise.resolve() }),

  'kafka-producer': () => {
    const { Producer } = require('kafka-producer') as typeof KafkaProducer
    return ({ bootstrapServers, topic, lingerMs }) => {
      const producer = new Producer({ bootstrapServers, lingerMs })
      return {
        send: (values) =>
          values.length === 1
            ? producer.send({ topic, value: values[0]! })
            : Promise.all(values.map((value) => producer.send({ topic, value }))),
        close: () => producer.close(),
      }
    }
  },

  kafkajs: () => {
    const { Kafka, Partitioners } = requirePeer('kafkajs') as KafkaJs
    return async ({ bootstrapServers, topic }) => {
      const producer = new Kafka({ brokers: bootstrapServers }).producer({
        idempotent: true,
        maxInFlightRequests: 5,
        createPartitioner: Partitioners.DefaultPartitioner,
      })
      await producer.connect()
      return {
        send: (values) => producer.send({ topic, acks: -1, messages: values.map((value) => ({ value })) }),
        close: () => producer.disconnect(),
      }
    }
  },

  platformatic: () => {
    const { Producer } = requirePeer('@platformatic/kafka') as {
      Producer: new (options: object) => { send(batch: object): Promise<unknown>; close(): Promise<void> }
    }
    return ({ bootstrapServers, topic }) => {
      const producer = new Producer({
        clientId: 'bench',
        bootstrapBrokers: bootstrapServers,
        idempotent: true,
      })
      return {
        send: (values) => producer.send({ acks: -1, messages: values.map((value) => ({ topic, value })) }),
        close: () => producer.close(),
      }
    }
  },

  confluent: () => {
    const { KafkaJS } = requirePeer('@confluentinc/kafka-javascript') as { KafkaJS: Confluent }
    return async ({ bootstrapServers, topic, lingerMs }) => {
      const producer = new KafkaJS.Kafka({}).producer({
        'bootstrap.servers': bootstrapServers.join(','),
        'enable.idempotence': true,
        'linger.ms': lingerMs,
        log_level: 0,
      })
      await producer.connect()
      return {
        send: (values) => producer.send({ topic, messages: values.map((value) => ({ value })) }),
        close: () => producer.disconnect(),
      }
    }
  },
}

export interface KafkaJsProducer {
  connect(): Promise<void>
  disconnect(): Promise<void>
  send(batch: object): Promise<unknown>
}

export interface KafkaJs {
  readonly Kafka: new (config: object) => { producer(config: object): KafkaJsProducer }
  readonly Partitioners: { readonly DefaultPartitioner: unknown }
  readonly CompressionTypes: Readonly<Record<string, number>>
  readonly CompressionCodecs: Record<number, unknown>
}

/** The interface that it made like kafkajs's; options are librdkafka's. */
export interface Confluent {
  readonly Kafka: new (config: object) => { producer(config: object): KafkaJsProducer }
}
