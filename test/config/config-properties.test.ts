import { describe, expect, test, vi } from 'vitest'
import { configFromProperties } from '../../src/config/config-properties.js'
import { resolveConfig } from '../../src/config/config.js'
import { ConfigError } from '../../src/errors.js'
import { readProperties } from '../../src/config/properties.js'

/** The problems of a file, after the one line that every file needs. */
function problemsOf(lines: string): readonly string[] {
  try {
    configFromProperties(`bootstrap.servers=a:9092\n${lines}`)
  } catch (error) {
    if (error instanceof ConfigError) return error.problems
    throw error
  }
  return []
}

test('the syntax is read as java.util.Properties reads it', () => {
  const source = [
    '# comment',
    '! another = comment',
    '',
    '  \t',
    'plain=value',
    'spaced  :  value with blanks  ',
    'colon:a:b=c',
    'blank value',
    'tabbed\tvalue',
    'empty=',
    'only',
    String.raw`esc\ aped\:name=\tx\u00e9\\`,
    'long=one,\\',
    '    two,\\',
    '    three',
    'notjoined=x\\\\',
    '  # indented comment',
    'hash=a#b!c',
    String.raw`quote=\q\"`,
    'twice=1',
    'twice=2',
    'joinedcomment=a\\',
    '# no comment',
    'end=x\\\r',
    '  y\r',
    'cr=1\rcr2=2',
    'blankcont=a\\',
    '',
    'after=1',
    'equals==x',
    'last=v\\',
  ].join('\n')
  // Printed by java.util.Properties for the same bytes.
  expect(Object.fromEntries(readProperties(source))).toEqual({
    plain: 'value',
    spaced: 'value with blanks  ',
    colon: 'a:b=c',
    blank: 'value',
    tabbed: 'value',
    empty: '',
    only: '',
    'esc aped:name': '\tx\u00e9\\',
    long: 'one,two,three',
    notjoined: 'x\\',
    hash: 'a#b!c',
    quote: 'q"',
    twice: '2',
    joinedcomment: 'a# no comment',
    end: 'xy',
    cr: '1',
    cr2: '2',
    blankcont: 'a',
    after: '1',
    equals: '=x',
    last: 'v',
  })
})

test('a unicode escape without four digits is refused, as Java does', () => {
  expect(problemsOf(String.raw`client.id=\u12`)).toEqual([
    String.raw`the properties have a \u without four hex digits after it`,
  ])
})

test('settings become options of their types', () => {
  const config = configFromProperties(`
    bootstrap.servers = one:9092, two:9092
    client.id = orders
    acks = 1
    enable.idempotence = FALSE
    linger.ms = 20
    max.block.ms = 9223372036854775807
    connections.max.idle.ms = -1
    metadata.recovery.strategy = REBOOTSTRAP
    partitioner.ignore.keys = true
  `)
  expect(config).toEqual({
    bootstrapServers: 'one:9092, two:9092',
    clientId: 'orders',
    acks: 1,
    enableIdempotence: false,
    lingerMs: 20,
    maxBlockMs: Number.MAX_SAFE_INTEGER,
    connectionsMaxIdleMs: -1,
    metadataRecoveryStrategy: 'rebootstrap',
    partitionerIgnoreKeys: true,
  })
  expect(resolveConfig(config).bootstrapServers).toHaveLength(2)
})

test.each([
  ['all', 'all'],
  ['-1', -1],
  ['0', 0],
])('acks=%s is read', (written, acks) => {
  expect(configFromProperties(`bootstrap.servers=a:1\nacks=${written}`).acks).toBe(acks)
})

test('serializers of Java become ours, or none where none is needed', () => {
  const config = configFromProperties<number, string>(`
    bootstrap.servers=a:1
    key.serializer=org.apache.kafka.common.serialization.IntegerSerializer
    value.serializer=org.apache.kafka.common.serialization.StringSerializer
  `)
  expect(config.keySerializer(258, { topic: 't', isKey: true, headers: [] })).toEqual(
    Buffer.from([0, 0, 1, 2]),
  )
  expect(config.valueSerializer).toBeUndefined()
})

test.each(['Long', 'Double', 'UUID'])('%sSerializer has a counterpart', (name) => {
  const file = `bootstrap.servers=a:1\nvalue.serializer=org.apache.kafka.common.serialization.${name}Serializer`
  expect(configFromProperties(file).valueSerializer).toBeTypeOf('function')
})

