/** SASL against a broker that follows a script: what goes over the wire, and what a hostile one gets. */
import assert from 'node:assert/strict'
import { createHash, createHmac, pbkdf2Sync, randomBytes } from 'node:crypto'
import { inspect } from 'node:util'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { AuthenticationError, ConnectionError, KafkaError } from '../../src/errors.js'
import { Connection } from '../../src/network/connection/connection.js'
import { saslLogin } from '../../src/network/sasl/login.js'
import { InitProducerId, SaslAuthenticate, SaslHandshake } from '../../src/protocol/apis.js'
import type { RequestOf } from '../../src/protocol/schema.js'
import { resolveConfig } from '../../src/config/config.js'
import type { SaslOptions, SaslStep } from '../../src/config/sasl-option.js'
import { ManualClock, settled } from './manual-clock.js'
import { MemoryNetwork } from './memory-transport.js'
import { allRanges, ScriptedBroker, type Asked } from './scripted-broker.js'
import { barrier } from '../fault-barrier.js'

const SECRET = 'a-pencil-nobody-knows'

let clock: ManualClock
let network: MemoryNetwork
let broker: ScriptedBroker
let one: Connection

beforeEach(() => {
  clock = new ManualClock()
  network = new MemoryNetwork()
  broker = new ScriptedBroker()
  network.listen('127.0.0.1', 9092, (socket) => broker.serve(socket))
})

afterEach(async () => {
  one.close()
  await one.closed
  await settled()
  assert.equal(clock.foregroundTimers, 0, 'timers that are left')
})

function connect(sasl: SaslOptions): Connection {
  one = new Connection({
    barrier,
    nodeId: 3,
    address: { host: 'broker-3', port: 9092, ip: '127.0.0.1' },
    connect: network.connect,
    clock,
    setupTimeoutMs: 10_000,
    clientId: 'a-test',
    requestTimeoutMs: 30_000,
    connectionsMaxIdleMs: 540_000,
    socketMaxResponseBytes: 16_000_000,
    authenticate: saslLogin(() => sasl, { clock, requestTimeoutMs: 30_000 }),
  })
  return one
}

async function refusal(promise: Promise<unknown>): Promise<KafkaError> {
  const error: unknown = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  )
  expect(error).toBeInstanceOf(KafkaError)
  expect(inspect(error, { depth: 9, showHidden: true })).not.toContain(SECRET)
  return error as KafkaError
}

type Answer = {
  authBytes?: Uint8Array
  errorCode?: number
  errorMessage?: string
  sessionLifetimeMs?: bigint
}

/** Takes every mechanism, and answers each message with the next of these. */
function answers(...steps: readonly ((message: Buffer) => Answer)[]): void {
  let at = 0
  broker.script = ({ api, body }) => {
    if (api.key === SaslHandshake.key) return { errorCode: 0, mechanisms: [] }
    if (api.key !== SaslAuthenticate.key) return undefined
    const { authBytes } = body as RequestOf<typeof SaslAuthenticate>
    const step = steps[at++ % steps.length]!
    return {
      errorCode: 0,
      errorMessage: null,
      authBytes: Buffer.alloc(0),
      sessionLifetimeMs: 0n,
      ...step(Buffer.from(authBytes)),
    }
  }
}

const said = (): Buffer[] =>
  broker
    .of('SaslAuthenticate')
    .map(({ body }) => Buffer.from((body as RequestOf<typeof SaslAuthenticate>).authBytes))

