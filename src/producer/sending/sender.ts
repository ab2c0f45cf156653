/**
 * The loop that sends. It runs when something happened, once per turn of the event loop: what is due by now becomes
 * sendable, what is late fails, and each broker gets requests with what it can be sent. Then it sleeps, on one timer,
 * until something is due by itself.
 */
import type { ResolvedConfig } from '../../config/config.js'
import { AuthenticationError, type KafkaError, withOutcome } from '../../errors.js'
import type { FaultBarrier } from '../../fault-barrier.js'
import type { Timer } from '../../time/clock.js'
import type { Connection } from '../../network/connection/connection.js'
import { Produce } from '../../protocol/apis.js'
import { BatchOutcomes, type BatchOutcomesParts } from './batch-outcomes.js'
import type { DrainSchedule } from '../batching/drain-schedule.js'
import type { NextTurn } from './next-turn.js'
import type { QueuedBatch } from '../batching/partition-queue.js'
import { ProduceCall } from './produce-call.js'

export interface SenderParts extends BatchOutcomesParts {
  readonly config: BatchOutcomesParts['config'] &
    Pick<ResolvedConfig, 'maxInFlightRequestsPerConnection' | 'maxRequestSize' | 'requestTimeoutMs'>
  readonly schedule: DrainSchedule
  readonly barrier: FaultBarrier
  readonly turn: NextTurn
}

export class Sender {
  readonly #parts: SenderParts
  readonly #outcomes: BatchOutcomes
  readonly #requestsInFlight = new Map<number, number>()
  readonly #connecting = new Set<number>()
  #timer: Timer | null = null
  #timerDue = Infinity

