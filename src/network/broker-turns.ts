import { inWords, type Endpoint } from './endpoint.js'

/**
 * Which brokers have had their turn at a request that any broker may answer, and could not help: the controller was out of
 * their reach, or what they know of the cluster is old. The next attempt goes to another one. They are told apart by
 * address, because the id of a bootstrap server is found out only later.
 */
export class BrokerTurns {
  readonly #turns = new Map<string, number>()
  #count = 0

  /** The broker could not help. */
  took(broker: Endpoint): void {
    this.#turns.set(inWords(broker), ++this.#count)
  }

  /** 0 for a broker that has not had its turn; the others count up, so the lowest has waited the longest. */
  of(broker: Endpoint): number {
    return this.#turns.get(inWords(broker)) ?? 0
  }

  /** No broker has had its turn. */
  get areUntouched(): boolean {
    return this.#turns.size === 0
  }

  /** Somebody could help: all brokers are equal again. */
  startOver(): void {
    this.#turns.clear()
  }
}
