/** This package in transactions of so many records, one transaction after the other. */
import { Producer, type KafkaError } from 'kafka-producer'
import { Arguments } from '../arguments.js'
import { Meter } from '../meter.js'
import { print, values } from './load.js'

const args = new Arguments(process.argv.slice(2))
const bootstrapServers = args.string('bootstrapServers', '')
const topic = args.string('topic', '')
const size = args.number('size', 100)
const records = args.number('records', 500_000)
const warmupRecords = args.number('warmupRecords', 100_000)
const perTransaction = args.number('perTransaction', 1000)
args.done()

function failed(error: Error): never {
  process.stderr.write(`${error.stack ?? error.message}\n`)
  process.exit(1)
}

async function main(): Promise<void> {
  const producer = new Producer({ bootstrapServers, clientId: 'bench', transactionalId: `bench-${topic}` })
  producer.on('deliveryError', failed)
  await producer.initTransactions()
  const bytes = values(size)
  const done = (error: KafkaError | null): void => {
    if (error !== null) failed(error)
  }
  const run = async (count: number): Promise<void> => {
    for (let sent = 0; sent < count;) {
      producer.beginTransaction()
      for (const end = Math.min(count, sent + perTransaction); sent < end; sent++) {
        producer.send({ topic, value: bytes[sent % bytes.length] as Buffer }, done)
      }
      await producer.commitTransaction()
    }
  }
  await run(warmupRecords)
  const meter = new Meter()
  await run(records)
  const measurement = meter.stop(records)
  await producer.close()
  print({
    runtime: `Node ${process.versions.node}`,
    ...measurement,
    warmupRecords,
    recordsPerTransaction: perTransaction,
  })
}

main().catch(failed)
