/**
 * What a run of the model does, as plain data that fast-check makes up, shrinks and prints. Every schedule means
 * something: numbers that name a broker, topic or partition are taken modulo how many there are.
 */
import fc from 'fast-check'
import { errorCodes } from '../../src/protocol/error-codes.js'
import { produceReactions } from '../../src/protocol/reactions.js'
import type { ApiName, FaultAction } from '../../src/testing/faults.js'

export interface TopicPlan {
  readonly partitions: number
  readonly replicas: number
  readonly minInsyncReplicas: number
  readonly maxMessageBytes: number
}

/**
 * How old the brokers are: Produce by topic id; by name; metadata that knows no ids (Kafka before 2.8); and no leader epochs
 * that can be relied on (before 2.4).
 */
export type Protocol = 'newest' | 'by-name' | 'no-ids' | 'no-epochs'

/**
 * 'late': by a promise that takes its time. 'failing': now and then it throws, rejects, or gives what is no result. 'stuck':
 * now and then its promise is never settled.
 */
export type CompressionPlan = 'none' | 'at-once' | 'late' | 'failing' | 'stuck'

export interface ProducerPlan {
  readonly mode: 'idempotent' | 'acks=all' | 'acks=1' | 'acks=0'
  readonly maxInFlight: number
  readonly lingerMs: number
  readonly batchSize: number
  readonly bufferMemory: number
  readonly maxRequestSize: number
  readonly retries: number
  readonly requestTimeoutMs: number
  /** On top of lingerMs + requestTimeoutMs. */
  readonly deliverySlackMs: number
  readonly maxBlockMs: number
  readonly retryBackoffMs: number
  readonly metadataMaxAgeMs: number
  readonly connectionsMaxIdleMs: number
  readonly compression: CompressionPlan
  /** Whether it has interceptors, serializers and a partitioner of the application's own. */
  readonly isHooked: boolean
}

/**
 * How a send's outcome is asked for, and what its caller is like. 'chained': a callback that sends another record;
 * 'throwing': one that throws. 'reused': key, value and headers are overwritten as soon as `send` has returned;
 * 'reused-slow': the same, with an asynchronous serializer. 'from-hook': sent by a hook of another record.
 */
export type SendKind =
  | 'from-hook'
  | 'promise'
  | 'callback'
  | 'forgotten'
  | 'chained'
  | 'throwing'
  | 'slow-serializer'
  | 'reused'
  | 'reused-slow'

/** Where code of the application is called. */
export type Hook = 'serializer' | 'partitioner' | 'onSend' | 'onAcknowledgement' | 'logger' | 'codec'

export type Step =
  | {
      readonly do: 'send'
      readonly topic: number
      readonly partition: number | null
      /** For the partition that is added next; there is none yet. */
      readonly isAhead: boolean
      readonly key: number | null
      readonly bytes: number
      readonly headers: number
      readonly count: number
      readonly kind: SendKind
    }
  | { readonly do: 'flush' }
  /** When this hook is called next, it calls the producer back. */
  | { readonly do: 'hook'; readonly at: Hook; readonly does: 'send' | 'flush' }
  | { readonly do: 'wait'; readonly ms: number }
  | { readonly do: 'turns'; readonly count: number }
  | {
      readonly do: 'fault'
      readonly api: ApiName
      readonly broker: number | null
      readonly topic: number | null
      readonly nth: number
      readonly times: number
      readonly action: FaultAction
    }
  | { readonly do: 'move-leader'; readonly topic: number; readonly partition: number; readonly to: number }
  | { readonly do: 'set-isr'; readonly topic: number; readonly partition: number; readonly size: number }
  | { readonly do: 'pause' | 'resume' | 'stop' | 'start' | 'cut' | 'silence'; readonly broker: number }
  | {
      readonly do: 'stall'
      readonly broker: number
      readonly ms: number
      readonly direction: 'to-server' | 'to-client' | 'both'
    }
  | {
      readonly do: 'truncate'
      readonly broker: number
      readonly bytes: number
      readonly direction: 'to-server' | 'to-client'
    }
  | { readonly do: 'add-partition'; readonly topic: number }
  /** The topic is deleted, if it is there, and created with so many partitions; none: it stays away. */
  | { readonly do: 'recreate'; readonly topic: number; readonly partitions: number }
  /** The log ends where it began so many records ago, as under a leader that was not in sync. */
  | { readonly do: 'lose-log'; readonly topic: number; readonly partition: number; readonly records: number }
  | { readonly do: 'forget-producers'; readonly topic: number; readonly partition: number }
  /** The broker hears nothing new of topics and leaders, or hears of them again. */
  | { readonly do: 'freeze' | 'thaw'; readonly broker: number }
  | { readonly do: 'heal' }
  | { readonly do: 'close'; readonly timeoutMs: number | null }

