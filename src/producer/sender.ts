/**
 * From ready batches to settled ones: drains the accumulator broker by broker into Produce requests, and decides with
 * each answer what becomes of a batch. It runs when something happened, once per turn of the event loop, and sleeps on
 * one timer until the next deadline.
 */
import type { ResolvedConfig } from '../config.js'
import {
  AuthenticationError,
  type KafkaError,
  ProducerFencedError,
  ProtocolError,
  TimeoutError,
  UnsupportedVersionError,
  withOutcome,
} from '../errors.js'
import type { Backoff } from '../network/backoff.js'
import type { Clock, Timer } from '../network/clock.js'
import type { Cluster } from '../network/cluster.js'
import type { Connection } from '../network/connection.js'
import { Produce, ZERO_UUID } from '../protocol/apis.js'
import { brokerError } from '../protocol/error-codes.js'
import { leavesAppendOpen, produceReaction } from '../protocol/reactions.js'
import type { RequestOf, ResponseOf } from '../protocol/schema.js'
import type { PartitionQueue } from './partition-queue.js'
import type { CompletionObserver, ProducerBatch } from './producer-batch.js'
import type { DrainGate, RecordAccumulator } from './record-accumulator.js'
import type { SenderCounters } from './counters.js'
import type { SequenceGate } from './sequence-gate.js'

type ProduceRequest = RequestOf<typeof Produce>
type ProduceResponse = ResponseOf<typeof Produce>
type NodeEndpoint = ProduceResponse['nodeEndpoints'][number]
type PartitionResponse = ProduceResponse['responses'][number]['partitionResponses'][number]

/** From version 13 on Produce names topics by their ids (KIP-516). */
const LAST_VERSION_WITH_NAMES = 12

export type SenderConfig = Pick<
  ResolvedConfig,
  | 'acks'
  | 'maxInFlightRequestsPerConnection'
  | 'maxRequestSize'
  | 'requestTimeoutMs'
  | 'deliveryTimeoutMs'
  | 'retries'
  | 'logger'
>

export interface SenderParts {
  readonly config: SenderConfig
  readonly accumulator: RecordAccumulator
  readonly cluster: Cluster
  /** Null without idempotence. */
  readonly sequences: SequenceGate | null
  readonly clock: Clock
  readonly backoff: Backoff
  /** For answers that say: the last transaction is not quite over. */
  readonly shortBackoff: Backoff
  readonly observer: CompletionObserver
  readonly counters: SenderCounters
  readonly onFatal: (error: KafkaError) => void
}

/** Without idempotence order is kept only when one request at a time is in flight. */
class UnsequencedGate implements DrainGate {
  readonly #isOneAtATime: boolean
  constructor(maxInFlight: number) {
    this.#isOneAtATime = maxInFlight === 1
  }
  mayDrain(queue: PartitionQueue): boolean {
    return !this.#isOneAtATime || queue.onWire === 0
  }
}

export class Sender {
  readonly #parts: SenderParts
  readonly #gate: DrainGate
  readonly #requestsInFlight = new Map<number, number>()
  readonly #connecting = new Set<number>()
  #isScheduled = false
  #isStopped = false
  #timer: Timer | null = null
  #timerDue = Infinity

  constructor(parts: SenderParts) {
    this.#parts = parts
    this.#gate = parts.sequences ?? new UnsequencedGate(parts.config.maxInFlightRequestsPerConnection)
  }

