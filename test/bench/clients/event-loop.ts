/**
 * How late the event loop of a service is that sends so many records/s, whatever is due each millisecond. Its own
 * timers are what is measured: V8's histogram counts from one tick of a millisecond to the next, so an idle process has
 * about 1.1 ms.
 */
import { randomBytes } from 'node:crypto'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer } from 'kafka-producer'
import { Arguments } from '../arguments.js'
import { compressionOptions, type Call, type Compressing } from './codec-calls.js'
import { jsonEvents } from './json-events.js'
import { libraries } from './libraries.js'
import { print } from './load.js'

const WARMUP_SECONDS = 1
/** Records that wait for their acknowledgement; where so many do, the application holds back: librdkafka holds 100,000. */
const MOST_WAITING = 90_000

interface Service {
  send(values: readonly Buffer[]): void
  close(): Promise<unknown>
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const library = args.string('library', 'kafka-producer')
  const bootstrapServers = args.string('bootstrapServers', '').split(',')
  const rate = args.number('rate', 100_000)
  const seconds = args.number('seconds', 5)
  const size = args.number('size', 100)
  const batchSize = args.number('batchSize', 16_384)
  const type = args.string('type', 'none') as Compressing | 'none'
  const call = args.string('call', 'default') as Call | 'default'
  args.done()
  const values = size === 100 ? Array.from({ length: 64 }, () => randomBytes(size)) : jsonEvents(size)
  let waiting = 0
  let failure: unknown

  async function open(): Promise<Service> {
    if (library === 'kafka-producer') {
      const producer = new Producer({
        bootstrapServers,
        batchSize,
        lingerMs: 5,
        ...compressionOptions(type, call),
      })
      const settled = (error: Error | null): void => {
        waiting--
        failure ??= error ?? undefined
      }
      const done = (): void => settled(null)
      return {
        send: (due) => {
          for (const value of due) producer.send({ topic: 'bench-0', value }).then(done, settled)
        },
        close: () => producer.close(),
      }
    }
    const load = libraries[library]
    if (load === undefined) throw new Error(`unknown library ${library}`)
    const sender = await load()({ bootstrapServers, topic: 'bench-0', lingerMs: 5 })
    return {
      send: (due) => {
        sender.send(due).then(
          () => {
            waiting -= due.length
          },
          (error: unknown) => {
            failure ??= error
          },
        )
      },
      close: () => sender.close(),
    }
  }

  const service = await open()
  let sent = 0
  const pace = async (duration: number): Promise<number> => {
    const start = performance.now()
    const first = sent
    let offered = 0
    for (let now = start; now < start + duration * 1000; now = performance.now()) {
      if (failure !== undefined) throw failure
      const due = Math.floor(((now - start) / 1000) * rate) - offered
      offered += due
      if (due > 0 && waiting + due <= MOST_WAITING) {
        waiting += due
        service.send(Array.from({ length: due }, () => values[sent++ % values.length] as Buffer))
      }
      await sleep(1)
    }
    return sent - first
  }

  await pace(WARMUP_SECONDS)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const cpu = process.cpuUsage()
  const records = await pace(seconds)
  const { user, system } = process.cpuUsage(cpu)
  delay.disable()
  await service.close()
  print({
    runtime: `Node ${process.versions.node}`,
    recordsPerSecond: records / seconds,
    cpuShare: (user + system) / 1e6 / seconds,
    p50Ms: delay.percentile(50) / 1e6,
    p99Ms: delay.percentile(99) / 1e6,
    p999Ms: delay.percentile(99.9) / 1e6,
    maxMs: delay.max / 1e6,
  })
  process.exit()
}

main().catch((error: unknown) => {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
