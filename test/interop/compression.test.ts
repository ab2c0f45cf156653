/** What every codec and engine writes, as other people's clients read it, and as Kafka's log dump names it. */
import { beforeAll, describe, expect, test } from 'vitest'
import { Producer } from 'kafka-producer'
import type { CompressionType } from '../../src/codec.js'
import { engines, type Engine } from '../../src/records/compression.js'
import { describeFiles, describeKafka, type RealKafka } from '../kafka/cluster.js'
import { randomFrom, sample, textures } from '../records/compression-samples.js'
import { readers, type ReadBack, type Reader, type Topic } from './foreign-clients/readers.js'

/** Some are too small or too random to be compressed; 1,000 and more are. */
const BATCHES = 1400
const PARTITIONS = 20

type Type = Exclude<CompressionType, 'none'>

const everyEngine = (['gzip', 'snappy', 'lz4', 'zstd'] as const).flatMap((type) =>
  engines[type].map((engine) => ({ type, name: engine.name, engine })),
)

interface Written extends Topic {
  /** What the producer was told of each record, in the order of partition and offset. */
  readonly sent: readonly ReadBack[]
}

function producerWith(kafka: RealKafka, type: Type, engine: Engine): Producer {
  const compress = engine.load()!
  return new Producer({
    bootstrapServers: kafka.bootstrapServers,
    compressionType: type,
    codecs: {
      [type]: {
        name: engine.name,
        compress: (bytes: Uint8Array, level: number | undefined) => compress(bytes, level ?? 0),
      },
    },
    // A batch ends with `flush`, and nowhere else.
    lingerMs: 60_000,
    batchSize: 4 * 1024 * 1024,
    maxRequestSize: 4 * 1024 * 1024,
    bufferMemory: 256 * 1024 * 1024,
  })
}

/** Batches of 1 to 20 records of all kinds, up to a mebibyte. */
function* randomBatches(seed: number): Generator<readonly { key: Buffer | null; value: Buffer | null }[]> {
  const random = randomFrom(seed)
  const below = (limit: number) => Math.floor(random() * limit)
  for (let batch = 0; batch < BATCHES; batch++) {
    const isLarge = batch % 50 === 49
    const records = Array.from({ length: isLarge ? 1 + below(3) : 1 + below(20) }, () => {
      const length = isLarge ? below(200_000) : [0, 1, below(20), below(300), below(2000)][below(5)]!
      const value = below(30) === 0 ? null : sample(textures[below(textures.length)]!, length, below(1e9))
      return { key: below(2) === 0 ? null : sample('three letters', below(20), below(1e9)), value }
    })
    yield records
  }
  for (const texture of textures) yield [{ key: null, value: sample(texture, 1_040_000, seed) }]
}

async function write(kafka: RealKafka, type: Type, engine: Engine): Promise<Written> {
  const name = await kafka.createTopic(`compressed-${type}`, PARTITIONS)
  const sent: Promise<ReadBack>[] = []
  const producer = producerWith(kafka, type, engine)
  try {
    let batch = 0
    for (const records of randomBatches(engine.name.length)) {
      const partition = batch++ % PARTITIONS
      for (const { key, value } of records) {
        const record = producer.send({ topic: name, partition, key, value })
        const bytes = { key: key?.toString('hex') ?? null, value: value?.toString('hex') ?? null }
        sent.push(record.then(({ offset }) => ({ partition, offset: Number(offset), ...bytes })))
      }
      if (partition === PARTITIONS - 1) await producer.flush()
    }
    await producer.flush()
    const told = await Promise.all(sent)
    return { name, partitions: PARTITIONS, records: told.length, sent: inOrder(told) }
  } finally {
    expect(await producer.close()).toBe(0)
  }
}

function inOrder(records: readonly ReadBack[]): ReadBack[] {
  return [...records].sort((a, b) => a.partition - b.partition || a.offset - b.offset)
}

/** Compares without printing megabytes of hex. */
function expectSame(read: readonly ReadBack[], sent: readonly ReadBack[]): void {
  const differing = sent.filter((one, i) => {
    const other = read[i]
    return other?.offset !== one.offset || other.key !== one.key || other.value !== one.value
  })
  expect(differing.map(({ partition, offset }) => ({ partition, offset }))).toEqual([])
  expect(read.length).toBe(sent.length)
}

describeKafka('compressed batches', { brokers: 1 }, (kafka) => {
  /** Why a reader cannot be used here: left out, by its reason, but in CI the test fails with it. */
  const missing = new Map<Reader, string>()
  beforeAll(async () => {
    for (const reader of readers) {
      await reader.prepare().catch((error: unknown) => missing.set(reader, String(error)))
    }
  }, 1_800_000)

  describe.each(everyEngine)('$type by $name', ({ type, engine }) => {
    let written: Written
    beforeAll(async () => {
      written = await write(kafka(), type, engine)
    }, 180_000)

    test.for(readers)('are read back byte by byte by $name', async (reader, { skip }) => {
      const reason = missing.get(reader)
      if (reason !== undefined && process.env['CI'] === 'true') throw new Error(`${reader.name}: ${reason}`)
      if (reason !== undefined) skip(reason)
      expectSame(inOrder(await reader.read(kafka(), written)), written.sent)
    })

    describeFiles('in the log', () => {
      test("are named by Kafka's log dump, and no larger than they would be without", async () => {
        const dumped = await kafka().dumpLog(written.name)
        const named = dumped.filter(({ compresscodec }) => compresscodec === type)
        expect(dumped.length).toBe(BATCHES + textures.length)
        expect(named.length).toBeGreaterThanOrEqual(1000)
        // What would have become larger went as it is.
        expect(dumped.filter(({ compresscodec }) => compresscodec === 'none').length).toBe(
          dumped.length - named.length,
        )
        expect(dumped.every(({ isvalid }) => isvalid)).toBe(true)
      })
    })
  })
})
