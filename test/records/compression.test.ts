import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import type { Codecs, CompressionType } from '../../src/codec.js'
import { compressorFor, decoderStarts, decompress, engines } from '../../src/records/compression.js'
import { sample, textures } from './compression-samples.js'
import { decode, decodersReady } from './independent-decoders.js'

const types = ['gzip', 'snappy', 'lz4', 'zstd'] as const
const ids = { gzip: 1, snappy: 2, lz4: 3, zstd: 4 }
const DEFAULT_LEVELS = { gzip: -1, snappy: 0, lz4: 9, zstd: 3 }
/** What a batch may weigh, and every length at which a codec does something else. */
const LENGTHS = [
  0, 1, 2, 12, 13, 14, 15, 16, 255, 4096, 4097, 32_767, 32_768, 32_769, 65_535, 65_536, 65_537, 131_072,
  1_048_576,
]

const everyEngine = types.flatMap((type) =>
  engines[type].map((engine) => ({ type, engine, name: engine.name })),
)

interface Logged {
  readonly level: string
  readonly message: string
}

function compressor(
  compressionType: CompressionType,
  more: { lz4?: number; gzip?: number; zstd?: number; codecs?: Codecs } = {},
) {
  const logged: Logged[] = []
  const log = (level: string) => (message: string) => void logged.push({ level, message })
  const config = {
    compressionType,
    compressionGzipLevel: more.gzip ?? -1,
    compressionLz4Level: more.lz4 ?? 9,
    compressionZstdLevel: more.zstd ?? 3,
    codecs: more.codecs ?? {},
    logger: { debug: log('debug'), info: log('info'), warn: log('warn'), error: log('error') },
  }
  return { made: compressorFor(config), logged }
}

beforeAll(async () => {
  await decodersReady
  await decoderStarts(ids.zstd)
})

describe.each(everyEngine)('$type by $name', ({ type, engine }) => {
  const compress = engine.load()!
  const level = DEFAULT_LEVELS[type]

  /** Both readers: one that knows nothing of ours, and the test broker's. */
  async function expectBack(bytes: Uint8Array, at = level): Promise<Uint8Array> {
    const compressed = await compress(bytes, at)
    const read = Buffer.from(decode(type, compressed, bytes.length))
    // Not toEqual: it would take minutes to show how a mebibyte differs.
    expect(read.equals(bytes)).toBe(true)
    expect(Buffer.from(decompress(ids[type], compressed)).equals(bytes)).toBe(true)
    return compressed
  }

  test.each(textures)('gives back every length of %s', async (texture) => {
    for (const [i, length] of LENGTHS.entries()) await expectBack(sample(texture, length, i))
  })

  test('gives back whatever the bytes are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...textures),
        fc.oneof(fc.nat(300), fc.nat(140_000)),
        fc.integer(),
        async (texture, length, seed) => {
          await expectBack(sample(texture, length, seed))
        },
      ),
      { numRuns: 100 },
    )
  })

  test('compresses JSON events to less than a third, and random bytes to hardly more than they are', async () => {
    const json = await expectBack(sample('json', 100_000, 1))
    const random = await expectBack(sample('random', 100_000, 1))
    expect(json.length).toBeLessThan(35_000)
    expect(random.length).toBeLessThan(100_100)
  })

  test('reads only its part of a larger buffer, and leaves that as it was', async () => {
    const around = sample('json', 70_000, 3)
    const before = Buffer.from(around)
    await expectBack(around.subarray(61, 69_000))
    expect(around.equals(before)).toBe(true)
  })

  test('a result stays what it is while later batches are compressed', async () => {
    const batches = Array.from({ length: 12 }, (_, i) => sample('json', 1000 + 13_000 * i, i))
    const results = await Promise.all(batches.map(async (bytes) => compress(bytes, level)))
    for (const [i, compressed] of results.entries()) {
      const { length } = batches[i]!
      expect(Buffer.from(decode(type, compressed, length)).equals(batches[i]!)).toBe(true)
    }
  })
})

