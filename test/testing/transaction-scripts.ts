/**
 * Talks with a transaction coordinator, and what it says to each question. test/testing holds them against TestCluster,
 * test/interop against Apache Kafka.
 */
import type { TransactionTalk } from './transaction-talk.js'

export interface TransactionScript {
  readonly title: string
  readonly talk: (talk: TransactionTalk) => Promise<void>
  readonly expected: readonly string[]
}

export const PARTITIONS_PER_SCRIPT = 3

/** Versions of a client that speaks classic transactions, and of one that knows nothing of TRANSACTION_ABORTABLE. */
const classic = { version: 11 }
const old = { version: 10 }

/** Uses up the epochs of the producer id, so that the producer has `epoch`. */
const exhaust = async (talk: TransactionTalk, epoch: number): Promise<void> => {
  const until = talk.notes.length
  while (talk.me.epoch < epoch) await talk.init()
  talk.notes.length = until
}

/** One past the partitions of any script. */
const NOWHERE = 100_000

const second: readonly TransactionScript[] = [
  {
    title: 'transactions of the second kind: commit and abort raise the epoch',
    talk: async (t) => {
      await t.init()
      await t.produce(0)
      await t.produce(0, { sequence: 1 })
      await t.end(true)
      await t.produce(0)
      await t.produce(1)
      await t.end(false)
      await t.produce(0)
      await t.end(true)
    },
    expected: ['p0/0', '0', '1', 'p0/1', '3', '0', 'p0/2', '5', 'p0/3'],
  },
  {
    title: 'a sequence that is not 0 begins nothing',
    talk: async (t) => {
      await t.init()
      await t.produce(0, { sequence: 1 })
      await t.produce(0)
      await t.end(true)
      await t.produce(0, { sequence: 1 })
      await t.produce(0, { sequence: 0 })
    },
    expected: ['p0/0', 'OUT_OF_ORDER_SEQUENCE_NUMBER', '0', 'p0/1', 'OUT_OF_ORDER_SEQUENCE_NUMBER', '2'],
  },
  {
    title: 'the epoch of a transaction that has ended',
    talk: async (t) => {
      await t.init()
      await t.produce(0)
      await t.end(true)
      await t.produce(0, { as: t.later(-1), sequence: 1 })
      await t.produce(1, { as: t.later(-1) })
      await t.produce(0, { as: t.later(1) })
      await t.commitOffsets({ as: t.later(-1) })
    },
    expected: [
      'p0/0',
      '0',
      'p0/1',
      'INVALID_PRODUCER_EPOCH',
      'INVALID_PRODUCER_EPOCH',
      'INVALID_PRODUCER_EPOCH',
      'INVALID_PRODUCER_EPOCH',
    ],
  },
  {
    title: 'a duplicate within a transaction, and after it',
    talk: async (t) => {
      await t.init()
      await t.produce(0)
      await t.produce(0)
      await t.end(true)
      await t.produce(0, { as: t.later(-1) })
    },
    expected: ['p0/0', '0', '0', 'p0/1', 'INVALID_PRODUCER_EPOCH'],
  },
  {
    title: 'EndTxn again, because the answer got lost',
    talk: async (t) => {
      await t.init()
      await t.produce(0)
      await t.end(true)
      await t.end(true, { as: t.later(-1) })
      await t.end(false, { as: t.later(-1) })
      await t.end(true, { as: t.later(-2) })
      await t.produce(0)
      await t.end(true, { as: t.later(-1) })
      await t.end(false)
      await t.end(false, { as: t.later(-1) })
      await t.end(true, { as: t.later(-1) })
    },
    expected: [
      'p0/0',
      '0',
      'p0/1',
      'p0/1',
      'INVALID_TXN_STATE',
      'PRODUCER_FENCED',
      '2',
      'PRODUCER_FENCED',
      'p0/2',
      'p0/2',
      'INVALID_TXN_STATE',
    ],
  },
  {
    title: 'EndTxn where nothing was begun',
    talk: async (t) => {
      await t.init()
      await t.end(true)
      await t.end(false, { as: t.later(-1) })
      await t.end(false)
      await t.end(true)
      await t.end(false)
      await t.produce(0)
      await t.end(true)
      await t.end(true)
      await t.end(false)
    },
    expected: [
      'p0/0',
      'INVALID_TXN_STATE',
      'PRODUCER_FENCED',
      'p0/1',
      'INVALID_TXN_STATE',
      'p0/2',
      '0',
      'p0/3',
      'INVALID_TXN_STATE',
      'p0/4',
    ],
  },
  {
    title: 'another producer takes the id over',
    talk: async (t) => {
      await t.init()
      const first = t.me
      await t.produce(0)
      await t.init({ once: true })
      await t.init()
      await t.produce(0, { as: first, sequence: 1 })
      await t.produce(1, { as: first })
      await t.end(true, { as: first })
      await t.add([1], { as: first })
      await t.addOffsets({ as: first })
      await t.init({ as: first })
      await t.produce(0)
      await t.end(true)
    },
    expected: [
      'p0/0',
      '0',
      'CONCURRENT_TRANSACTIONS',
      'p0/2',
      'INVALID_PRODUCER_EPOCH',
      'INVALID_PRODUCER_EPOCH',
      'PRODUCER_FENCED',
      'PRODUCER_FENCED',
      'PRODUCER_FENCED',
      'PRODUCER_FENCED',
      '2',
      'p0/3',
    ],
  },
  {
    title: 'the codes of older versions for a producer that is fenced',
    talk: async (t) => {
      await t.init()
      const first = t.me
      await t.init()
      await t.add([0], { as: first, version: 1 })
      await t.add([0], { as: first, version: 2 })
      await t.addOffsets({ as: first, version: 1 })
      await t.addOffsets({ as: first, version: 2 })
      await t.end(true, { as: first, version: 1 })
      await t.end(true, { as: first, version: 2 })
      const wrong = { as: { ...first, producerId: first.producerId + 1_000_000n } }
      await t.init({ ...wrong, version: 3 })
      await t.init({ ...wrong, version: 4 })
    },
    expected: [
      'p0/0',
      'p0/1',
      'INVALID_PRODUCER_EPOCH',
      'PRODUCER_FENCED',
      'INVALID_PRODUCER_EPOCH',
      'PRODUCER_FENCED',
      'INVALID_PRODUCER_EPOCH',
      'PRODUCER_FENCED',
      'INVALID_PRODUCER_EPOCH',
      'PRODUCER_FENCED',
    ],
  },
  {
    title: 'a producer that comes back with what it had',
    talk: async (t) => {
      await t.init()
      const first = t.me
      await t.init({ as: first })
      await t.init({ as: first })
      await t.init({ as: t.me })
      await t.init({ as: first })
      await t.produce(0)
      await t.init({ as: t.me, once: true })
      await t.init({ as: t.me })
    },
    expected: ['p0/0', 'p0/1', 'p0/1', 'p0/2', 'PRODUCER_FENCED', '0', 'CONCURRENT_TRANSACTIONS', 'p0/3'],
  },
  {
    title: 'requests that InitProducerId refuses',
    talk: async (t) => {
      await t.init({ timeoutMs: 0 })
      await t.init({ timeoutMs: 900_001 })
      await t.init({ as: { producerId: 7n, epoch: -1 } })
      await t.init({ as: { producerId: -1n, epoch: 7 } })
      await t.init({ timeoutMs: 900_000, as: { producerId: 123_456_789n, epoch: 7 } })
      await t.init({ as: { producerId: 123_456_789n, epoch: 7 } })
      t.transactionalId = ''
      await t.init()
    },
    expected: [
      'INVALID_TRANSACTION_TIMEOUT',
      'INVALID_TRANSACTION_TIMEOUT',
      'INVALID_REQUEST',
      'INVALID_REQUEST',
      'p0/0',
      'PRODUCER_FENCED',
      'INVALID_REQUEST',
    ],
  },
  {
    title: 'a transactional id that nobody has initialized',
    talk: async (t) => {
      const as = { producerId: 1_000_000n, epoch: 0 }
      await t.add([0], { as })
      await t.addOffsets({ as })
      await t.end(true, { as })
      await t.end(true, { as, version: 4 })
      await t.produce(0, { as })
      await t.produce(0, { as, ...classic })
      await t.commitOffsets({ as })
      t.transactionalId = ''
      await t.add([0], { as })
      await t.end(true, { as })
    },
    expected: [
      ...Array.from({ length: 7 }, () => 'INVALID_PRODUCER_ID_MAPPING'),
      'INVALID_REQUEST',
      'INVALID_REQUEST',
    ],
  },
  {
    title: "a producer id that is not the transactional id's",
    talk: async (t) => {
      await t.init()
      const as = { ...t.me, producerId: t.me.producerId + 1_000_000n }
      await t.add([0], { as })
      await t.end(true, { as })
      await t.end(true, { as, version: 4 })
      await t.produce(0, { as })
      await t.produce(0, { as, ...classic })
    },
    expected: ['p0/0', ...Array.from({ length: 5 }, () => 'INVALID_PRODUCER_ID_MAPPING')],
  },
  {
    title: 'records outside the transaction, and transactional ones without the id',
    talk: async (t) => {
      await t.init()
      await t.produce(0)
      await t.produce(0, { attributes: 0, sequence: 1 })
      await t.produce(1, { attributes: 0 })
      await t.produce(0, { sequence: 1 })
    },
    expected: ['p0/0', '0', 'INVALID_TXN_STATE', '0', '1'],
  },
  {
    title: 'the last epoch of a producer id, ended by EndTxn',
    talk: async (t) => {
      await t.init()
      await exhaust(t, 32766)
      await t.produce(0)
      const last = t.me
      await t.end(true)
      await t.end(true, { as: last })
      await t.end(false, { as: last })
      await t.produce(0)
      await t.end(true)
      await t.end(true, { as: last })
    },
    expected: ['p0/0', '0', 'p1/0', 'p1/0', 'INVALID_TXN_STATE', '2', 'p1/1', 'INVALID_PRODUCER_ID_MAPPING'],
  },
  {
    title: 'the last epoch of a producer id, and InitProducerId',
    talk: async (t) => {
      await t.init()
      await exhaust(t, 32766)
      const last = t.me
      await t.init({ as: last })
      await t.init({ as: last })
      await t.init()
    },
    expected: ['p0/0', 'p1/0', 'p1/0', 'p1/1'],
  },
  {
    title: 'the last epoch of a producer id, fenced in the midst of a transaction',
    talk: async (t) => {
      await t.init()
      await exhaust(t, 32766)
      await t.produce(0)
      await t.init({ once: true })
      await t.init({ as: t.me })
      await t.init()
    },
    expected: ['p0/0', '0', 'CONCURRENT_TRANSACTIONS', 'UNKNOWN_SERVER_ERROR', 'p1/0'],
  },
]

