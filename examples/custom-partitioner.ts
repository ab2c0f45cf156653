/**
 * A partitioner of one's own: the biggest customer has partition 0 to itself, so its bursts delay nobody else;
 * everybody else is spread over the other partitions by the hash of the key.
 *
 *   npm run build:examples && node build/examples/custom-partitioner.js
 */
import { Producer, keyHash, type Partitioner } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'

const byHash = keyHash()

const acmeApart: Partitioner = (record, cluster) => {
  if (record.key === 'acme') return 0
  if (record.keyBytes === null || cluster.partitionCount === 1) return -1 // -1: the producer decides
  return 1 + byHash(record, { ...cluster, partitionCount: cluster.partitionCount - 1 })
}

async function main(): Promise<void> {
  const cluster = await TestCluster.start({ topics: { payments: { partitions: 4 } } })
  const producer = new Producer({ bootstrapServers: cluster.bootstrapServers, partitioner: acmeApart })
  try {
    const customers = ['acme', 'bolt', 'acme', 'crane', 'drill', 'bolt', 'acme']
    const sent = customers.map((key) => producer.send({ topic: 'payments', key, value: 'paid' }))
    for (const [i, { partition, offset }] of (await Promise.all(sent)).entries()) {
      console.log(`${customers[i]} -> partition ${partition}, offset ${offset}`)
    }
  } finally {
    await producer.close()
    await cluster.close()
  }
}

main().catch((error: unknown) => {
  console.error(error)
  process.exit(1)
})
