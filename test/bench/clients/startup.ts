/** How long a library takes from nothing to its first acknowledged record; the parent knows when the process was started. */
import type * as KafkaProducer from 'kafka-producer'
import { Arguments } from '../arguments.js'
import { print } from './load.js'
import { requirePeer } from './peers.js'

const value = Buffer.alloc(100, 'x')

interface Sender {
  send(topic: string): Promise<unknown>
  close(): Promise<unknown>
}

type Open = (bootstrapServers: string[]) => Promise<Sender> | Sender

/** Loads the library, and returns how a producer of it is opened. */
const libraries: Record<string, () => Open> = {
  none: () => () => ({ send: () => Promise.resolve(), close: () => Promise.resolve() }),

  'kafka-producer': () => {
    const { Producer } = require('kafka-producer') as typeof KafkaProducer
    return (bootstrapServers) => {
      const producer = new Producer({ bootstrapServers })
      return { send: (topic) => producer.send({ topic, value }), close: () => producer.close() }
    }
  },

  kafkajs: () => {
    const { Kafka, Partitioners } = requirePeer('kafkajs') as {
      Kafka: new (config: object) => { producer(config: object): KafkaJsProducer }
      Partitioners: { DefaultPartitioner: unknown }
    }
    return async (brokers) => {
      const createPartitioner = Partitioners.DefaultPartitioner
      const producer = new Kafka({ brokers }).producer({ idempotent: true, createPartitioner })
      await producer.connect()
      return {
        send: (topic) => producer.send({ topic, messages: [{ value }] }),
        close: () => producer.disconnect(),
      }
    }
  },

  platformatic: () => {
    const { Producer } = requirePeer('@platformatic/kafka') as {
      Producer: new (options: object) => { send(batch: object): Promise<unknown>; close(): Promise<void> }
    }
    return (bootstrapBrokers) => {
      const producer = new Producer({ clientId: 'bench', bootstrapBrokers, idempotent: true })
      return {
        send: (topic) => producer.send({ acks: -1, messages: [{ topic, value }] }),
        close: () => producer.close(),
      }
    }
  },
}

interface KafkaJsProducer {
  connect(): Promise<void>
  disconnect(): Promise<void>
  send(batch: object): Promise<unknown>
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const name = args.string('library', 'none')
  const bootstrapServers = args.string('bootstrapServers', '').split(',')
  const topic = args.string('topic', 'bench-0')
  args.done()

  const load = libraries[name]
  if (load === undefined) throw new Error(`unknown library ${name}`)
  const before = performance.now()
  const open = load()
  const importMs = performance.now() - before
  const sender = await open(bootstrapServers)
  await sender.send(topic)
  const ackAt = performance.timeOrigin + performance.now()
  const closing = performance.now()
  await sender.close()
  print({ importMs, ackAt, closeMs: performance.now() - closing })
}

void main()
