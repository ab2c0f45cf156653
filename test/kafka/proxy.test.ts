/** The proxy between a plain socket and a broker of a few lines that answers every request with its correlation id. */
import { once } from 'node:events'
import net from 'node:net'
import { afterEach, expect, test } from 'vitest'
import { cutAt, cutRandomly, FaultProxy, type Plan } from './proxy.js'

const closers: (() => Promise<unknown>)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

/** Counts whole requests; the answer to each is its correlation id alone. */
async function startBroker() {
  const seen: number[] = []
  const server = net.createServer((socket) => {
    let pending = Buffer.alloc(0)
    socket.on('error', () => socket.destroy())
    socket.on('data', (chunk: Buffer) => {
      pending = Buffer.concat([pending, chunk])
      while (pending.length >= 4 && pending.length >= 4 + pending.readInt32BE(0)) {
        const id = pending.readInt32BE(8)
        seen.push(id)
        pending = pending.subarray(4 + pending.readInt32BE(0))
        const answer = Buffer.alloc(8)
        answer.writeInt32BE(4, 0)
        answer.writeInt32BE(id, 4)
        socket.write(answer)
      }
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  closers.push(() => new Promise((resolve) => server.close(resolve)))
  return { port: (server.address() as net.AddressInfo).port, seen }
}

async function connect(plan: Plan) {
  const broker = await startBroker()
  const proxy = await FaultProxy.start([{ listen: 0, target: broker.port }], plan)
  closers.unshift(() => proxy.close())
  const socket = net.connect(Number(proxy.bootstrapServers.split(':')[1]), '127.0.0.1')
  const answers: number[] = []
  let pending = Buffer.alloc(0)
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (; pending.length >= 8; pending = pending.subarray(8)) answers.push(pending.readInt32BE(4))
    socket.emit('answers')
  })
  await once(socket, 'connect')
  const failed = new Promise<NodeJS.ErrnoException>((resolve) => socket.once('error', resolve))
  const answered = async (count: number) => {
    while (answers.length < count) await once(socket, 'answers')
    return answers
  }
  return { broker, proxy, socket, answers, answered, failed }
}

function request(apiKey: number, correlationId: number, payload = 0): Buffer {
  const frame = Buffer.alloc(12 + payload)
  frame.writeInt32BE(frame.length - 4, 0)
  frame.writeInt16BE(apiKey, 4)
  frame.writeInt16BE(9, 6)
  frame.writeInt32BE(correlationId, 8)
  return frame
}

test('requests and answers pass whole, however the bytes are split', async () => {
  const { broker, proxy, socket, answered } = await connect(() => 'none')
  const bytes = Buffer.concat([request(0, 1, 300_000), request(3, 2), request(0, 3)])
  let start = 0
  for (const end of [1, 3, 7, 100_000, 300_013, bytes.length]) {
    await new Promise<void>((resolve) => socket.write(bytes.subarray(start, end), () => resolve()))
    start = end
  }
  expect(await answered(3)).toEqual([1, 2, 3])
  expect(broker.seen).toEqual([1, 2, 3])
  expect(proxy.produceRequests).toBe(2)
  socket.destroy()
})

test('a cut before the request resets the client, and the broker never sees the request', async () => {
  const { broker, proxy, socket, answered, failed } = await connect(cutAt(2, 'cut-before'))
  socket.write(request(0, 1))
  await answered(1)
  socket.write(Buffer.concat([request(3, 2), request(0, 3), request(0, 4)]))
  expect((await failed).code).toBe('ECONNRESET')
  expect(broker.seen).not.toContain(3)
  expect(broker.seen).not.toContain(4)
  expect(proxy.cuts).toBe(1)
})

test('a cut after the request lets the broker have it and swallows the answer', async () => {
  const { broker, proxy, socket, answers, answered, failed } = await connect(cutAt(2, 'cut-after'))
  socket.write(request(0, 1))
  await answered(1)
  socket.write(request(0, 2))
  expect((await failed).code).toBe('ECONNRESET')
  expect(broker.seen).toEqual([1, 2])
  expect(answers).toEqual([1])
  expect(proxy.cuts).toBe(1)
})

test('a delayed answer holds back those behind it, and none is lost', async () => {
  const { socket, answered } = await connect((seen) => (seen.nth === 1 ? { delayMs: 30 } : 'none'))
  socket.write(Buffer.concat([request(0, 1), request(0, 2), request(3, 3)]))
  expect(await answered(3)).toEqual([1, 2, 3])
  socket.destroy()
})

test('random cuts are the same for the same seed', () => {
  const seen = { nth: 0, route: 0, apiVersion: 9, correlationId: 0, bytes: 0 }
  const draw = (seed: number) => {
    const plan = cutRandomly(seed, 0.3)
    return Array.from({ length: 200 }, () => plan(seen))
  }
  expect(draw(7)).toEqual(draw(7))
  expect(draw(7)).not.toEqual(draw(8))
  expect(new Set(draw(7))).toEqual(new Set(['none', 'cut-before', 'cut-after']))
})
