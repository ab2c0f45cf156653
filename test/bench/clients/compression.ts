/** This package compressing JSON events at full speed: a promise for every record, of which one in 64 is awaited. */
import { Producer } from 'kafka-producer'
import { Arguments } from '../arguments.js'
import { compressionOptions, type Call, type Compressing } from './codec-calls.js'
import { measureWindow } from './compression-window.js'
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
  const send = async (count: number): Promise<number> => {
    let sentBytes = 0
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
    return sentBytes
  }
  const measured = await measureWindow(send, { warmupRecords, records })
  const { compressionEngine } = producer.metrics()
  await producer.close()
  print({ ...measured, engine: compressionEngine })
}

void main()