  constructor(parts: SenderParts) {
    this.#parts = parts
    this.#outcomes = new BatchOutcomes(parts)
    parts.turn.start(() => this.#run())
  }

  /** Produce requests whose response is outstanding. */
  get inFlight(): number {
    let sum = 0
    for (const count of this.#requestsInFlight.values()) sum += count
    return sum
  }

  /** Nothing is sent any more, and no timer is left. */
  stop(): void {
    this.#parts.turn.stop()
    this.#timer?.cancel()
  }

  /** Fails every batch that is not settled with the error that it is given. */
  failAll(errorOf: (batch: QueuedBatch) => KafkaError): void {
    const { accumulator, barrier } = this.#parts
    for (const batch of accumulator.incomplete) barrier.run(() => this.#outcomes.fail(batch, errorOf(batch)))
  }

  /** Fails the batches of a topic that cannot be used, except those that are in flight. */
  failTopic(topic: string, error: KafkaError): void {
    this.#failUnsent(error, (batch) => batch.queue.topic === topic)
  }

  /** Fails every batch that is not in flight. */
  dropUnsent(error: KafkaError): void {
    this.#failUnsent(error, () => true)
  }

  #failUnsent(error: KafkaError, isMeant: (batch: QueuedBatch) => boolean): void {
    for (const batch of this.#parts.accumulator.incomplete) {
      if (!batch.isInFlight && isMeant(batch))
        this.#outcomes.fail(batch, withOutcome(error, batch.maybeWritten))
    }
  }

  // The loop

  #run(): void {
    const { accumulator, clock, cluster, schedule, sequences } = this.#parts
    accumulator.compressSealed()
    const now = clock.now()
    schedule.advance(now)
    for (let late = accumulator.takeExpired(now); late !== undefined; late = accumulator.takeExpired(now)) {
      this.#outcomes.expired(late)
    }
    if (accumulator.incompleteCount > 0) sequences?.ensureProducerId(schedule.held('producer-id').size > 0)
    for (const nodeId of schedule.readyNodes()) this.#drain(nodeId, now)
    const leaderless = new Set<string>()
    for (const queue of schedule.held('leader')) leaderless.add(queue.topic)
    for (const topic of leaderless) cluster.requestMetadataUpdate(topic)
    this.#sleep(now)
  }

  #sleep(now: number): void {
    const { accumulator, clock, schedule } = this.#parts
    const due = Math.min(accumulator.nextDeadline, schedule.nextDeadline)
    // A timer that is early finds nothing due and sleeps on; one that nothing waits for would keep the process awake.
    if (due >= this.#timerDue && due !== Infinity) return
    this.#timer?.cancel()
    this.#timer = null
    this.#timerDue = due
    if (due === Infinity) return
    this.#timer = clock.setTimer(Math.max(0, due - now), () => {
      this.#timer = null
      this.#timerDue = Infinity
      this.#run()
    })
  }

  #drain(nodeId: number, now: number): void {
    const { accumulator, cluster, config, schedule } = this.#parts
    const connection = cluster.connection(nodeId)
    if (connection === undefined) {
      accumulator.stalled(nodeId, now)
      this.#connect(nodeId)
      return
    }
    while (this.#inFlightTo(nodeId) < config.maxInFlightRequestsPerConnection) {
      const batches = schedule.drain(nodeId, config.maxRequestSize)
      if (batches.length === 0) {
        accumulator.takesAll(nodeId)
        return
      }
      this.#produce(connection, nodeId, batches)
    }
    accumulator.stalled(nodeId, now)
  }

  #connect(nodeId: number): void {
    if (this.#connecting.has(nodeId)) return
    this.#connecting.add(nodeId)
    const { barrier, cluster, turn } = this.#parts
    const connected = cluster.connect(nodeId).then(
      () => {
        this.#connecting.delete(nodeId)
        turn.request()
      },
      (thrown: unknown) => {
        this.#connecting.delete(nodeId)
        this.#unreachable(nodeId, barrier.errorOf(thrown))
        // Perhaps another broker leads its partitions by now. One that is not even in the metadata any more is not
        // asked for again before the next response.
        cluster.requestMetadataUpdate()
        if (cluster.metadata.brokers.has(nodeId)) turn.request()
      },
    )
    barrier.watch(connected)
  }

  #unreachable(nodeId: number, error: KafkaError): void {
    for (const batch of this.#parts.accumulator.incomplete) {
      if (batch.queue.leader !== nodeId || batch.isInFlight) continue
      batch.attemptFailed(error, false)
      // A login that was refused is refused again: only later sends are worth another attempt.
      if (error instanceof AuthenticationError && !error.retriable)
        this.#outcomes.fail(batch, withOutcome(error, batch.maybeWritten))
    }
  }

  #inFlightTo(nodeId: number): number {
    return this.#requestsInFlight.get(nodeId) ?? 0
  }

  #produce(connection: Connection, nodeId: number, batches: readonly QueuedBatch[]): void {
    const { accumulator, barrier, cluster, config, counters, sequences, turn } = this.#parts
    const call = new ProduceCall(batches, cluster.metadata, {
      acks: config.acks,
      requestTimeoutMs: config.requestTimeoutMs,
      transactionalId: sequences?.transactionalId ?? null,
      maxVersion: sequences?.maxProduceVersion ?? Produce.maxVersion,
    })
    for (const batch of batches) {
      batch.hold()
      counters.recordsSent += batch.recordCount
    }
    counters.requests++
    this.#requestsInFlight.set(nodeId, this.#inFlightTo(nodeId) + 1)
    const ended = (): void => {
      this.#requestsInFlight.set(nodeId, this.#inFlightTo(nodeId) - 1)
      for (const batch of batches) batch.queue.requestEnded(batch)
    }
    const released = (): void => {
      for (const batch of batches) accumulator.release(batch)
      turn.request()
    }
    const settled = connection
      .request(Produce, call.request, {
        maxVersion: call.maxVersion,
        expectsResponse: config.acks !== 0,
        onWritten: barrier.guard(() => {
          for (const batch of batches) {
            batch.letGo()
            accumulator.release(batch)
          }
        }),
      })
      .then(
        (response) => {
          ended()
          if (response === undefined) for (const batch of batches) this.#outcomes.succeed(batch, -1n, -1)
          else
            call.take(
              response,
              (batch, ofBatch, endpoints) => this.#outcomes.responded(batch, nodeId, ofBatch, endpoints),
              (batch) => this.#outcomes.omitted(batch, nodeId),
            )
        },
        (thrown: unknown) => {
          ended()
          const error = barrier.errorOf(thrown)
          for (const batch of batches) this.#outcomes.disconnected(batch, error)
        },
      )
      .finally(released)
    barrier.watch(settled)
  }
}
