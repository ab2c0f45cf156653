/**
 * A process that acknowledges Produce requests and stores nothing, cheaper than any client. It prints one JSON
 * line when it listens and another, the report, on SIGTERM; it ends with the parent that holds its IPC channel.
 *
 *   node build/bench/sink/main.js topics=1 partitions=6 brokers=1 delayMs=0 check=false
 *
 * SIGUSR2 stalls all answers, and once more lets them go.
 */
import { createServer, Socket, type AddressInfo, type Server } from 'node:net'
import { Arguments } from '../arguments.js'
import { BatchCheck } from './batch-check.js'
import { Output } from './bytes.js'
import { Requests } from './requests.js'

const BUFFER_BYTES = 1024 * 1024
const READ_BYTES = 64 * 1024

/** What the sink prints once it listens. */
export interface SinkAddress {
  readonly bootstrapServers: readonly string[]
  readonly topics: readonly string[]
}

/** What the sink prints at its end. */
export interface SinkReport {
  readonly records: number
  readonly batches: number
  readonly produceRequests: number
  readonly bytes: number
  readonly connections: number
  readonly cpuSeconds: number
  /** With check=true: how many batches were wrong, and the first few in words. */
  readonly errorCount?: number
  readonly errors?: readonly string[]
}

function listen(serve: (accepted: Socket) => void): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer({ pauseOnConnect: true }, serve)
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => resolve(server))
  })
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const topicCount = args.number('topics', 1)
  const partitions = args.number('partitions', 6)
  const brokers = args.number('brokers', 1)
  const delayMs = args.number('delayMs', 0)
  const check = args.boolean('check', false) ? new BatchCheck() : undefined
  args.done()

  const ports: number[] = []
  const topics = Array.from({ length: topicCount }, (_, index) => `bench-${index}`)
  const requests = new Requests({ names: topics, partitions, ports }, check)
  const out = new Output()
  let connections = 0
  let stalled = false
  let held: (() => void)[] = []

  /**
   * Frames are made whole in one buffer per connection, wound back whenever it is empty, and the kernel writes
   * straight into it. Node offers that (`onread`) to sockets that connect only, so an accepted socket's handle
   * is given to a new one: a third less CPU here, which the clients on the same machine then have.
   */
  function serve(accepted: Socket): void {
    let buffer = Buffer.allocUnsafe(BUFFER_BYTES)
    let start = 0
    let end = 0
    connections++

    const options = {
      handle: (accepted as Socket & { _handle: unknown })._handle,
      readable: true,
      writable: true,
      onread: { buffer: free, callback: read },
    }
    const socket = new Socket(options)

    function free(): Buffer {
      if (buffer.length - end < READ_BYTES) {
        const waiting = end - start
        const next = waiting > buffer.length / 2 ? Buffer.allocUnsafe(buffer.length * 2) : buffer
        buffer.copy(next, 0, start, end)
        buffer = next
        start = 0
        end = waiting
      }
      return buffer.subarray(end)
    }

    function read(size: number): boolean {
      end += size
      while (end - start >= 4) {
        const frameEnd = start + 4 + buffer.readInt32BE(start)
        if (frameEnd > end) break
        requests.answer(buffer, start + 4, frameEnd, out)
        start = frameEnd
      }
      if (start === end) start = end = 0
      if (out.length > 0) send(out.take())
      return true
    }

    function send(answers: Buffer): void {
      if (stalled) held.push(() => socket.write(answers))
      else if (delayMs > 0) setTimeout(() => socket.write(answers), delayMs)
      else socket.write(answers)
    }

    // A client that is killed resets its connection; that is the client's affair, its count says so.
    socket.on('error', () => socket.destroy())
    socket.setNoDelay(true)
    socket.resume()
  }

  for (let broker = 0; broker < brokers; broker++) {
    const server = await listen(serve)
    ports.push((server.address() as AddressInfo).port)
  }

  process.on('SIGUSR2', () => {
    stalled = !stalled
    if (stalled) return
    for (const release of held) release()
    held = []
  })
  process.on('SIGTERM', () => {
    const { user, system } = process.cpuUsage()
    const report: SinkReport = {
      records: requests.records,
      batches: requests.batches,
      produceRequests: requests.produceRequests,
      bytes: requests.bytes,
      connections,
      cpuSeconds: (user + system) / 1e6,
      ...(check === undefined ? {} : { errorCount: check.count, errors: check.errors }),
    }
    process.stdout.write(`${JSON.stringify(report)}\n`, () => process.exit())
  })
  process.on('disconnect', () => process.exit())

  const address: SinkAddress = { bootstrapServers: ports.map((port) => `127.0.0.1:${port}`), topics }
  process.stdout.write(`${JSON.stringify(address)}\n`)
}

void main()
