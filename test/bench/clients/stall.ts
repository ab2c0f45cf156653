/**
 * A service that offers records at a steady rate while nobody answers, and watches its memory. `awaiting`: each record
 * is awaited by a task of its own, which keeps coming at the same rate; otherwise nobody looks at what becomes of it.
 */
import { randomBytes } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer } from 'kafka-producer'
import { Arguments } from '../arguments.js'
import { libraries } from './libraries.js'
import { print } from './load.js'

const SAMPLE_MS = 100
const SETTLE_MS = 1000

interface Service {
  /** Sends records, and answers for none of them. */
  send(values: readonly Buffer[]): void
  /** Waits until all are settled; how many were acknowledged and how many failed. */
  settle(): Promise<{ acknowledged: number; failed: number }>
}

async function open(
  library: string,
  bootstrapServers: string[],
  awaiting: boolean,
  first: Buffer,
): Promise<Service> {
  if (library !== 'kafka-producer') {
    const load = libraries[library]
    if (load === undefined) throw new Error(`unknown library ${library}`)
    const sender = await load()({ bootstrapServers, topic: 'bench-0', lingerMs: 5 })
    await sender.send([first])
    let failed = 0
    return {
      send: (values) => {
        sender.send(values).catch(() => {
          failed += values.length
        })
      },
      // What they hold then takes minutes, and nobody is interested.
      settle: () => Promise.resolve({ acknowledged: Number.NaN, failed }),
    }
  }
  const producer = new Producer({ bootstrapServers, lingerMs: 5 })
  await producer.send({ topic: 'bench-0', value: first })
  let acknowledged = 0
  let failed = 0
  const task = async (value: Buffer): Promise<void> => {
    try {
      await producer.send({ topic: 'bench-0', value })
      acknowledged++
    } catch {
      failed++
    }
  }
  return {
    send: (values) => {
      for (const value of values) {
        if (awaiting) void task(value)
        else void producer.send({ topic: 'bench-0', value })
      }
    },
    settle: async () => {
      await producer.flush()
      await sleep(SETTLE_MS)
      const metrics = producer.metrics()
      await producer.close()
      if (awaiting) return { acknowledged, failed }
      // The first one, of the start, is not of the load.
      return { acknowledged: metrics.recordSendTotal - 1, failed: metrics.recordErrorTotal }
    },
  }
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const library = args.string('library', 'kafka-producer')
  const bootstrapServers = args.string('bootstrapServers', '').split(',')
  const awaiting = args.boolean('awaiting', false)
  const rate = args.number('rate', 200_000)
  const seconds = args.number('seconds', 10)
  const sinkPid = args.number('sinkPid', 0)
  /** Nobody answers from the start of the load on; otherwise late from the beginning. */
  const isSilent = args.boolean('isSilent', false)
  const values = Array.from({ length: 64 }, () => randomBytes(100))
  args.done()

  const service = await open(library, bootstrapServers, awaiting, values[0] as Buffer)
  await sleep(SETTLE_MS)
  const megabytes = (): number => process.memoryUsage.rss() / 2 ** 20
  const idleRssMB = megabytes()
  if (isSilent) process.kill(sinkPid, 'SIGUSR2')
  const start = performance.now()
  const elapsed = (): number => (performance.now() - start) / 1000
  const rss: [number, number][] = [[0, idleRssMB]]
  const sampler = setInterval(() => rss.push([elapsed(), megabytes()]), SAMPLE_MS)
  let sent = 0
  while (elapsed() < seconds) {
    const due = Math.floor(elapsed() * rate) - sent
    service.send(Array.from({ length: due }, (_, index) => values[(sent + index) % values.length] as Buffer))
    sent += due
    await sleep(1)
  }
  clearInterval(sampler)
  // From here on answers come as they should.
  process.kill(sinkPid, 'SIGUSR2')
  const highest = (from: number, to: number): number =>
    Math.max(...rss.filter(([at]) => at >= from && at < to).map(([, size]) => size))
  print({
    runtime: `Node ${process.versions.node}`,
    sent,
    ...(await service.settle()),
    idleRssMB,
    firstSecondsMB: highest(0, 3),
    laterMB: highest(3, Infinity),
    peakRssMB: process.resourceUsage().maxRSS / 1024,
    rss: rss.map(([at, size]) => [Number(at.toFixed(2)), Math.round(size)]),
  })
  process.exit()
}

main().catch((error: unknown) => {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
