/**
 * What a run of the model of transactions does: applications that work through transactions one after the other, calls
 * that come at the wrong moment, and what befalls the cluster meanwhile. Plain data, as in schedule.ts.
 */
import fc from 'fast-check'
import {
  addOffsetsToTxnReactions,
  addPartitionsToTxnReactions,
  endTxnReactions,
  findCoordinatorReactions,
  initTransactionsReactions,
  produceReactions,
  txnOffsetCommitReactions,
} from '../../src/protocol/reactions.js'
import type { ApiName } from '../../src/testing/faults.js'
import type { TransactionVersion } from '../../src/testing/index.js'
import {
  clusterMishaps,
  compression,
  error,
  faultOn,
  hook,
  index,
  loss,
  mishap,
  orNull,
  produceError,
  protocol,
  retriable,
  topicPlan,
  type ClusterStep,
  type Hook,
  type ProducerPlan,
  type Stage,
} from './schedule.js'

export interface TransactionalPlan extends Omit<ProducerPlan, 'mode'> {
  readonly transactionTimeoutMs: number
}

/** What an application does within a transaction. */
export type Work =
  | {
      readonly do: 'send'
      readonly topic: number
      readonly partition: number | null
      readonly bytes: number
      readonly count: number
      readonly isAwaited: boolean
      /** Milliseconds that its serializer takes; 0: there is none. */
      readonly serializerMs: number
      /** Whether the value's memory is overwritten as soon as `send` has returned. */
      readonly isReused: boolean
    }
  | {
      readonly do: 'offsets'
      readonly group: number
      readonly count: number
      readonly isAwaited: boolean
      /** Whether it says which member of the group it is; one that is not any more is refused. */
      readonly isMember: boolean
    }
  | { readonly do: 'pause'; readonly ms: number }

export interface TransactionPlan {
  readonly work: readonly Work[]
  /** 'leave': nobody ends it before the next one is to begin. */
  readonly end: 'commit' | 'abort' | 'leave'
  /** By `transaction(fn)`, with an exception for 'abort' and 'leave'. */
  readonly isFunction: boolean
}

/** Calls beside what the application is doing. */
export type StrayCall = 'init' | 'begin' | 'commit' | 'abort' | 'send' | 'offsets' | 'flush'

export type TransactionStep =
  | { readonly do: 'transaction'; readonly who: number; readonly plan: TransactionPlan }
  | { readonly do: 'stray'; readonly who: number; readonly call: StrayCall }
  /** When this hook of the producer is called next, it makes such a call. */
  | { readonly do: 'hook'; readonly who: number; readonly at: Hook; readonly call: StrayCall }
  /** Another producer with the transactional id of this one. */
  | { readonly do: 'takeover'; readonly who: number }
  | { readonly do: 'close'; readonly who: number; readonly timeoutMs: number | null }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'turns'; readonly count: number }
  | {
      readonly do: 'move-coordinator'
      readonly type: 'transaction' | 'group'
      readonly of: number
      readonly isAway: boolean
    }
  | { readonly do: 'transaction-version'; readonly level: TransactionVersion }
  /** The members of the groups are in a generation that no application has heard of. */
  | { readonly do: 'rebalance'; readonly group: number }
  | ClusterStep

export interface TransactionSchedule extends Stage {
  readonly seed: number
  readonly transactionVersion: TransactionVersion
  readonly markerDelayMs: number
  readonly firstEpoch: number
  /** How many transactional ids there are, each with a producer from the start. */
  readonly ids: number
  readonly producer: TransactionalPlan
  readonly steps: readonly TransactionStep[]
  readonly isHealedBeforeClose: boolean
  /** Whether it is also shown that a record to each partition is committed then, and soon. */
  readonly isProved: boolean
  readonly closeTimeoutMs: number | null
}

const producerPlan: fc.Arbitrary<TransactionalPlan> = fc.record({
  maxInFlight: fc.constantFrom(5, 5, 3, 1),
  lingerMs: fc.constantFrom(0, 0, 5, 40),
  batchSize: fc.constantFrom(1, 130, 300, 16_384),
  bufferMemory: fc.constantFrom(33_554_432, 33_554_432, 20_000, 2000),
  maxRequestSize: fc.constantFrom(1_048_576, 1_048_576, 1_048_576, 500),
  retries: fc.constantFrom(2_147_483_647, 2_147_483_647, 2_147_483_647, 1),
  requestTimeoutMs: fc.constantFrom(50, 200, 1000),
  deliverySlackMs: fc.constantFrom(0, 500, 2000, 20_000, 20_000),
  maxBlockMs: fc.constantFrom(60_000, 60_000, 5000, 1000, 100),
  retryBackoffMs: fc.constantFrom(5, 20, 100),
  metadataMaxAgeMs: fc.constantFrom(100, 1000, 300_000),
  connectionsMaxIdleMs: fc.constantFrom(1000, 540_000, 540_000),
  compression,
  isHooked: fc.constantFrom(false, false, true),
  transactionTimeoutMs: fc.constantFrom(300_000, 300_000, 300_000, 5000, 400),
})