/** What is done to the producer; everything else is done to the cluster and the network. */
export type ProducerStep = Extract<Step, { do: 'send' | 'flush' | 'hook' | 'wait' | 'turns' | 'close' }>
export type ClusterStep = Exclude<Step, ProducerStep>

/** The cluster and the network of a run. */
export interface Stage {
  readonly protocol: Protocol
  readonly brokers: number
  readonly latencyMs: number
  readonly topics: readonly TopicPlan[]
}

export interface Schedule extends Stage {
  readonly seed: number
  readonly producer: ProducerPlan
  readonly steps: readonly Step[]
  /** Whether the cluster is well again when the producer is closed at the end. */
  readonly isHealedBeforeClose: boolean
  /** Whether it is also shown that every partition takes a record then, and soon. */
  readonly isProved: boolean
  readonly closeTimeoutMs: number | null
}

export const index = fc.nat({ max: 5 })
export const orNull = <T>(arbitrary: fc.Arbitrary<T>, nullsIn: number): fc.Arbitrary<T | null> =>
  fc.option(arbitrary, { freq: nullsIn, nil: null })

export const topicPlan: fc.Arbitrary<TopicPlan> = fc.record({
  partitions: fc.constantFrom(1, 1, 1, 2, 3),
  replicas: fc.integer({ min: 1, max: 3 }),
  minInsyncReplicas: fc.constantFrom(1, 1, 1, 2),
  maxMessageBytes: fc.constantFrom(1_048_588, 1_048_588, 1_048_588, 1_048_588, 400, 180),
})

export const compression = fc.constantFrom<CompressionPlan[]>(
  'none',
  'none',
  'none',
  'none',
  'none',
  'at-once',
  'late',
  'failing',
  'stuck',
)

export const protocol = fc.constantFrom<Protocol[]>(
  'newest',
  'newest',
  'newest',
  'by-name',
  'no-ids',
  'no-epochs',
)

const producerPlan: fc.Arbitrary<ProducerPlan> = fc.record({
  mode: fc.oneof(
    { weight: 8, arbitrary: fc.constant('idempotent' as const) },
    { weight: 1, arbitrary: fc.constantFrom('acks=all' as const, 'acks=1' as const, 'acks=0' as const) },
  ),
  maxInFlight: fc.constantFrom(5, 5, 4, 3, 2, 1),
  lingerMs: fc.constantFrom(0, 0, 5, 40),
  batchSize: fc.constantFrom(1, 1, 130, 130, 300, 16_384),
  bufferMemory: fc.constantFrom(33_554_432, 33_554_432, 33_554_432, 20_000, 20_000, 2000, 700),
  maxRequestSize: fc.constantFrom(1_048_576, 1_048_576, 1_048_576, 500),
  retries: fc.constantFrom(2_147_483_647, 2_147_483_647, 2_147_483_647, 3, 1),
  requestTimeoutMs: fc.constantFrom(50, 200, 1000),
  deliverySlackMs: fc.constantFrom(0, 100, 500, 2000, 5000, 20_000, 20_000),
  maxBlockMs: fc.constantFrom(60_000, 60_000, 60_000, 1000, 60, 0),
  // Not 0: a partition without a leader is asked about without a pause then, and time never gets to move.
  retryBackoffMs: fc.constantFrom(5, 20, 100),
  metadataMaxAgeMs: fc.constantFrom(100, 1000, 300_000),
  connectionsMaxIdleMs: fc.constantFrom(60, 540_000, 540_000),
  compression,
  isHooked: fc.constantFrom(false, false, true),
})

// A duplicate, a refused epoch and the like are what they are called; every other code is one of the table.
const everyProduceCode = Object.keys(produceReactions).filter((code) => code !== 'NONE')
const fatal = everyProduceCode.filter((code) => produceReactions[code] === 'fatal')
const survivable = everyProduceCode.filter((code) => produceReactions[code] !== 'fatal')
export const retriable = errorCodes.filter((code) => code.retriable).map(({ name }) => name)
const sequenceErrors = [
  'OUT_OF_ORDER_SEQUENCE_NUMBER',
  'UNKNOWN_PRODUCER_ID',
  'DUPLICATE_SEQUENCE_NUMBER',
  'MESSAGE_TOO_LARGE',
  'INVALID_PRODUCER_EPOCH',
  'NOT_ENOUGH_REPLICAS',
  'NOT_LEADER_OR_FOLLOWER',
]

export const produceError = fc.oneof(
  { weight: 8, arbitrary: fc.constantFrom<string | number>(...sequenceErrors) },
  {
    weight: 2,
    arbitrary: fc.constantFrom<string | number>('REQUEST_TIMED_OUT', 'NOT_ENOUGH_REPLICAS_AFTER_APPEND'),
  },
  { weight: 4, arbitrary: fc.constantFrom<string | number>(...retriable) },
  { weight: 3, arbitrary: fc.constantFrom<string | number>(...survivable, 999) },
)

