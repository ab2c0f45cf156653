/**
 * Cuts the stream of a socket into frames, each a 4-byte size and as many bytes. A frame that lies within one chunk is
 * handed out in place; one that does not is gathered in a buffer which grows by what arrived, never by what the size
 * promises.
 */
import { ProtocolError } from '../../errors.js'

/** `bytes` from `start` to `end` are a frame without its size; they stay valid, nobody writes to them again. */
export type OnFrame = (bytes: Buffer, start: number, end: number) => void

/** Every answer begins with its correlation id; a bare message of SASL does not, and may be empty. */
const MIN_SIZE = 4

/** Another protocol, known by its first four bytes; an HTTP response of a server that is not available now by its status. */
export type Foreign = 'HTTP' | 'HTTP 5xx' | 'TLS'

const FIRST_CAPACITY = 16 * 1024

export class FrameReader {
  #maxSize: number
  readonly #onFrame: OnFrame
  readonly #sizeBytes = Buffer.allocUnsafe(4)
  /** How many bytes of a size that is spread over chunks are here. */
  #sizeLength = 0
  /** The size of the frame being gathered; -1 between frames. */
  #size = -1
  #gathered = Buffer.alloc(0)
  #length = 0
  #foreign: Foreign | undefined
  /** What is here of "HTTP/1.1 503", where an HTTP response comes. */
  #statusLine = 'HTTP'
  /** The frames that begin from here on have no correlation id. */
  areBare = false

  constructor(maxSize: number, onFrame: OnFrame) {
    this.#maxSize = maxSize
    this.#onFrame = onFrame
  }

  /** The limit of the frames that begin from here on. */
  set maxSize(bytes: number) {
    this.#maxSize = bytes
  }

  /** Some bytes of a frame are here, others are not. */
  get isInsideFrame(): boolean {
    return this.#size !== -1 || this.#sizeLength > 0
  }

  /** What the other side speaks, where `push` threw because it is not Kafka's protocol. */
  get foreign(): Foreign | undefined {
    return this.#foreign
  }

  /** Hands out every frame that ends within the chunk; throws ProtocolError on a size that cannot be one. */
  push(chunk: Buffer): void {
    let offset = 0
    while (offset < chunk.length) {
      if (this.#size === -1) {
        if (this.#sizeLength > 0 || chunk.length - offset < 4) {
          this.#sizeBytes[this.#sizeLength++] = chunk[offset++]!
          if (this.#sizeLength < 4) continue
          this.#sizeLength = 0
          this.#size = this.#checked(this.#sizeBytes.readInt32BE(0))
        } else {
          this.#size = this.#checked(chunk.readInt32BE(offset))
          offset += 4
        }
      }
      const size = this.#size
      if (size === HTTP) return this.#readStatus(chunk, offset)
      if (this.#length === 0 && chunk.length - offset >= size) {
        this.#size = -1
        this.#onFrame(chunk, offset, offset + size)
        offset += size
        continue
      }
      const taken = Math.min(size - this.#length, chunk.length - offset)
      this.#gather(chunk, offset, taken)
      offset += taken
      if (this.#length === size) {
        const frame = this.#gathered
        this.#size = -1
        this.#length = 0
        this.#gathered = Buffer.alloc(0)
        this.#onFrame(frame, 0, size)
      }
    }
  }

  #gather(chunk: Buffer, offset: number, length: number): void {
    const needed = this.#length + length
    if (needed > this.#gathered.length) {
      const capacity = Math.min(this.#size, Math.max(needed, this.#gathered.length * 2, FIRST_CAPACITY))
      const grown = Buffer.allocUnsafe(capacity)
      this.#gathered.copy(grown, 0, 0, this.#length)
      this.#gathered = grown
    }
    chunk.copy(this.#gathered, this.#length, offset, offset + length)
    this.#length = needed
  }

  #readStatus(chunk: Buffer, offset: number): void {
    const missing = STATUS_LINE.length - this.#statusLine.length
    this.#statusLine += chunk.toString('latin1', offset, offset + missing)
    if (this.#statusLine.length < STATUS_LINE.length) return
    throw this.#notKafka(/^HTTP\/\d\.\d 5\d\d$/.test(this.#statusLine) ? 'HTTP 5xx' : 'HTTP')
  }

  #notKafka(foreign: Foreign): ProtocolError {
    this.#foreign = foreign
    return new ProtocolError(`this is no Kafka protocol: ${meanings[foreign]}`)
  }

  #checked(size: number): number {
    if (size === HTTP) return size
    if (isTls(size)) throw this.#notKafka('TLS')
    if (size < 0) throw new ProtocolError(`the size of an answer is ${size}, which is negative`)
    if (size < MIN_SIZE && !this.areBare)
      throw new ProtocolError(`the size of an answer is ${size}, less than a header has`)
    if (size > this.#maxSize) {
      throw new ProtocolError(
        `the size of an answer is ${size}, above the limit of ${this.#maxSize} (socketMaxResponseBytes)`,
      )
    }
    return size
  }
}

const meanings: Readonly<Record<Foreign, string>> = {
  HTTP: 'it looks like HTTP, which another kind of server speaks: check host and port',
  'HTTP 5xx': 'a load balancer says in HTTP that no server is available (5xx)',
  TLS: 'it looks like TLS, so the listener expects TLS: set ssl',
}

/** "HTTP" and what TLS begins with are, as sizes, above 300 MB, which no response has. */
const HTTP = 0x48545450

/** As long as what tells the status. */
const STATUS_LINE = 'HTTP/1.1 503'

/** An alert or a handshake. */
function isTls(size: number): boolean {
  const type = size >>> 24
  const major = (size >>> 16) & 0xff
  return (type === 0x15 || type === 0x16) && major === 3
}
