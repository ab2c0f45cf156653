/** The producer: what an application holds. Wires the parts together, and carries their life from first use to close. */
import { EventEmitter } from 'node:events'
import type { Writable } from 'node:stream'
import { functionArgument, invalidArgument, optionsArgument, timeArgument } from './config/arguments.js'
import { resolveConfig, type ProducerConfig, type ResolvedConfig } from './config/config.js'
import type { ConsumedOffsets, ConsumerGroupMetadata } from './consumer-offsets.js'
import { IllegalStateError, KafkaError, ProducerClosedError, TimeoutError, withOutcome } from './errors.js'
import { Backoff } from './time/backoff.js'
import { FaultBarrier } from './fault-barrier.js'
import { Cluster, type ConnectionEvent } from './network/cluster.js'
import { within } from './time/within.js'
import type { TopicChange } from './network/metadata.js'
import { saslLogin } from './network/sasl/login.js'
import { tlsConnect } from './network/connection/tls.js'
import { GetTelemetrySubscriptions, ZERO_UUID } from './protocol/apis.js'
import { brokerError } from './protocol/error-codes.js'
import { BatchCompression } from './producer/batching/batch-compression.js'
import { SenderCounters } from './producer/sending/counters.js'
import { UnsequencedGate } from './producer/sending/drain-gate.js'
import { DrainSchedule } from './producer/batching/drain-schedule.js'
import { Idempotence } from './producer/sending/idempotence.js'
import { NextTurn } from './producer/sending/next-turn.js'
import type { CompletionObserver } from './producer/batching/producer-batch.js'
import { RecordAccumulator } from './producer/batching/record-accumulator.js'
import type { Logger } from './logger.js'
import { faultLogger } from './repeated-warning.js'
import { RecordIntake, type RecordTypes } from './producer/intake/record-intake.js'
import { seamsOf, type Seams } from './producer/seams.js'
import { Sender } from './producer/sending/sender.js'
import type { SequenceGate } from './producer/sending/sequence-gate.js'
import { TransactionManager } from './producer/transactions/transaction-manager.js'
import { assertTopicName } from './producer/intake/record-checks.js'
import { unusable } from './producer/transactions/transaction-states.js'
import { UnheardFailures } from './producer/batching/unheard-failures.js'
import { compressorFor, type Compressor } from './records/compression.js'
import type { DeliveryCallback, Payload, ProducerRecord, RecordMetadata, TopicPartition } from './record.js'
import type { ProducerMetrics } from './metrics.js'
import { RecordStream } from './record-stream.js'
import { tell } from './user-code.js'
import { TopicProducer, topicTypes, type TopicOptions } from './topic-producer.js'
import { Transaction } from './transaction.js'

/** A partition as `partitionsFor` describes it. */
export interface PartitionInfo extends TopicPartition {
  /** The broker that leads it, or null while it has no leader. */
  readonly leader: { readonly id: number; readonly host: string; readonly port: number } | null
  /** -1 where the brokers do not tell (before Kafka 2.1). */
  readonly leaderEpoch: number
}

/** The markers of a transaction take about this long; who comes earlier is told CONCURRENT_TRANSACTIONS. */
const MARKERS_MS = 20

/** What `on` can be told of. */
export interface ProducerEvents {
  /**
   * A record failed; its promise or callback says so too. While nothing listens, failures that no callback was told of are
   * logged, at most every ten seconds.
   */
  readonly deliveryError: readonly [error: KafkaError, record: TopicPartition]
  /** A connection to a broker is open and, with `sasl`, logged in. */
  readonly connect: readonly [
    broker: { readonly nodeId: number; readonly host: string; readonly port: number },
  ]
  /** A connection ended; without `error` it was closed because nothing went over it for `connectionsMaxIdleMs`. */
  readonly disconnect: readonly [
    broker: {
      readonly nodeId: number
      readonly host: string
      readonly port: number
      readonly error?: KafkaError
    },
  ]
  /** Metadata came that says something new of these topics. */
  readonly metadata: readonly [topics: readonly MetadataChange[]]
  /** The producer is unusable from here on. */
  readonly fatal: readonly [error: KafkaError]
}

