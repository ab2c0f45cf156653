// The package as CommonJS sees it.
const assert = require('node:assert/strict')
const { KafkaError, Producer } = require('kafka-producer')
const { TestCluster } = require('kafka-producer/testing')

async function main() {
  const imported = await import('kafka-producer')
  assert.equal(imported.Producer, Producer)

  const cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
  const producer = new Producer({ bootstrapServers: cluster.bootstrapServers })
  assert.equal((await producer.send({ topic: 'orders', value: 'paid' })).offset, 0n)
  producer.on('deliveryError', () => {})
  const refused = await producer.send({ topic: 'orders', value: { amount: 42 } }).catch((error) => error)
  assert(refused instanceof imported.SerializationError)
  assert(refused instanceof KafkaError)
  await producer.close()
  await cluster.close()
  assert.throws(() => new Producer({ bootstrapServers: [], lingerMS: 5 }), imported.ConfigError)
  assert.match(require('kafka-producer/package.json').version, /^\d/)
  console.log('ok')
}

main()
