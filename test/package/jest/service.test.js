// A service's test as Jest runs it by default: CommonJS, both entries.
const { KafkaError, Producer, json } = require('kafka-producer')
const { TestCluster } = require('kafka-producer/testing')

test('an order is announced', async () => {
  const cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
  const producer = new Producer({ bootstrapServers: cluster.bootstrapServers, valueSerializer: json() })
  await producer.send({ topic: 'orders', key: 'order-1', value: { type: 'OrderPaidEvent' } })
  expect(JSON.parse(cluster.records('orders')[0].value.toString())).toEqual({ type: 'OrderPaidEvent' })
  await producer.close()
  await expect(producer.send({ topic: 'orders', value: 1 })).rejects.toBeInstanceOf(KafkaError)
  await cluster.close()
})
