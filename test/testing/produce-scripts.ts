/**
 * Produce requests and what a broker answers to each, one script a partition of its own. test/testing runs them against
 * TestCluster, test/interop against TestCluster and Apache Kafka side by side.
 */
import type { ResponseOf } from '../../src/protocol/schema.js'
import type { Produce } from '../../src/protocol/apis.js'
import { errorName } from '../../src/protocol/error-codes.js'
import { batch, record, type BatchOptions, type ProduceOptions, type RawClient } from './raw-client.js'

export type PartitionAnswer = ResponseOf<typeof Produce>['responses'][number]['partitionResponses'][number]

/** The topics that the scripts produce to, with settings under Kafka's own names. */
export const scriptTopics = {
  plain: {},
  small: { 'max.message.bytes': '2000' },
  stamped: { 'message.timestamp.type': 'LogAppendTime' },
  compacted: { 'cleanup.policy': 'compact' },
} as const

export type ScriptTopic = keyof typeof scriptTopics

export interface Step {
  /** Default: the script's producer. `'none'`: no idempotence. */
  readonly producer?: 'none' | 'second' | 'unknown'
  readonly batch?: BatchOptions
  /** The bytes to send, where `batch` cannot say it; they get what `batch` makes. */
  readonly bytes?: (batch: Buffer) => Uint8Array | null
  readonly request?: ProduceOptions
  /** The error's name, and the base offset where there is none: `'0'`. */
  readonly expected: string
}

export interface Script {
  readonly title: string
  readonly topic?: ScriptTopic
  readonly steps: readonly Step[]
}

const three = ['a', 'b', 'c']
/** `count` batches of three records each, from sequence 0 on. */
const batches = (count: number, epoch = 0): Step[] =>
  Array.from({ length: count }, (_, i) => ({
    batch: { values: three, sequence: 3 * i, epoch },
    expected: String(3 * i),
  }))
const again = (sequence: number, expected: string, epoch = 0): Step => ({
  batch: { values: three, sequence, epoch },
  expected,
})
const plainBatch: Step = { producer: 'none', expected: '0' }
const OUT_OF_ORDER = 'OUT_OF_ORDER_SEQUENCE_NUMBER'
const LAST = 2 ** 31 - 1