/** What an answer with metadata changed for a topic. */
export interface MetadataChange {
  readonly topic: string
  /** 0 for a topic that was not known before. */
  readonly oldPartitionCount: number
  readonly partitionCount: number
}

/**
 * A Kafka producer. One per process serves all topics; it connects when it is first used.
 *
 * Idempotent and `acks: 'all'` by default: what is acknowledged is stored once and in order.
 */
export class Producer<K = Payload, V = Payload> {
  readonly #config: ResolvedConfig
  readonly #seams: Seams
  readonly #barrier = new FaultBarrier((error) => this.#faulted(error))
  readonly #events = new EventEmitter()
  readonly #counters = new SenderCounters()
  readonly #turn = new NextTurn(this.#barrier)
  readonly #compressor: Compressor | null
  readonly #cluster: Cluster
  readonly #accumulator: RecordAccumulator
  readonly #transactions: TransactionManager | null
  /** Null without idempotence. */
  readonly #sequences: SequenceGate | null
  readonly #sender: Sender
  readonly #intake: RecordIntake
  readonly #types: RecordTypes
  /** For what may go wrong with every record. */
  readonly #faultLog: Pick<Logger, 'warn' | 'error'>
  readonly #unheard: UnheardFailures
  readonly #metadataWaiters = new Set<(error?: KafkaError) => void>()
  #recordErrors = 0
  #clientInstanceId: string | null = null
  /** Why nothing can be sent any more. */
  #refusal: KafkaError | null = null
  #isFatal = false
  #closing: Promise<number> | null = null

