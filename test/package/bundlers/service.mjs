// A service that sends with each codec, for the bundlers; it prints the engines, and the name of an error.
import { Producer } from 'kafka-producer'

const [bootstrapServers] = process.argv.slice(2)
const value = 'paid '.repeat(2000)

async function main() {
  const engines = []
  for (const compressionType of ['none', 'gzip', 'snappy', 'lz4', 'zstd']) {
    const producer = new Producer({ bootstrapServers, compressionType })
    await producer.send({ topic: 'orders', key: compressionType, value })
    engines.push(producer.metrics().compressionEngine)
    await producer.close()
  }
  console.log(JSON.stringify({ engines, name: errorName() }))
}

function errorName() {
  try {
    return new Producer({}).toString()
  } catch (error) {
    return error.name
  }
}

void main()
