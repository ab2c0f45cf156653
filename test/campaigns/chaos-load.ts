/** A producer under steady load, and what it was told of every record. */
import { setTimeout as sleep } from 'node:timers/promises'
import { Producer, type KafkaError, type ProducerConfig } from 'kafka-producer'
import type { SentRecord } from '../kafka/cluster.js'

const TICK_MS = 10
const KEYS = 97

export class Load {
  readonly producer: Producer
  readonly topic: string
  /** In the order of the sends; a record that has not ended counts as unknown. */
  readonly records: SentRecord[] = []
  readonly errors = new Map<string, number>()
  /** The longest that a record waited for its acknowledgement. */
  longestMs = 0
  readonly #perTick: number
  #isRunning = true
  #running: Promise<void>

  constructor(config: ProducerConfig, topic: string, recordsPerSecond: number) {
    this.producer = new Producer(config)
    this.topic = topic
    this.#perTick = (recordsPerSecond * TICK_MS) / 1000
    this.#running = this.#run()
  }

  get acknowledged(): number {
    return this.records.filter(({ outcome }) => outcome === 'acknowledged').length
  }

  /** Ends the load and waits until every record has ended. */
  async stop(): Promise<void> {
    this.#isRunning = false
    await this.#running
    await this.producer.close()
  }

  async #run(): Promise<void> {
    const startedAt = performance.now()
    while (this.#isRunning) {
      const due = ((performance.now() - startedAt) / TICK_MS) * this.#perTick
      while (this.records.length < due) this.#send()
      await sleep(TICK_MS)
    }
  }

  #send(): void {
    const index = this.records.length
    const record = { key: `key-${index % KEYS}`, value: `value-${index}` }
    const sentAt = performance.now()
    this.records.push({ ...record, outcome: 'unknown' })
    this.producer.send({ topic: this.topic, ...record }, (error, { partition, offset }) => {
      this.longestMs = Math.max(this.longestMs, performance.now() - sentAt)
      this.records[index] = { ...record, ...this.#outcome(error, partition, offset) }
    })
  }

  #outcome(
    error: KafkaError | null,
    partition: number,
    offset: bigint,
  ): Pick<SentRecord, 'outcome' | 'partition' | 'offset'> {
    if (error === null) return { outcome: 'acknowledged', partition, offset }
    this.errors.set(error.code, (this.errors.get(error.code) ?? 0) + 1)
    return { outcome: error.mayHaveBeenWritten ? 'unknown' : 'failed' }
  }
}
