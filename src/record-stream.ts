/** Records as a stream, with backpressure: what `producer.writable()` returns. */
import { Writable } from 'node:stream'
import type { RecordIntake, RecordTypes } from './producer/intake/record-intake.js'
import type { TopicRecord } from './record.js'

export class RecordStream extends Writable {
  readonly #intake: RecordIntake
  readonly #types: RecordTypes
  readonly #topic: string | undefined
  readonly #flush: () => Promise<void>

  constructor(
    intake: RecordIntake,
    types: RecordTypes,
    topic: string | undefined,
    flush: () => Promise<void>,
  ) {
    super({ objectMode: true })
    this.#intake = intake
    this.#types = types
    this.#topic = topic
    this.#flush = flush
  }

  /**
   * The next record is taken at once while records go straight into their batches. When they have to wait, for room or
   * for metadata, it is taken once this one is acknowledged: until then all of `bufferMemory` is under way anyway.
   */
  override _write(
    record: TopicRecord & { readonly topic?: string },
    _encoding: BufferEncoding,
    taken: (error?: Error | null) => void,
  ): void {
    let isTaken = false
    const topic = this.#defaultFor(record)
    void this.#intake.send(topic, record, this.#types, (error) => {
      if (!isTaken) taken(error)
      else if (error !== null) this.destroy(error)
    })
    if (this.#intake.waiting.count > 0) return
    isTaken = true
    taken()
  }

  /** The topic for a record that names none, or null. */
  #defaultFor(record: { readonly topic?: string } | undefined): string | null {
    try {
      return record?.topic === undefined ? (this.#topic ?? null) : null
    } catch {
      return null // the intake looks too, and says what is wrong with it
    }
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#flush().then(() => done(), done)
  }
}
