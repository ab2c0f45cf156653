/**
 * The socket of a connection: it is connected in time or not at all, takes bytes, and is gone in the end. Once ended it
 * stays so: a socket that comes later is destroyed. Whatever the socket calls goes through the fault barrier.
 */
import type { Duplex } from 'node:stream'
import { ConnectionError, type KafkaError } from '../../errors.js'
import type { FaultBarrier } from '../../fault-barrier.js'
import { nextTick } from '../../time/event-loop.js'
import type { Clock, Timer } from '../../time/clock.js'
import type { Address, Connect } from './transport.js'

export interface BrokerSocketParts {
  readonly address: Address
  readonly connect: Connect
  readonly clock: Clock
  readonly barrier: FaultBarrier
  /** How long it may take to connect, from the moment that there is a socket. */
  readonly setupTimeoutMs: number
  /** The broker in words. */
  readonly peer: () => string
  /** There will be no socket; `end` must follow. */
  readonly onFailed: (error: unknown) => void
  /** It is connected, with the handshake where it is TLS. */
  readonly onConnect: () => void
  readonly onData: (chunk: Buffer) => void
  readonly onError: (error: Error) => void
  readonly onEnd: () => void
  /** It has let go of all bytes that it was given. */
  readonly onClose: () => void
}

export class BrokerSocket {
  readonly #parts: BrokerSocketParts
  /** Fulfilled when there is no socket any more. */
  readonly gone: Promise<void>
  #onGone: () => void = () => {}
  #rejectOpening: (error: KafkaError) => void = () => {}
  #socket: Duplex | undefined
  #isTls = false
  #isCorked = false
  #isEnded = false

  constructor(parts: BrokerSocketParts) {
    this.#parts = parts
    this.gone = new Promise((resolve) => {
      this.#onGone = resolve
    })
  }

  /** Known as soon as there is a socket. */
  get isTls(): boolean {
    return this.#isTls
  }

  /** Fulfilled when it is connected; rejects with what `end` was told, or what `connect` threw. */
  async open(): Promise<void> {
    const { address, barrier, connect, clock, setupTimeoutMs, peer, onFailed } = this.#parts
    let timer: Timer | undefined
    try {
      await new Promise<void>((resolve, reject) => {
        this.#rejectOpening = reject
        const attach = (socket: Duplex): void => {
          this.#attach(socket, resolve)
          if (this.#isEnded) return
          timer = clock.setTimer(setupTimeoutMs, () => {
            const took = `${Math.round(setupTimeoutMs)} ms`
            onFailed(new ConnectionError(`${peer()} did not accept the connection within ${took}`))
          })
        }
        const socket = connect(address)
        if (socket instanceof Promise) barrier.watch(socket.then(attach, onFailed))
        else attach(socket)
      })
    } finally {
      timer?.cancel()
    }
  }

  /** All that is written in one tick leaves as one writev. `onTaken` is called with an error, or when it has left. */
  write(chunks: readonly Uint8Array[], onTaken: (error?: Error | null) => void): void {
    const { barrier } = this.#parts
    const socket = this.#socket!
    if (!this.#isCorked) {
      this.#isCorked = true
      socket.cork()
      const uncork = (): void => {
        this.#isCorked = false
        socket.uncork()
      }
      nextTick(barrier.guard(uncork))
    }
    const last = chunks.length - 1
    for (let i = 0; i < last; i++) socket.write(chunks[i])
    socket.write(chunks[last], barrier.guard(onTaken))
  }

  end(reason: KafkaError): void {
    this.#isEnded = true
    if (this.#socket === undefined) this.#onGone()
    else this.#socket.destroy()
    this.#rejectOpening(reason)
  }

  #attach(socket: Duplex, onReady: () => void): void {
    if (this.#isEnded) {
      socket.on('error', () => {})
      socket.destroy()
      return
    }
    const { barrier, onConnect, onData, onError, onEnd, onClose } = this.#parts
    this.#socket = socket
    this.#isTls = 'encrypted' in socket
    const onceConnected = (): void => {
      onConnect()
      onReady()
    }
    socket.on('data', barrier.guard(onData))
    socket.on('error', barrier.guard(onError))
    socket.on('end', barrier.guard(onEnd))
    socket.on('close', () => {
      barrier.run(onClose)
      this.#onGone()
    })
    socket.once(this.#isTls ? 'secureConnect' : 'connect', barrier.guard(onceConnected))
  }
}