const first: readonly TransactionScript[] = [
  {
    title: 'classic transactions: the epoch and the sequences go on',
    talk: async (t) => {
      await t.init()
      await t.add([0, 1])
      await t.produce(0, classic)
      await t.produce(1, classic)
      await t.end(true, { version: 4 })
      await t.add([0])
      await t.produce(0, { ...classic, sequence: 1 })
      await t.end(false, { version: 4 })
      await t.add([0])
      await t.produce(0, { ...classic, sequence: 0 })
      await t.produce(0, { ...classic, sequence: 2 })
    },
    // The first sequence again is a duplicate of what the partition remembers, whichever transaction it was in. It asked
    // first for the new transaction, and what asks after it has to wait until a batch of its sequence is there.
    expected: [
      'p0/0',
      'NONE',
      '0',
      '0',
      'NONE',
      'NONE',
      '2',
      'NONE',
      'NONE',
      '0',
      'OUT_OF_ORDER_SEQUENCE_NUMBER',
    ],
  },
  {
    title: 'a partition that is not in the transaction',
    talk: async (t) => {
      await t.init()
      await t.produce(0, classic)
      await t.produce(0, old)
      await t.add([0])
      await t.produce(0, old)
      await t.produce(1, classic)
      await t.end(true, { version: 4 })
      await t.produce(0, { ...classic, sequence: 1 })
      await t.produce(0, { ...old, sequence: 1 })
    },
    expected: [
      'p0/0',
      'TRANSACTION_ABORTABLE',
      'INVALID_TXN_STATE',
      'NONE',
      '0',
      'TRANSACTION_ABORTABLE',
      'NONE',
      'TRANSACTION_ABORTABLE',
      'INVALID_TXN_STATE',
    ],
  },
  {
    title: 'EndTxn of classic transactions again, and where nothing was begun',
    talk: async (t) => {
      await t.init()
      await t.end(true, { version: 4 })
      await t.end(false, { version: 4 })
      await t.add([0])
      await t.end(true, { version: 4 })
      await t.end(true, { version: 4 })
      await t.end(false, { version: 4 })
      await t.add([0])
      await t.end(false, { version: 4 })
      await t.end(false, { version: 4 })
      await t.end(true, { version: 4 })
      await t.end(true, { version: 4, as: t.later(-1) })
      await t.end(true, { version: 4, as: t.later(1) })
    },
    expected: [
      'p0/0',
      'INVALID_TXN_STATE',
      'INVALID_TXN_STATE',
      'NONE',
      'NONE',
      'NONE',
      'INVALID_TXN_STATE',
      'NONE',
      'NONE',
      'NONE',
      'INVALID_TXN_STATE',
      'PRODUCER_FENCED',
      'PRODUCER_FENCED',
    ],
  },
  {
    title: 'partitions that do not exist',
    talk: async (t) => {
      await t.init()
      await t.add([0, NOWHERE])
      await t.produce(0, classic)
      await t.add([0])
      await t.add([0])
      await t.produce(0, classic)
    },
    expected: [
      'p0/0',
      'OPERATION_NOT_ATTEMPTED UNKNOWN_TOPIC_OR_PARTITION',
      'TRANSACTION_ABORTABLE',
      'NONE',
      'NONE',
      '0',
    ],
  },
  {
    title: 'a client that changes from classic transactions to the second kind, and back',
    talk: async (t) => {
      await t.init()
      await t.add([0])
      await t.produce(0, classic)
      await t.end(true, { version: 4 })
      await t.init()
      await t.produce(0)
      await t.end(true)
      await t.add([0])
      await t.produce(0, classic)
      await t.end(true, { version: 4 })
      await t.end(true, { version: 4, as: t.later(-1) })
    },
    expected: ['p0/0', 'NONE', '0', 'NONE', 'p0/1', '2', 'p0/2', 'NONE', '4', 'NONE', 'PRODUCER_FENCED'],
  },
]