test('a Java class without a counterpart is an error', () => {
  expect(
    problemsOf(
      'value.serializer=io.confluent.kafka.serializers.KafkaAvroSerializer\npartitioner.class=my.Partitioner',
    ),
  ).toEqual([
    'value.serializer names a Java class, "io.confluent.kafka.serializers.KafkaAvroSerializer", without a counterpart; leave it out and give a function in code',
    'partitioner.class names a Java class, "my.Partitioner", without a counterpart; leave it out and give a function in code',
  ])
})

test('the round-robin partitioner of Java becomes ours; an empty class is the default', () => {
  const file = 'bootstrap.servers=a:1\npartitioner.class='
  expect(
    configFromProperties(`${file}org.apache.kafka.clients.producer.RoundRobinPartitioner`).partitioner,
  ).toBeTypeOf('function')
  expect(configFromProperties(file).partitioner).toBeUndefined()
})

test('compression and its levels are taken over', () => {
  const config = configFromProperties(`
    bootstrap.servers=a:1
    compression.type=ZSTD
    compression.gzip.level=-1
    compression.lz4.level=12
    compression.zstd.level=-5
  `)
  expect(config).toEqual({
    bootstrapServers: 'a:1',
    compressionType: 'zstd',
    compressionGzipLevel: -1,
    compressionLz4Level: 12,
    compressionZstdLevel: -5,
  })
  expect(
    problemsOf(
      'compression.type=brotli\ncompression.gzip.level=0\ncompression.lz4.level=18\ncompression.zstd.level=23',
    ),
  ).toEqual([
    'compression.type must be one of "none", "gzip", "snappy", "lz4", "zstd", not "brotli"',
    'compression.gzip.level must be an integer from 1 to 9, or -1, not 0',
    'compression.lz4.level must be an integer from 1 to 17, not 18',
    'compression.zstd.level must be an integer from -131072 to 22, not 23',
  ])
})

test('a transactional id and its timeout are read', () => {
  expect(
    configFromProperties('bootstrap.servers=a:1\ntransactional.id=checkout\ntransaction.timeout.ms=10000'),
  ).toEqual({ bootstrapServers: 'a:1', transactionalId: 'checkout', transactionTimeoutMs: 10_000 })
})

test('a feature that does not exist here is refused by name, without its value', () => {
  expect(
    problemsOf(`
      transaction.two.phase.commit.enable=hunter2
      interceptor.classes=my.Interceptor
    `),
  ).toEqual([
    'transaction.two.phase.commit.enable must be false: this version has nothing else',
    'interceptor.classes must be empty or absent: this version has no counterpart',
  ])
})

test('what means nothing here, or nothing without TLS and SASL, is ignored', () => {
  const config = configFromProperties(`
    bootstrap.servers=a:1
    security.protocol=PLAINTEXT
    interceptor.classes=
    metric.reporters=my.Reporter
    send.buffer.bytes=131072
    ssl.truststore.password=hunter2
    sasl.jaas.config=hunter2
  `)
  expect(config).toEqual({ bootstrapServers: 'a:1', securityProtocol: 'PLAINTEXT' })
})

