/**
 * An application with a transactional producer, that does what it is told and what the docs tell it to: commits, aborts
 * after an abortable error, repeats a call that timed out, gives up after a fatal error. It writes down every call and
 * every record with its outcome.
 */
import { KafkaError, TimeoutError } from '../../src/errors.js'
import type { Producer } from '../../src/index.js'
import type { RecordMetadata } from '../../src/record.js'
import type { StrayCall, TransactionPlan, TransactionStep, Work } from './transaction-schedule.js'
import type { VirtualTime } from './virtual-time.js'
import type { World } from './world.js'

export const INPUT = 'input'

interface Outcome {
  readonly calledAt: number
  /** -1: it has none. */
  endedAt: number
  error: unknown
}

/** One record. The number is the order of all `send` calls of the run, and the record's name in the log. */
export interface TransactionalSend extends Outcome {
  readonly number: number
  readonly topic: string
  /** What is to be stored of it. */
  readonly value: string
  /** By a hook of another record, it is accepted before that one. */
  readonly isFromHook: boolean
  settlements: number
  metadata: RecordMetadata | null
}

/** One call of `sendOffsetsToTransaction`; its partitions of INPUT are those of no other call. */
export interface SentOffsets extends Outcome {
  readonly group: string
  readonly partitions: readonly number[]
}

export type CallName = 'init' | 'commit' | 'abort' | 'transaction'

export interface Call extends Outcome {
  readonly name: CallName
  /** What the function of `transaction()` threw; null where it did not. */
  thrown: unknown
}

/** From a `beginTransaction` that succeeded to the next one. */
export interface ModelTransaction {
  readonly begunAt: number
  readonly sends: TransactionalSend[]
  readonly offsets: SentOffsets[]
  readonly calls: Call[]
}

export interface ApplicationParts {
  readonly time: VirtualTime
  readonly world: World
  readonly nextNumber: () => number
  readonly nextInput: () => number
  readonly problem: (text: string) => void
}

export class Thrown extends Error {}

/** A repeated call has so many attempts. */
const ATTEMPTS = 40
const PAUSE_MS = 250
/** A record that proves something and fails is sent again after that. */
const PROBE_PAUSE_MS = 20

/** A value that its serializer takes so long for. */
interface SlowValue {
  readonly value: string | Buffer
  readonly ms: number
}

export class Application {
  readonly name: string
  readonly transactionalId: string
  readonly producer: Producer
  readonly transactions: ModelTransaction[] = []
  /** What was called while no transaction was open. */
  readonly outside: ModelTransaction = newTransaction(0)
  readonly calls: Call[] = []
  readonly fatal: KafkaError[] = []
  closedAt = -1
  /** Hooks of its producer that call it back when they are called. */
  readonly armed: Extract<TransactionStep, { do: 'hook' }>[]
  readonly #parts: ApplicationParts
  #current = this.outside
  #isReady = false
  /** Since all was well last, nothing but `transaction()` was called, which needs no help then. */
  #isByFunction = true
  #isInHook = false
  #queue = Promise.resolve()
  /** Things to do that are not done. */
  busy = 0

  constructor(
    name: string,
    transactionalId: string,
    producer: Producer,
    parts: ApplicationParts,
    armed: Extract<TransactionStep, { do: 'hook' }>[],
  ) {
    this.name = name
    this.transactionalId = transactionalId
    this.producer = producer
    this.#parts = parts
    this.armed = armed
    producer.on('fatal', (error) => this.fatal.push(error))
  }

  get isOver(): boolean {
    return this.fatal.length > 0 || this.closedAt !== -1
  }

  /** After all that it was told before. */
  perform(plan: TransactionPlan): void {
    this.#enqueue(() => this.#perform(plan))
  }

  /** Ends what is open, and commits a transaction of one record: when nothing is wrong any more, that must succeed. */
  prove(): void {
    this.#enqueue(async () => {
      for (let attempt = 0; attempt < ATTEMPTS && !this.isOver; attempt++) {
        const isFunction = this.#isByFunction
        if (!isFunction) await this.#settle()
        const before = this.transactions.length
        await this.#perform({ work: [oneRecord], end: 'commit', isFunction })
        if (this.transactions.length > before && isCommitted(this.#current)) return
        await this.#pause(PAUSE_MS)
      }
      if (!this.isOver) this.#parts.problem(`${this.name} cannot commit a transaction any more`)
    })
  }

