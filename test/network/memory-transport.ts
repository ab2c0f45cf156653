/** A network in memory: sockets with the manners of TCP, delivered without a kernel and without time. */
import { Duplex } from 'node:stream'
import type { Address, Connect, Lookup } from '../../src/network/connection/transport.js'

type Done = (error?: Error | null) => void

/** One end of a connection. */
export class MemorySocket extends Duplex {
  peer: MemorySocket | undefined
  /** One entry for each write or writev that reached the network, with the number of its chunks. */
  readonly writes: number[] = []
  /** While true nothing leaves this end, as if the other side did not read. */
  isStalled = false
  /** What every write from here on fails with. */
  failure: Error | undefined
  #stalled: { readonly chunks: readonly Buffer[]; readonly done: Done }[] = []

  constructor() {
    super({ allowHalfOpen: false })
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#send([chunk], done)
  }

  override _writev(items: { chunk: Buffer }[], done: Done): void {
    this.#send(
      items.map(({ chunk }) => chunk),
      done,
    )
  }

  override _final(done: Done): void {
    const { peer } = this
    process.nextTick(() => {
      if (peer?.destroyed === false) peer.push(null)
    })
    done()
  }

  override _destroy(error: Error | null, done: Done): void {
    const { peer } = this
    process.nextTick(() => {
      if (peer?.destroyed === false) peer.push(null)
    })
    done(error)
  }

  /** What waits to leave leaves; after `destroy` a write may still report, late, that it is done. */
  resumeWrites(): void {
    this.isStalled = false
    const stalled = this.#stalled
    this.#stalled = []
    for (const { chunks, done } of stalled) this.#deliver(chunks, done)
  }

  /** Cuts the connection: the other end sees a reset. */
  reset(): void {
    const { peer } = this
    this.peer = undefined
    this.destroy()
    peer?.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
  }

  #send(chunks: readonly Buffer[], done: Done): void {
    this.writes.push(chunks.length)
    if (this.failure !== undefined) done(this.failure)
    else if (this.isStalled) this.#stalled.push({ chunks, done })
    else this.#deliver(chunks, done)
  }

  #deliver(chunks: readonly Buffer[], done: Done): void {
    const { peer } = this
    // A kernel copies: what the other side reads does not change any more.
    const copy = Buffer.concat(chunks)
    process.nextTick(() => {
      if (peer?.destroyed === false) peer.push(copy)
      done()
    })
  }
}

type Server = (socket: MemorySocket) => void

/** Servers by "ip:port". */
export class MemoryNetwork {
  readonly #servers = new Map<string, Server | 'silent'>()
  readonly #names = new Map<string, readonly string[]>()
  /** Every address that somebody tried to connect to. */
  readonly attempts: string[] = []
  /** The clients' ends of connections that are not closed, in the order of opening. */
  readonly sockets = new Set<MemorySocket>()

  /** 'silent': neither accepts nor refuses. */
  listen(ip: string, port: number, server: Server | 'silent'): void {
    this.#servers.set(`${ip}:${port}`, server)
  }

  /** Connections are refused from here on; those that are open stay. */
  unlisten(ip: string, port: number): void {
    this.#servers.delete(`${ip}:${port}`)
  }

  name(host: string, ...ips: string[]): void {
    this.#names.set(host, ips)
  }

  readonly connect: Connect = ({ ip, port }: Address) => {
    const key = `${ip}:${port}`
    this.attempts.push(key)
    const client = new MemorySocket()
    this.sockets.add(client)
    client.once('close', () => this.sockets.delete(client))
    process.nextTick(() => {
      if (client.destroyed) return
      const server = this.#servers.get(key)
      if (server === 'silent') return
      if (server === undefined) {
        client.destroy(Object.assign(new Error(`connect ECONNREFUSED ${key}`), { code: 'ECONNREFUSED' }))
        return
      }
      const end = new MemorySocket()
      client.peer = end
      end.peer = client
      end.on('error', () => {})
      client.emit('connect')
      server(end)
    })
    return client
  }

  readonly lookup: Lookup = {
    addresses: (host) => {
      const ips = this.#names.get(host) ?? (/^[\d.]+$|:/.test(host) ? [host] : undefined)
      return ips === undefined
        ? Promise.reject(Object.assign(new Error(`getaddrinfo ENOTFOUND ${host}`), { code: 'ENOTFOUND' }))
        : Promise.resolve(ips)
    },
    canonicalNames: async (host) => {
      const ips = await this.lookup.addresses(host)
      return ips.map((ip) => [...this.#names].findLast(([, all]) => all.includes(ip))?.[0] ?? ip)
    },
  }
}
