/**
 * The broker that coordinates one transactional id, or one consumer group: found, asked, and found again when it moves.
 * A request is repeated until it succeeds, fails for good, or nobody wants it any more; how long its caller waits is the
 * caller's business.
 */
import { KafkaError, ProducerClosedError, ProducerFencedError, ProtocolError } from '../../errors.js'
import type { Backoff } from '../../time/backoff.js'
import type { Clock } from '../../time/clock.js'
import type { Cluster } from '../../network/cluster.js'
import { BrokerTurns } from '../../network/broker-turns.js'
import type { Connection } from '../../network/connection/connection.js'
import { inWords, isEndpoint, type Endpoint } from '../../network/endpoint.js'
import { Pauses } from '../../time/pauses.js'
import { FindCoordinator } from '../../protocol/apis.js'
import { brokerError, errorName } from '../../protocol/error-codes.js'
import {
  coordinatorReaction,
  findCoordinatorReactions,
  type CoordinatorReaction,
} from '../../protocol/reactions.js'
import type { Api } from '../../protocol/schema.js'

/** FindCoordinator's names for what is coordinated. */
const keyTypes = { group: 0, transaction: 1 } as const

export interface CoordinatorParts {
  readonly cluster: Pick<Cluster, 'anyConnection' | 'connectAt'>
  readonly clock: Clock
  readonly backoff: Backoff
  /** For answers that say: the last transaction is not quite over. */
  readonly shortBackoff: Backoff
}

/** What an answer means: the code that decides, and the reaction to it. */
export interface Verdict {
  readonly reaction: CoordinatorReaction
  readonly errorCode: number
  /** What it speaks of, where that is not the whole request. */
  readonly of?: string
}

interface Question<Req, Res> {
  /** Made again for each attempt. */
  readonly body: () => Req
  readonly verdict: (response: Res) => Verdict
  /** Caps the version. */
  readonly maxVersion?: number
  /** False: no further attempt. */
  readonly isWanted?: () => boolean
  /** An attempt was sent and not answered: it may still arrive, after the next one. */
  readonly onLost?: () => void
}

/** Where a broker said that the coordinator is. */
interface Found extends Endpoint {
  readonly nodeId: number
  /** Who said it. */
  readonly by: Connection
}

export class Coordinator {
  readonly #parts: CoordinatorParts
  readonly #type: keyof typeof keyTypes
  readonly #key: string
  /** Brokers that did not know the coordinator, or knew a wrong one. */
  readonly #turns = new BrokerTurns()
  #found: Found | null = null
  /** To the coordinator: for as long as it lasts, whatever the metadata says of that broker. */
  #link: Connection | null = null
  #isClosed = false
  readonly #pauses: Pauses
  /** Ends what is being waited for. */
  readonly #waits = new Set<() => void>()
  /** What the last attempt at what is asked now ended with, if not well. */
  lastError: KafkaError | null = null

  constructor(type: keyof typeof keyTypes, key: string, parts: CoordinatorParts) {
    this.#type = type
    this.#key = key
    this.#parts = parts
    this.#pauses = new Pauses(parts.clock)
  }

