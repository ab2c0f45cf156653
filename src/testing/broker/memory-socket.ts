/**
 * A connection without a network: two duplex streams, what is written to one is read from the other. Like a socket it
 * copies what is written, holds the writer back when the reader is slow, and can be reset, which loses what is on
 * the way. Everything happens in process.nextTick order, so a run can be repeated exactly.
 */
import { Duplex } from 'node:stream'
import { ConnectionError } from '../../errors.js'
import { nextTick } from '../../time/event-loop.js'

export class MemorySocket extends Duplex {
  #peer: MemorySocket | undefined
  /** The callback of the peer's write that this side has not read yet. */
  #onRead: (() => void) | undefined

  private constructor() {
    super({
      allowHalfOpen: false,
      read() {
        ;(this as MemorySocket).#release()
      },
      write(chunk: Buffer, _encoding, done) {
        ;(this as MemorySocket).#deliver(chunk, done)
      },
      writev(chunks, done) {
        ;(this as MemorySocket).#deliver(Buffer.concat(chunks.map(({ chunk }) => chunk as Buffer)), done)
      },
      final(done) {
        ;(this as MemorySocket).#peer?.push(null)
        done()
      },
      destroy(error, done) {
        const socket = this as MemorySocket
        const peer = socket.#peer
        if (peer?.destroyed === false && !peer.readableEnded && !socket.writableFinished) peer.push(null)
        socket.#release()
        done(error)
      },
    })
  }

  /** Both ends of a connection that is open. */
  static pair(): [MemorySocket, MemorySocket] {
    const [one, other] = [new MemorySocket(), new MemorySocket()]
    one.#peer = other
    other.#peer = one
    return [one, other]
  }

  /** One end of a connection that nobody accepts. */
  static refused(address: string): MemorySocket {
    const socket = new MemorySocket()
    socket.destroy(new ConnectionError(`connect ECONNREFUSED ${address}`, { code: 'ECONNREFUSED' }))
    return socket
  }

  /** Breaks the connection as a TCP reset does: the other end gets ECONNRESET. */
  resetAndDestroy(): void {
    this.#peer?.destroy(new ConnectionError('read ECONNRESET', { code: 'ECONNRESET' }))
    this.destroy()
  }

  /** The reader wants more, or is gone: the write that waits for that is done. */
  #release(): void {
    const done = this.#onRead
    this.#onRead = undefined
    done?.()
  }

  #deliver(bytes: Buffer, done: (error?: Error | null) => void): void {
    const peer = this.#peer
    if (peer === undefined || peer.destroyed) {
      done(new ConnectionError('write ECONNRESET', { code: 'ECONNRESET' }))
    } else if (bytes.length === 0) {
      nextTick(done)
    } else {
      peer.#onRead = done
      peer.push(Buffer.from(bytes))
    }
  }
}