describe('gzip and zstd', () => {
  test.each([
    { type: 'gzip', levels: [1, 9] },
    { type: 'zstd', levels: [-7, 1, 19, 22] },
  ] as const)('$type honours its levels with every engine', async ({ type, levels }) => {
    const bytes = sample('json', 200_000, 5)
    for (const engine of engines[type]) {
      const compress = engine.load()!
      const sizes: number[] = []
      for (const level of levels) {
        const compressed = await compress(bytes, level)
        expect(Buffer.from(decode(type, compressed, bytes.length)).equals(bytes)).toBe(true)
        sizes.push(compressed.length)
      }
      expect(sizes.at(-1)).toBeLessThan(sizes[0]!)
    }
  })

  test.each(engines.zstd)(
    '$name takes a batch of 3 MB at every level',
    async ({ load }) => {
      const compress = load()!
      const bytes = Buffer.concat([sample('json', 2_000_000, 5), sample('random', 1_000_000, 5)])
      for (const level of [-100, 3, 9, 10, 22]) {
        const compressed = await compress(bytes, level)
        expect(Buffer.from(decompress(ids.zstd, compressed)).equals(bytes)).toBe(true)
        expect(Buffer.from(decode('zstd', compressed, bytes.length)).equals(bytes)).toBe(true)
      }
    },
    120_000,
  )

  test.each(engines.zstd)('a zstd frame of $name says its size, and has no larger window', async (engine) => {
    const compress = engine.load()!
    for (const length of [1, 300, 20_000, 700_000]) {
      const compressed = await compress(sample('json', length, 1), 22)
      // The descriptor behind the magic: bits 7-6 tell of the content size, bit 5 that it is the window too.
      const isSingleSegment = (compressed[4]! & 0x20) !== 0
      const windowLog = isSingleSegment ? 0 : 10 + (compressed[5]! >>> 3)
      expect((compressed[4]! & 0xe0) !== 0).toBe(true)
      expect(2 ** windowLog).toBeLessThanOrEqual(Math.max(1024, 2 * length))
    }
  })
})

describe('lz4', () => {
  test.each(engines.lz4)(
    'a frame of $name has independent blocks of 64 KiB, stored where that is less',
    async (engine) => {
      const bytes = Buffer.concat([sample('random', 65_536, 1), sample('json', 70_000, 1)])
      const frame = Buffer.from(await engine.load()!(bytes, 9))
      expect(frame.toString('hex', 0, 7)).toBe('04224d18604082')
      expect(frame.readUInt32LE(7)).toBe(0x8000_0000 + 65_536)
      const second = frame.readUInt32LE(11 + 65_536)
      expect(second).toBeLessThan(40_000)
      const third = frame.readUInt32LE(15 + 65_536 + second)
      expect(third).toBeLessThan(70_000 - 65_536)
      expect(frame.readUInt32LE(19 + 65_536 + second + third)).toBe(0)
      expect(frame.length).toBe(23 + 65_536 + second + third)
    },
  )

  // lz4js begins a last match as late as 10 bytes before the end, which the reference decoder refuses in a full block.
  test('no match begins in the last 12 bytes of a full block', async () => {
    const compress = engines.lz4.find(({ name }) => name === 'lz4js')!.load()!
    let late = 0
    for (let distance = 9; distance <= 16; distance++) {
      for (const size of [4, 5, 6, 7]) {
        const bytes = sample('random', 65_536, distance)
        if (distance - size < 5) continue
        bytes.copy(bytes, 65_536 - distance, 1000, 1000 + size)
        const frame = await compress(bytes, 9)
        if (frame.length < 65_536) late++
        expect(Buffer.from(decode('lz4', frame, bytes.length)).equals(bytes)).toBe(true)
      }
    }
    expect(late).toBe(0) // a match of so few bytes does not pay for the whole block: it is stored

    for (let distance = 9; distance <= 16; distance++) {
      const bytes = Buffer.concat([Buffer.alloc(60_000, 'ab'), sample('random', 5536, distance)])
      bytes.copy(bytes, 65_536 - distance, 61_000, 61_000 + distance - 5)
      const frame = await compress(bytes, 9)
      expect(frame.length).toBeLessThan(8000)
      expect(Buffer.from(decode('lz4', frame, bytes.length)).equals(bytes)).toBe(true)
    }
  })
})