describe('PLAIN', () => {
  const sasl = { mechanism: 'PLAIN', username: 'alice', password: SECRET } as const

  test('says which mechanism, then user name and password, before anything else', async () => {
    answers(() => ({}))
    await connect(sasl).open()
    expect(broker.asked.map(({ api }) => api.name)).toEqual([
      'ApiVersions',
      'SaslHandshake',
      'SaslAuthenticate',
    ])
    expect(broker.of('SaslHandshake')[0]!.body).toEqual({ mechanism: 'PLAIN' })
    expect(said()).toEqual([Buffer.from(`\0alice\0${SECRET}`)])
  })

  test('an answer of no is an AuthenticationError that names mechanism and broker', async () => {
    answers(() => ({ errorCode: 58, errorMessage: 'Invalid username or password' }))
    const error = await refusal(connect(sasl).open())
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error).toMatchObject({ code: 'SASL_AUTHENTICATION_FAILED', errno: 58, retriable: false })
    expect(error.message).toMatch(/^PLAIN authentication with broker 3 at broker-3:9092/)
    expect(error.message).toContain('Invalid username or password')
  })

  test.each([
    ['as it is', SECRET],
    ['in the message as it was sent', `\0alice\0${SECRET}`],
    ['in base64', Buffer.from(`\0alice\0${SECRET}`).toString('base64')],
    ['in hex', Buffer.from(`\0alice\0${SECRET}`).toString('hex')],
  ])('a broker that says the password again, %s, is not repeated', async (_, echo) => {
    answers(() => ({ errorCode: 58, errorMessage: `cannot log in with ${echo}` }))
    const error = await refusal(connect(sasl).open())
    expect(error.message).not.toContain('cannot log in with')
    expect(error.message).toMatch(/SASL_AUTHENTICATION_FAILED \(58\): \w+/)
  })

  test('a mechanism that is not enabled comes with those that are, and no credentials are sent', async () => {
    broker.script = ({ api }) =>
      api.key === SaslHandshake.key ? { errorCode: 33, mechanisms: ['SCRAM-SHA-512', 'GSSAPI'] } : undefined
    const error = await refusal(connect(sasl).open())
    expect(error).toMatchObject({ code: 'UNSUPPORTED_SASL_MECHANISM', retriable: false })
    expect(error.message).toContain('the broker has SCRAM-SHA-512, GSSAPI')
    expect(said()).toEqual([])
  })

  test('secrets that are functions are asked at every login', async () => {
    answers(() => ({}))
    const passwords = ['first', 'second']
    const rotating = { ...sasl, username: () => 'alice', password: () => Promise.resolve(passwords.shift()!) }
    await connect(rotating).open()
    one.close()
    await one.closed
    await connect(rotating).open()
    expect(said().map(String)).toEqual(['\0alice\0first', '\0alice\0second'])
  })

  test('a function that fails or does not answer is an error that may pass', async () => {
    const failing = () => Promise.reject(new Error('the vault is sealed'))
    const failed = await refusal(connect({ ...sasl, password: failing }).open())
    expect(failed).toBeInstanceOf(ConnectionError)
    expect(failed.retriable).toBe(true)
    expect(failed.message).toMatch(/PLAIN authentication.*password function threw Error/)
    expect(failed.message).not.toContain('the vault is sealed') // It might quote the secret.

    const silent = refusal(connect({ ...sasl, password: () => new Promise<string>(() => {}) }).open())
    await settled()
    await clock.advance(30_000)
    const late = await silent
    expect(late.retriable).toBe(true)
    expect(late.message).toMatch(/password function did not settle within 30000 ms/)
  })

  test('an answer larger than any login needs ends the connection', async () => {
    broker.script = ({ api, socket }) => {
      if (api.key !== SaslHandshake.key) return undefined
      socket.write(Buffer.of(0, 0x08, 0, 1))
      return 'nothing'
    }
    expect((await refusal(connect(sasl).open())).message).toContain('above the limit of 524288')
  })
})