const work: fc.Arbitrary<Work> = fc.oneof(
  {
    weight: 10,
    arbitrary: fc.record({
      do: fc.constant('send' as const),
      topic: index,
      partition: orNull(index, 4),
      bytes: fc.oneof(
        { weight: 6, arbitrary: fc.integer({ min: 0, max: 40 }) },
        { weight: 1, arbitrary: fc.constantFrom(110, 250) },
      ),
      count: fc.constantFrom(1, 1, 1, 2, 3, 8),
      isAwaited: fc.boolean(),
      serializerMs: fc.constantFrom(0, 0, 0, 0, 0, 3, 25),
      isReused: fc.constantFrom(false, false, false, true),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('offsets' as const),
      group: fc.nat({ max: 1 }),
      count: fc.constantFrom(1, 1, 3),
      isAwaited: fc.boolean(),
      isMember: fc.boolean(),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({ do: fc.constant('pause' as const), ms: fc.constantFrom(1, 7, 30, 130, 600) }),
  },
)

const transactionPlan: fc.Arbitrary<TransactionPlan> = fc.record({
  work: fc.array(work, { minLength: 0, maxLength: 6 }),
  end: fc.oneof(
    { weight: 12, arbitrary: fc.constant('commit' as const) },
    { weight: 5, arbitrary: fc.constant('abort' as const) },
    { weight: 1, arbitrary: fc.constant('leave' as const) },
  ),
  isFunction: fc.oneof(
    { weight: 3, arbitrary: fc.constant(false) },
    { weight: 1, arbitrary: fc.constant(true) },
  ),
})

/** What a sound broker never says of a transaction that is open: what the reaction calls fatal. */
const passing = (table: Readonly<Record<string, string>>): (string | number)[] =>
  Object.entries(table)
    .filter(([code, reaction]) => reaction !== 'fatal' && code !== 'NONE')
    .map(([code]) => code)
const deadly = (table: Readonly<Record<string, string>>): (string | number)[] => [
  ...Object.entries(table)
    .filter(([, reaction]) => reaction === 'fatal')
    .map(([code]) => code),
  999,
]

/** Errors of an API that the producer outlives. */
const errorsOf = (table: Readonly<Record<string, string>>) =>
  error(fc.constantFrom(...passing(table), ...retriable.filter((code) => table[code] === undefined)))

const coordinatorApis: readonly (readonly [ApiName, Readonly<Record<string, string>>, number])[] = [
  ['FindCoordinator', findCoordinatorReactions, 2],
  ['InitProducerId', initTransactionsReactions, 3],
  ['AddPartitionsToTxn', addPartitionsToTxnReactions, 4],
  ['AddOffsetsToTxn', addOffsetsToTxnReactions, 2],
  ['TxnOffsetCommit', txnOffsetCommitReactions, 3],
  ['EndTxn', endTxnReactions, 6],
]

/** A duplicate is what it is called: who says so without having the batch loses it. */
const soundProduceError = produceError.filter((code) => code !== 'DUPLICATE_SEQUENCE_NUMBER')

const who = fc.nat({ max: 5 })

const step: fc.Arbitrary<TransactionStep> = fc.oneof(
  {
    weight: 36,
    arbitrary: fc.record({ do: fc.constant('transaction' as const), who, plan: transactionPlan }),
  },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('stray' as const),
      who,
      call: fc.constantFrom<StrayCall[]>('init', 'begin', 'commit', 'abort', 'send', 'offsets', 'flush'),
    }),
  },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 18,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 3, 5, 12, 30, 60, 110, 250, 1100, 6000),
    }),
  },
  { weight: 8, arbitrary: faultOn('Produce', mishap) },
  { weight: 6, arbitrary: faultOn('Produce', error(soundProduceError)) },
  ...coordinatorApis.flatMap(([api, table, weight]) => [
    { weight, arbitrary: faultOn(api, mishap) },
    { weight, arbitrary: faultOn(api, errorsOf(table)) },
  ]),
  { weight: 2, arbitrary: faultOn('Metadata', fc.oneof(mishap, error(fc.constantFrom(...retriable)))) },
  { weight: 1, arbitrary: faultOn('ApiVersions', fc.oneof(mishap, error(fc.constantFrom(...retriable)))) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constant('move-coordinator' as const),
      type: fc.constantFrom('transaction' as const, 'transaction' as const, 'group' as const),
      of: index,
      isAway: fc.oneof(
        { weight: 4, arbitrary: fc.constant(false) },
        { weight: 1, arbitrary: fc.constant(true) },
      ),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('transaction-version' as const),
      level: fc.constantFrom<TransactionVersion[]>(1, 2),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('rebalance' as const), group: fc.nat({ max: 1 }) }) },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('hook' as const),
      who,
      at: hook,
      call: fc.constantFrom<StrayCall[]>('send', 'send', 'flush', 'offsets'),
    }),
  },
  ...clusterMishaps,
  { weight: 1, arbitrary: loss },
)