export const mishap = fc.oneof(
  { weight: 4, arbitrary: fc.constant<FaultAction>('drop-answer') },
  { weight: 2, arbitrary: fc.constant<FaultAction>('drop-request') },
  { weight: 3, arbitrary: fc.constant<FaultAction>('close') },
  {
    weight: 5,
    arbitrary: fc.constantFrom(0, 0, 0, 2, 7, 30).map((cutAfterBytes): FaultAction => ({ cutAfterBytes })),
  },
  {
    weight: 3,
    arbitrary: fc.constantFrom(1, 20, 100, 700, 3000).map((delayMs): FaultAction => ({ delayMs })),
  },
  {
    weight: 2,
    arbitrary: fc.constantFrom(5, 40, 300, 5000).map((throttleMs): FaultAction => ({ throttleMs })),
  },
)

export const error = (codes: fc.Arbitrary<string | number>): fc.Arbitrary<FaultAction> =>
  codes.map((code) => ({ error: code }))

export const faultOn = (
  api: ApiName,
  action: fc.Arbitrary<FaultAction>,
): fc.Arbitrary<Extract<Step, { do: 'fault' }>> =>
  fc.record({
    do: fc.constant('fault' as const),
    api: fc.constant(api),
    broker: orNull(index, 1),
    topic: api === 'Produce' ? orNull(index, 1) : fc.constant(null),
    nth: fc.constantFrom(1, 1, 1, 2, 3, 4, 6),
    times: fc.constantFrom(1, 1, 1, 2, 3, 10),
    action,
  })

const send = fc.record({
  do: fc.constant('send' as const),
  topic: index,
  partition: orNull(index, 2),
  isAhead: fc.integer({ min: 0, max: 24 }).map((dice) => dice === 24),
  key: orNull(index, 1),
  bytes: fc.oneof(
    { weight: 6, arbitrary: fc.integer({ min: 0, max: 60 }) },
    { weight: 2, arbitrary: fc.constantFrom(110, 250, 600) },
  ),
  headers: fc.constantFrom(0, 0, 0, 1, 2),
  count: fc.constantFrom(1, 1, 1, 2, 3, 8, 20),
  kind: fc.oneof(
    { weight: 5, arbitrary: fc.constant('promise' as const) },
    { weight: 4, arbitrary: fc.constant('callback' as const) },
    {
      weight: 2,
      arbitrary: fc.constantFrom(
        'forgotten' as const,
        'chained' as const,
        'throwing' as const,
        'slow-serializer' as const,
        'reused' as const,
        'reused-slow' as const,
      ),
    },
  ),
})

/** What befalls leaders, brokers and connections. */
export const clusterMishaps: readonly { weight: number; arbitrary: fc.Arbitrary<ClusterStep> }[] = [
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('move-leader' as const),
      topic: index,
      partition: index,
      to: fc.integer({ min: -1, max: 3 }),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('set-isr' as const),
      topic: index,
      partition: index,
      size: fc.integer({ min: 1, max: 3 }),
    }),
  },
  {
    weight: 9,
    arbitrary: fc.record({
      do: fc.constantFrom(
        ...(['pause', 'resume', 'resume', 'stop', 'start', 'start', 'cut', 'silence'] as const),
      ),
      broker: index,
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: fc.constant('stall' as const),
      broker: index,
      ms: fc.constantFrom(10, 70, 300, 1500),
      direction: fc.constantFrom('to-server' as const, 'to-client' as const, 'both' as const),
    }),
  },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('truncate' as const),
      broker: index,
      bytes: fc.constantFrom(0, 3, 60, 150, 400),
      direction: fc.constantFrom('to-server' as const, 'to-client' as const),
    }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('add-partition' as const), topic: index }) },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('heal' as const) }) },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constantFrom('freeze' as const, 'freeze' as const, 'thaw' as const),
      broker: index,
    }),
  },
  {
    weight: 1,
    arbitrary: faultOn(
      'Metadata',
      fc.constantFrom(0, 0, 1, 3, 100, 0x7fffffff).map((leaderEpoch): FaultAction => ({ leaderEpoch })),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('recreate' as const),
      topic: index,
      partitions: fc.constantFrom(1, 1, 2, 3, 0),
    }),
  },
]

/** What takes from a log, or from what it knows of producers. */
export const loss: fc.Arbitrary<ClusterStep> = fc.oneof(
  fc.record({
    do: fc.constant('lose-log' as const),
    topic: index,
    partition: index,
    records: fc.constantFrom(1, 2, 5, 1000),
  }),
  fc.record({ do: fc.constant('forget-producers' as const), topic: index, partition: index }),
)

