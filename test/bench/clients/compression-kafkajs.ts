/** kafkajs compressing the same JSON events, with its codec plugins; for zstd with zstd-codec, as its own is no longer built. */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Arguments } from '../arguments.js'
import { Meter } from '../meter.js'
import { jsonEvents } from './json-events.js'
import { print } from './load.js'
import { requirePeer } from './peers.js'

interface Codec {
  compress(encoder: { readonly buffer: Buffer }): Promise<Buffer>
}
interface KafkaJs {
  readonly Kafka: new (config: object) => {
    producer(config: object): {
      connect(): Promise<void>
      disconnect(): Promise<void>
      send(batch: object): Promise<unknown>
    }
  }
  readonly Partitioners: { readonly DefaultPartitioner: unknown }
  readonly CompressionTypes: Readonly<Record<string, number>>
  readonly CompressionCodecs: Record<number, unknown>
}

const ARRAY = 1000
const names: Readonly<Record<string, string>> = {
  none: 'None',
  gzip: 'GZIP',
  snappy: 'Snappy',
  lz4: 'LZ4',
  zstd: 'ZSTD',
}

/** What a service has to write itself today: zstd-codec's simple call. */
async function zstd(): Promise<() => Codec> {
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

async function main(): Promise<void> {
  const { Kafka, Partitioners, CompressionTypes, CompressionCodecs } = requirePeer('kafkajs') as KafkaJs
  const args = new Arguments(process.argv.slice(2))
  const type = args.string('type', 'none')
  const brokers = args.string('bootstrapServers', '').split(',')
  const records = args.number('records', 100_000)
  const size = args.number('size', 1024)
  const outstanding = args.number('outstanding', 10_000)
  args.string('engine', '')
  args.string('loop', '')
  args.number('batchSize', 0)
  args.done()
  const compression = CompressionTypes[names[type]!]!
  if (type === 'snappy') CompressionCodecs[compression] = requirePeer('kafkajs-snappy')
  if (type === 'lz4') {
    const Lz4 = requirePeer('kafkajs-lz4') as new () => { codec: unknown }
    CompressionCodecs[compression] = new Lz4().codec
  }
  if (type === 'zstd') CompressionCodecs[compression] = await zstd()

  const producer = new Kafka({ clientId: 'bench', brokers }).producer({
    idempotent: true,
    maxInFlightRequests: 5,
    createPartitioner: Partitioners.DefaultPartitioner,
  })
  await producer.connect()
  const events = jsonEvents(size)
  let sentBytes = 0
  const send = async (count: number): Promise<void> => {
    let left = count
    const task = async (): Promise<void> => {
      while (left > 0) {
        const messages: { value: Buffer }[] = []
        for (; messages.length < ARRAY && left > 0; left--) {
          const value = events[left % events.length]!
          sentBytes += value.length
          messages.push({ value })
        }
        await producer.send({ topic: 'bench-0', acks: -1, compression, messages })
      }
    }
    await Promise.all(Array.from({ length: Math.ceil(outstanding / ARRAY) }, task))
  }
  const warmupRecords = Math.ceil(records / 4)
  await send(warmupRecords)
  const warmupBytes = sentBytes
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const meter = new Meter()
  await send(records)
  const measured = meter.stop(records)
  delay.disable()
  await producer.disconnect()
  print({
    runtime: `Node ${process.versions.node}`,
    ...measured,
    warmupRecords,
    bytes: sentBytes - warmupBytes,
    allBytes: sentBytes,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
  })
}

void main()
