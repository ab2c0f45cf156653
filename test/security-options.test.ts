/** The options securityProtocol, ssl and sasl: what follows from what, and that no secret gets out. */
import assert from 'node:assert/strict'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { KafkaError, Producer, type ProducerConfig } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'
import { resolveConfig, type ResolvedConfig } from '../src/config/config.js'
import { ConfigError } from '../src/errors.js'
import type { Logger } from '../src/logger.js'

const SECRET = 'hunter2-hunter2'
const sasl = { mechanism: 'SCRAM-SHA-256', username: 'alice', password: SECRET } as const

const warnings: string[] = []
const logger: Logger = {
  debug: () => {},
  info: () => {},
  warn: (message) => warnings.push(message),
  error: () => {},
}

const resolve = (config: object): ResolvedConfig =>
  resolveConfig({ bootstrapServers: 'a:1', logger, ...config })

function problemsOf(config: object): readonly string[] {
  try {
    resolve(config)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    assert.ok(!inspect(error, { depth: 9 }).includes(SECRET))
    return error.problems
  }
  return []
}

describe('securityProtocol', () => {
  test.each([
    [{}, 'PLAINTEXT'],
    [{ ssl: {} }, 'SSL'],
    [{ sasl }, 'SASL_PLAINTEXT'],
    [{ ssl: {}, sasl }, 'SASL_SSL'],
    [{ securityProtocol: 'SSL' }, 'SSL'],
    [{ securityProtocol: 'SASL_SSL', sasl }, 'SASL_SSL'],
  ])('of %o is %s', (config, expected) => {
    const resolved = resolve(config)
    expect(resolved.securityProtocol).toBe(expected)
    expect(resolved.ssl !== undefined).toBe(expected.endsWith('SSL'))
  })

  test.each([
    [{ securityProtocol: 'PLAINTEXT', ssl: {} }, 'securityProtocol PLAINTEXT has no use for ssl'],
    [{ securityProtocol: 'SSL', sasl }, 'securityProtocol SSL has no use for sasl'],
    [{ securityProtocol: 'SASL_SSL' }, 'securityProtocol SASL_SSL needs sasl'],
  ])('that contradicts is refused: %o', (config, problem) => {
    expect(problemsOf(config)).toEqual([problem])
  })

  test.each(['PLAIN', 'SCRAM-SHA-256', 'OAUTHBEARER'] as const)('without TLS, %s', (mechanism) => {
    warnings.length = 0
    resolve({ sasl: mechanism === 'OAUTHBEARER' ? { mechanism, token: () => 'x' } : { ...sasl, mechanism } })
    expect(warnings).toEqual(
      mechanism === 'SCRAM-SHA-256'
        ? []
        : [`${mechanism} over SASL_PLAINTEXT shows the credentials to everybody on the way; use SASL_SSL`],
    )
  })
})

test.each([
  [{ ssl: true }, /^ssl must be an object of tls\.ConnectionOptions/],
  [{ ssl: `-----BEGIN PRIVATE KEY-----\n${SECRET}` }, /^ssl must be .*, not a string$/],
  [{ ssl: { host: 'x' } }, /^ssl must not have host/],
  [{ ssl: { minVersion: 'SSLv3' } }, /^ssl has a minVersion other than/],
  [{ ssl: { secureProtocol: 'TLSv1_method' } }, /^ssl must not have secureProtocol/],
  [{ sasl: SECRET }, /^sasl must be an object such as/],
  [{ sasl: { mechanism: SECRET } }, /^sasl needs a mechanism: one of PLAIN, SCRAM-SHA-256/],
  [
    { sasl: { mechanism: 'PLAIN', username: 'a' } },
    /^sasl needs password for PLAIN: a string that is not empty/,
  ],
  [{ sasl: { mechanism: 'PLAIN', username: '', password: SECRET } }, /^sasl needs username/],
  [{ sasl: { ...sasl, token: SECRET } }, /^sasl has "token", which means nothing to SCRAM-SHA-256/],
  [{ sasl: { mechanism: 'OAUTHBEARER', token: SECRET } }, /^sasl needs token for OAUTHBEARER: a function/],
  [{ sasl: { mechanism: 'GSSAPI', authenticate: 1 } }, /^sasl needs authenticate to be a function/],
  [{ sasl: { mechanism: 'AWS_MSK_IAM' } }, /^sasl needs region for AWS_MSK_IAM: a string/],
])('%o is refused', (config, words) => {
  const problems = problemsOf(config)
  expect(problems).toHaveLength(1)
  expect(problems[0]).toMatch(words)
})

test('no secret is in a resolved config, nor in a producer', async () => {
  const config = { sasl, ssl: { passphrase: SECRET, key: SECRET } }
  const producer = new Producer({ bootstrapServers: '127.0.0.1:1', logger, ...config })
  for (const one of [resolve(config), producer, producer.topic('t'), producer.writable()]) {
    expect(inspect(one, { depth: 20, showHidden: true, getters: true })).not.toContain(SECRET)
  }
  expect(JSON.stringify([resolve(config), producer])).not.toContain(SECRET)
  await producer.close()
})

test('secrets that are functions show neither themselves nor what they returned, also when they were used', async () => {
  const options: readonly Partial<ProducerConfig>[] = [
    { sasl: { mechanism: 'PLAIN', username: () => 'alice', password: () => Promise.resolve(SECRET) } },
    { sasl: { mechanism: 'OAUTHBEARER', token: () => ({ value: SECRET, extensions: { key: SECRET } }) } },
    { sasl: { mechanism: 'OAUTHBEARER', token: () => Promise.reject(new Error('the vault is sealed')) } },
    { ssl: () => ({ passphrase: SECRET, key: SECRET }) },
  ]
  await using cluster = await TestCluster.start()
  const { bootstrapServers } = cluster
  for (const more of options) {
    const logged: unknown[] = []
    const log = (message: string, fields: unknown): void => void logged.push([message, fields])
    const keeping: Logger = { debug: log, info: log, warn: log, error: log }
    const producer = new Producer({ bootstrapServers, maxBlockMs: 300, ...more, logger: keeping })
    const error: unknown = await producer.send({ topic: 't', value: 'v' }).catch((reason: unknown) => reason)
    expect(error).toBeInstanceOf(KafkaError)
    for (const one of [producer, producer.topic('t'), error, logged]) {
      expect(inspect(one, { depth: 20, showHidden: true, getters: true })).not.toContain(SECRET)
    }
    expect(JSON.stringify([producer, error, logged])).not.toContain(SECRET)
    await producer.close()
  }
})
