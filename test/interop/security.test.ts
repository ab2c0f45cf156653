/** TLS, SASL and ACLs of real Kafka: what is let in is stored, what is not is told why, at once and without a secret. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { afterEach, expect, test } from 'vitest'
import {
  AuthenticationError,
  AuthorizationError,
  Producer,
  type KafkaError,
  type Logger,
  type ProducerConfig,
  type SaslOptions,
} from 'kafka-producer'
import { describeKafka } from '../kafka/cluster.js'

type Settings = Partial<ProducerConfig>

const PASSWORDS = { alice: 'alice-secret', bob: 'bob-secret' }
const RECORDS = 10_000

const as = (
  mechanism: 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512',
  username: 'alice' | 'bob' = 'alice',
): SaslOptions => ({ mechanism, username, password: PASSWORDS[username] })

/** All that was logged, at every level. */
let logged: string[] = []
const log = (message: string, fields?: unknown): void => {
  logged.push(`${message} ${inspect(fields, { depth: 8 })}`)
}
const logger: Logger = { debug: log, info: log, warn: log, error: log }

afterEach(() => {
  assert.doesNotMatch(logged.join('\n'), /-secret|wrong-password/)
  logged = []
})

/** Opens a producer, and closes it whatever happens. */
async function using<T>(config: ProducerConfig, use: (producer: Producer) => Promise<T>): Promise<T> {
  const producer = new Producer({ ...config, logger })
  try {
    return await use(producer)
  } finally {
    await producer.close({ timeoutMs: 5000 })
  }
}

describeKafka('every way in', { brokers: 1, security: {} }, (kafka) => {
  const ca = () => kafka().certificate('ca.pem')
  const ways: readonly (readonly [name: string, listener: string, settings: () => Settings])[] = [
    ['TLS', 'SSL', () => ({ ssl: { ca: ca() } })],
    ['TLS, the certificates from a function', 'SSL', () => ({ ssl: () => Promise.resolve({ ca: ca() }) })],
    [
      'TLS with a certificate of the client in PEM',
      'MTLS',
      () => ({
        ssl: { ca: ca(), cert: kafka().certificate('client.pem'), key: kafka().certificate('client.key') },
      }),
    ],
    [
      'TLS with a certificate of the client in PKCS#12',
      'MTLS',
      () => ({ ssl: { ca: ca(), pfx: kafka().certificate('client.p12'), passphrase: 'secret' } }),
    ],
    ...(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const).flatMap(
      (mechanism) =>
        [
          [mechanism, 'SASL_PLAINTEXT', () => ({ sasl: as(mechanism) })],
          [`${mechanism} over TLS`, 'SASL_SSL', () => ({ sasl: as(mechanism), ssl: { ca: ca() } })],
        ] as const,
    ),
    [
      'OAUTHBEARER',
      'SASL_PLAINTEXT',
      () => ({ sasl: { mechanism: 'OAUTHBEARER', token: () => kafka().token({ unsecured: true }) } }),
    ],
    [
      'OAUTHBEARER over TLS with an extension',
      'SASL_SSL',
      () => ({
        ssl: { ca: ca() },
        sasl: {
          mechanism: 'OAUTHBEARER',
          token: () => Promise.resolve({ value: kafka().token(), extensions: { traceId: '7' } }),
        },
      }),
    ],
    [
      "a mechanism of the user's own",
      'SASL_SSL',
      () => ({
        ssl: { ca: ca() },
        sasl: {
          mechanism: 'PLAIN',
          authenticate: async (step) => {
            await step(Buffer.from('\0alice\0alice-secret'))
          },
        },
      }),
    ],
  ]

  test.each(ways)(`%s carries ${RECORDS} records`, async (_, listener, settings) => {
    const topic = await kafka().createTopic('a-way', 2)
    await using({ bootstrapServers: kafka().listener(listener), ...settings() }, async (producer) => {
      await Promise.all(Array.from({ length: RECORDS }, (_, i) => producer.send({ topic, value: `${i}` })))
    })
    const stored = await kafka().consume(topic)
    expect(stored.map(({ value }) => Number(value)).toSorted((a, b) => a - b)).toEqual(
      Array.from({ length: RECORDS }, (_, i) => i),
    )
  })
})

