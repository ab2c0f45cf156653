// Compiled by `npm run typecheck`, never run: what must compile, and what must not.
import { expectTypeOf } from 'vitest'
import type { ProducerConfig } from '../src/config/config.js'
import { configFromProperties } from '../src/config/config-properties.js'
import type { ProducerInterceptor } from '../src/interceptor.js'
import type { Producer } from '../src/producer.js'
import { keyHash, roundRobin, type Partitioner } from '../src/partitioner.js'
import type { Payload, ProducerRecord } from '../src/record.js'
import { bytes, int64, json, string } from '../src/serializer.js'
import type { Transaction } from '../src/transaction.js'

interface OrderPaidEvent {
  type: 'OrderPaidEvent'
  orderId: string
  amount: number
}
interface Click {
  page: string
}
/** How K and V are inferred from a config, as the constructor of Producer infers them. */
declare function typesOf<K = Payload, V = Payload>(config: ProducerConfig<K, V>): { key: K; value: V }

const plain = typesOf({ bootstrapServers: 'a:1' })
expectTypeOf(plain).toEqualTypeOf<{ key: Payload; value: Payload }>()

const values = typesOf({ bootstrapServers: ['a:1'], valueSerializer: json<OrderPaidEvent>() })
expectTypeOf(values).toEqualTypeOf<{ key: Payload; value: OrderPaidEvent }>()

const untyped = typesOf({ bootstrapServers: ['a:1'], valueSerializer: json() })
expectTypeOf(untyped).toEqualTypeOf<{ key: Payload; value: unknown }>()

const keys = typesOf({ bootstrapServers: 'a:1', keySerializer: string() })
expectTypeOf(keys).toEqualTypeOf<{ key: string; value: Payload }>()

const both = typesOf({ bootstrapServers: 'a:1', keySerializer: int64(), valueSerializer: bytes() })
expectTypeOf(both).toEqualTypeOf<{ key: bigint | number; value: Uint8Array }>()

const own = typesOf({ bootstrapServers: 'a:1', valueSerializer: (value: Click) => JSON.stringify(value) })
expectTypeOf(own).toEqualTypeOf<{ key: Payload; value: Click }>()

const later = typesOf({
  bootstrapServers: 'a:1',
  valueSerializer: async (value: Click) => Buffer.from(value.page),
})
expectTypeOf(later).toEqualTypeOf<{ key: Payload; value: Click }>()

typesOf<string, OrderPaidEvent>({ bootstrapServers: 'a:1', acks: 'all', valueSerializer: json() })
// @ts-expect-error json() is forgotten
typesOf<string, OrderPaidEvent>({ bootstrapServers: 'a:1' })
// @ts-expect-error a serializer of something else
typesOf<string, OrderPaidEvent>({ bootstrapServers: 'a:1', valueSerializer: json<Click>() })
// @ts-expect-error bootstrapServers is required
typesOf({})

const servers = ['a:1', 'b:1'] as const
typesOf({ bootstrapServers: servers })

// undefined is the same as absent, under exactOptionalPropertyTypes too.
const clientId: string | undefined = process.env['CLIENT_ID']
typesOf({ bootstrapServers: 'a:1', clientId, lingerMs: undefined, keySerializer: undefined, logger: console })

// @ts-expect-error a misspelt name
typesOf({ bootstrapServers: 'a:1', lingrMs: 5 })
// @ts-expect-error no such acks
typesOf({ bootstrapServers: 'a:1', acks: 2 })
// @ts-expect-error a string for a number
typesOf({ bootstrapServers: 'a:1', lingerMs: '5' })
// @ts-expect-error no such strategy
typesOf({ bootstrapServers: 'a:1', metadataRecoveryStrategy: 'never' })

// A partitioner sees the types of the producer, and does not change them.
const routed = typesOf({
  bootstrapServers: 'a:1',
  valueSerializer: json<Click>(),
  partitioner: ({ key, value }, { partitionCount }) => {
    expectTypeOf(key).toExtend<Payload>()
    // @ts-expect-error a key may be null
    void key.length
    return (value?.page.length ?? 0) % partitionCount
  },
})
expectTypeOf(routed).toEqualTypeOf<{ key: Payload; value: Click }>()
typesOf<string, Click>({ bootstrapServers: 'a:1', valueSerializer: json(), partitioner: keyHash() })
const partitioners: readonly Partitioner<string, Click>[] = [keyHash(), roundRobin()]
void partitioners

// An interceptor for any producer, and one for this producer's records.
const tracing: ProducerInterceptor = {
  onSend<K, V>(record: ProducerRecord<K, V>): ProducerRecord<K, V> {
    return { ...record, headers: { trace: 'x' } }
  },
}
const forAny = {
  onSend<K, V>(record: ProducerRecord<K, V>): ProducerRecord<K, V> {
    return { ...record, headers: { trace: 'x' } }
  },
  onAcknowledgement(): void {},
}
const clicksOnly: ProducerInterceptor<string, Click> = {
  onSend: (record) => ({ ...record, value: { page: record.value?.page ?? '/' } }),
}
void tracing
typesOf<string, Click>({
  bootstrapServers: 'a:1',
  valueSerializer: json(),
  interceptors: [forAny, clicksOnly],
})

// A file's settings, completed in code.
const fromFile = typesOf({ ...configFromProperties(''), valueSerializer: json<Click>() })
expectTypeOf(fromFile).toEqualTypeOf<{ key: Payload; value: Click }>()

// A transaction has the producer's types, and returns what its function returns.
declare const shop: Producer<string, Click>
expectTypeOf(
  shop.transaction(async (tx) => {
    expectTypeOf(tx).toEqualTypeOf<Transaction<string, Click>>()
    // @ts-expect-error: no Click
    void tx.send({ topic: 'clicks', value: { pages: 1 } })
    const sent = await tx.send({ topic: 'clicks', key: 'k', value: { page: '/' } })
    await tx.sendOffsetsToTransaction([{ topic: 't', partition: 0, offset: '1' }], { groupId: 'g' })
    return sent.offset
  }),
).toEqualTypeOf<Promise<bigint>>()
expectTypeOf(shop.transaction(() => 'x')).toEqualTypeOf<Promise<string>>()