describe('OAUTHBEARER', () => {
  const oauth = (token: unknown): SaslOptions =>
    ({ mechanism: 'OAUTHBEARER', token: () => token }) as SaslOptions

  test('sends the token, and extensions', async () => {
    answers(() => ({}))
    await connect(oauth({ value: 'abc.def.g-_', extensions: { logicalCluster: 'lkc-1' } })).open()
    expect(String(said()[0])).toBe('n,,\x01auth=Bearer abc.def.g-_\x01logicalCluster=lkc-1\x01\x01')
  })

  test('a challenge in JSON is answered, and the refusal behind it is the error', async () => {
    answers(
      () => ({ authBytes: Buffer.from('{"status":"invalid_token"}') }),
      () => ({ errorCode: 58, errorMessage: '{"status":"invalid_token"}' }),
    )
    const error = await refusal(connect(oauth(SECRET)).open())
    expect(said()[1]).toEqual(Buffer.of(1))
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error.message).toContain('invalid_token')
  })

  test.each([
    ['a separator in the token', `${SECRET}\x01x=y`],
    ['no text', undefined],
    ['an extension named auth', { value: 'abc', extensions: { auth: 'x' } }],
    ['a separator in an extension', { value: 'abc', extensions: { a: `${SECRET}\x01` } }],
  ])('%s never reaches the broker', async (_, token) => {
    answers(() => ({}))
    expect(await refusal(connect(oauth(token)).open())).toBeInstanceOf(AuthenticationError)
    expect(said()).toEqual([])
  })
})

describe('brokers before 1.0, which know no SaslAuthenticate', () => {
  const sasl = { mechanism: 'PLAIN', username: 'alice', password: SECRET } as const
  const initialized = { throttleTimeMs: 0, errorCode: 0, producerId: 7n, producerEpoch: 0 }
  const body = { transactionalId: null, transactionTimeoutMs: 0, producerId: -1n, producerEpoch: -1 }
  let messages: Buffer[]

  beforeEach(() => {
    messages = []
    const ranges = new Map([...allRanges, [SaslHandshake.key, [0, 0] as const]])
    ranges.delete(SaslAuthenticate.key)
    broker.ranges = ranges
    broker.script = ({ api }) => {
      if (api.key === SaslHandshake.key) return { errorCode: 0, mechanisms: ['PLAIN'] }
      return api.key === InitProducerId.key ? initialized : undefined
    }
  })

  /** Takes so many messages without a request around them; then requests again. */
  function takes(...replies: readonly (Buffer | 'nothing')[]): void {
    broker.bare = (message) => {
      const reply = replies[messages.length]
      if (reply !== undefined) messages.push(message)
      return reply
    }
  }

  test('get the bare message, may answer it with nothing at all, and then take requests', async () => {
    takes(Buffer.alloc(0))
    await connect(sasl).open()
    expect(broker.of('SaslHandshake')[0]!.version).toBe(0)
    expect(messages).toEqual([Buffer.from(`\0alice\0${SECRET}`)])
    expect(await one.request(InitProducerId, body)).toMatchObject({ producerId: 7n })
  })

  test('may have as many steps as the mechanism wants', async () => {
    takes(Buffer.from('a'), Buffer.from('a longer one'), Buffer.alloc(0))
    const heard: string[] = []
    await connect({
      mechanism: 'GSSAPI',
      authenticate: async (step) => {
        for (const said of ['x', '', 'yy']) heard.push(Buffer.from(await step(Buffer.from(said))).toString())
      },
    }).open()
    expect(messages.map(String)).toEqual(['x', '', 'yy'])
    expect(heard).toEqual(['a', 'a longer one', ''])
  })

  test('refuse by hanging up, which is told, and may pass', async () => {
    broker.bare = (_, socket) => {
      socket.destroy()
      return 'nothing'
    }
    const error = await refusal(connect(sasl).open())
    expect(error).toBeInstanceOf(ConnectionError)
    expect(error).not.toBeInstanceOf(AuthenticationError)
    expect(error.retriable).toBe(true)
    expect(error.message).toMatch(/before 1\.0 do so when they refuse the credentials/)
  })

  test('have requestTimeoutMs, and the limit on sizes holds', async () => {
    takes('nothing')
    const silent = refusal(connect(sasl).open())
    await settled()
    await clock.advance(30_000)
    expect((await silent).message).toMatch(/did not answer a message of SASL within 30000 ms/)

    broker.bare = (_, socket) => {
      socket.write(Buffer.of(0, 0x08, 0, 1))
      return 'nothing'
    }
    expect((await refusal(connect(sasl).open())).message).toContain('above the limit of 524288')
  })
})

