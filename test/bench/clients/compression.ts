/** This package compressing JSON events at full speed: a promise for every record, of which one in 64 is awaited. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Producer } from 'kafka-producer'
import { Arguments } from '../arguments.js'
import { Meter } from '../meter.js'
import { compressionOptions, type Call, type Compressing } from './codec-calls.js'
import { jsonEvents } from './json-events.js'
import { LOOKED_AT, print } from './load.js'

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const type = args.string('type', 'none') as Compressing | 'none'
  const call = args.string('call', 'default') as Call | 'default'
  const bootstrapServers = args.string('bootstrapServers', '').split(',')
  const records = args.number('records', 100_000)
  const warmupRecords = args.number('warmupRecords', 50_000)
  const events = jsonEvents(args.number('size', 1024))
  const batchSize = args.number('batchSize', 131_072)
  const outstanding = args.number('outstanding', 10_000)
  args.string('loop', '')
  args.done()
  const producer = new Producer({
    bootstrapServers,
    lingerMs: 5,
    batchSize,
    ...compressionOptions(type, call),
  })
  producer.on('deliveryError', (error) => {
    throw error
  })
  let sentBytes = 0
  const send = async (count: number): Promise<void> => {
    const length = Math.floor(outstanding / LOOKED_AT)
    const waiting = Array.from<Promise<unknown> | undefined>({ length })
    for (let sent = 1; sent <= count; sent++) {
      const value = events[sent % events.length]!
      sentBytes += value.length
      const promise = producer.send({ topic: 'bench-0', value })
      if (sent % LOOKED_AT !== 0) continue
      const slot = (sent / LOOKED_AT) % length
      await waiting[slot]
      waiting[slot] = promise
    }
    await producer.flush()
  }
  await send(warmupRecords)
  const warmupBytes = sentBytes
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const meter = new Meter()
  await send(records)
  const measured = meter.stop(records)
  delay.disable()
  const { compressionEngine } = producer.metrics()
  await producer.close()
  print({
    runtime: `Node ${process.versions.node}`,
    ...measured,
    warmupRecords,
    engine: compressionEngine,
    bytes: sentBytes - warmupBytes,
    allBytes: sentBytes,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
  })
}

void main()