export const hook = fc.constantFrom<Hook[]>(
  'serializer',
  'partitioner',
  'onSend',
  'onAcknowledgement',
  'logger',
  'codec',
)

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 30, arbitrary: send },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('turns' as const), count: fc.integer({ min: 1, max: 6 }) }),
  },
  {
    weight: 14,
    arbitrary: fc.record({
      do: fc.constant('wait' as const),
      ms: fc.constantFrom(1, 3, 5, 12, 30, 60, 110, 250, 1100, 6000),
    }),
  },
  { weight: 3, arbitrary: fc.record({ do: fc.constant('flush' as const) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: fc.constant('hook' as const),
      at: hook,
      does: fc.constantFrom('send' as const, 'send' as const, 'flush' as const),
    }),
  },
  { weight: 12, arbitrary: faultOn('Produce', mishap) },
  { weight: 9, arbitrary: faultOn('Produce', error(produceError)) },
  { weight: 2, arbitrary: faultOn('Metadata', fc.oneof(mishap, error(fc.constantFrom(...retriable)))) },
  {
    weight: 1,
    arbitrary: faultOn(
      'Metadata',
      error(fc.constantFrom('TOPIC_AUTHORIZATION_FAILED', 'REBOOTSTRAP_REQUIRED')),
    ),
  },
  { weight: 2, arbitrary: faultOn('InitProducerId', fc.oneof(mishap, error(fc.constantFrom(...retriable)))) },
  { weight: 1, arbitrary: faultOn('ApiVersions', fc.oneof(mishap, error(fc.constantFrom(...retriable)))) },
  ...clusterMishaps,
  { weight: 2, arbitrary: loss },
)

const rare: fc.Arbitrary<Step> = fc.oneof(
  { weight: 1, arbitrary: faultOn('Produce', error(fc.constantFrom(...fatal))) },
  { weight: 1, arbitrary: faultOn('InitProducerId', error(fc.constantFrom('CLUSTER_AUTHORIZATION_FAILED'))) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('close' as const),
      timeoutMs: fc.constantFrom(null, 0, 40, 500),
    }),
  },
)

export const schedules: fc.Arbitrary<Schedule> = fc.record({
  seed: fc.nat(),
  protocol,
  brokers: fc.integer({ min: 1, max: 3 }),
  latencyMs: fc.constantFrom(0, 1, 1, 8),
  topics: fc.array(topicPlan, { minLength: 1, maxLength: 2 }),
  producer: producerPlan,
  steps: fc.array(fc.oneof({ weight: 150, arbitrary: step }, { weight: 1, arbitrary: rare }), {
    minLength: 1,
    maxLength: 60,
    size: 'max',
  }),
  isHealedBeforeClose: fc.boolean(),
  isProved: fc.boolean(),
  closeTimeoutMs: fc.constantFrom(null, null, null, 0, 30, 1000),
})

const burst = (count: number): Step => ({
  do: 'send',
  topic: 0,
  partition: 0,
  isAhead: false,
  key: null,
  bytes: 10,
  headers: 0,
  count,
  kind: 'promise',
})

/**
 * Dice seldom throw this: five batches are appended and their answers held up, the leader moves, more is sent, and the
 * answers are lost. A broker knows a producer's last five batches again, so nothing may go to the new leader meanwhile.
 */
export const leaderMovesBehindLostAnswers: Schedule = {
  seed: 1,
  protocol: 'newest',
  brokers: 2,
  latencyMs: 1,
  topics: [{ partitions: 1, replicas: 2, minInsyncReplicas: 1, maxMessageBytes: 1_048_588 }],
  producer: {
    mode: 'idempotent',
    maxInFlight: 5,
    lingerMs: 0,
    batchSize: 1,
    bufferMemory: 33_554_432,
    maxRequestSize: 1_048_576,
    retries: 2_147_483_647,
    requestTimeoutMs: 1000,
    deliverySlackMs: 20_000,
    maxBlockMs: 60_000,
    retryBackoffMs: 5,
    metadataMaxAgeMs: 100,
    connectionsMaxIdleMs: 540_000,
    compression: 'none',
    isHooked: false,
  },
  steps: [
    { do: 'move-leader', topic: 0, partition: 0, to: 1 },
    burst(1),
    { do: 'wait', ms: 60 },
    { do: 'move-leader', topic: 0, partition: 0, to: 0 },
    burst(1),
    { do: 'wait', ms: 250 },
    { do: 'stall', broker: 0, ms: 900, direction: 'to-client' },
    burst(5),
    { do: 'wait', ms: 12 },
    { do: 'move-leader', topic: 0, partition: 0, to: 1 },
    burst(5),
    { do: 'wait', ms: 250 },
    { do: 'cut', broker: 0 },
  ],
  isHealedBeforeClose: true,
  isProved: false,
  closeTimeoutMs: null,
}
