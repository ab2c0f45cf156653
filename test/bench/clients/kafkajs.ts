/** kafkajs under load: its idempotent producer, given arrays. */
import { measureArrays } from './arrays.js'
import type { KafkaJs } from './libraries.js'
import { readLoad } from './load.js'
import { requirePeer } from './peers.js'

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
