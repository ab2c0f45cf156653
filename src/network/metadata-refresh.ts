/**
 * Decides when metadata is asked for, and for which topics: those that are new at once, all that are in use by age and
 * after errors, with back-off. At most one request is under way; whatever is wanted meanwhile goes into the next.
 */
import type { ResolvedConfig } from '../config/config.js'
import { ConnectionError, type KafkaError } from '../errors.js'
import type { FaultBarrier } from '../fault-barrier.js'
import { Metadata as MetadataApi, ZERO_UUID } from '../protocol/apis.js'
import { brokerError } from '../protocol/error-codes.js'
import { metadataReaction } from '../protocol/reactions.js'
import { Backoff } from '../time/backoff.js'
import { BrokerTurns } from './broker-turns.js'
import type { Clock, Timer } from '../time/clock.js'
import type { Connection } from './connection/connection.js'
import type { Outages } from './outages.js'
import type { Metadata, TopicChange } from './metadata.js'

/** The version of Metadata from which on brokers tell leader epochs that can be relied on (KAFKA-9212). */
const RELIABLE_EPOCHS_SINCE = 9

export interface MetadataRefreshParts {
  readonly metadata: Metadata
  readonly config: Pick<
    ResolvedConfig,
    | 'logger'
    | 'metadataMaxAgeMs'
    | 'metadataRecoveryRebootstrapTriggerMs'
    | 'metadataRecoveryStrategy'
    | 'retryBackoffMs'
    | 'retryBackoffMaxMs'
  >
  readonly clock: Clock
  readonly barrier: FaultBarrier
  readonly random: () => number
  /** Where to ask. */
  readonly outages: Outages
  readonly anyConnection: (turns: BrokerTurns) => Promise<Connection>
  /** All connections are to be ended, and the bootstrap servers asked next. */
  readonly rebootstrap: (reason: KafkaError) => void
  /** An answer was taken in. */
  readonly onAnswer: (from: Connection, changes: readonly TopicChange[]) => void
  readonly onError: (error: KafkaError) => void
}

export class MetadataRefresh {
  readonly #parts: MetadataRefreshParts
  readonly #backoff: Backoff
  readonly #turns = new BrokerTurns()

  /** Everything in use is to be asked for. */
  #needsAll = false
  /** These are to be asked for, at once. */
  #needed = new Set<string>()
  /** The topics of the request under way. */
  #asked: ReadonlySet<string> = new Set()
  #isAsking = false
  /** Requests since the last one that brought something new. */
  #rounds = 0
  /** Running time before which there is no further request, unless for a new topic. */
  #notBefore = 0
  /** Running time since which metadata is wanted in vain; undefined while it is not. */
  #missingSince: number | undefined
  #timer: Timer | undefined
  #ageTimer: Timer | undefined
  #isClosed = false

  constructor(parts: MetadataRefreshParts) {
    const { retryBackoffMs, retryBackoffMaxMs } = parts.config
    this.#parts = parts
    this.#backoff = new Backoff(retryBackoffMs, retryBackoffMaxMs, parts.random)
  }

