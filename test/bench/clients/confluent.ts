/**
 * @confluentinc/kafka-javascript under load. `array`: its promises, given arrays that are not awaited one by one;
 * `callback`: the interface of node-rdkafka, a delivery report for each record, of which one in 64 gives back a permit.
 */
import { measureArrays } from './arrays.js'
import type { Confluent } from './libraries.js'
import { keys, LOOKED_AT, print, readLoad, values, warmUp, type Load } from './load.js'
import { Meter } from '../meter.js'
import { requirePeer } from './peers.js'
import { Permits } from './permits.js'

interface CallbackProducer {
  connect(options: object, done: (error: Error | null) => void): void
  on(
    event: 'delivery-report',
    done: (error: Error | null, report: { readonly opaque?: unknown }) => void,
  ): void
  setPollInterval(ms: number): void
  produce(
    topic: string,
    partition: null,
    value: Buffer,
    key: string | null,
    timestamp: null,
    opaque: unknown,
    headers?: readonly object[],
  ): void
  flush(ms: number, done: (error: Error | null) => void): void
  disconnect(done: () => void): void
}

const { KafkaJS, Producer } = requirePeer('@confluentinc/kafka-javascript') as {
  KafkaJS: Confluent
  Producer: new (config: object) => CallbackProducer
}
const POLL_MS = 5
const FLUSH_MS = 60_000

function configOf(load: Load): object {
  return {
    'bootstrap.servers': load.bootstrapServers.join(','),
    'client.id': 'bench',
    'enable.idempotence': true,
    'linger.ms': load.lingerMs,
    'batch.size': load.batchSize,
    log_level: 0,
    ...(load.ca === '' ? {} : { 'security.protocol': 'ssl', 'ssl.ca.location': load.ca }),
  }
}

async function withArrays(load: Load): Promise<void> {
  const producer = new KafkaJS.Kafka({}).producer(configOf(load))
  await producer.connect()
  await measureArrays(load, (messages) => producer.send({ topic: load.topic, messages }))
  await producer.disconnect()
}

async function withCallbacks(load: Load): Promise<void> {
  const producer = new Producer({ ...configOf(load), dr_cb: true })
  await new Promise<void>((resolve, reject) => {
    producer.connect({}, (error) => {
      if (error === null) resolve()
      else reject(error)
    })
  })
  producer.setPollInterval(POLL_MS)
  const bytes = values(load.size)
  const names = load.keyed ? keys() : undefined
  let next = 0
  const permits = new Permits(Math.max(1, Math.floor(load.outstanding / LOOKED_AT)))
  let failure: Error | null = null
  producer.on('delivery-report', (error, { opaque }) => {
    failure ??= error
    if (opaque === LOOKED_AT) permits.giveBack()
  })
  const flush = (): Promise<void> =>
    new Promise((resolve, reject) => {
      producer.flush(FLUSH_MS, (error) => {
        if (error === null || (error as Error | undefined) === undefined) resolve()
        else reject(error)
      })
    })
  const send = async (records: number): Promise<void> => {
    for (let sent = 1; sent <= records; sent++) {
      const isLookedAt = sent % LOOKED_AT === 0
      if (isLookedAt) {
        await permits.take()
      }
      const index = next++
      const value = bytes[index % bytes.length] as Buffer
      const key = names === undefined ? null : (names[index % names.length] as string)
      const headers = names === undefined ? [] : [{ source: 'checkout' }]
      producer.produce(load.topic, null, value, key, null, isLookedAt ? LOOKED_AT : undefined, headers)
    }
    await flush()
    if (failure !== null) throw failure
  }

  const warmupRecords = await warmUp(load, send)
  const meter = new Meter()
  await send(load.records)
  print({ runtime: `Node ${process.versions.node}`, ...meter.stop(load.records), warmupRecords })
  await new Promise<void>((resolve) => producer.disconnect(resolve))
  process.exit()
}

const load = readLoad()
const run = load.loop === 'callback' ? withCallbacks : withArrays
run(load).catch((error: unknown) => {
  process.stderr.write(`Error: ${error instanceof Error ? error.message : String(error)}\n`)
  process.exit(1)
})
