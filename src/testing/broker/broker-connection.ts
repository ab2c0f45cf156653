/**
 * One connection to a broker: frames in, answers out, and the faults that matched them. As in Kafka the requests of a
 * connection are carried out one after the other, so that answers leave in the order of the requests.
 */
import type { Duplex } from 'node:stream'
import { ProtocolError } from '../../errors.js'
import { readRequestHeader, type RequestHeader } from '../../protocol/schema.js'
import { Reader } from '../../protocol/wire.js'
import type { BrokerClock } from './broker-clock.js'
import type { ClusterState } from '../state/cluster-state.js'
import type { ApiName, FaultAction, Faults, MatchedFault } from '../faults.js'
import type { GroupCoordinator } from '../coordinators/group-coordinator.js'
import { errno } from '../requests/refusal.js'
import type { ReceivedRequest, RequestContext, Versions } from './request-context.js'
import { failedApiVersions, served } from '../requests/requests.js'
import type { TransactionCoordinator } from '../coordinators/transaction-coordinator.js'

/** What the brokers of a cluster share. */
export interface BrokerContext {
  readonly state: ClusterState
  readonly transactions: TransactionCoordinator
  readonly groups: GroupCoordinator
  readonly faults: Faults
  readonly clock: BrokerClock
  /** What ApiVersions says. */
  readonly advertised: ReadonlyMap<ApiName, Versions>
  readonly journal: ReceivedRequest[]
}

/** The broker at this end of a connection. */
export interface Serving {
  readonly nodeId: number
  readonly isPaused: boolean
  readonly context: BrokerContext
}

const apiNames = new Map(Object.entries(served).map(([name, { api }]) => [api.key, name as ApiName]))
const UNSUPPORTED_VERSION = errno('UNSUPPORTED_VERSION')

/** `socket.request.max.bytes`. */
const MAX_REQUEST_BYTES = 104_857_600

function forcedError(matched: MatchedFault | undefined): RequestContext['forced'] {
  if (typeof matched?.action !== 'object' || !('error' in matched.action)) return undefined
  const { error } = matched.action
  return { errno: typeof error === 'number' ? error : errno(error), topic: matched.topic }
}

function forgedEpoch(matched: MatchedFault | undefined): RequestContext['forged'] {
  if (typeof matched?.action !== 'object' || !('leaderEpoch' in matched.action)) return undefined
  return { leaderEpoch: matched.action.leaderEpoch, topic: matched.topic }
}

/** The answer with this throttle time in it; every API has the field. */
function throttled(answer: unknown, throttleMs: number): unknown {
  return { ...(answer as object), throttleTimeMs: throttleMs }
}

export class BrokerConnection {
  readonly #broker: Serving
  readonly #duplex: Duplex
  #chunks: Buffer[] = []
  #buffered = 0
  /** Size of the frame that is arriving, once its prefix is here. */
  #frameSize: number | undefined
  /** The timer of an answer that is held back; the requests behind it wait. */
  #delay: { cancel(): void } | undefined
  /** What became due while the broker was paused. */
  #overdue: (() => void) | undefined
  /** No request arrives any more. */
  #isDeaf = false
  /** No answer arrives any more. */
  #isMute = false

