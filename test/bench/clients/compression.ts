/**
 * This package compressing JSON events, by one engine: one of its own by name, or Node's zlib called synchronously, to
 * see what its thread pool is worth. `engine=?` prints which there are on this Node.
 */
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { gzipSync } from 'node:zlib'
import { Producer } from 'kafka-producer'
import { Arguments } from '../arguments.js'
import { Meter } from '../meter.js'
import { jsonEvents } from './json-events.js'
import { print } from './load.js'

interface Engine {
  readonly name: string
  readonly load: () => (bytes: Uint8Array, level: number) => Uint8Array | Promise<Uint8Array>
}
type Type = 'gzip' | 'snappy' | 'lz4' | 'zstd'

// Which engine is taken cannot be chosen from outside: the best that is there is.
const packed = createRequire(join(__dirname, '..', '..', '..', 'dist', 'index.js'))
const { engines } = packed('./records/compression.js') as {
  engines: Readonly<Record<Type, readonly Engine[]>>
}

const synchronous: Engine = {
  name: 'node:zlib, synchronous',
  load: () => (bytes, level) => gzipSync(bytes, { level }),
}

function allEngines(): { type: Type; engine: Engine }[] {
  const own = (['gzip', 'snappy', 'lz4', 'zstd'] as const).flatMap((type) =>
    engines[type].map((engine) => ({ type, engine })),
  )
  return [...own, { type: 'gzip', engine: synchronous }]
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const asked = { type: args.string('type', 'none'), engine: args.string('engine', '') }
  const bootstrapServers = args.string('bootstrapServers', '').split(',')
  const records = args.number('records', 100_000)
  const size = args.number('size', 1024)
  const batchSize = args.number('batchSize', 16_384)
  const outstanding = args.number('outstanding', 10_000)
  args.string('loop', '')
  args.done()
  if (asked.engine === '?') {
    print({ engines: allEngines().map(({ type, engine }) => ({ type, name: engine.name })) })
    return
  }
  const chosen = allEngines().find(({ type, engine }) => type === asked.type && engine.name === asked.engine)
  const compress = chosen?.engine.load()
  const producer = new Producer({
    bootstrapServers,
    lingerMs: 5,
    batchSize,
    ...(chosen === undefined || compress === undefined
      ? {}
      : {
          compressionType: chosen.type,
          codecs: {
            [chosen.type]: {
              compress: (bytes: Uint8Array, level: number | undefined) => compress(bytes, level ?? 0),
            },
          },
        }),
  })
  producer.on('deliveryError', (error) => {
    throw error
  })
  const events = jsonEvents(size)
  let sentBytes = 0
  const send = async (count: number): Promise<void> => {
    let left = count
    const task = async (): Promise<void> => {
      while (left > 0) {
        const value = events[left-- % events.length]!
        sentBytes += value.length
        await producer.send({ topic: 'bench-0', value })
      }
    }
    await Promise.all(Array.from({ length: outstanding }, task))
  }
  const warmupRecords = Math.ceil(records / 4)
  await send(warmupRecords)
  const warmupBytes = sentBytes
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const meter = new Meter()
  await send(records)
  await producer.flush()
  const measured = meter.stop(records)
  delay.disable()
  await producer.close()
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
