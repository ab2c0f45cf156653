/**
 * A process that sends as fast as it can, and never awaits, to a sink that stalls for seconds at random; some stalls are
 * longer than requestTimeoutMs, and some longer than deliveryTimeoutMs. Prints a JSON line with its memory every second and, at its end, a line of the results.
 *
 *   node --expose-gc build/campaigns/campaigns/stall-soak.js seconds=600 seed=1
 */
import { setImmediate as nextTurn, setTimeout as sleep } from 'node:timers/promises'
import v8 from 'node:v8'
import { Producer, type KafkaError } from 'kafka-producer'
import { Arguments } from '../bench/arguments.js'
import { Sink } from '../bench/processes.js'
import { seededRandom } from '../kafka/random.js'

const VALUE = Buffer.alloc(100, 'x')
const KEYS = Array.from({ length: 1000 }, (_, i) => `key-${i}`)
const SENDS_PER_TURN = 200

/** What is alive when nothing is on its way. */
export interface Quiet {
  readonly heapBytes: number
  readonly objects: number
  /** Buffers outside of V8's heap. */
  readonly bufferBytes: number
}

export interface SoakResult {
  readonly seconds: number
  readonly stalls: number
  readonly sent: number
  readonly acknowledged: number
  /** By code. */
  readonly failed: Readonly<Record<string, number>>
  readonly settledTwice: number
  /** After a third of the time, and at the end: sends paused, all flushed, garbage collected. */
  readonly quiet: readonly [Quiet, Quiet]
  /** Bytes, the highest of the seconds in the second third of the time, and in the last. */
  readonly peakRss: readonly [number, number]
  readonly bufferMemory: number
}

class Tally {
  sent = 0
  acknowledged = 0
  settledTwice = 0
  readonly failed: Record<string, number> = {}

  ended(error: KafkaError | null): void {
    if (error === null) this.acknowledged++
    else this.failed[error.code] = (this.failed[error.code] ?? 0) + 1
  }
}

function quiet(): Quiet {
  if (globalThis.gc === undefined) throw new Error('run it with --expose-gc')
  globalThis.gc()
  globalThis.gc()
  const { heapUsed, arrayBuffers } = process.memoryUsage()
  return {
    heapBytes: heapUsed,
    objects: v8.queryObjects(Object, { format: 'count' }),
    bufferBytes: arrayBuffers,
  }
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const seconds = args.number('seconds', 600)
  const random = seededRandom(args.number('seed', 1))
  args.done()

  const sink = await Sink.start({ topics: 1, partitions: 6, brokers: 1 })
  const { bootstrapServers, topics } = sink.address
  const topic = topics[0] ?? ''
  const bufferMemory = 32 * 1024 * 1024
  const producer = new Producer({
    bootstrapServers,
    bufferMemory,
    requestTimeoutMs: 2_000,
    deliveryTimeoutMs: 3_500,
    maxBlockMs: 3_000,
    logger: { debug() {}, info() {}, warn() {}, error() {} },
  })
  await producer.connect()

  const tally = new Tally()
  const state = { isSending: true, isOver: false, stalls: 0 }
  const peaks: number[] = []
  const startedAt = performance.now()

  /** Promises and callbacks by turns; nobody waits for either. */
  const sendAll = async (): Promise<void> => {
    while (!state.isOver) {
      for (let i = 0; state.isSending && i < SENDS_PER_TURN; i++) {
        const record = { topic, key: KEYS[tally.sent % KEYS.length] as string, value: VALUE }
        let hasEnded = false
        const ended = (error: KafkaError | null): void => {
          if (hasEnded) tally.settledTwice++
          hasEnded = true
          tally.ended(error)
        }
        if (tally.sent++ % 2 === 0) producer.send(record, ended)
        else producer.send(record).then(() => ended(null), ended)
      }
      await nextTurn()
    }
  }
  const stallSink = async (): Promise<void> => {
    while (!state.isOver) {
      await sleep(500 + random() * 2_500)
      sink.toggleStall()
      await sleep(500 + random() * 4_500)
      sink.toggleStall()
      state.stalls++
    }
  }
  const watch = async (): Promise<void> => {
    while (!state.isOver) {
      const rss = process.memoryUsage.rss()
      peaks.push(rss)
      const { bufferAvailableBytes, waitingRecords } = producer.metrics()
      const { sent, acknowledged } = tally
      const bufferUsed = bufferMemory - bufferAvailableBytes
      process.stdout.write(`${JSON.stringify({ rss, bufferUsed, waitingRecords, sent, acknowledged })}\n`)
      await sleep(1_000)
    }
  }
  const pauseAndLook = async (): Promise<Quiet> => {
    state.isSending = false
    await producer.flush()
    await nextTurn()
    return quiet()
  }

  const running = Promise.all([sendAll(), stallSink(), watch()])
  const third = (seconds * 1_000) / 3
  await sleep(third)
  const first = await pauseAndLook()
  state.isSending = true
  const warm = peaks.length
  await sleep(2 * third - (performance.now() - startedAt))
  const middle = peaks.length
  await sleep(3 * third - (performance.now() - startedAt))
  const last = await pauseAndLook()
  state.isOver = true
  await running
  await producer.close()
  sink.kill()
  const result: SoakResult = {
    seconds,
    stalls: state.stalls,
    sent: tally.sent,
    acknowledged: tally.acknowledged,
    failed: tally.failed,
    settledTwice: tally.settledTwice,
    quiet: [first, last],
    peakRss: [Math.max(...peaks.slice(warm, middle)), Math.max(...peaks.slice(middle))],
    bufferMemory,
  }
  process.stdout.write(`${JSON.stringify(result)}\n`)
}

main().catch((error: unknown) => {
  process.stderr.write(`${String(error)}\n`)
  process.exit(1)
})
