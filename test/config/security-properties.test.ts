/** TLS and SASL out of a Java client's properties file. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { inspect } from 'node:util'
import { describe, expect, test } from 'vitest'
import { configFromProperties } from '../../src/config/config-properties.js'
import { resolveConfig } from '../../src/config/config.js'
import { ConfigError } from '../../src/errors.js'

const fixture = (name: string): string => join(__dirname, '../fixtures/tls', name)
const PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule'
const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule'

const read = (lines: string) => configFromProperties(`bootstrap.servers=a:1\n${lines}`)

function problemsOf(lines: string): readonly string[] {
  try {
    read(lines)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    assert.ok(!error.message.includes('hunter2'))
    return error.problems
  }
  return []
}

const tlsOf = async (lines: string) => resolveConfig(read(`security.protocol=ssl\n${lines}`)).ssl!()

describe('ssl.*', () => {
  test('PEM in the file itself', async () => {
    expect(
      await tlsOf(`
        ssl.truststore.type=PEM
        ssl.truststore.certificates=-----BEGIN CERTIFICATE-----\\nabc
        ssl.keystore.type=PEM
        ssl.keystore.key=key
        ssl.keystore.certificate.chain=chain
        ssl.key.password=hunter2
        ssl.enabled.protocols=TLSv1.3
        ssl.endpoint.identification.algorithm=https
        ssl.protocol=TLSv1.3`),
    ).toEqual({
      ca: '-----BEGIN CERTIFICATE-----\nabc',
      key: 'key',
      cert: 'chain',
      passphrase: 'hunter2',
      minVersion: 'TLSv1.3',
      maxVersion: 'TLSv1.3',
    })
  })

  test('files, read when a connection asks', async () => {
    const ca = readFileSync(fixture('ca.pem'))
    const key = readFileSync(fixture('key.pem'))
    expect(
      await tlsOf(`
        ssl.truststore.type=pem
        ssl.truststore.location=${fixture('ca.pem')}
        ssl.keystore.type=PEM
        ssl.keystore.location=${fixture('key.pem')}`),
    ).toEqual({ ca, key, cert: key })
    expect(
      await tlsOf(
        `ssl.keystore.type=PKCS12\nssl.keystore.location=${fixture('ca.pem')}\nssl.keystore.password=hunter2`,
      ),
    ).toEqual({ pfx: ca, passphrase: 'hunter2' })
  })

  test('what Node cannot do in the same way is refused', () => {
    expect(
      problemsOf(`
        security.protocol=SSL
        ssl.truststore.location=/a.jks
        ssl.truststore.password=hunter2
        ssl.keystore.location=/b.jks
        ssl.endpoint.identification.algorithm=
        ssl.enabled.protocols=TLSv1.2,TLSv1.1
        ssl.cipher.suites=TLS_A`),
    ).toEqual([
      'ssl.cipher.suites has no counterpart in a file; give ssl in code',
      'ssl.endpoint.identification.algorithm must be https; whoever wants no check gives ssl.checkServerIdentity in code',
      'ssl.enabled.protocols must be of TLSv1.2 and TLSv1.3; older versions are not safe',
      'ssl.truststore.type must be PEM: Node reads no other store of authorities (keytool -exportcert -rfc writes one)',
      'ssl.keystore.type must be PEM or PKCS12: Node reads no JKS (keytool -importkeystore converts one)',
    ])
  })
})

describe('sasl.*', () => {
  const sasl = (mechanism: string, jaas: string) =>
    `security.protocol=SASL_SSL\nsasl.mechanism=${mechanism}\nsasl.jaas.config=${jaas}`

  test.each([
    ['PLAIN', `${PLAIN} required username="alice" password="hunter2";`],
    ['SCRAM-SHA-512', `${SCRAM} required password='hunter2' \\\n  username=alice ;`],
  ])('%s', (mechanism, jaas) => {
    const config = read(sasl(mechanism, jaas))
    expect(inspect(config, { depth: 9 }) + JSON.stringify(config)).not.toContain('hunter2')
    expect(config.securityProtocol).toBe('SASL_SSL')
    expect(config.sasl).toMatchObject({ mechanism, username: 'alice' })
    expect((config.sasl as { password: () => string }).password()).toBe('hunter2')
  })

  test('quotes inside a password', () => {
    const config = read(
      sasl('PLAIN', String.raw`${PLAIN} required username="a;b" password="hun\\"ter=2;\\\\";`),
    )
    expect((config.sasl as { password: () => string }).password()).toBe('hun"ter=2;\\')
    expect(config.sasl).toMatchObject({ username: 'a;b' })
  })

  test.each([
    [sasl('OAUTHBEARER', 'x'), /needs code: sasl with token/],
    [sasl('GSSAPI', 'x'), /must be PLAIN, SCRAM/],
    ['security.protocol=SASL_SSL', /must be PLAIN, SCRAM/],
    [sasl('PLAIN', `${SCRAM} required username="a" password="hunter2";`), /login module of PLAIN/],
    [sasl('PLAIN', `${PLAIN} required username="a";`), /a username and a password/],
    [sasl('PLAIN', `${PLAIN} required username="a" password="hunter2"`), /must be one login module/],
    [sasl('PLAIN', 'hunter2'), /must be one login module/],
    [
      sasl('SCRAM-SHA-256', `${SCRAM} required username="a" password="hunter2" tokenauth="true";`),
      /tokenauth/,
    ],
    [
      `${sasl('PLAIN', `${PLAIN} required username="a" password="b";`)}\nsasl.login.class=my.Login`,
      /Java class/,
    ],
  ])('%s is refused', (lines, words) => {
    const problems = problemsOf(lines)
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(words)
  })
})