const rare: fc.Arbitrary<TransactionStep> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ do: fc.constant('takeover' as const), who }) },
  {
    weight: 5,
    arbitrary: fc.record({
      do: fc.constant('close' as const),
      who,
      timeoutMs: fc.constantFrom(null, null, 0, 40, 500),
    }),
  },
  {
    weight: 1,
    arbitrary: faultOn('Produce', error(fc.constantFrom(...deadly(produceReactions).slice(0, -1)))),
  },
  ...coordinatorApis.map(([api, table]) => ({
    weight: 1,
    arbitrary: faultOn(api, error(fc.constantFrom(...deadly(table)))),
  })),
)

export const transactionSchedules: fc.Arbitrary<TransactionSchedule> = fc.record({
  seed: fc.nat(),
  protocol,
  brokers: fc.integer({ min: 1, max: 3 }),
  latencyMs: fc.constantFrom(0, 1, 1, 8),
  topics: fc.array(topicPlan, { minLength: 1, maxLength: 2 }),
  transactionVersion: fc.constantFrom<TransactionVersion[]>(1, 2),
  markerDelayMs: fc.constantFrom(0, 0, 3, 60),
  firstEpoch: fc.constantFrom(0, 0, 0, 0, 32_764),
  ids: fc.constantFrom(1, 1, 2),
  producer: producerPlan,
  steps: fc.array(fc.oneof({ weight: 60, arbitrary: step }, { weight: 1, arbitrary: rare }), {
    minLength: 1,
    maxLength: 50,
    size: 'max',
  }),
  isHealedBeforeClose: fc.oneof(
    { weight: 3, arbitrary: fc.constant(true) },
    { weight: 1, arbitrary: fc.constant(false) },
  ),
  isProved: fc.boolean(),
  closeTimeoutMs: fc.constantFrom(null, null, null, 0, 30, 1000),
})

const record = (partition: number, isAwaited: boolean): Work => ({
  do: 'send',
  topic: 0,
  partition,
  bytes: 10,
  count: 1,
  isAwaited,
  serializerMs: 0,
  isReused: false,
})

/**
 * Dice seldom throw this: a record is given up while its second attempt is held up on the way to a broker, its
 * transaction is aborted, and it arrives while the next one is open.
 */
export const lateArrival = (partition: number): TransactionSchedule => ({
  seed: 1,
  protocol: 'newest',
  brokers: 2,
  latencyMs: 1,
  topics: [{ partitions: 2, replicas: 2, minInsyncReplicas: 1, maxMessageBytes: 1_048_588 }],
  transactionVersion: 1,
  markerDelayMs: 0,
  firstEpoch: 0,
  ids: 1,
  producer: {
    maxInFlight: 5,
    lingerMs: 0,
    batchSize: 1,
    bufferMemory: 33_554_432,
    maxRequestSize: 1_048_576,
    retries: 2_147_483_647,
    requestTimeoutMs: 200,
    deliverySlackMs: 0,
    maxBlockMs: 60_000,
    retryBackoffMs: 100,
    metadataMaxAgeMs: 300_000,
    connectionsMaxIdleMs: 540_000,
    compression: 'none',
    isHooked: false,
    transactionTimeoutMs: 300_000,
  },
  steps: [
    {
      do: 'transaction',
      who: 0,
      plan: {
        work: [record(partition, true), { do: 'pause', ms: 130 }, record(partition, false)],
        end: 'commit',
        isFunction: false,
      },
    },
    {
      do: 'transaction',
      who: 0,
      plan: {
        work: [record(partition, false), { do: 'pause', ms: 600 }],
        end: 'commit',
        isFunction: false,
      },
    },
    { do: 'wait', ms: 110 },
    {
      do: 'fault',
      api: 'Produce',
      broker: null,
      topic: null,
      nth: 1,
      times: 1,
      action: { error: 'NOT_ENOUGH_REPLICAS' },
    },
    { do: 'wait', ms: 90 },
    { do: 'stall', broker: partition, ms: 220, direction: 'to-server' },
    { do: 'wait', ms: 1100 },
  ],
  isHealedBeforeClose: true,
  isProved: false,
  closeTimeoutMs: null,
})
