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
    // Where neither names a topic the intake says so.
    const topic = (record.topic ?? this.#topic) as string
    void this.#intake.send(topic, record, this.#types, (error) => {
      if (!isTaken) taken(error)
      else if (error !== null) this.destroy(error)
    })
    if (this.#intake.waiting.count > 0) return
    isTaken = true
    taken()
  }

  override _final(done: (error?: Error | null) => void): void {
    this.#flush().then(() => done(), done)
  }
}
