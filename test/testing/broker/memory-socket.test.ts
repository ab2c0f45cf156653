import { once } from 'node:events'
import { describe, expect, test } from 'vitest'
import { MemorySocket } from '../../../src/testing/broker/memory-socket.js'
import { TestCluster } from '../../../src/testing/index.js'
import { batch, RawClient } from '../raw-client.js'

async function received(socket: MemorySocket): Promise<string> {
  let text = ''
  for await (const chunk of socket) text += String(chunk)
  return text
}

describe('a connection in memory', () => {
  test('carries bytes both ways, and the end', async () => {
    const [one, other] = MemorySocket.pair()
    one.write('to ')
    one.end('other')
    other.end('to one')
    expect(await received(other)).toBe('to other')
    expect(await received(one)).toBe('to one')
  })

  test('copies what is written, corked writes in one piece', async () => {
    const [one, other] = MemorySocket.pair()
    const bytes = Buffer.from('abc')
    one.cork()
    one.write(bytes)
    one.write('def')
    one.write('')
    one.uncork()
    await new Promise((resolve) => setImmediate(resolve))
    bytes.fill(0)
    expect(String(other.read())).toBe('abcdef')
  })

  test('holds a writer back whose reader does not read', async () => {
    const [one, other] = MemorySocket.pair()
    let written = 0
    const chunk = Buffer.alloc(10_000)
    for (let i = 0; i < 100; i++) one.write(chunk, () => written++)
    await new Promise((resolve) => setImmediate(resolve))
    expect(written).toBeLessThan(20)
    other.resume()
    one.end()
    await once(other, 'end')
    expect(written).toBe(100)
  })

  test('that is reset is an error at the other end', async () => {
    const [one, other] = MemorySocket.pair()
    const error = once(other, 'error')
    one.resetAndDestroy()
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }])
    expect([one.destroyed, other.destroyed]).toEqual([true, true])
  })

  test('that is destroyed ends at the other end, which cannot write any more', async () => {
    const [one, other] = MemorySocket.pair()
    one.destroy()
    other.resume()
    await once(other, 'end')
    const [late, peer] = MemorySocket.pair()
    peer.destroy()
    const error = once(late, 'error')
    late.write('too late')
    expect(await error).toMatchObject([{ code: 'ECONNRESET' }])
  })
})

describe('a cluster without sockets', () => {
  const connect = (cluster: TestCluster, broker = 1) => {
    const [host, port] = cluster.bootstrapServers[broker - 1]!.split(':')
    return cluster.connect({ host: host!, port: Number(port) })
  }

  test('serves connections in memory', async () => {
    await using cluster = await TestCluster.start({
      brokers: 2,
      listen: false,
      topics: { orders: { partitions: 1 } },
    })
    const duplex = connect(cluster, cluster.describePartition('orders', 0).leader)
    await once(duplex, 'connect')
    const client = new RawClient(duplex)
    expect((await client.metadata(['orders'])).brokers).toMatchObject([{ nodeId: 1 }, { nodeId: 2 }])
    expect(await client.produce(batch())).toMatchObject({ errorCode: 0 })
    cluster.fail({ api: 'Produce' }, { cutAfterBytes: 5 })
    await expect(client.produce(batch())).rejects.toThrow('reset')
    expect(client.received).toHaveLength(5)
    expect(cluster.records('orders')).toHaveLength(2)
  })

  test('refuses connections to a broker that is stopped, and ends those it had', async () => {
    await using cluster = await TestCluster.start({ listen: false })
    const client = new RawClient(connect(cluster))
    await cluster.stopBroker(1)
    expect(await client.ended).toBe('end')
    expect(await once(connect(cluster), 'error')).toMatchObject([{ code: 'ECONNREFUSED' }])
    await cluster.startBroker(1)
    expect((await new RawClient(connect(cluster)).apiVersions()).errorCode).toBe(0)
    await cluster.close()
    expect(await once(connect(cluster), 'error')).toMatchObject([{ code: 'ECONNREFUSED' }])
    expect(await once(cluster.connect({ host: 'elsewhere', port: 1 }), 'error')).toMatchObject([
      { code: 'ECONNREFUSED' },
    ])
  })
})