  /** Produce requests that are not answered. */
  get inFlight(): number {
    let sum = 0
    for (const count of this.#requestsInFlight.values()) sum += count
    return sum
  }

  /** Something may be ready: look at it once this turn of the event loop is over, with all that comes until then. */
  wake(): void {
    if (this.#isScheduled || this.#isStopped) return
    this.#isScheduled = true
    setImmediate(() => {
      this.#isScheduled = false
      if (!this.#isStopped) this.#run()
    })
  }

  /** Nothing is sent any more, and no timer is left. */
  stop(): void {
    this.#isStopped = true
    this.#timer?.cancel()
  }

  /** Fails every batch that is not settled with the error that it is given. */
  failAll(errorOf: (batch: ProducerBatch) => KafkaError): void {
    for (const batch of this.#parts.accumulator.incomplete) this.#giveUp(batch, errorOf(batch))
  }

  /** Fails the batches of a topic that cannot be used, except those that a broker has to answer for. */
  failTopic(topic: string, error: KafkaError): void {
    for (const batch of this.#parts.accumulator.incomplete) {
      if (batch.queue.topic === topic && !batch.isOnWire)
        this.#giveUp(batch, withOutcome(error, batch.maybeWritten))
    }
  }

  /** Fails every batch that no broker has to answer for. */
  dropUnsent(error: KafkaError): void {
    for (const batch of this.#parts.accumulator.incomplete)
      if (!batch.isOnWire) this.#giveUp(batch, withOutcome(error, batch.maybeWritten))
  }

  #run(): void {
    const { accumulator, cluster, clock, sequences } = this.#parts
    const now = clock.now()
    accumulator.advance(now)
    this.#expire(now)
    const nodes = accumulator.readyNodes()
    if (sequences !== null && accumulator.incompleteCount > 0) sequences.ensureProducerId()
    for (const nodeId of nodes) this.#drain(nodeId, now)
    for (const topic of accumulator.leaderlessTopics()) cluster.requestMetadataUpdate(topic)
    this.#sleep(now)
  }

  #sleep(now: number): void {
    const due = this.#parts.accumulator.nextDeadline
    // A timer that is early finds nothing due and sleeps on; one that nothing waits for would keep the process awake.
    if (due >= this.#timerDue && due !== Infinity) return
    this.#timer?.cancel()
    this.#timer = null
    this.#timerDue = due
    if (due === Infinity) return
    this.#timer = this.#parts.clock.setTimer(Math.max(0, due - now), () => {
      this.#timer = null
      this.#timerDue = Infinity
      this.#run()
    })
  }

  #expire(now: number): void {
    const { accumulator } = this.#parts
    for (
      let batch = accumulator.takeExpired(now);
      batch !== undefined;
      batch = accumulator.takeExpired(now)
    ) {
      this.#giveUp(batch, this.#timeout(batch))
    }
  }

  /** Settles a batch as failed before its answer is known, if there will be one at all. */
  #giveUp(batch: ProducerBatch, error: KafkaError): void {
    if (batch.isDone) return // the callback of one of its records asks for this
    const { accumulator } = this.#parts
    accumulator.withdraw(batch)
    this.#settleFailed(batch, () => error)
    if (!batch.isOnWire) this.#abandon(batch)
  }

  // Sending

  #drain(nodeId: number, now: number): void {
    const { accumulator, cluster, config } = this.#parts
    const connection = cluster.connection(nodeId)
    if (connection === undefined) {
      accumulator.setStalled(nodeId, now)
      this.#connect(nodeId)
      return
    }
    while (this.#inFlightTo(nodeId) < config.maxInFlightRequestsPerConnection) {
      const batches = accumulator.drain(nodeId, now, config.maxRequestSize, this.#gate)
      if (batches.length === 0) {
        accumulator.setStalled(nodeId, Infinity)
        return
      }
      this.#produce(connection, nodeId, batches)
    }
    accumulator.setStalled(nodeId, now)
  }