const topicOf = (name: string) => [
  {
    name,
    partitions: [
      { partitionIndex: 0, committedOffset: 1n, committedLeaderEpoch: -1, committedMetadata: null },
    ],
  },
]

const offsets: readonly TransactionScript[] = [
  {
    title: 'offsets in a transaction of the second kind',
    talk: async (t) => {
      await t.init()
      await t.commitOffsets()
      await t.commitOffsets()
      await t.end(true)
      await t.commitOffsets()
      await t.end(false)
      await t.commitOffsets({ as: t.later(-1) })
    },
    expected: ['p0/0', 'NONE', 'NONE', 'p0/1', 'NONE', 'p0/2', 'INVALID_PRODUCER_EPOCH'],
  },
  {
    title: 'offsets in a classic transaction',
    talk: async (t) => {
      await t.init()
      await t.commitOffsets({ version: 4 })
      await t.commitOffsets({ version: 3 })
      await t.addOffsets()
      await t.commitOffsets({ version: 3 })
      await t.commitOffsets({ version: 0 })
      await t.end(true, { version: 4 })
      await t.commitOffsets({ version: 4 })
    },
    expected: [
      'p0/0',
      'TRANSACTION_ABORTABLE',
      'INVALID_TXN_STATE',
      'NONE',
      'NONE',
      'NONE',
      'NONE',
      'TRANSACTION_ABORTABLE',
    ],
  },
  {
    title: 'a group that nobody has joined',
    talk: async (t) => {
      await t.init()
      await t.commitOffsets({ generationId: 3, memberId: 'someone' })
      await t.commitOffsets({ memberId: 'someone' })
      await t.commitOffsets({ generationId: 3, memberId: 'someone' })
      await t.commitOffsets({ generationId: 0 })
      await t.commitOffsets({ generationId: 0, groupInstanceId: 'static' })
      await t.commitOffsets({ groupId: '' })
      await t.end(false)
    },
    expected: [
      'p0/0',
      'ILLEGAL_GENERATION',
      'NONE',
      'UNKNOWN_MEMBER_ID',
      'UNKNOWN_MEMBER_ID',
      'UNKNOWN_MEMBER_ID',
      'INVALID_GROUP_ID',
      'p0/1',
    ],
  },
  {
    title: 'offsets with too much metadata, and of a topic that does not exist',
    talk: async (t) => {
      await t.init()
      await t.commitOffsets({ metadata: 'x'.repeat(4097) })
      await t.commitOffsets({ metadata: 'x'.repeat(4096) })
      await t.commitOffsets({ topics: topicOf('no-such-topic') })
      await t.end(true)
    },
    expected: ['p0/0', 'OFFSET_METADATA_TOO_LARGE', 'NONE', 'UNKNOWN_TOPIC_OR_PARTITION', 'p0/1'],
  },
]

export const transactionScripts: readonly TransactionScript[] = [...second, ...first, ...offsets]