  constructor(broker: Serving, duplex: Duplex) {
    this.#broker = broker
    this.#duplex = duplex
    duplex.on('data', (chunk: Buffer) => this.#receive(chunk))
    // A client that breaks the connection is its own affair; 'close' follows.
    duplex.on('error', () => {})
    duplex.on('end', () => duplex.end())
    duplex.on('close', () => this.#delay?.cancel())
    if (broker.isPaused) duplex.pause()
  }

  pause(): void {
    this.#duplex.pause()
  }

  resume(): void {
    const overdue = this.#overdue
    this.#overdue = undefined
    if (overdue === undefined) this.#serve()
    else overdue()
  }

  destroy(): void {
    this.#duplex.destroy()
  }

  #reset(): void {
    const { resetAndDestroy } = this.#duplex as { resetAndDestroy?: () => void }
    if (resetAndDestroy === undefined) this.#duplex.destroy()
    else resetAndDestroy.call(this.#duplex)
  }

  #receive(chunk: Buffer): void {
    if (this.#isDeaf) return
    this.#chunks.push(chunk)
    this.#buffered += chunk.length
    this.#serve()
  }

  /** Carries out the requests that are here, up to one whose answer is held back. */
  #serve(): void {
    while (this.#delay === undefined && !this.#isDeaf && !this.#duplex.destroyed && !this.#broker.isPaused) {
      const frame = this.#nextFrame()
      if (frame === undefined) {
        this.#duplex.resume()
        return
      }
      this.#handle(frame)
    }
    if (this.#delay !== undefined) this.#duplex.pause()
  }

  #nextFrame(): Buffer | undefined {
    if (this.#frameSize === undefined) {
      const size = this.#take(4)?.readInt32BE(0)
      if (size === undefined) return undefined
      if (size < 0 || size > MAX_REQUEST_BYTES) {
        this.destroy()
        return undefined
      }
      this.#frameSize = size
    }
    const frame = this.#take(this.#frameSize)
    if (frame !== undefined) this.#frameSize = undefined
    return frame
  }

  #take(length: number): Buffer | undefined {
    if (this.#buffered < length) return undefined
    let first = this.#chunks[0] ?? Buffer.alloc(0)
    if (first.length < length) {
      first = Buffer.concat(this.#chunks)
      this.#chunks = [first]
    }
    this.#buffered -= length
    if (first.length === length) this.#chunks.shift()
    else this.#chunks[0] = first.subarray(length)
    return first.subarray(0, length)
  }

  #handle(frame: Buffer): void {
    try {
      const reader = new Reader(frame)
      const header = readRequestHeader(reader, (key, version) => {
        const name = apiNames.get(key)
        return name !== undefined && version >= served[name].api.flexibleFrom
      })
      this.#carryOut(header, reader, frame)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw error
      // Kafka, too, closes a connection on which it reads nonsense.
      this.destroy()
    }
  }

  #carryOut(header: RequestHeader, reader: Reader, frame: Buffer): void {
    const { state, transactions, groups, advertised, faults, clock, journal } = this.#broker.context
    const { nodeId } = this.#broker
    const { apiVersion: version, correlationId, clientId } = header
    const api = apiNames.get(header.apiKey)
    const range = api === undefined ? undefined : advertised.get(api)
    if (api === undefined || range === undefined) {
      this.destroy()
      return
    }
    const entry = served[api]
    const isServed =
      version >= Math.max(range.min, entry.api.minVersion) &&
      version <= Math.min(range.max, entry.api.maxVersion)
    if (!isServed && api !== 'ApiVersions') {
      this.destroy()
      return
    }
    // The body of an ApiVersions request of the future cannot be read, and need not be (KIP-511).
    const body = isServed ? entry.api.decodeRequest(version, reader) : undefined
    const starting = body === undefined ? undefined : entry.starts?.(body)
    if (starting !== undefined) {
      this.#waitFor(starting, frame)
      return
    }
    const topics = body === undefined ? [] : entry.topics(state, body, version)
    const batches = body === undefined ? [] : entry.batches(state, body)
    const matched = faults.match(api, nodeId, topics)
    const fault = matched?.action
    journal.push({ api, version, broker: nodeId, clientId, correlationId, topics, batches, fault })
    if (fault === 'close') {
      this.#reset()
      return
    }
    if (fault === 'drop-request') {
      this.#stopListening()
      return
    }
    const forced = forcedError(matched)
    const forged = forgedEpoch(matched)
    const now = clock.wallNow()
    const answer =
      body === undefined
        ? failedApiVersions(UNSUPPORTED_VERSION, advertised)
        : entry.answer(
            {
              state,
              transactions,
              groups,
              nodeId,
              version,
              now,
              versions: advertised,
              batches,
              forced,
              forged,
            },
            body,
          )
    if (answer === 'close') {
      this.destroy()
      return
    }
    // A client that is told so cannot know a newer form of the answer than the first.
    const isOldForm = api === 'ApiVersions' && (!isServed || forced?.errno === UNSUPPORTED_VERSION)
    const throttleMs = typeof fault === 'object' && 'throttleMs' in fault ? fault.throttleMs : 0
    const given = throttleMs > 0 && answer !== 'nothing' ? throttled(answer, throttleMs) : answer
    this.#answer(
      given === 'nothing' ? [] : entry.api.encodeResponse(isOldForm ? 0 : version, correlationId, given),
      fault,
    )
    if (throttleMs > 0) this.#mute(throttleMs)
  }

  /** Begins again with this frame once what it needs has started; the requests behind it wait. */
  #waitFor(starting: Promise<unknown>, frame: Buffer): void {
    const goOn = () => {
      if (this.#broker.isPaused) {
        this.#overdue = goOn
        return
      }
      this.#delay = undefined
      if (!this.#duplex.destroyed) this.#handle(frame)
      this.#serve()
    }
    this.#delay = { cancel: () => {} }
    void starting.then(goOn)
  }

  #answer(chunks: readonly Uint8Array[], fault: FaultAction | undefined): void {
    if (fault === 'drop-answer') this.#isMute = true
    if (typeof fault === 'object' && 'cutAfterBytes' in fault)
      this.#writeAndReset(chunks, fault.cutAfterBytes)
    else if (typeof fault === 'object' && 'delayMs' in fault) this.#writeLater(chunks, fault.delayMs)
    else this.#write(chunks)
  }

  /** What still comes is read and thrown away, so that the client can go on writing. */
  #stopListening(): void {
    this.#isDeaf = true
    this.#chunks = []
    this.#duplex.resume()
  }

  #write(chunks: readonly Uint8Array[]): void {
    if (this.#isMute || this.#duplex.destroyed) return
    this.#duplex.cork()
    for (const chunk of chunks) this.#duplex.write(chunk)
    this.#duplex.uncork()
  }

  /** Reads nothing for so long. */
  #mute(durationMs: number): void {
    const goOn = () => {
      if (this.#broker.isPaused) {
        this.#overdue = goOn
        return
      }
      this.#delay = undefined
      this.#serve()
    }
    this.#delay = this.#broker.context.clock.setTimer(durationMs, goOn)
  }

  #writeLater(chunks: readonly Uint8Array[], delayMs: number): void {
    const write = () => {
      if (this.#broker.isPaused) {
        this.#overdue = write
        return
      }
      this.#delay = undefined
      this.#write(chunks)
      this.#serve()
    }
    this.#delay = this.#broker.context.clock.setTimer(delayMs, write)
  }

  #writeAndReset(chunks: readonly Uint8Array[], bytes: number): void {
    const start = Buffer.concat(chunks).subarray(0, bytes)
    this.#stopListening()
    if (start.length === 0) this.#reset()
    // Reset only after the bytes have left, or they would be lost with the connection.
    else this.#duplex.write(start, () => this.#reset())
  }
}
