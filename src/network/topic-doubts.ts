/**
 * What a response says of a topic against what is known of it. A broker that is behind tells an older leader epoch, or the
 * id of a topic that was deleted since: one such response changes nothing. But what is known may be wrong itself (a topic
 * without an id was created again, a broker told an absurd epoch), so what is repeated is believed.
 */

/** The response that something was told in. */
export interface Source {
  /** The address of the broker. */
  readonly broker: string
  /** Running time of its arrival. */
  readonly at: number
  /** Below version 9 of Metadata brokers may tell old epochs long after an election (KAFKA-9212). */
  readonly hasReliableEpochs: boolean
}

interface LowerEpoch extends Source {
  readonly epoch: number
}

/** A replaced id is believed again when for so long no response tells another one. */
const REPLACED_ID_RETURNS_MS = 30_000

/** The same where a leader has refused the present id. */
const REFUSED_ID_RETURNS_MS = 500

/** Brokers are behind by one creation or two; a topic that is created again every minute must not pile up ids. */
const REPLACED_IDS_KEPT = 16

export class TopicDoubts {
  readonly #repeatedAfterMs: number
  /** By partition: a leader epoch below the known one, and who told it first. */
  #lowerEpochs = new Map<number, LowerEpoch>()
  readonly #replacedIds = new Set<string>()
  #onlyReplacedSince: number | undefined
  #isIdRefused = false

  /** The same broker repeats itself only after `repeatedAfterMs`; another one repeats it at once. */
  constructor(repeatedAfterMs: number) {
    this.#repeatedAfterMs = repeatedAfterMs
  }

  /** Another response is needed to tell whether a leader epoch fell, or which id is the right one. */
  get isOpen(): boolean {
    return this.#lowerEpochs.size > 0 || (this.#isIdRefused && this.#onlyReplacedSince !== undefined)
  }

  /** A leader does not know the topic's present id: it is behind, or the id is the wrong one. */
  refuseId(): void {
    this.#isIdRefused = true
  }

  /**
   * Weighs the leader epochs of one response, which are those of the topic's present id, and returns the test of a single
   * one. A response that contradicts nothing ends every doubt.
   */
  weighEpochs(source: Source): (partition: number, epoch: number, knownEpoch: number) => boolean {
    const before = this.#lowerEpochs
    const doubts = (this.#lowerEpochs = new Map<number, LowerEpoch>())
    return (partition, epoch, knownEpoch) => {
      if (epoch === -1 || epoch >= knownEpoch) return true
      const earlier = before.get(partition)
      const isRepeated =
        earlier?.epoch === epoch &&
        (earlier.broker !== source.broker || source.at - earlier.at >= this.#repeatedAfterMs)
      if (!isRepeated) doubts.set(partition, earlier?.epoch === epoch ? earlier : { ...source, epoch })
      return isRepeated
    }
  }

  /** The topic was deleted and created again. */
  replaceId(old: string, by: string): void {
    this.#lowerEpochs.clear()
    this.#onlyReplacedSince = undefined
    this.#isIdRefused = false
    this.#replacedIds.delete(by)
    this.#replacedIds.add(old)
    for (const oldest of this.#replacedIds) {
      if (this.#replacedIds.size <= REPLACED_IDS_KEPT) break
      this.#replacedIds.delete(oldest)
    }
  }

  /**
   * Whether a row is about the topic that was there before. A producer that begins while a broker is behind may hear of the
   * new id first, and take the old one for its successor: so the replaced id returns when it is the only one for long, or
   * for a while where a leader refuses the other one.
   */
  isOfReplaced(id: string, { at }: Source): boolean {
    if (!this.#replacedIds.has(id)) {
      this.#onlyReplacedSince = undefined
      return false
    }
    this.#onlyReplacedSince ??= at
    return at - this.#onlyReplacedSince < (this.#isIdRefused ? REFUSED_ID_RETURNS_MS : REPLACED_ID_RETURNS_MS)
  }
}