  /** With nothing wrong any more, each partition takes a record within this time, in a transaction that commits. */
  proveSoon(partitions: readonly { topic: number; partition: number }[], soonMs: number): void {
    this.armed.length = 0
    this.#enqueue(async () => {
      for (const { topic, partition } of partitions) {
        const until = this.#parts.time.now + soonMs
        let isProven = false
        while (!isProven && !this.isOver && this.#parts.time.now <= until) {
          const before = this.transactions.length
          await this.#perform({
            work: [{ ...oneRecord, topic, partition }],
            end: 'commit',
            isFunction: false,
          })
          isProven = this.transactions.length > before && isCommitted(this.#current)
          if (!isProven) await this.#pause(PROBE_PAUSE_MS)
        }
        if (this.isOver) return
        if (!isProven || this.#parts.time.now > until)
          this.#parts.problem(
            `${this.name}: no record of ${topic}-${partition} is committed soon, though all is well`,
          )
      }
    })
  }

  close(timeoutMs: number | null): Promise<number> {
    this.closedAt = this.#parts.time.now
    return this.producer.close(timeoutMs === null ? {} : { timeoutMs })
  }

  /** A call right now, whatever is going on. */
  stray(call: StrayCall): void {
    this.#isByFunction = false
    switch (call) {
      case 'init':
        void this.#init()
        return
      case 'begin':
        this.#begin()
        return
      case 'commit':
        void this.#commit()
        return
      case 'abort':
        void this.#abort()
        return
      case 'send':
        void this.#send(oneRecord)
        return
      case 'offsets':
        void this.#sendOffsets({ do: 'offsets', group: 0, count: 1, isAwaited: false, isMember: false })
        return
      case 'flush':
        void this.producer.flush()
    }
  }

  /** The same from a hook of its producer. */
  callFromHook(call: StrayCall): void {
    const wasInHook = this.#isInHook
    this.#isInHook = true
    this.stray(call)
    this.#isInHook = wasInHook
  }

  #enqueue(act: () => Promise<void>): void {
    this.busy++
    this.#queue = this.#queue.then(act).then(
      () => {
        this.busy--
      },
      (error: unknown) => {
        this.busy--
        this.#parts.problem(`${this.name}: ${(error as Error).stack ?? String(error)}`)
      },
    )
  }

  async #perform(plan: TransactionPlan): Promise<void> {
    if (this.isOver) return
    if (plan.isFunction) return this.#performFunction(plan)
    this.#isByFunction = false
    if (!this.#isReady) await this.#initialize()
    if (!this.#begin()) {
      await this.#settle()
      if (!this.#begin()) return
    }
    await this.#work(plan.work, false)
    if (plan.end === 'commit') await this.#commitOrAbort()
    else if (plan.end === 'abort') await this.#repeat(() => this.#abort())
  }

  async #initialize(): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
      if (this.isOver || (await this.#init()) === null) return
      await this.#pause(PAUSE_MS)
    }
  }

  async #performFunction({ work, end }: TransactionPlan): Promise<void> {
    let mine = null as ModelTransaction | null
    let thrown: unknown = null
    const error = await this.#watch(
      'transaction',
      () => mine,
      async () => {
        await this.producer.transaction(async () => {
          this.#isReady = true
          mine = this.#current = this.#newTransaction()
          try {
            await this.#work(work, true)
            if (end !== 'commit') throw new Thrown()
          } catch (wanted) {
            thrown = wanted
            throw wanted
          } finally {
            // The one that is open now, where somebody else has ended the first and begun another.
            mine = this.#current
          }
        })
      },
      () => thrown,
    )
    if (error === null) this.#isByFunction = true
    else if (isIllegal(error)) {
      if (this.#isByFunction && !this.isOver)
        this.#parts.problem(`${this.name}: transaction() is stuck: ${(error as Error).message}`)
      await this.#settle()
    } else if (thrown === null && error instanceof TimeoutError && error.mayHaveBeenWritten) {
      // The commit has to be asked for again, and patience may end before it does.
      this.#isByFunction = false
      await this.#settle()
    }
  }

  /** `throws`: with the error of a record that it awaits. */
  async #work(work: readonly Work[], throws: boolean): Promise<void> {
    for (const one of work) {
      if (this.isOver) return
      switch (one.do) {
        case 'pause':
          await this.#pause(one.ms)
          break
        case 'send': {
          const sent = Promise.all(Array.from({ length: one.count }, () => this.#send(one)))
          if (!one.isAwaited) break
          const failed = (await sent).find((error) => error !== null)
          if (throws && failed !== undefined) throw failed
          break
        }
        case 'offsets': {
          const sent = this.#sendOffsets(one)
          if (one.isAwaited) await sent
          break
        }
      }
    }
  }

  /** Whatever is open or has an outcome that nobody was told: it is asked for, and ended. */
  async #settle(): Promise<void> {
    for (let attempt = 0; attempt < ATTEMPTS && !this.isOver; attempt++) {
      const committed = await this.#commitOrAbort()
      if (!isIllegal(committed)) return
      const aborted = await this.#repeat(() => this.#abort())
      if (!isIllegal(aborted)) return
      // Neither is legal: nothing is open, or initTransactions has not ended.
      if (isIllegal(await this.#init())) return
      await this.#pause(PAUSE_MS)
    }
  }

  async #commitOrAbort(): Promise<unknown> {
    const error = await this.#repeat(() => this.#commit())
    if (error instanceof KafkaError && error.abortable && !error.fatal)
      return this.#repeat(() => this.#abort())
    return error
  }

  /** A call that timed out is called again, also when the producer can do nothing more: the outcome may be known. */
  async #repeat(call: () => Promise<unknown>): Promise<unknown> {
    let error: unknown
    for (let attempt = 0; attempt < ATTEMPTS && (attempt > 0 || !this.isOver); attempt++) {
      error = await call()
      if (!(error instanceof TimeoutError)) break
    }
    return error
  }

  async #init(): Promise<unknown> {
    const error = await this.#watch(
      'init',
      () => null,
      () => this.producer.initTransactions(),
    )
    if (error === null) this.#isReady = true
    return error
  }

  #begin(): boolean {
    try {
      this.producer.beginTransaction()
    } catch (error) {
      if (!(error instanceof KafkaError)) throw error
      return false
    }
    this.#current = this.#newTransaction()
    return true
  }

  #commit(): Promise<unknown> {
    const transaction = this.#current
    return this.#watch(
      'commit',
      () => transaction,
      () => this.producer.commitTransaction(),
    )
  }

  #abort(): Promise<unknown> {
    const transaction = this.#current
    return this.#watch(
      'abort',
      () => transaction,
      () => this.producer.abortTransaction(),
    )
  }

  #newTransaction(): ModelTransaction {
    const transaction = newTransaction(this.#parts.time.now)
    this.transactions.push(transaction)
    return transaction
  }

  /** Resolves with the call's error, or null. */
  async #watch(
    name: CallName,
    transaction: () => ModelTransaction | null,
    start: () => Promise<unknown>,
    thrown: () => unknown = () => null,
  ): Promise<unknown> {
    const call: Call = { name, calledAt: this.#parts.time.now, endedAt: -1, error: null, thrown: null }
    this.calls.push(call)
    if (name !== 'transaction') transaction()?.calls.push(call)
    try {
      await start()
    } catch (error) {
      call.error = error
    }
    call.endedAt = this.#parts.time.now
    call.thrown = thrown()
    if (name === 'transaction') transaction()?.calls.push(call)
    return call.error
  }

  /** Resolves with the record's error, or null. */
  async #send({
    topic: index,
    partition,
    bytes,
    serializerMs,
    isReused,
  }: Extract<Work, { do: 'send' }>): Promise<unknown> {
    const { time, world } = this.#parts
    const number = this.#parts.nextNumber()
    const topic = world.topicName(index)
    const text = `${number}:`.padEnd(bytes, '.')
    const one: TransactionalSend = {
      number,
      topic,
      value: text,
      isFromHook: this.#isInHook,
      calledAt: time.now,
      endedAt: -1,
      error: null,
      settlements: 0,
      metadata: null,
    }
    this.#current.sends.push(one)
    const value = isReused ? Buffer.from(text) : text
    const where = partition === null ? {} : { partition: world.partitionOf(index, partition) }
    const sent =
      serializerMs === 0
        ? this.producer.send({ topic, value, ...where })
        : this.producer
            .topic(topic, { valueSerializer: this.#slowly })
            .send({ value: { value, ms: serializerMs }, ...where })
    if (Buffer.isBuffer(value)) value.fill('x')
    try {
      one.metadata = await sent
    } catch (error) {
      one.error = error
    }
    one.settlements++
    one.endedAt = time.now
    return one.error
  }

  readonly #slowly = async ({ value, ms }: SlowValue): Promise<string> => {
    // The bytes are the caller's; what a serializer gets is its own affair.
    const text = value.toString()
    await this.#pause(ms)
    return text
  }

  async #sendOffsets({ group: index, count, isMember }: Extract<Work, { do: 'offsets' }>): Promise<void> {
    const group = groupName(index)
    const partitions = Array.from({ length: count }, () => this.#parts.nextInput())
    const one: SentOffsets = { group, partitions, calledAt: this.#parts.time.now, endedAt: -1, error: null }
    this.#current.offsets.push(one)
    const offsets = partitions.map((partition) => ({ topic: INPUT, partition, offset: partition }))
    try {
      await this.producer.sendOffsetsToTransaction(
        offsets,
        isMember ? { groupId: group, ...member } : { groupId: group },
      )
    } catch (error) {
      one.error = error
    }
    one.endedAt = this.#parts.time.now
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.#parts.time.setTimer(ms, resolve)
    })
  }
}

const oneRecord: Extract<Work, { do: 'send' }> = {
  do: 'send',
  topic: 0,
  partition: null,
  bytes: 0,
  count: 1,
  isAwaited: false,
  serializerMs: 0,
  isReused: false,
}

export const member = { generationId: 1, memberId: 'reader' }

export function groupName(index: number): string {
  return `readers-${index}`
}

function newTransaction(begunAt: number): ModelTransaction {
  return { begunAt, sends: [], offsets: [], calls: [] }
}

export function isIllegal(error: unknown): boolean {
  return error instanceof KafkaError && error.code === 'ILLEGAL_STATE'
}

/** Whether the application was told that it is committed. */
export function isCommitted({ calls }: ModelTransaction): boolean {
  return calls.some((call) => mayCommit(call) && call.endedAt !== -1 && call.error === null)
}

/** Not an abort, nor `transaction()` with a function that threw. */
export function mayCommit({ name, thrown }: Call): boolean {
  return name !== 'abort' && thrown === null
}
