// What a user writes; it must compile, and what must not compile must not, under every module resolution.
import {
  KafkaError,
  Producer,
  json,
  string,
  type Payload,
  type ProducerRecord,
  type RecordMetadata,
} from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'

interface OrderPaidEvent {
  type: 'OrderPaidEvent'
  orderId: string
  amount: number
}
interface Click {
  page: string
}
type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false
const holds = <_T extends true>(): void => undefined

const event: OrderPaidEvent = { type: 'OrderPaidEvent', orderId: '1', amount: 1 }
const order: { id: string; coupon?: string } = { id: 'a' }
const servers = ['a:9092', 'b:9092'] as const

export async function main(): Promise<void> {
  const cluster: TestCluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
  const producer = new Producer<string, OrderPaidEvent>({
    bootstrapServers: cluster.bootstrapServers,
    acks: 'all',
    valueSerializer: json(),
  })
  const metadata: RecordMetadata = await producer.send({ topic: 'orders', key: order.id, value: event })
  const offset: bigint = metadata.offset
  producer.send({ topic: 'orders', key: order.coupon, value: null }, (error, { partition }) => {
    if (error instanceof KafkaError) console.log(error.code, partition, offset)
  })
  // @ts-expect-error a click is no OrderPaidEvent
  void producer.send({ topic: 'orders', value: { page: '/' } })
  // @ts-expect-error the key is a string
  void producer.send({ topic: 'orders', key: 1, value: event })

  const clicks = producer.topic('clicks', { valueSerializer: json<Click>() })
  await clicks.send({ value: { page: '/' } })
  // @ts-expect-error the handle takes clicks only
  void clicks.send({ value: event })

  await producer.flush()
  await producer.close({ timeoutMs: 1000 })
  await cluster.close()
}

const inferred = new Producer({ bootstrapServers: servers, valueSerializer: json<OrderPaidEvent>() })
holds<Same<typeof inferred, Producer<Payload, OrderPaidEvent>>>()
const plain = new Producer({ bootstrapServers: 'a:9092' })
holds<Same<typeof plain, Producer>>()
const keyed = new Producer({ bootstrapServers: 'a:9092', keySerializer: string() })
holds<Same<typeof keyed, Producer<string, Payload>>>()
export const record: ProducerRecord<string, OrderPaidEvent> = { topic: 'orders', value: event }

// @ts-expect-error an OrderPaidEvent needs a serializer
new Producer<string, OrderPaidEvent>({ bootstrapServers: servers })
// @ts-expect-error misspelt
new Producer({ bootstrapServers: servers, lingerMS: 5 })
// @ts-expect-error no such acks
new Producer({ bootstrapServers: servers, acks: 2 })