describeKafka('whoever is not let in', { brokers: 1, security: {} }, (kafka) => {
  const ca = () => kafka().certificate('ca.pem')
  const refusals: readonly (readonly [string, string, () => Settings, RegExp])[] = [
    [
      'another CA',
      'SSL',
      () => ({ ssl: { ca: kafka().certificate('other-ca.pem') } }),
      /not trusted.*ssl\.ca/,
    ],
    ['no CA', 'SSL', () => ({ securityProtocol: 'SSL' }), /not trusted.*ssl\.ca/],
    [
      'a certificate for another host',
      'SSL_BADHOST',
      () => ({ ssl: { ca: ca() } }),
      /certificate for another host.*kafka\.invalid/,
    ],
    ['an expired certificate', 'SSL_EXPIRED', () => ({ ssl: { ca: ca() } }), /has expired/],
    [
      'no certificate of the client',
      'MTLS',
      () => ({ ssl: { ca: ca() } }),
      /certificate of this client.*ssl\.cert/,
    ],
    [
      "a stranger's certificate",
      'MTLS',
      () => ({
        ssl: {
          ca: ca(),
          cert: kafka().certificate('stranger.pem'),
          key: kafka().certificate('stranger.key'),
        },
      }),
      /certificate of this client/,
    ],
    ...(['PLAIN', 'SCRAM-SHA-256', 'SCRAM-SHA-512'] as const).map(
      (mechanism) =>
        [
          `the wrong password of ${mechanism}`,
          'SASL_SSL',
          () => ({ ssl: { ca: ca() }, sasl: { mechanism, username: 'alice', password: 'wrong-password' } }),
          new RegExp(`^${mechanism} authentication with .*SASL_AUTHENTICATION_FAILED`),
        ] as const,
    ),
    [
      'a token for somebody else',
      'SASL_SSL',
      () => ({
        ssl: { ca: ca() },
        sasl: { mechanism: 'OAUTHBEARER', token: () => kafka().token({ audience: 'another' }) },
      }),
      /^OAUTHBEARER authentication with .*invalid_token/,
    ],
    [
      'a mechanism that the broker does not have',
      'SASL_PLAINTEXT',
      () => ({
        sasl: { mechanism: 'GSSAPI', authenticate: async (step) => void (await step(Buffer.of(1))) },
      }),
      /UNSUPPORTED_SASL_MECHANISM.*the broker has .*SCRAM-SHA-512/,
    ],
    ['SASL on a listener without', 'PLAINTEXT', () => ({ sasl: as('PLAIN') }), /takes no SASL/],
    ['no SASL where it is expected', 'SASL_PLAINTEXT', () => ({}), /expects SASL.*set sasl.*SCRAM-SHA-512/],
    [
      'no SASL where it is expected over TLS',
      'SASL_SSL',
      () => ({ ssl: { ca: ca() } }),
      /expects SASL.*set sasl.*SCRAM-SHA-512/,
    ],
    ['TLS on a plaintext port', 'PLAINTEXT', () => ({ ssl: { ca: ca() } }), /plaintext port.*leave ssl out/],
    [
      'TLS on a plaintext port with SASL',
      'SASL_PLAINTEXT',
      () => ({ ssl: { ca: ca() }, sasl: as('PLAIN') }),
      /plaintext port.*leave ssl out/,
    ],
    ['plaintext on a TLS port', 'SSL', () => ({}), /expects TLS: set ssl/],
    ['plaintext on a port of mTLS', 'MTLS', () => ({}), /expects TLS: set ssl/],
    [
      'plaintext with SASL on a TLS port',
      'SASL_SSL',
      () => ({ sasl: as('SCRAM-SHA-512') }),
      /expects TLS: set ssl/,
    ],
  ]

  test.each(refusals)(
    '%s fails the send within 2 s, and says what to do',
    async (_, listener, settings, words) => {
      await using({ bootstrapServers: kafka().listener(listener), ...settings() }, async (producer) => {
        const start = performance.now()
        const error = await refusal(producer.send({ topic: 'a-refused', value: 'v' }))
        expect(performance.now() - start).toBeLessThan(2000)
        expect(error).toBeInstanceOf(AuthenticationError)
        expect(error.retriable).toBe(false)
        expect(error.message).toMatch(words)
        expect(inspect(error, { depth: 8 })).not.toMatch(/-secret|wrong-password/)
        const waiting = await refusal(producer.partitionsFor('a-refused'))
        expect(waiting).toBeInstanceOf(AuthenticationError)
      })
    },
  )

  test('a server of the wrong protocol among others stops nobody', async () => {
    const topic = await kafka().createTopic('a-one-wrong', 1)
    const bootstrapServers = [
      kafka().listener('SSL'),
      kafka().listener('MTLS'),
      kafka().listener('PLAINTEXT'),
    ]
    await using({ bootstrapServers }, async (producer) => {
      expect(await producer.send({ topic, value: 'v' })).toMatchObject({ partition: 0, offset: 0n })
    })
  })

  test('rejectUnauthorized: false lets everything pass, and is warned of once', async () => {
    const topic = await kafka().createTopic('a-insecure', 1)
    const ssl = { rejectUnauthorized: false }
    await using({ bootstrapServers: kafka().listener('SSL_BADHOST'), ssl }, async (producer) => {
      await producer.send({ topic, value: 'v' })
    })
    expect(logged.filter((line) => line.includes('CERTIFICATES ARE NOT VERIFIED'))).toHaveLength(1)
  })
})

describeKafka('ACLs', { brokers: 1, security: { acl: true } }, (kafka) => {
  test('a denied topic fails by its name, and the allowed ones flow', async () => {
    const [allowed, denied] = [
      await kafka().createTopic('a-mine', 2),
      await kafka().createTopic('z-theirs', 2),
    ]
    const config = { bootstrapServers: kafka().listener('SASL_PLAINTEXT'), sasl: as('SCRAM-SHA-256') }
    await using(config, async (producer) => {
      const sent: Promise<unknown>[] = []
      const refused: Promise<KafkaError>[] = []
      for (let i = 0; i < 500; i++) {
        sent.push(producer.send({ topic: allowed, value: `${i}` }))
        refused.push(refusal(producer.send({ topic: denied, value: `${i}` })))
      }
      await Promise.all(sent)
      const errors = await Promise.all(refused)
      for (const error of errors) {
        expect(error).toBeInstanceOf(AuthorizationError)
        expect(error.message).toContain(denied)
      }
    })
    expect(await kafka().consume(allowed)).toHaveLength(500)
    expect(await kafka().consume(denied)).toEqual([])
  })

  test('who may do nothing is told which topic', async () => {
    const topic = await kafka().createTopic('a-not-bobs', 1)
    const config = { bootstrapServers: kafka().listener('SASL_PLAINTEXT'), sasl: as('PLAIN', 'bob') }
    await using(config, async (producer) => {
      const error = await refusal(producer.send({ topic, value: 'v' }))
      expect(error).toBeInstanceOf(AuthorizationError)
      expect(error.message).toContain(topic)
    })
  })
})

async function refusal(promise: Promise<unknown>): Promise<KafkaError> {
  try {
    await promise
  } catch (error) {
    return error as KafkaError
  }
  throw new Error('it was not refused')
}