export const scripts: readonly Script[] = [
  { title: 'sequences in order', steps: batches(7) },
  {
    title: 'a gap, and then what was missing',
    steps: [...batches(2), again(9, OUT_OF_ORDER), again(6, '6'), again(9, '9')],
  },
  {
    title: 'each of the last five batches again',
    steps: [
      ...batches(6),
      again(15, '15'),
      again(12, '12'),
      again(9, '9'),
      again(6, '6'),
      again(3, '3'),
      again(18, '18'),
    ],
  },
  { title: 'a duplicate older than the last five', steps: [...batches(6), again(0, OUT_OF_ORDER)] },
  {
    title: 'a duplicate that has moved out of the last five',
    steps: [...batches(5), again(0, '0'), again(15, '15'), again(0, OUT_OF_ORDER)],
  },
  {
    title: 'duplicates that overlap in part',
    steps: [
      ...batches(3),
      { batch: { values: ['a', 'b'], sequence: 6 }, expected: OUT_OF_ORDER },
      { batch: { values: ['a', 'b', 'c', 'd'], sequence: 6 }, expected: OUT_OF_ORDER },
      { batch: { values: ['a', 'b', 'c', 'd', 'e', 'f'], sequence: 3 }, expected: OUT_OF_ORDER },
      { batch: { values: three, sequence: 8 }, expected: OUT_OF_ORDER },
      { batch: { values: three, sequence: 9 }, expected: '9' },
    ],
  },
  {
    title: 'a duplicate with other contents',
    steps: [...batches(2), { batch: { values: ['x', 'y', 'z'], sequence: 3 }, expected: '3' }],
  },
  {
    title: 'a new epoch that does not begin with 0',
    steps: [...batches(2), again(6, OUT_OF_ORDER, 1), again(3, OUT_OF_ORDER, 1), again(6, '6', 0)],
  },
  {
    title: 'a new epoch that begins with 0, and the old one after it',
    steps: [
      ...batches(2),
      again(0, '6', 1),
      again(6, 'INVALID_PRODUCER_EPOCH', 0),
      again(3, 'INVALID_PRODUCER_EPOCH', 0),
      again(0, '6', 1),
      again(3, '9', 1),
    ],
  },
  {
    title: 'epochs that leave some out',
    steps: [again(0, '0', 3), again(0, '3', 32767), again(0, 'INVALID_PRODUCER_EPOCH', 32766)],
  },
  {
    title: 'the wrap of the sequence between two batches',
    steps: [
      { batch: { values: three, sequence: LAST - 2 }, expected: '0' },
      { batch: { values: three, sequence: 0 }, expected: '3' },
      { batch: { values: three, sequence: LAST - 2 }, expected: '0' },
      { batch: { values: three, sequence: 3 }, expected: '6' },
    ],
  },
  {
    title: 'the wrap of the sequence within a batch',
    steps: [
      { batch: { values: three, sequence: LAST - 1 }, expected: '0' },
      { batch: { values: three, sequence: 1 }, expected: '3' },
      { batch: { values: three, sequence: 2 }, expected: OUT_OF_ORDER },
      { batch: { values: three, sequence: LAST - 1 }, expected: '0' },
    ],
  },
  {
    title: 'a gap at the wrap',
    steps: [
      { batch: { values: ['a'], sequence: LAST - 1 }, expected: '0' },
      { batch: { values: ['a'], sequence: 0 }, expected: OUT_OF_ORDER },
      { batch: { values: ['a'], sequence: LAST }, expected: '1' },
      { batch: { values: ['a'], sequence: 1 }, expected: OUT_OF_ORDER },
      { batch: { values: ['a'], sequence: 0 }, expected: '2' },
    ],
  },
  {
    title: 'an unknown producer that does not begin with 0',
    steps: [again(500, '0'), again(503, '3'), again(0, OUT_OF_ORDER)],
  },
  {
    title: 'a producer id that nobody gave out',
    steps: [
      { producer: 'unknown', batch: { sequence: 7, epoch: 3 }, expected: '0' },
      { producer: 'unknown', batch: { sequence: 8, epoch: 3 }, expected: '1' },
    ],
  },
  {
    title: 'two producers in one partition',
    steps: [
      ...batches(1),
      { producer: 'second', batch: { values: three }, expected: '3' },
      again(3, '6'),
      { producer: 'second', batch: { values: three, sequence: 6 }, expected: OUT_OF_ORDER },
      { producer: 'second', batch: { values: three, sequence: 3 }, expected: '9' },
    ],
  },
  {
    title: 'batches without a producer id are never duplicates',
    steps: [plainBatch, { ...plainBatch, expected: '1' }],
  },
  {
    title: 'a producer id without an epoch or a sequence',
    steps: [
      { batch: { sequence: -1 }, expected: 'INVALID_RECORD' },
      { batch: { epoch: -1, sequence: 5 }, expected: '0' },
      { batch: { epoch: -1, sequence: 9 }, expected: '1' },
      { batch: { epoch: 0, sequence: 9 }, expected: '2' },
      { batch: { epoch: 0, sequence: 11 }, expected: OUT_OF_ORDER },
    ],
  },
  {
    title: 'damage',
    steps: [
      { batch: { crcError: 1 }, expected: 'CORRUPT_MESSAGE' },
      { bytes: (bytes) => bytes.subarray(0, bytes.length - 1), expected: 'INVALID_RECORD' },
      { bytes: () => Buffer.alloc(0), expected: 'INVALID_RECORD' },
      { bytes: () => Buffer.alloc(11), expected: 'INVALID_RECORD' },
      { bytes: withLength(13), expected: 'CORRUPT_MESSAGE' },
      { bytes: withLength(-1), expected: 'CORRUPT_MESSAGE' },
      { bytes: withLength(LAST), expected: 'UNKNOWN_SERVER_ERROR' },
      { bytes: withLength(LAST - 12), expected: 'INVALID_RECORD' },
      { bytes: withLength(48), expected: 'CORRUPT_MESSAGE' },
      { bytes: (bytes) => Buffer.concat([bytes, Buffer.alloc(5)]), expected: '0' },
      { bytes: (bytes) => Buffer.concat([bytes, bytes]), expected: 'INVALID_RECORD' },
      { bytes: (bytes) => bytes, expected: '0' },
    ],
  },
  {
    title: 'the magic',
    steps: [
      { batch: { magic: 3 }, expected: 'CORRUPT_MESSAGE' },
      { batch: { magic: -1 }, expected: 'CORRUPT_MESSAGE' },
      { batch: { magic: 1 }, expected: 'INVALID_RECORD' },
      { batch: { magic: 0 }, expected: 'INVALID_RECORD' },
    ],
  },
  {
    title: 'headers that contradict the records',
    steps: [
      { batch: { baseOffset: 1n }, expected: 'INVALID_RECORD' },
      { batch: { recordCount: 2 }, expected: 'INVALID_RECORD' },
      { batch: { recordCount: 0 }, expected: 'INVALID_RECORD' },
      { batch: { recordCount: -1, lastOffsetDelta: -2 }, expected: 'INVALID_RECORD' },
      { batch: { recordCount: 2, lastOffsetDelta: 1 }, expected: 'INVALID_RECORD' },
      { batch: { values: three, recordCount: 2, lastOffsetDelta: 1 }, expected: 'INVALID_RECORD' },
      { batch: { attributes: 0x20 }, expected: 'INVALID_RECORD' },
      { batch: { attributes: 0x08 }, expected: '0' },
      { batch: { attributes: 0x40 }, expected: '0' },
    ],
  },
  {
    title: 'compression types',
    steps: [
      { batch: { attributes: 4 }, request: { version: 6 }, expected: 'UNSUPPORTED_COMPRESSION_TYPE' },
      { batch: { attributes: 5 }, expected: 'UNKNOWN_SERVER_ERROR' },
      // What makes no sense to the decoder: gzip, snappy, LZ4, zstd.
      { batch: { attributes: 1 }, expected: 'UNKNOWN_SERVER_ERROR' },
      { batch: { attributes: 2 }, expected: 'UNKNOWN_SERVER_ERROR' },
      { batch: { attributes: 3 }, expected: 'UNKNOWN_SERVER_ERROR' },
      { batch: { attributes: 4 }, expected: 'UNKNOWN_SERVER_ERROR' },
    ],
  },
  {
    title: 'records that are none',
    steps: [
      { batch: { body: Buffer.from([2, 0]) }, expected: 'INVALID_RECORD' },
      { batch: { body: Buffer.from([100, 0, 0, 0, 0, 0]) }, expected: 'INVALID_RECORD' },
      { batch: { body: Buffer.from([1, 0, 0, 0, 0, 0]) }, expected: 'INVALID_RECORD' },
      { batch: { body: Buffer.alloc(0) }, expected: 'INVALID_RECORD' },
      { batch: { body: Buffer.from([...record(0, 'k', 'v'), 0]) }, expected: 'INVALID_RECORD' },
      // Key of 50 bytes, where there are none.
      { batch: { body: Buffer.from([12, 0, 0, 0, 100, 1, 0]) }, expected: 'INVALID_RECORD' },
      // 20 headers.
      { batch: { body: Buffer.from([12, 0, 0, 0, 1, 1, 40]) }, expected: 'INVALID_RECORD' },
      // -1 headers.
      { batch: { body: Buffer.from([12, 0, 0, 0, 1, 1, 1]) }, expected: 'INVALID_RECORD' },
      // A header whose key is null.
      { batch: { body: Buffer.from([16, 0, 0, 0, 1, 1, 2, 1, 1]) }, expected: 'INVALID_RECORD' },
      // A record that is shorter than it says, and one that is longer.
      { batch: { body: Buffer.from([14, 0, 0, 0, 1, 1, 0, 0]) }, expected: 'INVALID_RECORD' },
      { batch: { body: Buffer.from([10, 0, 0, 0, 1, 1, 0]) }, expected: 'INVALID_RECORD' },
      // Varints that do not end: in a record, and as its size.
      {
        batch: { body: Buffer.from([16, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 1]) },
        expected: 'INVALID_RECORD',
      },
      {
        batch: { body: Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]) },
        expected: 'UNKNOWN_SERVER_ERROR',
      },
      { batch: { body: Buffer.from([12, 0, 0, 0, 1, 1, 0]) }, expected: '0' },
    ],
  },
  {
    title: 'timestamps',
    steps: [
      { batch: { timestamp: -1 }, producer: 'none', expected: '0' },
      { batch: { timestamp: 0 }, producer: 'none', expected: '1' },
      { batch: { timestamp: Date.now() + 3_000_000 }, producer: 'none', expected: '2' },
      {
        batch: { values: three, timestamp: Date.now() + 4_200_000 },
        producer: 'none',
        expected: 'INVALID_TIMESTAMP',
      },
      { batch: { timestamp: -2 }, producer: 'none', expected: '3' },
    ],
  },
  {
    title: 'acks',
    steps: [
      { request: { acks: 2 }, expected: 'INVALID_REQUIRED_ACKS' },
      { request: { acks: -2 }, expected: 'INVALID_REQUIRED_ACKS' },
      { request: { acks: 2 }, bytes: () => Buffer.alloc(0), expected: 'INVALID_RECORD' },
      { request: { acks: 1 }, expected: '0' },
    ],
  },
  {
    title: 'topics and partitions that are not there',
    steps: [
      { request: { topic: 'no-such-topic' }, expected: 'UNKNOWN_TOPIC_OR_PARTITION' },
      { request: { topic: '' }, expected: 'UNKNOWN_TOPIC_OR_PARTITION' },
      { request: { partition: 10_000 }, expected: 'UNKNOWN_TOPIC_OR_PARTITION' },
      { request: { partition: -1 }, expected: 'UNKNOWN_TOPIC_OR_PARTITION' },
      {
        request: { version: 13, topicId: 'aaaaaaaa-0000-4000-8000-000000000001' },
        expected: 'UNKNOWN_TOPIC_ID',
      },
    ],
  },
  {
    title: 'a batch larger than message.max.bytes',
    steps: [
      { batch: { values: ['x'.repeat(1_048_600)] }, expected: 'MESSAGE_TOO_LARGE' },
      { batch: { values: ['x'.repeat(1_048_600)], crcError: 1 }, expected: 'MESSAGE_TOO_LARGE' },
      { batch: { values: ['x'.repeat(1_048_588 - 61 - 11)] }, expected: '0' },
    ],
  },
  {
    title: "a batch larger than the topic's max.message.bytes",
    topic: 'small',
    steps: [
      { batch: { values: ['x'.repeat(1931)] }, expected: 'MESSAGE_TOO_LARGE' },
      { batch: { values: ['x'.repeat(1930)] }, expected: '0' },
      { batch: { values: three, sequence: 1 }, expected: '1' },
    ],
  },
  {
    title: "the broker's time",
    topic: 'stamped',
    steps: [
      ...batches(2),
      again(0, '0'),
      { batch: { timestamp: 9e15, sequence: 6 }, expected: '6' },
      { batch: { attributes: 8, sequence: 7 }, expected: 'INVALID_TIMESTAMP' },
    ],
  },
  {
    title: 'records without a key in a compacted topic',
    topic: 'compacted',
    steps: [
      { batch: { values: three, keys: ['k', null, null] }, expected: 'INVALID_RECORD' },
      { batch: { values: three, keys: ['k', '', 'l'] }, expected: '0' },
    ],
  },
  {
    title: 'transactional records outside a transaction',
    steps: [{ batch: { attributes: 0x10 }, expected: 'TRANSACTIONAL_ID_AUTHORIZATION_FAILED' }],
  },
  ...Array.from({ length: 11 }, (_, i): Script => ({
    title: `Produce version ${i + 3}`,
    steps: [
      { batch: { values: three }, request: { version: i + 3 }, expected: '0' },
      { batch: { values: three }, request: { version: i + 3 }, expected: '0' },
      { batch: { values: three, sequence: 4 }, request: { version: i + 3 }, expected: OUT_OF_ORDER },
      { batch: { values: three, crcError: 1 }, request: { version: i + 3 }, expected: 'CORRUPT_MESSAGE' },
      {
        batch: { values: three, timestamp: 9e15 },
        request: { version: i + 3 },
        expected: 'INVALID_TIMESTAMP',
      },
    ],
  })),
]

