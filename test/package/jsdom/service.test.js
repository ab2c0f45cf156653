// A service's test in a jsdom environment, under Jest and vitest with globals: timers and arrays are the window's.
const { Producer, bytes } = require('kafka-producer')
const { TestCluster } = require('kafka-producer/testing')

test('orders are announced with each codec', async () => {
  expect(typeof window.document).toBe('object')
  const cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
  const value = Buffer.from('paid '.repeat(2000))
  const types = ['none', 'gzip', 'snappy', 'lz4', 'zstd']
  for (const compressionType of types) {
    const errors = []
    const logger = {
      debug() {},
      info() {},
      warn: (...line) => errors.push(line),
      error: (...line) => errors.push(line),
    }
    const producer = new Producer({
      bootstrapServers: cluster.bootstrapServers,
      compressionType,
      valueSerializer: bytes(),
      logger,
    })
    await producer.send({
      topic: 'orders',
      key: Buffer.from('order'),
      value,
      headers: { type: Buffer.from('paid') },
    })
    await producer.close()
    expect(errors).toEqual([])
  }
  expect(cluster.records('orders').map((record) => record.value.toString())).toEqual(
    types.map(() => value.toString()),
  )
  await cluster.close()
})
