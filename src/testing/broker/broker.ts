/** One broker: the connections it serves, and whether it runs. */
import type { Duplex } from 'node:stream'
import { BrokerConnection, type BrokerContext } from './broker-connection.js'

export class Broker {
  readonly nodeId: number
  readonly context: BrokerContext
  readonly #connections = new Set<BrokerConnection>()
  #isPaused = false

  constructor(nodeId: number, context: BrokerContext) {
    this.nodeId = nodeId
    this.context = context
  }

  get isPaused(): boolean {
    return this.#isPaused
  }

  get connectionCount(): number {
    return this.#connections.size
  }

  /** Serves a client at the other end of the stream until it closes. */
  accept(duplex: Duplex): void {
    const connection = new BrokerConnection(this, duplex)
    this.#connections.add(connection)
    duplex.once('close', () => this.#connections.delete(connection))
  }

  /** As if the process were stopped: connections stay, and are made, but nothing is read or answered. */
  pause(): void {
    this.#isPaused = true
    for (const connection of this.#connections) connection.pause()
  }

  resume(): void {
    this.#isPaused = false
    for (const connection of this.#connections) connection.resume()
  }

  /** Ends all connections. A broker that starts after this is not paused. */
  disconnect(): void {
    this.#isPaused = false
    for (const connection of this.#connections) connection.destroy()
  }
}
