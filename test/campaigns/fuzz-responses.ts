/**
 * Frames that no broker should send, from a seed: mutations of what Kafka's own classes wrote, and plain noise. Each goes
 * to the decoder of every API in turn, and through a connection that waits for an answer.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { KafkaError, ProtocolError } from '../../src/errors.js'
import { FrameReader } from '../../src/network/connection/frame-reader.js'
import { apis } from '../../src/protocol/apis.js'
import { Reader } from '../../src/protocol/wire.js'
import { seededRandom } from '../kafka/random.js'

interface Seed {
  readonly key: number
  readonly version: number
  readonly body: Buffer
}

const HEADER_BYTES = 8

const seeds: readonly Seed[] = readFileSync(join(__dirname, '../fixtures/protocol/messages.jsonl'), 'utf8')
  .trim()
  .split('\n')
  .map((line) => JSON.parse(line) as { key: number; version: number; direction: string; frame: string })
  .filter(({ direction }) => direction === 'response')
  .map(({ key, version, frame }) => ({
    key,
    version,
    body: Buffer.from(frame, 'hex').subarray(HEADER_BYTES),
  }))

const byKey = new Map(apis.map((api) => [api.key, api]))

/** Lengths and counts that have hurt somebody. */
const NASTY = ['7fffffff', 'ffffffff', '80000000', 'ffffffff0f', '00', '8000', 'ffffffffffffffffff01']

export class FrameDice {
  readonly #random: () => number

  constructor(seed: number) {
    this.#random = seededRandom(seed)
  }

  below(limit: number): number {
    return Math.floor(this.#random() * limit)
  }

  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!
  }

  /** A response body as it is not meant to be. */
  body({ body }: Seed): Buffer {
    switch (this.below(5)) {
      case 0:
        return this.noise(this.below(200))
      case 1:
        return body.subarray(0, this.below(body.length + 1))
      case 2: {
        const nasty = Buffer.from(this.pick(NASTY), 'hex')
        const at = this.below(body.length + 1)
        return Buffer.concat([body.subarray(0, at), nasty, body.subarray(at + this.below(8))])
      }
      case 3: {
        const other = this.pick(seeds).body
        return Buffer.concat([body.subarray(0, this.below(body.length + 1)), other.subarray(this.below(20))])
      }
      default: {
        const damaged = Buffer.from(body)
        for (let times = 1 + this.below(4); times > 0 && damaged.length > 0; times--) {
          damaged[this.below(damaged.length)] = this.below(256)
        }
        return damaged
      }
    }
  }

  noise(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)))
  }

  seed(): Seed {
    return this.pick(seeds)
  }
}

/** What a run came to; an error that is no ProtocolError, or too much memory, throws. */
export interface FuzzResult {
  readonly frames: number
  readonly refused: number
  readonly slowestMs: number
}

/** A frame decodes or is refused with a ProtocolError, whatever it is, and in no time. */
export function fuzzDecoders(seed: number, count: number): FuzzResult {
  const dice = new FrameDice(seed)
  let refused = 0
  let slowestMs = 0
  for (let i = 0; i < count; i++) {
    const from = dice.seed()
    const body = dice.body(from)
    const api = byKey.get(from.key)!
    const start = performance.now()
    try {
      const reader = new Reader(body)
      if (api.responseHeaderIsFlexible(from.version)) reader.skipTaggedFields()
      api.decodeResponse(from.version, reader)
    } catch (error) {
      if (!(error instanceof ProtocolError)) throw described(error, `${api.name} v${from.version}`, i, body)
      refused++
    }
    slowestMs = Math.max(slowestMs, performance.now() - start)
  }
  return { frames: count, refused, slowestMs }
}

/** Streams of frames in chunks of any size through the frame reader: it gathers no more than has arrived. */
export function fuzzFrames(seed: number, count: number, maxBytes: number): FuzzResult {
  const dice = new FrameDice(seed)
  let refused = 0
  let slowestMs = 0
  for (let i = 0; i < count; i++) {
    let largest = 0
    const frames = new FrameReader(maxBytes, (_, from, to) => {
      largest = Math.max(largest, to - from)
    })
    const stream = Buffer.concat(
      Array.from({ length: 1 + dice.below(4) }, () => {
        const body = dice.body(dice.seed())
        const size = Buffer.alloc(4)
        size.writeInt32BE(dice.below(4) === 0 ? dice.below(2 ** 32) | 0 : body.length)
        return Buffer.concat([size, body])
      }),
    )
    const start = performance.now()
    try {
      for (let at = 0; at < stream.length;) {
        const end = at + 1 + dice.below(stream.length)
        frames.push(stream.subarray(at, end))
        at = end
      }
    } catch (error) {
      if (!(error instanceof KafkaError)) throw described(error, 'the frame reader', i, stream)
      refused++
    }
    if (largest > maxBytes) throw new Error(`a frame of ${largest} bytes came through in run ${i}`)
    slowestMs = Math.max(slowestMs, performance.now() - start)
  }
  return { frames: count, refused, slowestMs }
}

function described(error: unknown, where: string, run: number, bytes: Buffer): Error {
  return new Error(`${where}, frame ${run}: ${String(error)}\n${bytes.toString('hex')}`, { cause: error })
}
