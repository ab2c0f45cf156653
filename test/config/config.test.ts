import { afterEach, describe, expect, test, vi } from 'vitest'
import { resolveConfig, type ProducerConfig } from '../../src/config/config.js'
import type { Logger } from '../../src/logger.js'
import { ConfigError } from '../../src/errors.js'
import { keyHash, roundRobin, sticky } from '../../src/partitioner.js'
import type { ProducerRecord } from '../../src/record.js'
import { string } from '../../src/serializer.js'

const bootstrapServers = 'localhost:9092'

interface Logged {
  readonly logger: Logger
  readonly lines: string[]
}

/** A logger that keeps `level: message`. */
function logged(): Logged {
  const lines: string[] = []
  const at = (level: string) => (message: string) => void lines.push(`${level}: ${message}`)
  return { lines, logger: { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') } }
}

/** The problems of a config, which may be one that the types refuse. */
function problemsOf(config: unknown): readonly string[] {
  try {
    resolveConfig(config as ProducerConfig)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

afterEach(() => {
  vi.restoreAllMocks()
})

test('the defaults are those of the Java client 4.2', () => {
  const { logger } = logged()
  expect(resolveConfig({ bootstrapServers, logger, clientId: 'c' })).toEqual({
    bootstrapServers: [{ host: 'localhost', port: 9092 }],
    clientId: 'c',
    acks: -1,
    enableIdempotence: true,
    transactionalId: undefined,
    transactionTimeoutMs: 60000,
    retries: 2147483647,
    maxInFlightRequestsPerConnection: 5,
    lingerMs: 5,
    compressionType: 'none',
    compressionGzipLevel: -1,
    compressionLz4Level: 9,
    compressionZstdLevel: 3,
    codecs: {},
    batchSize: 16384,
    bufferMemory: 33554432,
    maxRequestSize: 1048576,
    maxBlockMs: 60000,
    deliveryTimeoutMs: 120000,
    requestTimeoutMs: 30000,
    retryBackoffMs: 100,
    retryBackoffMaxMs: 1000,
    reconnectBackoffMs: 50,
    reconnectBackoffMaxMs: 1000,
    socketConnectionSetupTimeoutMs: 10000,
    socketConnectionSetupTimeoutMaxMs: 30000,
    connectionsMaxIdleMs: 540000,
    metadataMaxAgeMs: 300000,
    metadataMaxIdleMs: 300000,
    metadataRecoveryStrategy: 'rebootstrap',
    metadataRecoveryRebootstrapTriggerMs: 300000,
    clientDnsLookup: 'use_all_dns_ips',
    partitioner: keyHash(),
    partitionerAdaptivePartitioningEnable: true,
    partitionerAvailabilityTimeoutMs: 0,
    partitionerIgnoreKeys: false,
    keySerializer: undefined,
    valueSerializer: undefined,
    interceptors: [],
    logger: {
      debug: expect.any(Function),
      info: expect.any(Function),
      warn: expect.any(Function),
      error: expect.any(Function),
    },
    securityProtocol: 'PLAINTEXT',
    ssl: undefined,
    sasl: undefined,
    socketMaxResponseBytes: 16777216,
  })
})

test('undefined is the same as absent', () => {
  expect(resolveConfig({ bootstrapServers, lingerMs: undefined, acks: undefined })).toMatchObject({
    lingerMs: 5,
    acks: -1,
    enableIdempotence: true,
  })
})

test('a config is never changed, and may be frozen', () => {
  const config = Object.freeze({
    bootstrapServers: Object.freeze(['a:1']),
    acks: 1,
    batchSize: 0,
    retries: 0,
  } as const)
  const before = structuredClone(config)
  resolveConfig(config)
  expect(config).toEqual(before)
})

test('everything that is wrong is in one error', () => {
  const config = { lingerMs: -1, batchSize: '16384', acks: 2, lingrMs: 5, valueSerializer: {} }
  expect(problemsOf(config)).toEqual([
    '"lingrMs" is no option; did you mean lingerMs?',
    `acks must be one of "all", -1, 1, 0, not 2`,
    'lingerMs must be an integer from 0 to 9007199254740991, not -1',
    'batchSize must be an integer from 0 to 2147483647, not "16384"',
    'valueSerializer must be a function such as json(), string() or bytes(), not an object',
    "bootstrapServers is missing; it must be 'host:port' or '[IPv6 address]:port', in a list or in one string with commas",
  ])
  expect(() => resolveConfig(config as unknown as ProducerConfig)).toThrow(/^6 problems:\n- "lingrMs"/)
})

test.each([
  ['linger.ms', '"linger.ms" is written lingerMs here'],
  ['brokers', '"brokers" is written bootstrapServers here'],
  ['LINGERMS', '"LINGERMS" is no option; did you mean lingerMs?'],
  ['bootstrapServer', '"bootstrapServer" is no option; did you mean bootstrapServers?'],
  ['bacthSize', '"bacthSize" is no option; did you mean batchSize?'],
  ['linger_ms', '"linger_ms" is no option; did you mean lingerMs?'],
  ['compression', '"compression" is written compressionType here'],
  ['message.timeout.ms', '"message.timeout.ms" is written deliveryTimeoutMs here'],
  ['retry', '"retry" is written retries, retryBackoffMs and deliveryTimeoutMs here'],
  ['logLevel', '"logLevel" is written logger here'],
  ['quux', '"quux" is no option'],
  ['constructor', '"constructor" is no option'],
  ['toString', '"toString" is no option'],
])('the unknown name %s is answered with what was probably meant', (name, problem) => {
  expect(problemsOf({ bootstrapServers, [name]: 'hunter2' })).toEqual([problem])
})

test('a key named __proto__ is an unknown name, and nothing more', () => {
  const config: unknown = JSON.parse(`{"bootstrapServers":"a:1","__proto__":{"lingerMs":7}}`)
  expect(problemsOf(config)).toEqual(['"__proto__" is no option'])
  expect(({} as Record<string, unknown>)['lingerMs']).toBeUndefined()
})

test('what an object inherits is not read', () => {
  const config = Object.assign(Object.create({ lingerMs: 7, quux: 1 }) as object, { bootstrapServers })
  expect(resolveConfig(config).lingerMs).toBe(5)
})

test.each([null, undefined, 5, 'localhost:9092', ['localhost:9092']])('%j is no config', (config) => {
  expect(problemsOf(config)).toEqual([
    expect.stringMatching(/^the config must be an object with at least bootstrapServers, not /),
  ])
})

test.each([NaN, Infinity, 1.5, '5', null, true, 5n, {}, [], Symbol('s'), () => 5])(
  'a number of milliseconds cannot be %s',
  (lingerMs) => {
    expect(problemsOf({ bootstrapServers, lingerMs })).toEqual([
      expect.stringMatching(/^lingerMs must be an integer/),
    ])
  },
)

test.each([
  ['retries', -1, 0, 2147483647],
  ['maxInFlightRequestsPerConnection', 0, 1, 5],
  ['batchSize', -1, 0, 2147483647],
  ['bufferMemory', -1, 0, Number.MAX_SAFE_INTEGER],
  ['maxRequestSize', -1, 0, 2147483647],
  ['maxBlockMs', -1, 0, Number.MAX_SAFE_INTEGER],
  ['retryBackoffMaxMs', -1, 0, Number.MAX_SAFE_INTEGER],
  ['reconnectBackoffMaxMs', -1, 0, Number.MAX_SAFE_INTEGER],
  ['socketConnectionSetupTimeoutMs', 0, 1, Number.MAX_SAFE_INTEGER],
  ['socketConnectionSetupTimeoutMaxMs', 0, 1, Number.MAX_SAFE_INTEGER],
  ['metadataMaxAgeMs', -1, 0, Number.MAX_SAFE_INTEGER],
  ['metadataMaxIdleMs', 4999, 5000, Number.MAX_SAFE_INTEGER],
  ['metadataRecoveryRebootstrapTriggerMs', -1, 0, Number.MAX_SAFE_INTEGER],
  ['partitionerAvailabilityTimeoutMs', -1, 0, Number.MAX_SAFE_INTEGER],
  ['socketMaxResponseBytes', 65535, 65536, 2147483647],
] as const)('%s has its bounds', (name, below, least, most) => {
  const { logger } = logged()
  expect(problemsOf({ bootstrapServers, logger, [name]: below })).toHaveLength(1)
  expect(problemsOf({ bootstrapServers, logger, [name]: most + 1 })).not.toEqual([])
  expect(problemsOf({ bootstrapServers, logger, [name]: least })).toEqual([])
  expect(problemsOf({ bootstrapServers, logger, [name]: most })).toEqual([])
})

test('connectionsMaxIdleMs may be negative: never', () => {
  expect(resolveConfig({ bootstrapServers, connectionsMaxIdleMs: -1 }).connectionsMaxIdleMs).toBe(-1)
})

test('batchSize 0 is one record per batch', () => {
  expect(resolveConfig({ bootstrapServers, batchSize: 0 }).batchSize).toBe(1)
})

test.each([
  ['a:1', [['a', 1]]],
  ['a:1, b:2 ,', [['a', 1], ['b', 2]]], // prettier-ignore
  [['a:1', 'b:2,c:3'], [['a', 1], ['b', 2], ['c', 3]]], // prettier-ignore
  ['a:1,a:1', [['a', 1], ['a', 1]]], // prettier-ignore
  ['[::1]:9092', [['::1', 9092]]],
  ['[fe80::1%eth0]:9092', [['fe80::1%eth0', 9092]]],
  ['[::ffff:10.0.0.1]:65535', [['::ffff:10.0.0.1', 65535]]],
  ['kafka_1.my-net.example:9092', [['kafka_1.my-net.example', 9092]]],
])('bootstrapServers %j are read', (given, expected) => {
  expect(resolveConfig({ bootstrapServers: given }).bootstrapServers).toEqual(
    expected.map(([host, port]) => ({ host, port })),
  )
})

test.each([
  'localhost',
  'localhost:',
  ':9092',
  'localhost:0',
  'localhost:65536',
  '::1:9092',
  'a b:1',
  'ssl://a',
])('the bootstrap server %j is refused with what is valid', (server) => {
  expect(problemsOf({ bootstrapServers: ['good:9092', server] })).toEqual([
    `bootstrapServers must be 'host:port' or '[IPv6 address]:port', in a list or in one string with commas, which ${JSON.stringify(server)} is not`,
  ])
})

test.each(['SASL_SSL://one:9092', 'PLAINTEXT://[::1]:9092', 'one:9092,SASL_SSL://two:9093'])(
  'the protocol before an address has no effect: %s',
  (given) => {
    expect(resolveConfig({ bootstrapServers: given }).bootstrapServers).toEqual(
      resolveConfig({ bootstrapServers: given.replaceAll(/\w+:\/\//g, '') }).bootstrapServers,
    )
  },
)

test('every wrong bootstrap server is named, and a password in one is not shown', () => {
  const [problem] = problemsOf({
    bootstrapServers: 'one,kafka://user:hunter2@two:9092,user:hunter2@three:9092',
  })
  expect(problem).toMatch(
    /which item 1 \(not shown.*\), item 2 \(not shown.*\), item 3 \(not shown.*\) are not$/,
  )
})

test.each([
  'user:SEC/RET@h:9092',
  'user:SECRET,x@h:9092',
  'h:9092,kafka://user:SEC,RET@h:9092',
  'h:9092?password=SECRET',
  'h:9092/SECRET',
  'user:SECRET',
  'password=SECRET',
  'SASL_SSL://h:9092;SECRET',
])('a bootstrap server such as %s is refused by its place in the list', (given) => {
  const [problem] = problemsOf({ bootstrapServers: given })
  expect(problem).toMatch(/item \d \(not shown, for it may hold a password\)/)
  expect(problem).not.toMatch(/SEC|RET|user/)
})

test('a config that is a string is not shown', () => {
  expect(problemsOf('user:SECRET@h:9092')).toEqual([
    'the config must be an object with at least bootstrapServers, not a string',
  ])
})

describe('settings of absurd size are refused in one pass', () => {
  const long = 1_000_000

  test.each([
    ['brackets and colons', `[${':'.repeat(long)}`],
    ['slashes', `${'/'.repeat(long)}@`],
    ['many wrong ones', 'a,'.repeat(long)],
  ])('bootstrapServers: %s', (_, given) => {
    const [problem] = problemsOf({ bootstrapServers: given })
    expect(problem!.length).toBeLessThan(1000)
  })

  test('an unknown name', () => {
    const [problem] = problemsOf({ bootstrapServers, ['.'.repeat(long)]: 1 })
    expect(problem).toMatch(/^"\.{59}\.\.\. \(1000000 characters\) is no option$/)
  })

  test('many unknown names', () => {
    const names = Object.fromEntries(Array.from({ length: 100_000 }, (_, i) => [`lingerMss${i}`, 1]))
    const problems = problemsOf({ bootstrapServers, ...names })
    expect(problems).toHaveLength(21)
    expect(problems.at(-1)).toBe('99980 more names are unknown')
  })

  test('a bigint', () => {
    expect(problemsOf({ bootstrapServers, lingerMs: 1n << 10_000_000n })).toEqual([
      'lingerMs must be an integer from 0 to 9007199254740991, not a bigint of more than 64 bits',
    ])
  })
})

test.each([[''], [[]], [','], [['']]])('bootstrapServers %j name no broker', (given) => {
  expect(problemsOf({ bootstrapServers: given })).toEqual([
    expect.stringMatching(/^bootstrapServers must name at least one broker/),
  ])
})

test.each([5, null, [5], { host: 'a' }])('bootstrapServers cannot be %j', (given) => {
  expect(problemsOf({ bootstrapServers: given })).toEqual([
    expect.stringMatching(/^bootstrapServers must be/),
  ])
})

test('without a clientId one is generated and counted; a refused config uses up none', () => {
  const number = (clientId: string) => Number(/^producer-(\d+)$/.exec(clientId)![1])
  const first = number(resolveConfig({ bootstrapServers }).clientId)
  expect(problemsOf({ bootstrapServers, lingerMs: -1 })).toHaveLength(1)
  expect(number(resolveConfig({ bootstrapServers }).clientId)).toBe(first + 1)
  expect(resolveConfig({ bootstrapServers, clientId: '' }).clientId).toBe('')
})

test('a clientId that no request can carry is refused, and not repeated in full', () => {
  const [problem] = problemsOf({ bootstrapServers, clientId: 'x'.repeat(32_768) })
  expect(problem).toMatch(
    /^clientId must be a string of at most 32767 bytes, not "x{59}\.\.\. \(32768 characters\)$/,
  )
})

test.each([
  ['all', -1],
  [-1, -1],
  [1, 1],
  [0, 0],
] as const)('acks %j goes on the wire as %i', (acks, wire) => {
  expect(resolveConfig({ bootstrapServers, acks }).acks).toBe(wire)
})

test.each(['1', 'ALL', 2, true])('acks cannot be %j', (acks) => {
  expect(problemsOf({ bootstrapServers, acks })).toEqual([
    `acks must be one of "all", -1, 1, 0, not ${JSON.stringify(acks)}`,
  ])
})

test('idempotence asked for by name refuses what contradicts it, all at once', () => {
  expect(
    problemsOf({
      bootstrapServers,
      enableIdempotence: true,
      acks: 1,
      retries: 0,
      maxInFlightRequestsPerConnection: 6,
    }),
  ).toEqual([
    'maxInFlightRequestsPerConnection must be at most 5 with idempotence, not 6; more needs enableIdempotence: false',
    "acks must be 'all' with enableIdempotence: true, not 1",
    'retries must be above 0 with enableIdempotence: true',
  ])
})

test.each([
  [{ acks: 1 } as const, 'acks is 1'],
  [{ acks: 0 } as const, 'acks is 0'],
  [{ retries: 0 }, 'retries is 0'],
  [{ acks: 1, retries: 0 } as const, 'acks is 1 and retries is 0'],
])('idempotence that is not mentioned is turned off by %j', (settings, reason) => {
  const { logger, lines } = logged()
  expect(resolveConfig({ bootstrapServers, logger, ...settings }).enableIdempotence).toBe(false)
  expect(lines).toEqual([`info: idempotence is turned off because ${reason}`])
})

test('more than 5 in flight need idempotence to be turned off by name', () => {
  const six = { bootstrapServers, maxInFlightRequestsPerConnection: 6 }
  expect(problemsOf(six)).toHaveLength(1)
  expect(problemsOf({ ...six, acks: 1 })).toHaveLength(1)
  expect(problemsOf({ ...six, enableIdempotence: false })).toEqual([])
})

test('idempotence turned off by name is not talked about', () => {
  const { logger, lines } = logged()
  resolveConfig({ bootstrapServers, logger, enableIdempotence: false, acks: 0, retries: 0 })
  expect(lines).toEqual([])
})

test('a rule between options is passed over when one of them is invalid anyway', () => {
  expect(problemsOf({ bootstrapServers, enableIdempotence: true, acks: 'none' })).toHaveLength(1)
})

test.each([
  [{ enableIdempotence: false }, ['transactionalId needs idempotence, so not enableIdempotence: false']],
  [{ acks: 1 }, ['transactionalId needs idempotence, so not acks 1']],
  [{ retries: 0 }, ['transactionalId needs idempotence, so not retries 0']],
  [{ acks: 'all', enableIdempotence: true }, []],
] as const)('a transactionalId with %j', (settings, problems) => {
  expect(problemsOf({ bootstrapServers, transactionalId: 'checkout', ...settings })).toEqual(problems)
})

test('a transactionalId is text that is not empty, and a transaction has some time', () => {
  expect(problemsOf({ bootstrapServers, transactionalId: '', transactionTimeoutMs: 0 })).toEqual([
    'transactionalId must be a string of 1 to 32767 bytes, not ""',
    'transactionTimeoutMs must be an integer from 1 to 2147483647, not 0',
  ])
})

test('deliveryTimeoutMs that is given must cover lingerMs and requestTimeoutMs', () => {
  expect(problemsOf({ bootstrapServers, deliveryTimeoutMs: 30_004 })).toEqual([
    'deliveryTimeoutMs must be at least lingerMs + requestTimeoutMs (5 + 30000), not 30004',
  ])
  expect(problemsOf({ bootstrapServers, deliveryTimeoutMs: 30_005 })).toEqual([])
})

test('deliveryTimeoutMs that is not given is raised with a warning', () => {
  const { logger, lines } = logged()
  const config = resolveConfig({ bootstrapServers, logger, requestTimeoutMs: 200_000 })
  expect(config.deliveryTimeoutMs).toBe(200_005)
  expect(lines).toEqual([
    'warn: deliveryTimeoutMs is raised from 120000 to 200005, which is lingerMs + requestTimeoutMs (5 + 200000)',
  ])
})

test('a linger without end keeps every timer within what Kafka and Node can count', () => {
  const { logger } = logged()
  const config = resolveConfig({ bootstrapServers, logger, lingerMs: Number.MAX_SAFE_INTEGER })
  expect([config.lingerMs, config.deliveryTimeoutMs]).toEqual([2147483647, 2147483647])
})

test('reconnectBackoffMs alone makes every pause that long, as in Java', () => {
  const { logger, lines } = logged()
  expect(resolveConfig({ bootstrapServers, logger, reconnectBackoffMs: 300 }).reconnectBackoffMaxMs).toBe(300)
  expect(lines).toEqual([expect.stringMatching(/^warn: every pause before connecting again is 300 ms/)])
})

test.each([
  ['retryBackoffMs', 'retryBackoffMaxMs'],
  ['reconnectBackoffMs', 'reconnectBackoffMaxMs'],
  ['socketConnectionSetupTimeoutMs', 'socketConnectionSetupTimeoutMaxMs'],
] as const)('%s above its maximum is that maximum, with a warning', (first, max) => {
  const { logger, lines } = logged()
  expect(resolveConfig({ bootstrapServers, logger, [first]: 500, [max]: 400 })).toMatchObject({
    [first]: 400,
    [max]: 400,
  })
  expect(lines).toEqual([`warn: ${first} (500) is above ${max} (400), which holds from the start`])
})

test('partitionerIgnoreKeys makes the default partitioner sticky, and leaves a given one alone', () => {
  const { logger, lines } = logged()
  expect(resolveConfig({ bootstrapServers, partitionerIgnoreKeys: true }).partitioner).toBe(sticky())
  const partitioner = roundRobin()
  const config = resolveConfig({ bootstrapServers, logger, partitioner, partitionerIgnoreKeys: true })
  expect(config.partitioner).toBe(partitioner)
  expect(lines).toEqual(['warn: partitionerIgnoreKeys has no effect, because a partitioner is given'])
})

test('functions and objects of the program are kept as they are', () => {
  const keySerializer = string()
  const interceptor = { onSend: <K, V>(record: ProducerRecord<K, V>) => record }
  const config = resolveConfig({ bootstrapServers, keySerializer, interceptors: [interceptor] })
  expect(config.keySerializer).toBe(keySerializer)
  expect(config.interceptors).toEqual([interceptor])
})

test.each([{}, [{}], [{ onSend: 5 }], [null], [() => {}]])('interceptors cannot be %j', (interceptors) => {
  expect(problemsOf({ bootstrapServers, interceptors })).toEqual([
    expect.stringMatching(/^interceptors must be/),
  ])
})

test.each([null, {}, { debug() {}, info() {}, warn() {} }, 'console'])('a logger cannot be %j', (logger) => {
  expect(problemsOf({ bootstrapServers, logger })).toEqual([expect.stringMatching(/^logger must be/)])
})

test('console is a logger', () => {
  const warn = vi.spyOn(console, 'warn').mockReturnValue(undefined)
  resolveConfig({ bootstrapServers, logger: console }).logger.warn('slow', { ms: 5 })
  expect(warn.mock.calls).toEqual([['slow', { ms: 5 }]])
})

test('by default warnings and errors go to stderr, each on one line with its fields as JSON', () => {
  const written: string[] = []
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written.push(String(text))
    return true
  })
  const { logger } = resolveConfig({ bootstrapServers })
  logger.debug('unseen')
  logger.info('unseen')
  logger.warn('first\n  second', { offset: 5n, error: new ConfigError(['one', 'two']) })
  logger.error('alone')
  const circular: Record<string, unknown> = {}
  circular['self'] = circular
  logger.error('odd', circular)
  expect(written).toEqual([
    'kafka-producer WARN first | second {"offset":"5","error":"ConfigError: 2 problems:\\n- one\\n- two"}\n',
    'kafka-producer ERROR alone\n',
    'kafka-producer ERROR odd {fields that JSON cannot express: self}\n',
  ])
})