describe('the compressor of a producer', () => {
  test('is none without compression', () => {
    expect(compressor('none')).toEqual({ made: null, logged: [] })
  })

  test.each(types)('%s has its number, and says which engine it is', async (type) => {
    const { made, logged } = compressor(type)
    const engine = engines[type][0]!.name
    expect(made).toMatchObject({ type, id: ids[type], engine })
    expect(logged).toEqual([{ level: 'debug', message: `compressing with ${type} by ${engine}` }])
    const bytes = sample('json', 5000, 1)
    expect(Buffer.from(decode(type, await made!.compress(bytes), 5000)).equals(bytes)).toBe(true)
  })

  test('passes the level on', async () => {
    const bytes = sample('json', 100_000, 1)
    const size = async (more: Parameters<typeof compressor>[1], type: 'gzip' | 'zstd') =>
      (await compressor(type, more).made!.compress(bytes)).length
    expect(await size({ gzip: 9 }, 'gzip')).toBeLessThan(await size({ gzip: 1 }, 'gzip'))
    expect(await size({ zstd: 19 }, 'zstd')).toBeLessThan(await size({ zstd: 1 }, 'zstd'))
  })

  test('warns of a level that the engine does not have, and only then', () => {
    expect(compressor('lz4', { lz4: 12 }).logged).toContainEqual({
      level: 'warn',
      message: `compressionLz4Level 12 has no effect: ${engines.lz4[0]!.name} has one level only`,
    })
    const others = [
      compressor('lz4'),
      compressor('gzip', { lz4: 12 }),
      compressor('zstd', { lz4: 12, zstd: 22 }),
    ]
    expect(others.flatMap(({ logged }) => logged).filter(({ level }) => level === 'warn')).toEqual([])
  })

  test("takes the user's own engine instead, with the level that was asked for", async () => {
    const calls: unknown[] = []
    const own = {
      name: 'mine',
      compress: (bytes: Uint8Array, level: number | undefined) => {
        calls.push([bytes.length, level])
        return Promise.resolve(Uint8Array.of(7))
      },
    }
    const { made, logged } = compressor('lz4', { lz4: 12, codecs: { lz4: own } })
    expect(made).toMatchObject({ type: 'lz4', id: 3, engine: 'mine' })
    expect(await made!.compress(new Uint8Array(5))).toEqual(Uint8Array.of(7))
    expect(calls).toEqual([[5, 12]])
    expect(logged).toEqual([{ level: 'debug', message: 'compressing with lz4 by mine' }])
    expect(compressor('zstd', { codecs: { lz4: own } }).made!.engine).not.toBe('mine')
    const unnamed = { compress: (bytes: Uint8Array) => bytes }
    expect(compressor('snappy', { codecs: { snappy: unnamed } }).made!.engine).toBe('custom')
  })
})

test.each(['at once', 'as a promise'])(
  "an engine of the user's that gives no bytes %s fails, and says so",
  async (how) => {
    const wrong = () => (how === 'at once' ? undefined : Promise.resolve('text')) as unknown as Uint8Array
    const { made } = compressor('gzip', { codecs: { gzip: { compress: wrong } } })
    await expect(made!.compress(new Uint8Array(5))).rejects.toThrow('codecs.gzip.compress gave no Uint8Array')
  },
)

describe('decompress', () => {
  test.each([
    ['a literal that goes on behind the end', [4, 0xfc, 0xff, 0xff, 0xff, 0xff, 1, 2, 3, 4, 5, 6]],
    ['a length that is negative when read as signed', [12, 0xfc, 0xfa, 0xff, 0xff, 0xff, 0, 0, 0, 0, 0, 0]],
    ['a size that is no varint', [0xff, 0xff, 0xff, 0xff, 0xff, 0xff]],
    ['a size that it cannot hold', [0xff, 0xff, 0x03, 0, 1]],
    ['a copy of what is not there', [8, 0, 1, 0x12, 9, 0]],
    ['nothing', []],
  ])('refuses snappy with %s', (_, bytes) => {
    expect(() => decompress(2, Buffer.from(bytes))).toThrow(/snappy/)
  })

  test.each(['gzip', 'zstd'] as const)('refuses a bomb in %s', async (type) => {
    await decoderStarts(ids[type])
    const made = compressor(type).made!
    const bomb = await made.compress(Buffer.alloc(130 * 1024 * 1024))
    expect(() => decompress(ids[type], bomb)).toThrow(/134217728/)
  })

  test('reads what other encoders write', () => {
    const snappyRaw = Buffer.from([3, 8, 97, 98, 99])
    expect(Buffer.from(decompress(2, snappyRaw)).toString()).toBe('abc')
    // Content size, block and content checksums: all of it allowed, none of it ours. Written by lz4 1.9's own library.
    const rich = '04224d187c4003000000000000007403000080616263ff53d13200000000ff53d132'
    expect(Buffer.from(decompress(3, Buffer.from(rich, 'hex'))).toString()).toBe('abc')
    // A zstd frame that does not say its size, as streams write it.
    const streamed = '28b52ffd0058190000616263'
    expect(Buffer.from(decompress(4, Buffer.from(streamed, 'hex'))).toString()).toBe('abc')
  })

  test('refuses what makes no sense', () => {
    const garbage = sample('random', 200, 1)
    for (const id of [1, 2, 3, 4]) expect(() => decompress(id, garbage)).toThrow(Error)
    expect(() => decompress(5, garbage)).toThrow('unknown compression type 5')
    expect(decompress(0, garbage)).toBe(garbage)
  })

  test('refuses LZ4 frames that Kafka refuses', () => {
    const frame = (hex: string) => () => decompress(3, Buffer.from(hex, 'hex'))
    expect(frame('04224d18404082030000806162630000000000')).toThrow('dependent')
    expect(frame('04224d18204082030000806162630000000000')).toThrow('version 0')
    expect(frame('04224d18603082030000806162630000000000')).toThrow('block size')
    expect(frame('04224d186040820900008061626300000000')).toThrow('inside a block')
    expect(frame('04224d18604082030000806162630000000000')).toThrow('follow')
    expect(frame('04224d1860408203000080616263000000')).toThrow(RangeError)
  })
})