  #connect(nodeId: number): void {
    if (this.#connecting.has(nodeId)) return
    this.#connecting.add(nodeId)
    this.#parts.cluster.connect(nodeId).then(
      () => {
        this.#connecting.delete(nodeId)
        this.wake()
      },
      (error: KafkaError) => {
        this.#connecting.delete(nodeId)
        for (const batch of this.#parts.accumulator.incomplete) {
          if (batch.queue.leader !== nodeId || batch.isOnWire) continue
          batch.lastError = error
          // Who is refused by name is refused again: only the sends of later are worth another attempt.
          if (error instanceof AuthenticationError && !error.retriable)
            this.#giveUp(batch, withOutcome(error, batch.maybeWritten))
        }
        // Perhaps another broker leads its partitions by now. One that is not even in the metadata any more is not
        // asked for again before the next answer.
        const { cluster } = this.#parts
        cluster.requestMetadataUpdate()
        if (cluster.metadata.brokers.has(nodeId)) this.wake()
      },
    )
  }

  #inFlightTo(nodeId: number): number {
    return this.#requestsInFlight.get(nodeId) ?? 0
  }

  #produce(connection: Connection, nodeId: number, batches: readonly ProducerBatch[]): void {
    const { accumulator, cluster, config, counters, sequences } = this.#parts
    const byTopic = new Map<string, ProducerBatch[]>()
    for (const batch of batches) {
      sequences?.assignSequence(batch)
      batch.isOnWire = true
      batch.attempts++
      batch.hold()
      batch.queue.onWire++
      batch.queue.onWireBroker = nodeId
      const { topic } = batch.queue
      const sameTopic = byTopic.get(topic)
      if (sameTopic === undefined) byTopic.set(topic, [batch])
      else sameTopic.push(batch)
      counters.recordsSent += batch.recordCount
    }
    counters.requests++
    const transactionalId = sequences?.transactionalId ?? null
    const topicData = [...byTopic].map(([name, ofTopic]) => {
      cluster.metadata.use(name)
      const topicId = cluster.metadata.topic(name)?.id ?? ZERO_UUID
      const partitionData = ofTopic.map((batch) => ({
        index: batch.queue.partition,
        records: batch.encode(transactionalId !== null),
      }))
      return { name, topicId, partitionData }
    })
    const hasAllIds = topicData.every(({ topicId }) => topicId !== ZERO_UUID)
    const maxVersion = Math.min(
      hasAllIds ? Produce.maxVersion : LAST_VERSION_WITH_NAMES,
      sequences?.maxProduceVersion ?? Produce.maxVersion,
    )
    const body: ProduceRequest = {
      transactionalId,
      acks: config.acks,
      timeoutMs: config.requestTimeoutMs,
      topicData,
    }
    this.#requestsInFlight.set(nodeId, this.#inFlightTo(nodeId) + 1)
    const onAnswered = (): void => {
      this.#requestsInFlight.set(nodeId, this.#inFlightTo(nodeId) - 1)
      for (const batch of batches) {
        batch.isOnWire = false
        batch.queue.onWire--
      }
    }
    connection
      .request(Produce, body, {
        maxVersion,
        expectsResponse: config.acks !== 0,
        onWritten: () => {
          for (const batch of batches) {
            batch.letGo()
            accumulator.release(batch)
          }
        },
      })
      .then(
        (response) => {
          onAnswered()
          if (response === undefined) for (const batch of batches) this.#succeed(batch, -1n, -1)
          else this.#handleResponse(connection, topicData, batches, response)
        },
        (error: KafkaError) => {
          onAnswered()
          for (const batch of batches) this.#handleDisconnect(batch, error)
        },
      )
      .finally(() => {
        for (const batch of batches) {
          accumulator.release(batch)
          accumulator.markReady(batch.queue)
        }
        this.wake()
      })
  }

  // Answers

  #handleResponse(
    connection: Connection,
    topicData: ProduceRequest['topicData'],
    batches: readonly ProducerBatch[],
    response: ProduceResponse,
  ): void {
    const unanswered = new Map<string, ProducerBatch>()
    for (const batch of batches) unanswered.set(keyOf(batch.queue.topic, batch.queue.partition), batch)
    const names = new Map(topicData.map(({ topicId, name }) => [topicId, name]))
    const endpoints = new Map(response.nodeEndpoints.map((endpoint) => [endpoint.nodeId, endpoint]))
    for (const { name, topicId, partitionResponses } of response.responses) {
      const topic = name === '' ? names.get(topicId) : name
      for (const answer of partitionResponses) {
        const key = keyOf(topic ?? '', answer.index)
        const batch = unanswered.get(key)
        if (batch === undefined) continue // said twice, or of a partition that nobody asked about
        unanswered.delete(key)
        this.#handleAnswer(connection, batch, answer, endpoints)
      }
    }
    for (const batch of unanswered.values()) {
      const error = new ProtocolError(
        `broker ${connection.nodeId} answered a Produce request without a word on ${describe(batch)}`,
        { retriable: true },
      )
      this.#handleDisconnect(batch, error)
    }
  }

  #handleAnswer(
    connection: Connection,
    batch: ProducerBatch,
    answer: PartitionResponse,
    endpoints: ReadonlyMap<number, NodeEndpoint>,
  ): void {
    const { accumulator, cluster, counters, sequences } = this.#parts
    const { queue } = batch
    const reaction = produceReaction(answer.errorCode)
    if (reaction === 'success') {
      this.#succeed(batch, answer.baseOffset, Number(answer.logAppendTimeMs))
      return
    }
    if (leavesAppendOpen(answer.errorCode)) batch.maybeWritten = true
    const context = `Produce of ${describe(batch)} to broker ${connection.nodeId} (attempt ${batch.attempts})`
    const error = brokerError(answer.errorCode, context, {
      message: answer.errorMessage,
      mayHaveBeenWritten: batch.maybeWritten,
    })
    batch.lastError = error
    if (batch.isDone) {
      this.#abandon(batch)
      return
    }
    switch (reaction) {
      case 'refresh':
        if (answer.currentLeader.leaderId >= 0) {
          const { leaderId, leaderEpoch } = answer.currentLeader
          const endpoint = endpoints.get(leaderId)
          cluster.metadata.updateLeader(queue.topic, queue.partition, { leaderId, leaderEpoch, endpoint })
        }
        cluster.requestMetadataUpdate(queue.topic)
        this.#retry(batch, error)
        this.#followLeader(queue)
        break
      case 'retry':
        this.#retry(batch, error)
        break
      case 'out-of-order':
        if (sequences?.outOfOrder(batch) !== true) this.#fail(batch, () => error)
        // Refused for the gap that another batch left, it has not failed itself, and waits for nothing but its turn. There is
        // no gap before sequence 0: a broker that says so all the same is asked with back-off.
        else if (batch.baseSequence > 0) this.#tryAgain(batch, error, 0)
        else this.#retry(batch, error)
        break
      case 'unknown-producer':
        if (sequences?.forgotten(batch, answer.logStartOffset) === true) this.#retry(batch, error)
        else this.#fail(batch, () => error)
        break
      case 'split':
        if (batch.recordCount === 1 || this.#abortReason !== null) {
          this.#fail(batch, () => error)
          break
        }
        counters.batchSplits++
        this.#requeueHalves(batch, accumulator.split(batch))
        break
      case 'fail':
        this.#fail(batch, this.#recordErrors(batch, answer, error))
        break
      case 'fenced':
        this.#fail(batch, () => (sequences?.transactionalId == null ? error : fencedInTransaction(error)))
        break
      case 'fatal': {
        const fatal = brokerError(answer.errorCode, context, {
          message: answer.errorMessage,
          mayHaveBeenWritten: batch.maybeWritten,
          fatal: true,
        })
        this.#fail(batch, () => fatal)
        this.#parts.onFatal(fatal)
        break
      }
    }
  }

  /** KIP-467: the broker names the bad records; the rest of their batch was not written either. */
  #recordErrors(
    batch: ProducerBatch,
    answer: PartitionResponse,
    error: KafkaError,
  ): (index: number) => KafkaError {
    if (answer.recordErrors.length === 0) return () => error
    // By index, and an error only for a record that is there: a broker may name any number of others.
    const bad = new Map<number, string | null>()
    for (const { batchIndex, batchIndexErrorMessage } of answer.recordErrors) {
      if (batchIndex >= 0 && batchIndex < batch.recordCount) bad.set(batchIndex, batchIndexErrorMessage)
    }
    if (bad.size === 0) return () => error
    const where = `Produce of ${describe(batch)}`
    const { maybeWritten: mayHaveBeenWritten } = batch
    const others = brokerError(answer.errorCode, where, {
      message: `the batch holds ${bad.size} invalid record(s), so none of it was written; this one may be sent again`,
      retriable: true,
      mayHaveBeenWritten,
    })
    return (index) => {
      const said = bad.get(index)
      if (said === undefined) return others
      const context = `${where}: record ${index} of ${batch.recordCount}`
      return brokerError(answer.errorCode, context, {
        message: said ?? answer.errorMessage,
        mayHaveBeenWritten,
      })
    }
  }

  /** The halves take the place and the sequences of a batch that was too large; they are as if never sent (KIP-126). */
  #requeueHalves(batch: ProducerBatch, halves: readonly ProducerBatch[]): void {
    if (batch.hasSequence) batch.queue.sequences.replace(batch, halves)
    for (const half of halves) this.#parts.accumulator.reenqueue(half, 0)
  }

  /** No answer, and perhaps never one: the append may have happened. */
  #handleDisconnect(batch: ProducerBatch, cause: KafkaError): void {
    // Where there is no version in common nothing was sent.
    if (!(cause instanceof UnsupportedVersionError)) batch.maybeWritten = true
    const error = withOutcome(cause, batch.maybeWritten)
    batch.lastError = error
    if (batch.isDone) this.#abandon(batch)
    else if (error.retriable && this.#parts.config.acks !== 0) {
      this.#parts.cluster.requestMetadataUpdate(batch.queue.topic)
      this.#retry(batch, error)
    } else this.#fail(batch, () => error)
  }

  /** Where a leader hint changed the metadata, the queue follows at once. */
  #followLeader(queue: PartitionQueue): void {
    const topic = this.#parts.cluster.metadata.topic(queue.topic)
    if (topic !== undefined) this.#parts.accumulator.updateTopic(queue.topic, topic)
  }

  // Outcomes

  /** Why the open transaction will be aborted, and nothing is tried again; null while all is well. */
  get #abortReason(): KafkaError | null {
    return this.#parts.sequences?.abortReason ?? null
  }

  #succeed(batch: ProducerBatch, baseOffset: bigint, logAppendTimeMs: number): void {
    const { accumulator, observer } = this.#parts
    if (batch.hasSequence) batch.queue.sequences.acknowledge(batch, baseOffset)
    if (batch.isDone) return // its time was over before the answer came
    batch.succeed(baseOffset, logAppendTimeMs, observer)
    accumulator.complete(batch)
  }

  #retry(batch: ProducerBatch, error: KafkaError): void {
    const { backoff, shortBackoff } = this.#parts
    batch.failures++
    const pauses = error.code === 'CONCURRENT_TRANSACTIONS' ? shortBackoff : backoff
    this.#tryAgain(batch, error, pauses.delay(batch.failures - 1))
  }

  #tryAgain(batch: ProducerBatch, error: KafkaError, pauseMs: number): void {
    const { accumulator, clock, config, counters } = this.#parts
    const now = clock.now()
    const abortReason = this.#abortReason
    if (abortReason !== null) {
      this.#fail(batch, () => withOutcome(abortReason, batch.maybeWritten))
    } else if (batch.deadlineMs <= now) {
      this.#fail(batch, () => this.#timeout(batch))
    } else if (batch.failures > config.retries) {
      this.#fail(batch, () => error)
    } else {
      counters.recordRetries += batch.recordCount
      config.logger.debug('a batch is tried again', {
        topic: batch.queue.topic,
        partition: batch.queue.partition,
        attempts: batch.attempts,
        error: error.message,
      })
      accumulator.reenqueue(batch, now + pauseMs)
    }
  }

  #fail(batch: ProducerBatch, errorOf: (index: number) => KafkaError): void {
    this.#settleFailed(batch, errorOf)
    this.#abandon(batch)
  }

  #settleFailed(batch: ProducerBatch, errorOf: (index: number) => KafkaError): void {
    const { accumulator, observer } = this.#parts
    batch.fail(errorOf, observer)
    accumulator.complete(batch)
  }

  /** The batch is over for the brokers too; what comes after it in its partition may have been waiting for that. */
  #abandon(batch: ProducerBatch): void {
    if (batch.hasSequence) batch.queue.sequences.abandon(batch)
    this.#parts.accumulator.markReady(batch.queue)
  }

  #timeout(batch: ProducerBatch): TimeoutError {
    const { config, sequences } = this.#parts
    const last = batch.lastError ?? (batch.attempts === 0 ? (sequences?.lastError ?? null) : null)
    const tried = batch.attempts === 0 ? 'never sent' : `sent ${batch.attempts} time(s)`
    const why = last === null ? this.#whyNot(batch) : `last error: ${last.message}`
    return new TimeoutError(
      `${describe(batch)} was not acknowledged within ${config.deliveryTimeoutMs} ms (deliveryTimeoutMs): ${tried}; ${why}`,
      { cause: last ?? undefined, mayHaveBeenWritten: batch.maybeWritten || batch.isOnWire },
    )
  }

  #whyNot(batch: ProducerBatch): string {
    if (batch.isOnWire) return `broker ${batch.queue.onWireBroker} has not answered`
    const servers = this.#parts.cluster.lastErrors()
    if (batch.queue.leader < 0) return `the partition has no leader${servers === '' ? '' : `; ${servers}`}`
    return servers === '' ? `broker ${batch.queue.leader} did not take it in time` : servers
  }
}

/** The epoch is not the newest any more: who is to blame the coordinator tells when the transaction is aborted. */
function fencedInTransaction({ message, code, errno, mayHaveBeenWritten }: KafkaError): ProducerFencedError {
  return new ProducerFencedError(
    `${message}: another producer with this transactional id took over, or the transaction took longer than ` +
      'transactionTimeoutMs; abortTransaction() tells which',
    { code, errno, mayHaveBeenWritten, fatal: false, abortable: true },
  )
}

function keyOf(topic: string, partition: number): string {
  return `${partition}:${topic}`
}

function describe(batch: ProducerBatch): string {
  const { topic, partition } = batch.queue
  return `${batch.recordCount} record(s) for ${topic}-${partition}`
}
