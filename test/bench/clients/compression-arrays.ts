/**
 * kafkajs and @platformatic/kafka compressing the same JSON events, given arrays. An array goes round six partitions,
 * so that 750 records make batches of 128 KiB. kafkajs has its codec plugins; for zstd it gets zstd-codec, as its own
 * plugin is no longer built.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { Arguments } from '../arguments.js'
import { measureWindow } from './compression-window.js'
import { jsonEvents } from './json-events.js'
import type { KafkaJs } from './libraries.js'
import { print } from './load.js'
import { requirePeer } from './peers.js'

interface Arrays {
  readonly send: (values: readonly Buffer[]) => Promise<unknown>
  readonly close: () => Promise<unknown>
}
interface KafkaJsCodec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
}

const ARRAY = 750
const kafkajsNames: Readonly<Record<string, string>> = {
  none: 'None',
  gzip: 'GZIP',
  snappy: 'Snappy',
  lz4: 'LZ4',
  zstd: 'ZSTD',
}

/** What a service has to write itself today: zstd-codec's simple call. */
async function zstdForKafkajs(): Promise<() => KafkaJsCodec> {
  const packed = createRequire(join(__dirname, '..', '..', '..', 'dist', 'index.js'))
  const { ZstdCodec } = packed('zstd-codec') as {
    ZstdCodec: {
      run(started: (zstd: { Simple: new () => { compress(bytes: Uint8Array): Uint8Array } }) => void): void
    }
  }
  return new Promise((resolve) => {
    ZstdCodec.run(({ Simple }) => {
      const simple = new Simple()
      resolve(() => ({
        compress: (encoder) => Promise.resolve(Buffer.from(simple.compress(encoder.buffer))),
      }))
    })
  })
}

async function kafkajs(brokers: string[], type: string): Promise<Arrays> {
  const { Kafka, Partitioners, CompressionTypes, CompressionCodecs } = requirePeer('kafkajs') as KafkaJs
  const compression = CompressionTypes[kafkajsNames[type]!]!
  if (type === 'snappy') CompressionCodecs[compression] = requirePeer('kafkajs-snappy')
  if (type === 'lz4') {
    const Lz4 = requirePeer('kafkajs-lz4') as new () => { codec: unknown }
    CompressionCodecs[compression] = new Lz4().codec
  }
  if (type === 'zstd') CompressionCodecs[compression] = await zstdForKafkajs()
  const producer = new Kafka({ clientId: 'bench', brokers }).producer({
    idempotent: true,
    maxInFlightRequests: 5,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  return {
    send: (values) =>
      producer.send({
        topic: 'bench-0',
        acks: -1,
        compression,
        messages: values.map((value) => ({ value })),
      }),
    close: () => producer.disconnect(),
  }
}

function platformatic(bootstrapBrokers: string[], compression: string): Promise<Arrays> {
  const { Producer } = requirePeer('@platformatic/kafka') as {
    Producer: new (options: object) => { send(batch: object): Promise<unknown>; close(): Promise<void> }
  }
  const producer = new Producer({ clientId: 'bench', bootstrapBrokers, idempotent: true, compression })
  return Promise.resolve({
    send: (values) =>
      producer.send({ acks: -1, messages: values.map((value) => ({ topic: 'bench-0', value })) }),
    close: () => producer.close(),
  })
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const library = args.string('library', 'kafkajs')
  const type = args.string('type', 'none')
  const brokers = args.string('bootstrapServers', '').split(',')
  const records = args.number('records', 100_000)
  const warmupRecords = args.number('warmupRecords', 20_000)
  const events = jsonEvents(args.number('size', 1024))
  const outstanding = args.number('outstanding', 10_000)
  args.string('loop', '')
  args.string('call', '')
  args.number('batchSize', 0)
  args.done()
  const arrays = await (library === 'kafkajs' ? kafkajs(brokers, type) : platformatic(brokers, type))
  const send = async (count: number): Promise<number> => {
    let sentBytes = 0
    let left = count
    const task = async (): Promise<void> => {
      while (left > 0) {
        const values: Buffer[] = []
        for (; values.length < ARRAY && left > 0; left--) {
          const value = events[left % events.length]!
          sentBytes += value.length
          values.push(value)
        }
        await arrays.send(values)
      }
    }
    await Promise.all(Array.from({ length: Math.ceil(outstanding / ARRAY) }, task))
    return sentBytes
  }
  const measured = await measureWindow(send, { warmupRecords, records })
  await arrays.close()
  print(measured)
}

main().catch((error: unknown) => {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
