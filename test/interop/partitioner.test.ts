/** A key goes to the partition that Kafka's own Java producer picks: by Java's own function, and by its own sends. */
import { expect, test } from 'vitest'
import { bytes, Producer } from 'kafka-producer'
import { partitionForKey } from '../../src/partitioner.js'
import { describeKafka } from '../kafka/cluster.js'
import { seededRandom } from '../kafka/random.js'

const KEYS = 20_000
const SAMPLE = 2_000
const MOST_PARTITIONS = 100

describeKafka('the partition of a key', { brokers: 3 }, (kafka) => {
  test('20,000 random keys get the partition of the Java producer, for 1 to 100 partitions', async () => {
    const keys = randomKeys(KEYS)
    const differences: string[] = []
    let line = 0
    await kafka().program('Partitions', ['table', String(MOST_PARTITIONS)], {
      input: hexLines(keys),
      onLine: (text) => {
        const key = keys[line++]!
        const java = text.split(' ')
        for (let n = 1; n <= MOST_PARTITIONS; n++) {
          const ours = partitionForKey(key, 0, key.length, n)
          if (ours !== Number(java[n - 1])) {
            differences.push(`${key.toString('hex')} of ${n}: ${ours}, Java ${java[n - 1]}`)
          }
        }
      },
    })
    expect(differences.slice(0, 5)).toEqual([])
    expect(line).toBe(KEYS)
  })

  test('a sample sent by both producers goes to the same partitions', async () => {
    // Every tenth key, so that all kinds are among them.
    const keys = randomKeys(KEYS).filter((_, i) => i % (KEYS / SAMPLE) === 0)
    const topics = [7, 100].map((partitions) => ({
      name: kafka().topicName('keys'),
      partitions,
      replicationFactor: 1,
    }))
    await kafka().createTopics(topics)
    const producer = new Producer({
      bootstrapServers: kafka().bootstrapServers,
      keySerializer: bytes(),
      valueSerializer: bytes(),
    })
    try {
      for (const { name: topic } of topics) {
        const java = await kafka().program('Partitions', ['send', kafka().bootstrapServers, topic], {
          input: hexLines(keys),
        })
        const ours = await Promise.all(
          keys.map((key) => producer.send({ topic, key, value: Buffer.alloc(0) })),
        )
        expect(ours.map(({ partition }) => partition)).toEqual(java.trim().split('\n').map(Number))
      }
    } finally {
      expect(await producer.close()).toBe(0)
    }
  })
})

/** ASCII, Unicode, binary and the empty key, 0 to 1,000 bytes long; short ones are as frequent as long ones. */
function randomKeys(count: number): Buffer[] {
  const random = seededRandom(20)
  const below = (n: number) => Math.floor(random() * n)
  const kinds = [
    (length: number) => Buffer.from(Array.from({ length }, () => 0x20 + below(0x5f))),
    (length: number) => Buffer.from(Array.from({ length }, () => below(256))),
    (length: number) => unicode(length, below),
  ]
  return Array.from({ length: count }, (_, i) => {
    if (i % 500 === 0) return Buffer.alloc(0)
    const length = i % 2 === 0 ? 1 + below(20) : 1 + below(1_000)
    return kinds[i % 3]!(length)
  })
}

/** UTF-8 of whole characters from all planes, at most `length` bytes and at least one. */
function unicode(length: number, below: (n: number) => number): Buffer {
  const ranges = [
    [0x20, 0x7e],
    [0xa1, 0x7ff],
    [0x800, 0xd7ff],
    [0x1f300, 0x1faff],
  ] as const
  let text = ''
  for (let size = 0; ;) {
    const [from, to] = ranges[below(ranges.length)]!
    const character = String.fromCodePoint(from + below(to - from + 1))
    size += Buffer.byteLength(character)
    if (size > length) return Buffer.from(text === '' ? 'x' : text)
    text += character
  }
}

const hexLines = (keys: readonly Buffer[]): string => keys.map((key) => `${key.toString('hex')}\n`).join('')
