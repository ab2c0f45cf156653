/**
 * A TCP proxy between a client and brokers that understands just enough of the protocol to count Produce requests and
 * to fail at a chosen one. It belongs between the ports of `describe().proxy`: the broker's PROXY listener advertises
 * the port where this listens, so that a client which bootstraps here never finds a way around it.
 */
import { once } from 'node:events'
import net from 'node:net'
import { seededRandom } from './random.js'

export interface Route {
  readonly listen: number
  readonly target: number
}

/** A Produce request on its way to the broker. */
export interface ProduceSeen {
  /** From 1, over all routes and connections, in the order in which the proxy saw them. */
  readonly nth: number
  /** Which route, from 0. */
  readonly route: number
  readonly apiVersion: number
  readonly correlationId: number
  readonly bytes: number
}

/**
 * `cut-before`: the connection is reset and the broker never sees the request. `cut-after`: the broker appends and
 * answers, the answer is swallowed, then the connection is reset; with acks=0 there is no answer, so do not use it there.
 * A delay holds the answer, and whatever follows it on that connection.
 */
export type Fault = 'none' | 'cut-before' | 'cut-after' | { readonly delayMs: number }

export type Plan = (seen: ProduceSeen) => Fault

const PRODUCE = 0

/** The n-th Produce request is cut, every other one passes. */
export function cutAt(nth: number, how: 'cut-before' | 'cut-after'): Plan {
  return (seen) => (seen.nth === nth ? how : 'none')
}

/** Each Produce request is cut with this probability, before and after the append by turns of the same seed. */
export function cutRandomly(seed: number, probability: number): Plan {
  const random = seededRandom(seed)
  return () => (random() >= probability ? 'none' : random() < 0.5 ? 'cut-before' : 'cut-after')
}

export class FaultProxy implements AsyncDisposable {
  /** What to do with the next Produce requests; may be replaced at any time. */
  plan: Plan
  readonly #routes: readonly Route[]
  readonly #servers: net.Server[] = []
  readonly #sockets = new Set<net.Socket>()
  #produceRequests = 0
  #cuts = 0

  private constructor(routes: readonly Route[], plan: Plan) {
    this.#routes = routes
    this.plan = plan
  }

  /** Listens on all routes; port 0 in a route takes any free port. */
  static async start(routes: readonly Route[], plan: Plan = () => 'none'): Promise<FaultProxy> {
    const proxy = new FaultProxy(routes, plan)
    for (const [index, route] of routes.entries()) {
      const server = net.createServer((client) => proxy.#serve(client, index))
      proxy.#servers.push(server)
      server.listen(route.listen, '127.0.0.1')
      await once(server, 'listening')
    }
    return proxy
  }

  /** Where a client bootstraps. */
  get bootstrapServers(): string {
    return this.#servers.map((s) => `127.0.0.1:${(s.address() as net.AddressInfo).port}`).join(',')
  }

  /** Produce requests seen so far, cut ones included. */
  get produceRequests(): number {
    return this.#produceRequests
  }

  /** Connections reset by plan so far. */
  get cuts(): number {
    return this.#cuts
  }

  /** Resets every connection and stops listening. */
  async close(): Promise<void> {
    const closed = this.#servers.map((server) => new Promise((resolve) => server.close(resolve)))
    for (const socket of this.#sockets) socket.resetAndDestroy()
    await Promise.all(closed)
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  #serve(client: net.Socket, route: number): void {
    const broker = net.connect(this.#routes[route]!.target, '127.0.0.1')
    for (const [socket, other] of [
      [client, broker],
      [broker, client],
    ] as const) {
      this.#sockets.add(socket)
      socket.setNoDelay(true)
      // An error is a reset, here or there: the other side gets the like of it.
      socket.on('error', () => other.resetAndDestroy())
      socket.on('end', () => other.end())
      socket.on('close', () => {
        this.#sockets.delete(socket)
        other.destroy()
      })
    }
    const faults = new Map<number, Fault>()
    const cut = () => {
      this.#cuts++
      client.resetAndDestroy()
      broker.destroy()
    }

    const requests = new Frames((frame) => {
      if (client.destroyed) return
      if (frame.readInt16BE(4) === PRODUCE) {
        const correlationId = frame.readInt32BE(8)
        const fault = this.plan({
          nth: ++this.#produceRequests,
          route,
          apiVersion: frame.readInt16BE(6),
          correlationId,
          bytes: frame.length,
        })
        if (fault === 'cut-before') return cut()
        if (fault !== 'none') faults.set(correlationId, fault)
      }
      pass(frame, broker, client)
    })

    const held: Buffer[] = []
    let isHolding = false
    const deliver = (frame: Buffer): void => {
      if (client.destroyed) return
      if (isHolding) {
        held.push(frame)
        return
      }
      const correlationId = frame.readInt32BE(4)
      const fault = faults.get(correlationId) ?? 'none'
      faults.delete(correlationId)
      if (fault === 'cut-after') return cut()
      if (typeof fault === 'string') return pass(frame, client, broker)
      isHolding = true
      const timer = setTimeout(() => {
        isHolding = false
        pass(frame, client, broker)
        for (const next of held.splice(0)) deliver(next)
      }, fault.delayMs)
      client.once('close', () => clearTimeout(timer))
    }
    const answers = new Frames(deliver)

    client.on('data', (chunk: Buffer) => requests.push(chunk))
    broker.on('data', (chunk: Buffer) => answers.push(chunk))
  }
}

/** Writes to one side, and holds the other back while that side does not read. */
function pass(frame: Buffer, to: net.Socket, from: net.Socket): void {
  if (to.destroyed || to.write(frame) || from.isPaused()) return
  from.pause()
  to.once('drain', () => from.resume())
}

/** Cuts a byte stream into frames of the protocol: four bytes of size, then as much. */
class Frames {
  readonly #onFrame: (frame: Buffer) => void
  #chunks: Buffer[] = []
  #length = 0

  constructor(onFrame: (frame: Buffer) => void) {
    this.#onFrame = onFrame
  }

  push(chunk: Buffer): void {
    this.#chunks.push(chunk)
    this.#length += chunk.length
    let wanted = this.#nextSize()
    if (this.#length < wanted) return
    let bytes = Buffer.concat(this.#chunks)
    while (bytes.length >= wanted) {
      this.#onFrame(bytes.subarray(0, wanted))
      bytes = bytes.subarray(wanted)
      wanted = bytes.length < 4 ? 4 : 4 + bytes.readInt32BE(0)
      if (bytes.length === 0) break
    }
    this.#chunks = bytes.length > 0 ? [bytes] : []
    this.#length = bytes.length
  }

  /** Of the frame that is being collected; 4 until its size is known. */
  #nextSize(): number {
    if (this.#length < 4) return 4
    if (this.#chunks[0]!.length < 4) this.#chunks = [Buffer.concat(this.#chunks)]
    return 4 + this.#chunks[0]!.readInt32BE(0)
  }
}
