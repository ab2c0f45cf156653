/** kafkajs under load: its idempotent producer, given arrays. */
import { measureArrays, type Message } from './arrays.js'
import { readLoad } from './load.js'
import { requirePeer } from './peers.js'

interface KafkaJs {
  readonly Kafka: new (config: object) => {
    producer(config: object): {
      connect(): Promise<void>
      disconnect(): Promise<void>
      send(batch: { topic: string; acks: number; messages: Message[] }): Promise<unknown>
    }
  }
  readonly Partitioners: { readonly DefaultPartitioner: unknown }
}

async function main(): Promise<void> {
  const { Kafka, Partitioners } = requirePeer('kafkajs') as KafkaJs
  const load = readLoad()
  const producer = new Kafka({ clientId: 'bench', brokers: load.bootstrapServers }).producer({
    idempotent: true,
    maxInFlightRequests: 5,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  await measureArrays(load, (messages) => producer.send({ topic: load.topic, acks: -1, messages }))
  await producer.disconnect()
}

void main()
