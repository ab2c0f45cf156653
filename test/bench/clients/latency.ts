/**
 * From `send` to the acknowledgement of single records, without linger. `paced`: so many records/s, whatever is due each
 * millisecond; `awaited`: the next is sent when the one before is acknowledged.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Arguments } from '../arguments.js'
import { libraries, type Sender } from './libraries.js'
import { print } from './load.js'

interface Result {
  readonly latencies: Float64Array
  readonly seconds: number
}

async function paced(sender: Sender, value: Buffer, rate: number, seconds: number): Promise<Result> {
  const records = rate * seconds
  const latencies = new Float64Array(records)
  const start = performance.now()
  let sent = 0
  const all: Promise<void>[] = []
  const one = async (index: number): Promise<void> => {
    const sentAt = performance.now()
    await sender.send([value])
    latencies[index] = performance.now() - sentAt
  }
  while (sent < records) {
    const due = Math.min(records, Math.floor(((performance.now() - start) / 1000) * rate))
    while (sent < due) all.push(one(sent++))
    await sleep(1)
  }
  await Promise.all(all)
  return { latencies, seconds: (performance.now() - start) / 1000 }
}

async function awaited(sender: Sender, value: Buffer, seconds: number): Promise<Result> {
  const latencies: number[] = []
  const start = performance.now()
  const end = start + seconds * 1000
  for (let sentAt = start; sentAt < end;) {
    await sender.send([value])
    const now = performance.now()
    latencies.push(now - sentAt)
    sentAt = now
  }
  return { latencies: Float64Array.from(latencies), seconds: (performance.now() - start) / 1000 }
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const name = args.string('library', 'kafka-producer')
  const bootstrapServers = args.string('bootstrapServers', '').split(',')
  const topic = args.string('topic', 'bench-0')
  const loop = args.string('loop', 'paced')
  const rate = args.number('rate', 2000)
  const seconds = args.number('seconds', 10)
  const warmupSeconds = args.number('warmupMs', 3000) / 1000
  const value = randomBytes(args.number('size', 100))
  args.done()

  const load = libraries[name]
  if (load === undefined) throw new Error(`unknown library ${name}`)
  const sender = await load()({ bootstrapServers, topic, lingerMs: 0 })
  const run = (duration: number): Promise<Result> =>
    loop === 'paced' ? paced(sender, value, rate, duration) : awaited(sender, value, duration)
  await run(warmupSeconds)
  const cpu = process.cpuUsage()
  const result = await run(seconds)
  const { user, system } = process.cpuUsage(cpu)
  const sorted = result.latencies.sort()
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))] ?? Number.NaN
  await sender.close()
  print({
    runtime: `Node ${process.versions.node}`,
    records: sorted.length,
    recordsPerSecond: sorted.length / result.seconds,
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: at(1),
    cpuSecondsPerMillion: (user + system) / sorted.length,
  })
}

main().catch((error: unknown) => {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
