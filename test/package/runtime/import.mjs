// The package as an ES module sees it: names, default import, and one copy of the code whichever way it is loaded.
import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import kafka, { KafkaError, Producer, json } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'

const required = createRequire(import.meta.url)('kafka-producer')
assert.equal(kafka, required)
assert.equal(KafkaError, required.KafkaError)
const named = Object.keys(await import('kafka-producer')).filter(
  (name) => !['default', 'module.exports', '__esModule'].includes(name),
)
assert.deepEqual(named.sort(), Object.keys(required).sort())

const cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
const producer = new Producer({ bootstrapServers: cluster.bootstrapServers, valueSerializer: json() })
const { offset } = await producer.send({ topic: 'orders', key: 'k', value: { amount: 42 } })
assert.equal(offset, 0n)
assert.equal(String(cluster.records('orders')[0].value), '{"amount":42}')
await producer.close()
// By callback: what only a promise tells is warned of while nothing listens to 'deliveryError'.
const afterClose = await new Promise((resolve) => producer.send({ topic: 'orders', value: {} }, resolve))
assert(afterClose instanceof required.ProducerClosedError)
assert(afterClose instanceof KafkaError)
await cluster.close()
console.log('ok')
