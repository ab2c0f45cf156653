/**
 * A network in memory with the manners of TCP: bytes take their time, arrive in order or not at all, and what is under
 * way when one side closes may still reach the other. A writer's bytes are read when they arrive, not when they are
 * written: whoever uses their memory again before the socket has let go of it sends nonsense.
 */
import { Duplex } from 'node:stream'
import type { VirtualTime } from './virtual-time.js'

type Done = (error?: Error | null) => void

/** Something on its way to the other end; without bytes: the end of the stream. */
interface Parcel {
  bytes: Buffer | null
  due: number
  readonly done: (() => void) | undefined
}

class LinkEnd extends Duplex {
  readonly #lane: Lane
  readonly #link: Link

  constructor(link: Link, lane: Lane) {
    super({ allowHalfOpen: false })
    this.#link = link
    this.#lane = lane
  }

  override _read(): void {}

  override _write(chunk: Buffer, _encoding: BufferEncoding, done: Done): void {
    this.#lane.carry(chunk, () => done())
  }

  override _writev(items: { chunk: Buffer }[], done: Done): void {
    items.forEach(({ chunk }, index) => {
      this.#lane.carry(chunk, index === items.length - 1 ? () => done() : undefined)
    })
  }

  override _final(done: Done): void {
    this.#lane.carry(null, undefined)
    done()
  }

  override _destroy(error: Error | null, done: Done): void {
    this.#lane.letGo()
    if (!this.writableEnded) this.#lane.carry(null, undefined)
    done(error)
  }

  /** What TestCluster calls to break a connection. */
  resetAndDestroy(): void {
    this.#link.reset()
  }
}

/** One direction. */
class Lane {
  to!: LinkEnd
  readonly #time: VirtualTime
  readonly #latencyMs: number
  #parcels: Parcel[] = []
  #isScheduled = false
  #stalledUntil = 0
  #isCut = false
  /** So many bytes more arrive, then the connection breaks. */
  bytesLeft = Infinity
  onBytesSpent: () => void = () => {}

  constructor(time: VirtualTime, latencyMs: number) {
    this.#time = time
    this.#latencyMs = latencyMs
  }

  carry(bytes: Buffer | null, done: (() => void) | undefined): void {
    if (this.#isCut) return
    this.#parcels.push({ bytes, due: this.#time.now + this.#latencyMs, done })
    this.#schedule()
  }

  /** Nothing arrives before that time. */
  stall(until: number): void {
    this.#stalledUntil = Math.max(this.#stalledUntil, until)
  }

  /** Not stalled any more, nor about to break. */
  goOn(): void {
    this.#stalledUntil = 0
    this.bytesLeft = Infinity
    if (this.#parcels.length > 0) this.#deliver()
  }

  /** The writer is gone, and with it its memory: what is under way is the network's own copy from here on. */
  letGo(): void {
    for (const parcel of this.#parcels) if (parcel.bytes !== null) parcel.bytes = Buffer.from(parcel.bytes)
  }

  /** What is under way is lost. */
  cut(): void {
    this.#isCut = true
    this.#parcels = []
  }

  #schedule(): void {
    const first = this.#parcels[0]
    if (this.#isScheduled || first === undefined) return
    this.#isScheduled = true
    const wait = Math.max(first.due, this.#stalledUntil) - this.#time.now
    if (wait > 0) this.#time.setTimer(wait, () => this.#deliver())
    else process.nextTick(() => this.#deliver())
  }

  #deliver(): void {
    this.#isScheduled = false
    const { now } = this.#time
    while (this.#parcels.length > 0 && Math.max(this.#parcels[0]!.due, this.#stalledUntil) <= now) {
      const { bytes, done } = this.#parcels.shift()!
      const isBreaking = bytes !== null && bytes.length > this.bytesLeft
      if (!this.to.destroyed && !this.to.readableEnded) {
        if (bytes === null) this.to.push(null)
        else {
          const arriving = Buffer.from(bytes.subarray(0, this.bytesLeft))
          if (arriving.length > 0) this.to.push(arriving)
        }
      }
      if (bytes !== null) this.bytesLeft -= Math.min(bytes.length, this.bytesLeft)
      done?.()
      if (isBreaking) {
        // After what arrived was read.
        process.nextTick(this.onBytesSpent)
        return
      }
    }
    this.#schedule()
  }
}

export class Link {
  /** A broker has taken the connection. */
  isAccepted = false
  readonly client: LinkEnd
  readonly server: LinkEnd
  readonly #toServer: Lane
  readonly #toClient: Lane

  constructor(time: VirtualTime, latencyMs: number) {
    this.#toServer = new Lane(time, latencyMs)
    this.#toClient = new Lane(time, latencyMs)
    this.client = new LinkEnd(this, this.#toServer)
    this.server = new LinkEnd(this, this.#toClient)
    this.#toServer.to = this.server
    this.#toClient.to = this.client
    this.#toServer.onBytesSpent = this.#toClient.onBytesSpent = () => this.reset()
    // A side that has closed does not hear of it any more.
    this.server.on('error', () => {})
  }

  get isOpen(): boolean {
    return !this.client.destroyed || !this.server.destroyed
  }

  /** The connection breaks: both sides see it at once, and what is under way is lost. */
  reset(): void {
    this.#toServer.cut()
    this.#toClient.cut()
    this.client.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
    this.server.destroy(Object.assign(new Error('read ECONNRESET'), { code: 'ECONNRESET' }))
  }

  /** Nothing arrives for so long, in the directions given; all of it arrives after that. */
  stall(until: number, direction: 'to-server' | 'to-client' | 'both'): void {
    if (direction !== 'to-client') this.#toServer.stall(until)
    if (direction !== 'to-server') this.#toClient.stall(until)
  }

  /** Nothing is stalled or about to break any more. */
  goOn(): void {
    this.#toServer.goOn()
    this.#toClient.goOn()
  }

  /** So many more bytes reach the server, or the client, and then the connection breaks. */
  truncate(bytes: number, direction: 'to-server' | 'to-client'): void {
    const lane = direction === 'to-server' ? this.#toServer : this.#toClient
    lane.bytesLeft = Math.min(lane.bytesLeft, bytes)
  }
}