describe("a mechanism of the user's own", () => {
  test('has as many steps as it wants', async () => {
    answers(
      (message) => ({ authBytes: Buffer.concat([message, message]) }),
      () => ({}),
    )
    const brokers: unknown[] = []
    await connect({
      mechanism: 'GSSAPI',
      authenticate: async (step, { host, port }) => {
        brokers.push({ host, port })
        await step(await step(Buffer.from('ab')))
      },
    }).open()
    expect(brokers).toEqual([{ host: 'broker-3', port: 9092 }])
    expect(said().map(String)).toEqual(['ab', 'abab'])
  })

  test('refuses the broker by throwing', async () => {
    const authenticate = () => Promise.reject(new Error('no ticket'))
    const error = await refusal(connect({ mechanism: 'GSSAPI', authenticate }).open())
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error.message).toMatch(/^GSSAPI authentication with broker 3.*no ticket/)
  })

  test('that never settles has requestTimeoutMs, and is called afresh on the next connection', async () => {
    answers(() => ({}))
    let calls = 0
    const sasl: SaslOptions = {
      mechanism: 'GSSAPI',
      authenticate: async (step) => {
        await step(Buffer.from('a'))
        if (++calls === 1) await new Promise(() => {})
      },
    }
    const stuck = refusal(connect(sasl).open())
    await settled()
    await clock.advance(30_000)
    const late = await stuck
    expect(late).toBeInstanceOf(ConnectionError)
    expect(late.retriable).toBe(true)
    expect(late.message).toMatch(/authenticate of sasl did not settle within 30000 ms \(requestTimeoutMs\)/)
    expect(one.isOpen).toBe(false)
    await one.closed
    await connect(sasl).open()
    expect(calls).toBe(2)
  })

  test('need not look after the promise of a step', async () => {
    const seen: unknown[] = []
    const on = (reason: unknown): void => void seen.push(reason)
    process.on('unhandledRejection', on)
    answers(() => ({ errorCode: 58 }))
    await connect({
      mechanism: 'GSSAPI',
      authenticate: (step) => {
        void step(Buffer.from('a'))
        return settled()
      },
    }).open()
    await settled()
    process.off('unhandledRejection', on)
    expect(seen).toEqual([])
  })

  test('may be an instance of a class', async () => {
    answers(() => ({}))
    class Kerberos {
      readonly mechanism = 'GSSAPI'
      readonly #ticket = 'ticket'
      async authenticate(step: SaslStep): Promise<void> {
        await step(Buffer.from(this.#ticket))
      }
    }
    const { sasl } = resolveConfig({ bootstrapServers: 'broker-3:9092', sasl: new Kerberos() })
    await connect(sasl!()).open()
    expect(said().map(String)).toEqual(['ticket'])
  })
})

describe.each(['SCRAM-SHA-256', 'SCRAM-SHA-512'] as const)('%s', (mechanism) => {
  const hash = mechanism === 'SCRAM-SHA-256' ? 'sha256' : 'sha512'
  const sasl = (more: { username?: string; password?: string } = {}): SaslOptions => ({
    mechanism,
    username: 'al=ice,',
    password: SECRET,
    ...more,
  })

  /** A server that knows the password, with what is wrong about it. */
  interface Twist {
    readonly password?: string
    readonly nonce?: (ours: string) => string
    readonly iterations?: string
    readonly salt?: string
    readonly first?: string
    readonly last?: (signature: Buffer) => string
  }
  function server(twist: Twist = {}): { proofs: boolean[]; users: string[] } {
    const seen: { proofs: boolean[]; users: string[] } = { proofs: [], users: [] }
    const { iterations = '4096', salt = randomBytes(16).toString('base64'), password = SECRET } = twist
    let bare = ''
    let first = ''
    answers(
      (message) => {
        bare = String(message).slice('n,,'.length)
        const [, user, nonce] = /^n=(.*),r=(.*)$/.exec(bare)!
        seen.users.push(user!)
        const { nonce: twisted = (ours: string) => `${ours}server` } = twist
        first = twist.first ?? `r=${twisted(nonce!)},s=${salt},i=${iterations}`
        return { authBytes: Buffer.from(first) }
      },
      (message) => {
        const [, without, proof] = /^(.*),p=(.*)$/.exec(String(message))!
        const size = createHash(hash).digest().length
        const salted = pbkdf2Sync(password, Buffer.from(salt, 'base64'), Number(iterations), size, hash)
        const hmac = (key: Buffer, text: string) => createHmac(hash, key).update(text).digest()
        const all = `${bare},${first},${without}`
        const signed = hmac(createHash(hash).update(hmac(salted, 'Client Key')).digest(), all)
        const expected = hmac(salted, 'Client Key').map((byte, i) => byte ^ signed[i]!)
        seen.proofs.push(Buffer.from(proof!, 'base64').equals(Buffer.from(expected)))
        const signature = hmac(hmac(salted, 'Server Key'), all)
        const { last = (right: Buffer) => `v=${right.toString('base64')}` } = twist
        return { authBytes: Buffer.from(last(signature)) }
      },
    )
    return seen
  }

  test('proves the password without saying it, and believes the server that proves it too', async () => {
    const seen = server()
    await connect(sasl()).open()
    expect(seen).toEqual({ proofs: [true], users: ['al=3Dice=2C'] })
    expect(said().map(String).join()).not.toContain(SECRET)
    expect(String(said()[1])).toMatch(/^c=biws,r=/)
  })

  test('never uses a nonce twice', async () => {
    server()
    for (let i = 0; i < 3; i++) {
      await connect(sasl()).open()
      one.close()
      await one.closed
    }
    const nonces = said()
      .filter((_, i) => i % 2 === 0)
      .map((message) => String(message).split(',r=')[1])
    expect(new Set(nonces).size).toBe(3)
    expect(nonces.every((nonce) => nonce!.length >= 24)).toBe(true)
  })

  test('prepares the password as SASLprep has it', async () => {
    const seen = server({ password: 'IX a' })
    await connect(sasl({ password: 'I\u00adX\u00a0\u00aa' })).open()
    expect(seen.proofs).toEqual([true])
  })

  const hostile: readonly (readonly [string, Twist, RegExp])[] = [
    [
      'a wrong signature',
      { last: (right) => `v=${Buffer.alloc(right.length).toString('base64')}` },
      /proof.*wrong/,
    ],
    ['a shorter signature', { last: (right) => `v=${right.subarray(1).toString('base64')}` }, /proof.*wrong/],
    ['no signature', { last: () => '' }, /did not prove/],
    ['an empty signature', { last: () => 'v=' }, /did not prove/],
    ["the server's own error", { last: () => 'e=invalid-proof' }, /invalid-proof/],
    ['1 iteration', { iterations: '1' }, /1 iterations; from 4096 to 1000000/],
    ['4095 iterations', { iterations: '4095' }, /4095 iterations/],
    ['2^31 iterations', { iterations: '2147483648' }, /2147483648 iterations/],
    ['1,000,001 iterations', { iterations: '1000001' }, /1000001 iterations/],
    ['a number that is none', { iterations: '1e5' }, /not one of SCRAM/],
    ['no iterations', { iterations: '0' }, /not one of SCRAM/],
    ['a nonce that is not ours', { nonce: () => 'somebodyelses' }, /nonce/],
    ['our nonce alone', { nonce: (ours) => ours }, /nonce/],
    ['an empty salt', { salt: '' }, /not one of SCRAM/],
    ['a mandatory extension', { first: 'm=x,r=abc,s=AAAA,i=4096' }, /not one of SCRAM/],
    ['an error at once', { first: 'e=unknown-user' }, /unknown-user/],
    ['nothing', { first: '' }, /not one of SCRAM/],
    ['a message without end', { first: `r=${'a'.repeat(100_000)}` }, /not one of SCRAM/],
  ]
  test.each(hostile)('%s is refused', async (_, twist, words) => {
    server(twist)
    const error = await refusal(connect(sasl()).open())
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error.message).toMatch(words)
    expect(error.message.length).toBeLessThan(500)
    expect(one.isOpen).toBe(false)
  })
})