  /**
   * Validates everything at once and throws a ConfigError that lists every problem. Connects lazily, on the first
   * `send`; `connect()` is there for those who want to fail at start-up.
   */
  constructor(config: ProducerConfig<K, V>) {
    this.#config = resolveConfig(config)
    this.#seams = seamsOf(config, this.#barrier)
    const { clock, connect, inspect, lookup, random } = this.#seams
    const barrier = this.#barrier
    const { enableIdempotence, logger, retryBackoffMs, retryBackoffMaxMs, ssl, transactionalId } =
      this.#config
    const limit = { clock, timeoutMs: this.#config.requestTimeoutMs, option: 'requestTimeoutMs' }
    const backoff = new Backoff(retryBackoffMs, retryBackoffMaxMs, random)
    const shortBackoff = new Backoff(Math.min(MARKERS_MS, retryBackoffMs), retryBackoffMaxMs, random)
    this.#faultLog = faultLogger(logger, clock)
    this.#unheard = new UnheardFailures(this.#config.logger, clock)
    const observer: CompletionObserver = {
      callbackThrew: (error) => this.#faultLog.error('a delivery callback threw', { error }),
      recordFailed: (error, { topic, partition }, isTold) => {
        this.#recordErrors++
        this.#transactions?.failed(error)
        if (!isTold && this.#events.listenerCount('deliveryError') === 0) {
          this.#unheard.failed(error, { topic, partition })
        }
        this.#emit('deliveryError', error, { topic, partition })
      },
    }
    this.#compressor = compressorFor(this.#config)
    this.#cluster = new Cluster({
      config: this.#config,
      barrier,
      clock,
      connect: ssl === undefined ? connect : tlsConnect(ssl, logger, limit),
      lookup,
      authenticate:
        this.#config.sasl === undefined
          ? undefined
          : saslLogin(this.#config.sasl, { clock, ...this.#config }),
      random,
      onMetadata: (changes) => this.#onMetadata(changes),
      onMetadataError: (error) => this.#onMetadataError(error),
      onConnect: (broker) => this.#onConnection('connect', broker),
      onDisconnect: (broker) => this.#onConnection('disconnect', broker),
    })
    this.#transactions =
      transactionalId === undefined
        ? null
        : new TransactionManager(transactionalId, {
            config: this.#config,
            barrier,
            cluster: this.#cluster,
            clock,
            backoff,
            shortBackoff,
            flush: () => this.flush(),
            dropUnsent: (error) => {
              this.#intake.failAll(error)
              this.#sender.dropUnsent(error)
            },
            onFatal: (error) => this.#fail(error),
          })
    const idempotence = (): Idempotence =>
      new Idempotence({
        barrier,
        cluster: this.#cluster,
        clock,
        backoff,
        isWanted: () => this.#accumulator.incompleteCount > 0,
        onFatal: (error) => this.#fail(error),
      })
    this.#sequences = this.#transactions ?? (enableIdempotence ? idempotence() : null)
    const gate = this.#sequences ?? new UnsequencedGate(this.#config.maxInFlightRequestsPerConnection)
    const schedule = new DrainSchedule(gate, this.#turn)
    const compression =
      this.#compressor === null ? null : new BatchCompression(this.#compressor, this.#faultLog, barrier)
    this.#accumulator = new RecordAccumulator({
      config: this.#config,
      clock,
      schedule,
      gate,
      turn: this.#turn,
      compression,
      random,
    })
    inspect({ accumulator: this.#accumulator, schedule, gate })
    this.#intake = new RecordIntake({
      config: this.#config,
      barrier,
      accumulator: this.#accumulator,
      cluster: this.#cluster,
      clock,
      observer,
      refusal: () => this.#refusal ?? this.#transactions?.sendRefusal() ?? null,
    })
    this.#sender = new Sender({
      config: this.#config,
      barrier,
      schedule,
      turn: this.#turn,
      accumulator: this.#accumulator,
      cluster: this.#cluster,
      sequences: this.#sequences,
      clock,
      backoff,
      shortBackoff,
      observer,
      counters: this.#counters,
      onFatal: (error) => this.#fail(error),
    })
    this.#types = {
      keySerializer: this.#config.keySerializer,
      valueSerializer: this.#config.valueSerializer,
      partitioner: this.#config.partitioner,
    }
  }

  /**
   * Connects to the cluster now, which otherwise the first `send` does. Rejects with TimeoutError when no server
   * answers within `maxBlockMs` (it says what each answered), with another error when trying on is no use.
   */
  async connect(): Promise<void> {
    const deadline = this.#seams.clock.now() + this.#config.maxBlockMs
    for (;;) {
      this.#throwIfRefused()
      try {
        await within(this.#seams.clock, deadline, this.#cluster.anyConnection(), () =>
          this.#unreachable(undefined),
        )
        return
      } catch (error) {
        if (!(error instanceof KafkaError) || !error.retriable) throw this.#barrier.errorOf(error)
        if (this.#seams.clock.now() >= deadline) throw this.#unreachable(error)
      }
    }
  }

  /**
   * Sends a record. The bytes are copied during the call. With a callback it is called once, later, with the error or
   * null; without one the promise says the same. Neither ever throws. A promise that nobody awaits does not end the
   * process when it is rejected: see the event `deliveryError`.
   *
   * Fails with SerializationError, RecordTooLargeError, TimeoutError (`maxBlockMs`, `deliveryTimeoutMs`),
   * BufferExhaustedError, ProducerClosedError, or what a broker answered. `mayHaveBeenWritten` tells whether the record
   * may be in the log all the same.
   *
   * With a `transactionalId` also with IllegalStateError (no transaction is open), TransactionAbortedError (its
   * transaction failed or was aborted before it was sent) and ProducerFencedError (another producer has the
   * `transactionalId` now). A record that fails, awaited or not, makes the commit fail.
   */
  send(record: ProducerRecord<K, V>): Promise<RecordMetadata>
  send(record: ProducerRecord<K, V>, callback: DeliveryCallback): void
  send(record: ProducerRecord<K, V>, callback?: DeliveryCallback): Promise<RecordMetadata> | undefined {
    return this.#intake.send(null, record, this.#types, callback)
  }

  /**
   * A handle on one topic: with the producer's own serializers, or with the given ones; it inherits none of the
   * producer's then.
   */
  topic(name: string): TopicProducer<K, V>
  topic<TK = Payload, TV = Payload>(name: string, options: TopicOptions<TK, TV>): TopicProducer<TK, TV>
  topic<TK, TV>(name: string, options?: TopicOptions<TK, TV>): TopicProducer<TK, TV> {
    return new TopicProducer(name, this.#intake, topicTypes(this.#types, options))
  }

  /**
   * Makes lingering batches due now, and resolves when all that was sent before the call has ended, well or badly. Never
   * rejects for a record's own failure.
   */
  flush(): Promise<void>
  flush(given?: unknown): Promise<void> {
    const flushed = this.#accumulator.flush()
    if (given === undefined) return flushed
    // It is told afterwards: a slip must not lose records.
    return flushed.then(() => {
      throw invalidArgument('flush', 'the argument', 'left out', given)
    })
  }

  /**
   * Flushes, then disconnects; fails what is left after `timeoutMs` with ProducerClosedError (without `timeoutMs`,
   * nothing takes longer than `deliveryTimeoutMs`). 0 gives up at once. Idempotent; a second call may shorten the time.
   *
   * Resolves with the number of records that were under way at the call and then failed. It does not count what failed
   * before the call, nor what is sent after it: a service that must know of every loss counts them itself, in a listener
   * of `deliveryError`.
   *
   * A wrong argument (code INVALID_ARGUMENT) is told afterwards: the producer closes as without it, then the call rejects.
   *
   * With a `transactionalId` it waits for a commit that is under way and aborts a transaction that is open, which takes
   * at most `maxBlockMs` more.
   */
  close(options: { readonly timeoutMs?: number | undefined } = {}): Promise<number> {
    this.#refusal ??= new ProducerClosedError('the producer is closed')
    this.#closing ??= this.#close()
    let timeoutMs: number
    try {
      const given = optionsArgument('close', ['timeoutMs'], options).timeoutMs
      timeoutMs = given === undefined ? Infinity : timeArgument('close', 'timeoutMs', given)
    } catch (error) {
      return this.#closing.then(() => {
        throw error
      })
    }
    if (timeoutMs === Infinity) return this.#closing
    const giveUp = (): void => {
      this.#sequences?.close()
      this.#failAll((isOpen) => notInTime(timeoutMs, isOpen))
    }
    if (timeoutMs === 0) giveUp()
    else {
      const timer = this.#seams.clock.setTimer(timeoutMs, giveUp)
      return this.#closing.finally(() => timer.cancel())
    }
    return this.#closing
  }

  /** `await using`: closes at the end of the scope. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /**
   * Registers the transactional id with its coordinator, which fences earlier producers with the same id and ends what
   * they left open. Once, before the first transaction; `transaction()` does it by itself. Rejects with TimeoutError
   * after `maxBlockMs`: then call it again, or close. (KIP-98)
   */
  async initTransactions(): Promise<void> {
    await this.#transactional('initTransactions').initTransactions()
  }

  /** Every record that is sent from here on belongs to the transaction. Throws IllegalStateError while one is open. */
  beginTransaction(): void {
    this.#transactional('beginTransaction').beginTransaction()
  }

  /**
   * Commits a consumer group's offsets as part of the transaction: they hold if, and from when, the transaction is
   * committed (KIP-447). The consumer must not commit them itself (`enable.auto.commit` off). Rejects with an `abortable`
   * error when the member is not in the group any more; the commit fails then, whether this call was awaited or not.
   * Rejects with TimeoutError after `maxBlockMs`, but goes on: the commit waits for it, and fails if it fails. An invalid
   * offset or group (code INVALID_ARGUMENT) and a call at the wrong time (IllegalStateError) are refused, and do the
   * transaction no harm. Needs brokers of 0.11, and of 2.5 for more of the group than its id.
   */
  sendOffsetsToTransaction(offsets: ConsumedOffsets, groupMetadata: ConsumerGroupMetadata): Promise<void> {
    try {
      return this.#transactional('sendOffsetsToTransaction').sendOffsets(offsets, groupMetadata)
    } catch (error) {
      return Promise.reject(error)
    }
  }

  /**
   * Flushes, then makes all records and offsets of the transaction visible at once. Rejects with TransactionAbortedError,
   * whose cause is the first error, where any of them failed (with a ProducerFencedError that is `abortable` where that
   * is one): then call abortTransaction. Rejects with TimeoutError after `maxBlockMs`: it may have been committed, and
   * only calling it again tells, even after `close()`.
   */
  async commitTransaction(): Promise<void> {
    await this.#transactional('commitTransaction').commitTransaction()
  }

  /**
   * Ends the transaction without effect: consumers with `isolation.level=read_committed` never see its records. What was
   * not sent yet fails with TransactionAbortedError. Rejects with TimeoutError after `maxBlockMs`: then call it again.
   */
  async abortTransaction(): Promise<void> {
    await this.#transactional('abortTransaction').abortTransaction()
  }

  /**
   * Runs `fn` in a transaction of its own: commits when it has ended, and returns what it returned. Aborts when it
   * throws, and rejects with that error; aborts when a record or an offset failed that `fn` did not await, and rejects
   * with TransactionAbortedError whose cause is that one's error. While it runs whatever this producer sends, through
   * `tx` or not, belongs to the transaction, and a second one is an IllegalStateError.
   *
   * `mayHaveBeenWritten` is true only when the transaction as a whole may be committed. (Where `fn` threw an error of a
   * record that has it, the error is a copy without it, and the thrown one its cause.) That is so after a commit that
   * timed out, which is not aborted: a TimeoutError, and `commitTransaction()` tells how it ended. After any other error
   * the next transaction() may follow at once: it waits for what the last one left to do, for at most `maxBlockMs`
   * (TimeoutError).
   */
  async transaction<T>(fn: (tx: Transaction<K, V>) => T | Promise<T>): Promise<T> {
    functionArgument('transaction', 'the argument', fn)
    const manager = this.#transactional('transaction')
    await manager.ready()
    manager.beginTransaction()
    const tx = new Transaction<K, V>(this.#intake, this.#types, manager)
    let result: T
    try {
      result = await fn(tx)
    } catch (error) {
      tx.end()
      const told = await this.#abortAfter(manager, error)
      // Unless the function has asked for a commit itself, nothing that it sent is ever visible.
      throw told instanceof KafkaError && !manager.mayBeCommitted ? withOutcome(told, false) : told
    }
    tx.end()
    try {
      await manager.commitTransaction()
    } catch (error) {
      if (!(error instanceof KafkaError) || !error.abortable) throw error
      const told = await this.#abortAfter(manager, error)
      throw told instanceof KafkaError ? withOutcome(told, error.mayHaveBeenWritten) : told
    }
    return result
  }

  /** The partitions of a topic; asks the cluster if need be, for at most `maxBlockMs` (TimeoutError). */
  async partitionsFor(topic: string): Promise<PartitionInfo[]> {
    this.#throwIfRefused()
    assertTopicName(topic, 'partitionsFor')
    const { metadata } = this.#cluster
    const deadline = this.#seams.clock.now() + this.#config.maxBlockMs
    metadata.use(topic)
    if (metadata.topic(topic) === undefined) this.#cluster.requestMetadataUpdate(topic)
    while (metadata.topic(topic) === undefined) {
      if (this.#seams.clock.now() >= deadline) throw this.#unreachable(metadata.topicError(topic))
      await within(this.#seams.clock, deadline, this.#nextMetadata(), () => this.#unreachable(undefined))
      this.#throwIfRefused()
      const error = metadata.topicError(topic)
      if (error?.retriable === false) throw error
    }
    return metadata.topic(topic)!.partitions.map(({ index, leader, leaderEpoch }) => {
      const broker = metadata.brokers.get(leader)
      return {
        topic,
        partition: index,
        leader: broker === undefined ? null : { id: broker.id, host: broker.host, port: broker.port },
        leaderEpoch,
      }
    })
  }

  /**
   * The id that the cluster gave this client for its metrics, as text with dashes (KIP-714, Kafka 3.7). Asks for it once,
   * for at most `timeoutMs`, by default `maxBlockMs` (TimeoutError). Brokers without a receiver of client metrics do not have it:
   * UnsupportedVersionError.
   */
  async clientInstanceId(timeoutMs: number = this.#config.maxBlockMs): Promise<string> {
    this.#throwIfRefused()
    timeArgument('clientInstanceId', 'timeoutMs', timeoutMs)
    if (this.#clientInstanceId === null) {
      const deadline = this.#seams.clock.now() + timeoutMs
      const late = (): KafkaError => new TimeoutError(`no client instance id within ${timeoutMs} ms`)
      const connection = await within(this.#seams.clock, deadline, this.#cluster.anyConnection(), late)
      const asked = connection.request(GetTelemetrySubscriptions, { clientInstanceId: ZERO_UUID })
      const { clientInstanceId, errorCode } = await within(this.#seams.clock, deadline, asked, late)
      if (errorCode !== 0) throw brokerError(errorCode, 'GetTelemetrySubscriptions')
      this.#clientInstanceId = clientInstanceId
    }
    return this.#clientInstanceId
  }

  /** Counts and gauges at this moment. */
  metrics(): ProducerMetrics {
    const { pool } = this.#accumulator
    return {
      recordSendTotal: this.#counters.recordsSent,
      recordErrorTotal: this.#recordErrors,
      recordRetryTotal: this.#counters.recordRetries,
      batchSplitTotal: this.#counters.batchSplits,
      compressionEngine: this.#compressor?.engine ?? null,
      requestTotal: this.#counters.requests,
      requestsInFlight: this.#sender.inFlight,
      bufferTotalBytes: pool.totalBytes,
      bufferAvailableBytes: pool.availableBytes,
      waitingRecords: this.#intake.waiting.count,
    }
  }

  /**
   * A stream of records in object mode for `pipeline()`. It takes a record when there is room for it, so whoever writes
   * is slowed down to the speed of the brokers; it ends when all is acknowledged, and fails with the first record that
   * fails. With `topic`, records that name none go there.
   */
  writable(options: { readonly topic?: string | undefined } = {}): Writable {
    const { topic } = optionsArgument('writable', ['topic'], options)
    if (topic !== undefined) assertTopicName(topic)
    return new RecordStream(this.#intake, this.#types, topic, () => this.flush())
  }

  /** Calls `listener` whenever `event` happens. What it throws, or rejects with, is logged. */
  on<E extends keyof ProducerEvents>(event: E, listener: (...args: ProducerEvents[E]) => void): this {
    this.#events.on(event, functionArgument('on', 'listener', listener))
    return this
  }

  /** Takes a listener away. */
  off<E extends keyof ProducerEvents>(event: E, listener: (...args: ProducerEvents[E]) => void): this {
    this.#events.off(event, functionArgument('off', 'listener', listener))
    return this
  }

  async #close(): Promise<number> {
    const before = this.#recordErrors - this.#intake.refused
    await this.flush()
    await this.#transactions?.finish()
    this.#sender.stop()
    this.#sequences?.close()
    await this.#cluster.close()
    this.#intake.close()
    for (const wake of this.#metadataWaiters) wake()
    this.#unheard.tell()
    this.#events.removeAllListeners()
    return this.#recordErrors - this.#intake.refused - before
  }

  #failAll(errorOf: (mayHaveBeenWritten: boolean) => KafkaError): void {
    this.#barrier.run(() => this.#intake.failAll(errorOf(false)))
    this.#sender.failAll((batch) => errorOf(batch.maybeWritten || batch.isInFlight))
  }

  /** Nothing can be sent any more, whoever asks. */
  #fail(error: KafkaError): void {
    if (this.#isFatal) return
    this.#isFatal = true
    if (this.#closing === null) this.#refusal = this.#transactions === null ? error : unusable(error)
    this.#transactions?.fatal(error)
    this.#config.logger.error('the producer is unusable', { error: error.message })
    this.#failAll((mayHaveBeenWritten) => withOutcome(error, mayHaveBeenWritten))
    this.#emit('fatal', error)
    for (const wake of this.#metadataWaiters) wake()
  }

  /** Something of this package threw where nothing catches it. */
  #faulted(error: KafkaError): void {
    this.#config.logger.error('a fault in the producer itself; please report it', { error: error.cause })
    this.#fail(error)
  }

  #onMetadata(changes: readonly TopicChange[]): void {
    const { metadata } = this.#cluster
    for (const name of this.#accumulator.topicNames)
      if (metadata.topic(name) === undefined) this.#takeMetadata(name)
    for (const { name, oldPartitionCount, newPartitionCount } of changes) {
      this.#takeMetadata(name)
      // First of all, so that what a logger sends does not overtake what waited.
      this.#intake.onMetadata(name)
      if (oldPartitionCount > 0 && newPartitionCount > oldPartitionCount) {
        this.#config.logger.warn('a topic has more partitions: from here on its keys map to other ones', {
          topic: name,
          from: oldPartitionCount,
          to: newPartitionCount,
        })
      }
    }
    this.#intake.keepWaitingTopics()
    for (const wake of this.#metadataWaiters) wake()
    this.#turn.request()
    if (changes.length > 0) {
      this.#emit(
        'metadata',
        changes.map(({ name, oldPartitionCount, newPartitionCount }) => ({
          topic: name,
          oldPartitionCount,
          partitionCount: newPartitionCount,
        })),
      )
    }
  }

  /** Brings what is known of a topic to its queues; a topic that is not known (any more) has to be asked for again. */
  #takeMetadata(name: string): void {
    const { metadata } = this.#cluster
    this.#accumulator.updateTopic(name, metadata.topic(name))
    const error = metadata.topicError(name)
    if (error?.retriable === false) this.#sender.failTopic(name, error)
  }

  /** An error that will not pass by itself: what waits for metadata fails with it. */
  #onMetadataError(error: KafkaError): void {
    if (error.retriable) return
    this.#intake.failWaitingForMetadata(error)
    for (const wake of this.#metadataWaiters) wake(error)
    // Batches whose partition has no leader do not fail with it: they have metadata asked for again.
    this.#turn.request()
  }

  #onConnection(event: 'connect' | 'disconnect', broker: ConnectionEvent): void {
    this.#emit(event, broker)
    this.#turn.request()
  }

  #emit<E extends keyof ProducerEvents>(event: E, ...args: ProducerEvents[E]): void {
    if (this.#events.listenerCount(event) === 0) return
    // One by one: a listener that throws must not keep the others from being called.
    for (const listener of this.#events.listeners(event)) {
      tell(
        () => listener(...args) as unknown,
        (error) => this.#faultLog.error(`a listener of '${event}' threw`, { error }),
      )
    }
  }

  #transactional(call: string): TransactionManager {
    // Whoever asks again for an outcome gets it, whatever became of the producer since.
    if (this.#transactions?.pending !== call) this.#throwIfRefused()
    if (this.#transactions !== null) return this.#transactions
    throw new IllegalStateError(`${call}() needs a producer with a transactionalId`)
  }

  /** Aborts because of an error; the error to tell of, which is another one where the abort shows why. */
  async #abortAfter(manager: TransactionManager, error: unknown): Promise<unknown> {
    try {
      await manager.abortTransaction()
      return error
    } catch (abortError) {
      this.#config.logger.warn('a transaction could not be aborted', { error: String(abortError) })
      return abortError instanceof KafkaError && abortError.fatal ? abortError : error
    }
  }

  #throwIfRefused(): void {
    if (this.#refusal !== null) throw this.#refusal
  }

  #nextMetadata(): Promise<void> {
    return new Promise((resolve, reject) => {
      const wake = (error?: KafkaError): void => {
        this.#metadataWaiters.delete(wake)
        if (error === undefined) resolve()
        else reject(error)
      }
      this.#metadataWaiters.add(wake)
    })
  }

  #unreachable(cause: KafkaError | undefined): TimeoutError {
    const said = this.#cluster.lastErrors() || cause?.message || 'no broker answered'
    return new TimeoutError(
      `no answer from the cluster within ${this.#config.maxBlockMs} ms (maxBlockMs): ${said}`,
      {
        cause,
      },
    )
  }
}

function notInTime(timeoutMs: number, mayHaveBeenWritten: boolean): ProducerClosedError {
  return new ProducerClosedError(
    `the producer was closed before the record was acknowledged (timeoutMs ${timeoutMs})`,
    {
      mayHaveBeenWritten,
    },
  )
}
