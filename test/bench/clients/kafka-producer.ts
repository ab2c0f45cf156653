/** This package under load: a promise or a callback for each record, awaited seldom (lean, callback) or always (task). */
import { readFileSync } from 'node:fs'
import { Producer, type KafkaError, type ProducerRecord } from 'kafka-producer'
import { Meter } from '../meter.js'
import { keys, LOOKED_AT, print, readLoad, values, warmUp } from './load.js'
import { Permits } from './permits.js'
import { Profile } from './profile.js'

const load = readLoad()
const bytes = values(load.size)
let next = 0

/** Records as an application would write them: a new object each time. */
function recordsOf(): () => ProducerRecord {
  const { topic, spread } = load
  const value = (index: number): Buffer => bytes[index % bytes.length] as Buffer
  if (load.keyed) {
    const names = keys()
    return () => {
      const index = next++
      const key = names[index % names.length]
      return { topic, key, value: value(index), headers: { source: 'checkout' } }
    }
  }
  if (spread > 0) {
    return () => {
      const index = next++
      return { topic, partition: index % spread, value: value(index) }
    }
  }
  if (load.topics > 1) {
    const topics = Array.from({ length: load.topics }, (_, index) => `bench-${index}`)
    return () => {
      const index = next++
      return { topic: topics[index % topics.length] as string, value: value(index) }
    }
  }
  return () => ({ topic, value: value(next++) })
}

const record = recordsOf()

/** A promise for every record, of which one in 64 is awaited, when `outstanding` others were sent after it. */
async function sendLean(producer: Producer, records: number): Promise<void> {
  const length = Math.max(1, Math.floor(load.outstanding / LOOKED_AT))
  const waiting = Array.from<Promise<unknown> | undefined>({ length })
  for (let sent = 1; sent <= records; sent++) {
    if (sent % LOOKED_AT !== 0) {
      void producer.send(record())
      continue
    }
    const slot = (sent / LOOKED_AT) % length
    await waiting[slot]
    waiting[slot] = producer.send(record())
  }
}

/** The same by callbacks; the ones that are looked at give back a permit, as the Java client's do. */
async function sendWithCallbacks(producer: Producer, records: number): Promise<void> {
  const permits = new Permits(Math.max(1, Math.floor(load.outstanding / LOOKED_AT)))
  const seldomLookedAt = (error: KafkaError | null): void => {
    if (error !== null) failed(error)
  }
  const lookedAt = (error: KafkaError | null): void => {
    if (error !== null) failed(error)
    permits.giveBack()
  }
  for (let sent = 1; sent <= records; sent++) {
    if (sent % LOOKED_AT !== 0) {
      producer.send(record(), seldomLookedAt)
      continue
    }
    await permits.take()
    producer.send(record(), lookedAt)
  }
}

/** Each record awaited by a task of its own, `outstanding` tasks at a time. */
async function sendFromTasks(producer: Producer, records: number): Promise<void> {
  let left = records
  const task = async (): Promise<void> => {
    while (left-- > 0) await producer.send(record())
  }
  await Promise.all(Array.from({ length: load.outstanding }, task))
}

const loops: Record<string, typeof sendLean> = {
  lean: sendLean,
  callback: sendWithCallbacks,
  task: sendFromTasks,
}

function failed(error: Error): never {
  process.stderr.write(`${error.stack ?? error.message}\n`)
  process.exit(1)
}

async function main(): Promise<void> {
  const send = loops[load.loop]
  if (send === undefined) throw new Error(`kafka-producer has no loop ${load.loop}`)
  const producer = new Producer({
    bootstrapServers: load.bootstrapServers,
    clientId: 'bench',
    acks: 'all',
    lingerMs: load.lingerMs,
    batchSize: load.batchSize,
    bufferMemory: load.bufferMemory,
    ...(load.ca === '' ? {} : { ssl: { ca: readFileSync(load.ca) } }),
  })
  producer.on('deliveryError', failed)

  // What is sent before the metadata is there waits; with so many on their way that is more than may wait.
  for (let topic = 0; topic < load.topics; topic++) await producer.send(record())
  const warmupRecords = load.topics + (await warmUp(load, (records) => send(producer, records)))
  await producer.flush()

  const profile =
    load.profile === 'cpu' || load.profile === 'heap'
      ? new Profile(load.profile, load.profileFile)
      : undefined
  await profile?.start()
  const meter = new Meter()
  await send(producer, load.records)
  await producer.flush()
  const measurement = meter.stop(load.records)
  const functions = await profile?.stop()
  await producer.close()
  print({
    runtime: `Node ${process.versions.node}`,
    ...measurement,
    warmupRecords,
    ...(functions === undefined ? {} : { functions }),
  })
}

main().catch(failed)
