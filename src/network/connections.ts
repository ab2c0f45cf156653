/** Makes the connections of one producer, and knows which of their sockets are not gone yet. */
import type { KafkaError } from '../errors.js'
import type { FaultBarrier } from '../fault-barrier.js'
import type { Clock } from '../time/clock.js'
import type { NetworkConfig } from './cluster.js'
import { Connection, type ConnectionOptions } from './connection/connection.js'
import type { Address, Connect } from './connection/transport.js'

export interface ConnectionsParts {
  readonly config: NetworkConfig
  readonly clock: Clock
  readonly barrier: FaultBarrier
  readonly connect: Connect
}

export class Connections {
  readonly #parts: ConnectionsParts
  readonly #left = new Set<Connection>()

  constructor(parts: ConnectionsParts) {
    this.#parts = parts
  }

  /** A connection that is not open yet; `more` is what differs from the others. */
  create(nodeId: number, address: Address, more: Partial<ConnectionOptions>): Connection {
    const { barrier, clock, config, connect } = this.#parts
    const { clientId, requestTimeoutMs, connectionsMaxIdleMs, socketMaxResponseBytes } = config
    const connection = new Connection({
      nodeId,
      address,
      connect,
      clock,
      barrier,
      setupTimeoutMs: config.socketConnectionSetupTimeoutMs,
      clientId,
      requestTimeoutMs,
      connectionsMaxIdleMs,
      socketMaxResponseBytes,
      ...more,
    })
    this.#left.add(connection)
    void connection.closed.then(() => this.#left.delete(connection))
    return connection
  }

  /** Fulfilled when no timer and no socket is left. */
  async closeAll(reason: KafkaError): Promise<void> {
    const left = [...this.#left]
    for (const connection of left) connection.close(reason)
    await Promise.all(left.map((connection) => connection.closed))
  }
}
