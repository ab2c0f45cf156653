/** @platformatic/kafka under load: its idempotent producer, given arrays. */
import { measureArrays } from './arrays.js'
import { readLoad } from './load.js'
import { requirePeer } from './peers.js'

interface PlatformaticKafka {
  readonly Producer: new (options: object) => {
    send(batch: { messages: object[]; acks: number }): Promise<unknown>
    close(): Promise<void>
  }
}

async function main(): Promise<void> {
  const { Producer } = requirePeer('@platformatic/kafka') as PlatformaticKafka
  const load = readLoad()
  const producer = new Producer({
    clientId: 'bench',
    bootstrapBrokers: load.bootstrapServers,
    idempotent: true,
    serializers: {
      key: (key: string | undefined) => (key === undefined ? undefined : Buffer.from(key)),
      value: (value: Buffer) => value,
      headerKey: (name: string) => Buffer.from(name),
      headerValue: (value: string) => Buffer.from(value),
    },
  })
  await measureArrays(load, (messages) =>
    producer.send({ acks: -1, messages: messages.map((message) => ({ topic: load.topic, ...message })) }),
  )
  await producer.close()
}

void main()