describe('a session', () => {
  const body = { transactionalId: null, transactionTimeoutMs: 0, producerId: -1n, producerEpoch: -1 }
  const initialized = { throttleTimeMs: 0, errorCode: 0, producerId: 7n, producerEpoch: 0 }

  /** Logs in with sessions of 10 s; logins after the first wait in `logins` for their answer. */
  async function open(password: () => string | Promise<string>): Promise<Asked[]> {
    const logins: Asked[] = []
    broker.script = (asked) => {
      if (asked.api.key === SaslHandshake.key) return { errorCode: 0, mechanisms: [] }
      if (asked.api.key === InitProducerId.key) return initialized
      if (asked.api.key !== SaslAuthenticate.key) return undefined
      logins.push(asked)
      return logins.length === 1 ? granted : 'nothing'
    }
    await connect({ mechanism: 'PLAIN', username: 'alice', password }).open()
    return logins
  }
  const granted = { errorCode: 0, errorMessage: null, authBytes: Buffer.alloc(0), sessionLifetimeMs: 10_000n }
  const names = (): string[] => broker.asked.slice(3).map(({ api }) => api.name)

  test('is renewed before it ends, with requests held and not failed', async () => {
    const logins = await open(() => SECRET)
    await clock.advance(8_400)
    await one.request(InitProducerId, body)
    expect(names()).toEqual(['InitProducerId'])

    await clock.advance(1_150)
    const held = [one.request(InitProducerId, body), one.request(InitProducerId, body)]
    await settled()
    expect(names()).toEqual(['InitProducerId', 'SaslHandshake', 'SaslAuthenticate'])
    logins[1]!.respond(granted)
    await expect(Promise.all(held)).resolves.toEqual([initialized, initialized])
    expect(names().slice(3)).toEqual(['InitProducerId', 'InitProducerId'])

    // The new session has an end as well.
    await clock.advance(9_600)
    const again = one.request(InitProducerId, body)
    await settled()
    logins[2]!.respond(granted)
    await expect(again).resolves.toEqual(initialized)
    expect(one.isOpen).toBe(true)
  })

  test('requests go on while a new password is fetched', async () => {
    let give: (password: string) => void = () => {}
    const passwords = [SECRET, new Promise<string>((resolve) => (give = resolve))]
    vi.spyOn(Math, 'random').mockReturnValueOnce(0)
    const logins = await open(() => passwords.shift()!)
    await clock.advance(9_000)
    await expect(one.request(InitProducerId, body)).resolves.toEqual(initialized)
    give('another')
    await settled()
    const held = one.request(InitProducerId, body)
    await settled()
    expect(names()).toEqual(['InitProducerId', 'SaslHandshake', 'SaslAuthenticate'])
    logins[1]!.respond(granted)
    await expect(held).resolves.toEqual(initialized)
  })

  test('that is refused ends the connection, and what was held fails with that', async () => {
    const logins = await open(() => SECRET)
    await clock.advance(9_600)
    const held = refusal(one.request(InitProducerId, body))
    await settled()
    logins[1]!.respond({ ...granted, errorCode: 58, errorMessage: 'locked out' })
    const error = await held
    expect(error).toBeInstanceOf(AuthenticationError)
    expect(error.message).toContain('locked out')
    expect(one.isOpen).toBe(false)
  })

  test('of a connection that nobody uses costs nothing', async () => {
    await open(() => SECRET)
    await clock.advance(60_000)
    await settled()
    expect(names()).toEqual([])
  })
})
