/**
 * One producer keeps one thread busy. Where that is not enough, each worker thread has a producer of its own: here each
 * takes its share of the sensors, so that every sensor's readings stay in order.
 *
 *   npm run build:examples && node build/examples/worker-threads.js
 *
 * sends to brokers in this process; KAFKA_BOOTSTRAP=host:9092 to a cluster. WORKERS (2) and READINGS (20000 for each
 * worker) may be set.
 */
import { Worker, isMainThread, parentPort, workerData } from 'node:worker_threads'
import { Producer } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'

const workers = Number(process.env['WORKERS'] ?? 2)
const readings = Number(process.env['READINGS'] ?? 20_000)
const sensors = 100

interface Share {
  readonly index: number
  readonly bootstrapServers: string | readonly string[]
}

async function main(): Promise<void> {
  const bootstrap = process.env['KAFKA_BOOTSTRAP']
  const cluster =
    bootstrap === undefined ? await TestCluster.start({ topics: { readings: { partitions: 6 } } }) : undefined
  const bootstrapServers = bootstrap ?? cluster!.bootstrapServers
  const began = performance.now()
  const counts = await Promise.all(
    Array.from({ length: workers }, (_, index) => run({ index, bootstrapServers })),
  )
  const seconds = (performance.now() - began) / 1000
  const sum = counts.reduce((a, b) => a + b, 0)
  console.log(`${sum} readings acknowledged by ${workers} workers, ${Math.round(sum / seconds)} in a second`)
  await cluster?.close()
}

/** Starts a worker; resolves with what it got acknowledged. */
function run(share: Share): Promise<number> {
  return new Promise((resolve, reject) => {
    const worker = new Worker(__filename, { workerData: share })
    worker.once('message', resolve)
    worker.once('error', reject)
  })
}

async function work({ index, bootstrapServers }: Share): Promise<void> {
  const producer = new Producer({ bootstrapServers, clientId: `sensors-${index}`, lingerMs: 20 })
  let acknowledged = 0
  producer.on('deliveryError', (error) => console.error(error.message))
  for (let i = 0; i < readings; i++) {
    // Sensors of this worker: index, index + workers, and so on.
    const key = `sensor-${(i % sensors) * workers + index}`
    const sent = producer.send({ topic: 'readings', key, value: String(i) })
    void sent.then(
      () => acknowledged++,
      () => {},
    )
    if (i % 1000 === 999) await sent // no further ahead of the brokers than this
  }
  await producer.close()
  parentPort?.postMessage(acknowledged)
}

const done = isMainThread ? main() : work(workerData as Share)
done.catch((error: unknown) => {
  console.error(error)
  process.exitCode = 1
})