  /** Rejects with an error that is `abortable` or `fatal` as the reaction says, or with what makes trying on useless. */
  async request<Req, Res>(api: Api<Req, Res>, question: Question<Req, Res>): Promise<Res> {
    const { maxVersion } = question
    this.lastError = null
    for (let attempts = 0; ; attempts++) {
      this.#throwIfClosed()
      let error: KafkaError
      let isOnItsWay = false
      try {
        const connection = await this.#unlessClosed(this.#connection())
        this.#throwIfClosed()
        const asked = connection.request(api, question.body(), maxVersion === undefined ? {} : { maxVersion })
        isOnItsWay = true
        const response = await this.#unlessClosed(asked)
        isOnItsWay = false
        const { reaction, errorCode, of } = question.verdict(response)
        if (reaction === 'success') {
          this.lastError = null
          this.#turns.startOver()
          return response
        }
        error = this.#error(
          `${api.name}${of === undefined ? '' : ` of ${of}`}`,
          connection,
          errorCode,
          reaction,
        )
        if (reaction === 'find') this.#findElsewhere()
      } catch (thrown) {
        if (!(thrown instanceof KafkaError)) throw thrown
        if (isOnItsWay && thrown.retriable) question.onLost?.()
        this.#findElsewhere()
        error = thrown
      }
      this.lastError = error
      if (!error.retriable || question.isWanted?.() === false) throw error
      await this.#pause(error, attempts)
    }
  }

  /** Ends every request that is under way. */
  close(): void {
    this.#isClosed = true
    this.#pauses.endAll()
    for (const end of this.#waits) end()
  }

  /** An idle connection that was closed makes the coordinator be found again: it may have moved since. */
  async #connection(): Promise<Connection> {
    if (this.#link?.isOpen === true && !this.#link.isStale) return this.#link
    this.#link = null
    this.#found = await this.#find()
    this.#link = await this.#parts.cluster.connectAt(this.#found.nodeId, this.#found)
    return this.#link
  }

  /** The coordinator could not be reached, or is another one: the next attempt asks another broker where it is. */
  #findElsewhere(): void {
    if (this.#found !== null) this.#turns.took(this.#found.by)
    this.#found = null
    this.#link = null
  }

  async #find(): Promise<Found> {
    const connection = await this.#parts.cluster.anyConnection(this.#turns)
    const response = await connection.request(FindCoordinator, {
      key: this.#key,
      keyType: keyTypes[this.#type],
      coordinatorKeys: [this.#key],
    })
    const found = response.coordinators[0] ?? response
    const reaction = coordinatorReaction(findCoordinatorReactions, found.errorCode)
    if (reaction !== 'success') {
      this.#turns.took(connection)
      throw this.#error('FindCoordinator', connection, found.errorCode, reaction, found.errorMessage)
    }
    const { nodeId, host, port } = found
    if (nodeId < 0 || !isEndpoint(found)) {
      this.#turns.took(connection)
      throw new ProtocolError(
        `broker ${connection.nodeId} answered FindCoordinator with broker ${nodeId} at ${inWords(found)}, where none can be`,
        { retriable: true },
      )
    }
    return { nodeId, host, port, by: connection }
  }

  #error(
    what: string,
    connection: Connection,
    errorCode: number,
    reaction: CoordinatorReaction,
    message: string | null = null,
  ): KafkaError {
    const whose = `${this.#type === 'group' ? 'consumer group' : 'transactional id'} ${this.#key}`
    const context = `${what} for ${whose} at ${connection.peer}`
    const code = errorName(errorCode)
    if (code === 'PRODUCER_FENCED' || code === 'INVALID_PRODUCER_EPOCH') return fenced(context, errorCode)
    return brokerError(errorCode, context, {
      message,
      retriable: reaction === 'retry' || reaction === 'find',
      abortable: reaction === 'abortable',
      fatal: reaction === 'fatal',
    })
  }

  #pause(error: KafkaError, attempts: number): Promise<void> {
    const { backoff, shortBackoff } = this.#parts
    return this.#pauses.pause(
      (error.code === 'CONCURRENT_TRANSACTIONS' ? shortBackoff : backoff).delay(attempts),
    )
  }

  #throwIfClosed(): void {
    if (this.#isClosed) throw closedError()
  }

  #unlessClosed<T>(promise: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      const end = (): void => reject(closedError())
      this.#waits.add(end)
      promise.then(resolve, reject).finally(() => this.#waits.delete(end))
    })
  }
}

function closedError(): ProducerClosedError {
  return new ProducerClosedError('the producer was closed')
}

function fenced(context: string, errno: number): ProducerFencedError {
  return new ProducerFencedError(
    `${context}: another producer with this transactional id took over, or the coordinator ended the transaction ` +
      'because it took longer than transactionTimeoutMs; this producer must be closed',
    { errno },
  )
}