describe('names that are no producer settings', () => {
  /** What a file that is usable is warned of. */
  function warnedOf(lines: string): string[] {
    const warnings: string[] = []
    const never = () => expect.unreachable()
    const logger = { debug: never, info: never, warn: (text: string) => warnings.push(text), error: never }
    expect(configFromProperties(`bootstrap.servers=a:1\n${lines}`, { logger })).toMatchObject({
      bootstrapServers: 'a:1',
    })
    return warnings
  }
  const HOLDS = 'the properties hold names that are no producer settings and have no effect: '

  test('are told in one warning with the nearest setting and without their values, as Java goes on', () => {
    expect(
      warnedOf('session.timeout.ms=45000\nlinger.sm=5\nschema.registry.url=http://user:hunter2@x'),
    ).toEqual([`${HOLDS}"session.timeout.ms", "linger.sm" (did you mean linger.ms?), "schema.registry.url"`])
  })

  test('are told among those of TLS as well', () => {
    expect(warnedOf('security.protocol=SSL\nssl.keystor.type=PEM')).toEqual([
      `${HOLDS}"ssl.keystor.type" (did you mean ssl.keystore.type?)`,
    ])
  })

  test('are counted where they are many, and not shown where they may be part of a value', () => {
    expect(
      warnedOf('ssl.keystore.key=-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC'),
    ).toEqual([`${HOLDS}a name that is not shown`])
    const lines = Array.from({ length: 1000 }, (_, at) => `my.own.name.${at}=1`).join('\n')
    expect(warnedOf(lines)).toEqual([expect.stringMatching(/"my\.own\.name\.19", 980 more$/)])
  })

  test('bring no warning where there are none', () => {
    expect(warnedOf('linger.ms=5')).toEqual([])
  })

  test('are told before the errors of the file, which may come of them', () => {
    const warnings: string[] = []
    const silent = () => {}
    const logger = { debug: silent, info: silent, warn: (text: string) => warnings.push(text), error: silent }
    expect(() => configFromProperties('bootstrap.server=a:1', { logger })).toThrow(
      'bootstrap.servers is missing',
    )
    expect(warnings).toEqual([`${HOLDS}"bootstrap.server" (did you mean bootstrap.servers?)`])
  })

  test('go to stderr by default', () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    try {
      configFromProperties('bootstrap.servers=a:1\nsession.timeout.ms=45000')
      expect(write.mock.calls).toEqual([[`kafka-producer WARN ${HOLDS}"session.timeout.ms"\n`]])
    } finally {
      write.mockRestore()
    }
  })

  test('harm nothing when the logger throws; a logger that is none is refused', () => {
    const write = vi.spyOn(process.stderr, 'write').mockReturnValue(true)
    try {
      const fail = () => {
        throw new Error('disk full')
      }
      const logger = { debug: fail, info: fail, warn: fail, error: fail }
      expect(configFromProperties('bootstrap.servers=a:1\nx=1', { logger }).bootstrapServers).toBe('a:1')
    } finally {
      write.mockRestore()
    }
    expect(() => configFromProperties('bootstrap.servers=a:1', { logger: {} as never })).toThrow(
      /^logger must be an object with the functions debug, info, warn and error/,
    )
    expect(() => configFromProperties('bootstrap.servers=a:1', { log: 1 } as never)).toThrow(
      /"log" is unknown/,
    )
  })
})

test('a protocol before an address is taken, as in the templates of Confluent', () => {
  const config = configFromProperties('bootstrap.servers=SASL_SSL://host:9092')
  expect(resolveConfig(config).bootstrapServers).toEqual([{ host: 'host', port: 9092 }])
})

test('invalid values are reported together under their dotted names', () => {
  expect(problemsOf('linger.ms=-5\nbatch.size=many\nenable.idempotence=yes\nretries=1.5')).toEqual([
    'linger.ms must be an integer from 0 to 9007199254740991, not -5',
    'batch.size must be an integer from 0 to 2147483647, not "many"',
    'enable.idempotence must be true or false, not "yes"',
    'retries must be an integer from 0 to 2147483647, not "1.5"',
  ])
})

test('a number beyond what Java takes is refused', () => {
  expect(problemsOf('max.block.ms=9223372036854775808')).toHaveLength(1)
  expect(problemsOf('batch.size=9223372036854775807')).toHaveLength(1)
})

test('a file without bootstrap.servers is refused', () => {
  expect(() => configFromProperties('')).toThrow('bootstrap.servers is missing')
  expect(() => configFromProperties('bootstrap.servers=nowhere')).toThrow(
    /^bootstrap.servers must be .* which "nowhere"/,
  )
})

test.each([
  ['backslashes', `a=${'\\'.repeat(1_000_000)}x`, ['a']],
  ['blanks', `a${' '.repeat(1_000_000)}b=c`, ['a']],
  ['escapes in a name', String.raw`\=`.repeat(200_000), ['='.repeat(200_000)]],
  ['continued lines', 'a\\\n'.repeat(200_000), ['a'.repeat(200_000)]],
])('a file with a million %s is read in one pass', (_, source, names) => {
  expect([...readProperties(source).keys()]).toEqual(names)
})

test('a sasl.jaas.config of absurd size is none', () => {
  const jaas = `org.apache.kafka.common.security.plain.PlainLoginModule required username="${'x'.repeat(1_000_000)}`
  expect(problemsOf(`security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=${jaas}`)).toEqual([
    expect.stringMatching(/^sasl.jaas.config must be one login module/),
  ])
})