  /** See `Cluster.requestMetadataUpdate`. */
  request(topic?: string): void {
    if (this.#isClosed) return
    const { metadata, clock, config } = this.#parts
    if (topic === undefined) this.#needsAll = true
    else {
      const isNew = metadata.topic(topic) === undefined && metadata.topicError(topic) === undefined
      metadata.use(topic)
      metadata.forgetRefusal(topic)
      if (!isNew) this.#needsAll = true
      else if (!this.#asked.has(topic)) this.#needed.add(topic)
    }
    const quietFor = clock.now() - this.#notBefore
    if (!this.#isAsking && quietFor > config.retryBackoffMaxMs) this.#rounds = 0
    this.#schedule()
  }

  close(): void {
    this.#isClosed = true
    this.#timer?.cancel()
    this.#ageTimer?.cancel()
  }

  #schedule(): void {
    if (this.#isAsking || this.#isClosed) return
    if (!this.#needsAll && this.#needed.size === 0) return
    const { barrier, clock } = this.#parts
    const run = (): void => barrier.watch(this.#run())
    const wait = this.#needed.size > 0 ? 0 : this.#notBefore - clock.now()
    this.#timer?.cancel()
    if (wait > 0) this.#timer = clock.setTimer(wait, run)
    else run()
  }

  async #run(): Promise<void> {
    const { clock, anyConnection } = this.#parts
    this.#isAsking = true
    this.#missingSince ??= clock.now()
    try {
      if (this.#isMissingForTooLong()) this.#rebootstrap('no metadata came for too long')
      const hasNews = await this.#ask(await anyConnection(this.#turns))
      this.#rounds = hasNews ? 0 : this.#rounds + 1
    } catch (error) {
      this.#rounds++
      this.#onFailure(error)
    } finally {
      this.#isAsking = false
      this.#asked = new Set()
    }
    // With retryBackoffMs: 0 too: a partition without a leader is asked about again and again.
    this.#notBefore = clock.now() + Math.max(1, this.#backoff.delay(Math.max(0, this.#rounds - 1)))
    this.#schedule()
  }

  /** True when the answer brought something new. */
  async #ask(connection: Connection): Promise<boolean> {
    const { metadata, clock, onAnswer } = this.#parts
    const isAll = this.#needsAll
    metadata.expire(clock.now())
    const asked = new Set(isAll ? metadata.topics : this.#needed)
    this.#asked = asked
    this.#needsAll = false
    this.#needed = new Set()
    // No topics at all is an empty array, which from version 1 on asks for the brokers alone.
    const response = await connection.request(MetadataApi, {
      topics: [...asked].map((name) => ({ topicId: ZERO_UUID, name })),
      allowAutoTopicCreation: true,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    })
    if (response.errorCode !== 0) {
      const retriable = metadataReaction(response.errorCode) === 'retry'
      this.#turns.took(connection)
      throw brokerError(response.errorCode, 'metadata', { retriable })
    }
    const doubtsBefore = this.#countDoubts(asked)
    const changes = metadata.update(response, asked, {
      broker: `${connection.host}:${connection.port}`,
      at: clock.now(),
      hasReliableEpochs: connection.version(MetadataApi) >= RELIABLE_EPOCHS_SINCE,
    })
    if (changes === undefined) {
      const error = new ConnectionError(`${connection.host}:${connection.port} knows no brokers (yet)`)
      // Others may know more.
      connection.close(error)
      throw error
    }
    this.#missingSince = undefined
    this.#parts.outages.metadataCame()
    if (isAll || this.#ageTimer === undefined) this.#watchAge()
    const isUnsettled = [...asked].some((name) => metadata.isUnsettled(name))
    if (isUnsettled) this.#needsAll = true
    onAnswer(connection, changes)
    // Another broker may know more: news spread from one to the other.
    if (isUnsettled) this.#turns.took(connection)
    else this.#turns.startOver()
    // A doubt that is new is news too: the answer that settles it is asked for soon.
    return changes.some(({ error }) => error === undefined) || this.#countDoubts(asked) > doubtsBefore
  }

  #countDoubts(topics: Iterable<string>): number {
    let count = 0
    for (const name of topics) if (this.#parts.metadata.isInDoubt(name)) count++
    return count
  }

  #onFailure(thrown: unknown): void {
    if (this.#isClosed) return
    const { barrier, config, onError, outages } = this.#parts
    const error = barrier.errorOf(thrown)
    outages.metadataFailed(error, this.#rounds)
    // What was asked for is still wanted, but with back-off: a topic is new only once.
    this.#needed.clear()
    this.#needsAll = error.retriable
    // What cannot pass by itself, a refused login say, may have passed a while later.
    if (!error.retriable && this.#ageTimer !== undefined) this.#watchAge()
    if (
      error.errno !== undefined &&
      metadataReaction(error.errno) === 'rebootstrap' &&
      config.metadataRecoveryStrategy === 'rebootstrap'
    ) {
      this.#rebootstrap('a broker asked for it')
    } else {
      onError(error)
    }
  }

  #watchAge(): void {
    const { clock, config } = this.#parts
    this.#ageTimer?.cancel()
    this.#ageTimer = clock.setTimer(config.metadataMaxAgeMs, () => this.request(), { background: true })
  }

  #isMissingForTooLong(): boolean {
    const { clock, config, metadata } = this.#parts
    return (
      config.metadataRecoveryStrategy === 'rebootstrap' &&
      metadata.brokers.size > 0 &&
      clock.now() - this.#missingSince! > config.metadataRecoveryRebootstrapTriggerMs
    )
  }

  /** KIP-899, KIP-1102: as if nothing had been known but the bootstrap servers. */
  #rebootstrap(why: string): void {
    const { clock, config, metadata, rebootstrap } = this.#parts
    config.logger.info('starting again from the bootstrap servers', { why })
    this.#missingSince = clock.now()
    this.#needsAll = true
    metadata.forgetBrokers()
    rebootstrap(new ConnectionError(`starting again from the bootstrap servers: ${why}`))
  }
}
