/**
 * A process that acknowledges Produce requests and stores nothing, cheaper than any client. It prints one JSON
 * line when it listens and another, the report, on SIGTERM; it ends with the parent that holds its IPC channel.
 *
 *   node build/bench/sink/main.js topics=1 partitions=6 brokers=1 delayMs=0 tls=false check=false
 *
 * SIGUSR2 stalls all answers, and once more lets them go. With delayMs it ends the delay, and once more begins it.
 */
import { readFileSync } from 'node:fs'
import { createServer, Socket, type AddressInfo, type Server } from 'node:net'
import { join } from 'node:path'
import { createServer as createTlsServer } from 'node:tls'
import { Arguments } from '../arguments.js'
import { BatchCheck } from './batch-check.js'
import { Output } from './bytes.js'
import { Requests } from './requests.js'

const BUFFER_BYTES = 1024 * 1024
const READ_BYTES = 64 * 1024
/** Certificates for localhost and 127.0.0.1; this file runs in build/bench/sink. */
const certificates = join(__dirname, '..', '..', '..', 'test', 'fixtures', 'tls')

/** What the sink prints once it listens. */
export interface SinkAddress {
  readonly bootstrapServers: readonly string[]
  readonly topics: readonly string[]
  /** Of this process, for who wants to send it SIGUSR2. */
  readonly pid: number
  /** With tls=true: the file of the authority that clients have to trust. */
  readonly ca?: string
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

async function listen(server: Server): Promise<number> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(0, '127.0.0.1', resolve)
  })
  return (server.address() as AddressInfo).port
}

/**
 * The frames of one connection: they are made whole in one buffer, wound back whenever it is empty. `free` is where the
 * next bytes go, and `filled` says how many came.
 */
class Frames {
  readonly #answer: (bytes: Buffer, start: number, end: number) => void
  #buffer = Buffer.allocUnsafe(BUFFER_BYTES)
  #start = 0
  #end = 0

  constructor(answer: (bytes: Buffer, start: number, end: number) => void) {
    this.#answer = answer
  }

  free(): Buffer {
    if (this.#buffer.length - this.#end < READ_BYTES) {
      const waiting = this.#end - this.#start
      const next =
        waiting > this.#buffer.length / 2 ? Buffer.allocUnsafe(this.#buffer.length * 2) : this.#buffer
      this.#buffer.copy(next, 0, this.#start, this.#end)
      this.#buffer = next
      this.#start = 0
      this.#end = waiting
    }
    return this.#buffer.subarray(this.#end)
  }

  filled(size: number): void {
    this.#end += size
    while (this.#end - this.#start >= 4) {
      const frameEnd = this.#start + 4 + this.#buffer.readInt32BE(this.#start)
      if (frameEnd > this.#end) break
      this.#answer(this.#buffer, this.#start + 4, frameEnd)
      this.#start = frameEnd
    }
    if (this.#start === this.#end) this.#start = this.#end = 0
  }
}

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const topicCount = args.number('topics', 1)
  const partitions = args.number('partitions', 6)
  const brokers = args.number('brokers', 1)
  const delayMs = args.number('delayMs', 0)
  const tls = args.boolean('tls', false)
  const check = args.boolean('check', false) ? new BatchCheck() : undefined
  args.done()

  const ports: number[] = []
  const topics = Array.from({ length: topicCount }, (_, index) => `bench-${index}`)
  const requests = new Requests({ names: topics, partitions, ports }, check)
  const out = new Output()
  let connections = 0
  let stalled = false
  let late = delayMs > 0
  /** Answers that have to wait, the oldest first, and when they may go. */
  let held: { readonly socket: Socket; readonly answers: Buffer; readonly dueAt: number }[] = []

  const answer = (bytes: Buffer, start: number, end: number): void => requests.answer(bytes, start, end, out)

  function send(socket: Socket): void {
    if (out.length === 0) return
    const answers = out.take()
    if (!stalled && !late) {
      socket.write(answers)
      return
    }
    held.push({ socket, answers, dueAt: late ? performance.now() + delayMs : Infinity })
    if (late) setTimeout(() => release(performance.now()), delayMs)
  }

  function release(now: number): void {
    const waiting = held.findIndex(({ dueAt }) => dueAt > now)
    const due = waiting < 0 ? held : held.slice(0, waiting)
    held = waiting < 0 ? [] : held.slice(waiting)
    for (const { socket, answers } of due) socket.write(answers)
  }

  function opened(socket: Socket): void {
    connections++
    // A client that is killed resets its connection; that is the client's affair, its count says so.
    socket.on('error', () => socket.destroy())
    socket.setNoDelay(true)
  }

  /**
   * The kernel writes straight into the buffer of the frames. Node offers that (`onread`) to sockets that connect
   * only, so an accepted socket's handle is given to a new one: a third less CPU here, which the clients on the same
   * machine then have.
   */
  function serve(accepted: Socket): void {
    const frames = new Frames(answer)
    const options = {
      handle: (accepted as Socket & { _handle: unknown })._handle,
      readable: true,
      writable: true,
      onread: {
        buffer: () => frames.free(),
        callback: (size: number): boolean => {
          frames.filled(size)
          send(socket)
          return true
        },
      },
    }
    const socket = new Socket(options)
    opened(socket)
    socket.resume()
  }

  /** What TLS decrypted comes in pieces of at most 16 KiB. */
  function serveTls(socket: Socket): void {
    const frames = new Frames(answer)
    opened(socket)
    socket.on('data', (chunk: Buffer) => {
      frames.filled(chunk.copy(frames.free()))
      send(socket)
    })
  }

  const pem = (name: string): Buffer => readFileSync(join(certificates, `${name}.pem`))
  for (let broker = 0; broker < brokers; broker++) {
    const server = tls
      ? createTlsServer({ cert: pem('server'), key: pem('key') }, serveTls)
      : createServer({ pauseOnConnect: true }, serve)
    ports.push(await listen(server))
  }

  process.on('SIGUSR2', () => {
    if (delayMs > 0) late = !late
    else stalled = !stalled
    if (!late && !stalled) release(Infinity)
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

  const address: SinkAddress = {
    bootstrapServers: ports.map((port) => `127.0.0.1:${port}`),
    topics,
    pid: process.pid,
    ...(tls ? { ca: join(certificates, 'ca.pem') } : {}),
  }
  process.stdout.write(`${JSON.stringify(address)}\n`)
}

void main()