function unchanged(bytes: Buffer): Uint8Array {
  return bytes
}

function withLength(length: number): (bytes: Buffer) => Buffer {
  return (bytes) => {
    bytes.writeInt32BE(length, 8)
    return bytes
  }
}

export interface ScriptTarget {
  readonly client: RawClient
  readonly topic: string
  readonly topicId: string
  readonly partition: number
}

/** Runs a script with producer ids of its own; gives the answer to each step. */
export async function runScript(script: Script, target: ScriptTarget): Promise<PartitionAnswer[]> {
  const { client, topic, topicId, partition } = target
  const ids = {
    first: (await client.initProducerId()).producerId,
    second: (await client.initProducerId()).producerId,
    unknown: 1_000_000_000_000n,
    none: -1n,
  }
  const answers: PartitionAnswer[] = []
  for (const { producer = 'first', batch: options, bytes = unchanged, request } of script.steps) {
    const records = bytes(batch({ producerId: ids[producer], timestamp: 1_700_000_000_000, ...options }))
    const id = request?.version === 13 ? topicId : undefined
    answers.push(
      await client.produce(records, {
        topic,
        partition,
        ...(id === undefined ? {} : { topicId: id }),
        ...request,
      }),
    )
  }
  return answers
}

/** An answer in the words of `Step.expected`. */
export function summary({ errorCode, baseOffset }: PartitionAnswer): string {
  return errorCode === 0 ? String(baseOffset) : errorName(errorCode)
}
