// What a producer loads to compress, and which engine it is where the optional packages are missing or broken.
const assert = require('node:assert/strict')
const { Producer } = require('kafka-producer')
const { TestCluster } = require('kafka-producer/testing')

const [state] = process.argv.slice(2)
const hasOwnZstd = require('node:zlib').zstdCompress !== undefined
const engines = {
  none: null,
  gzip: 'node:zlib',
  snappy: 'snappyjs',
  lz4: 'lz4js',
  zstd: hasOwnZstd ? 'node:zlib' : 'zstd-codec',
}

/** The codec packages of which a file is loaded. */
function loaded() {
  const names = Object.keys(require.cache).map(
    (file) => /node_modules[\\/](snappyjs|snappy|lz4js|lz4-napi|zstd-codec)[\\/]/.exec(file)?.[1],
  )
  return [...new Set(names.filter((name) => name !== undefined))].sort()
}

async function main() {
  const cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
  const log = []
  const write = (level) => (message) => void log.push(`${level}: ${message}`)
  const logger = { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
  const make = (compressionType) =>
    new Producer({ bootstrapServers: cluster.bootstrapServers, compressionType, logger })
  const value = 'paid '.repeat(200)

  for (const [type, engine] of Object.entries(engines)) {
    const producer = make(type)
    assert.equal(producer.metrics().compressionEngine, engine)
    // 0.7 MB of WebAssembly: not before there is something to compress.
    assert(!loaded().includes('zstd-codec'))
    await producer.send({ topic: 'orders', value })
    await producer.close()
    if (type === 'none' || type === 'gzip') assert.deepEqual(loaded(), [])
    if (engine !== null) assert(log.includes(`debug: compressing with ${type} by ${engine}`))
  }
  assert(cluster.records('orders').every((record) => record.value.toString() === value))
  assert.equal(cluster.records('orders').length, 5)
  assert.deepEqual(loaded(), hasOwnZstd ? ['lz4js', 'snappyjs'] : ['lz4js', 'snappyjs', 'zstd-codec'])
  assert.deepEqual(
    log.filter((line) => line.startsWith('warn')),
    state === 'broken'
      ? ['snappy', 'lz4-napi'].map((name) => `warn: ${name} is installed, but cannot be loaded`)
      : [],
  )
  await cluster.close()
  console.log('ok')
}

main()
