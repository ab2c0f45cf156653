#!/usr/bin/env node
// Real Apache Kafka on loopback for tests: install jars, start 1..N brokers, hurt them, stop them. Node >= 20, no dependencies.
//
//   kafka install [VERSION]      fetch the broker's jars with Maven into $KAFKA_CACHE/VERSION (default ~/.cache/kafka-cluster)
//   kafka start [options]        start and wait until metadata answers; prints the JSON that `status` prints
//       --version V   (4.2.0)    0.10.2.2 ... 4.2.x; ZooKeeper is started from the same jars below 3.3
//       --brokers N   (1)        3 or more: replication factor 3, min.insync.replicas 2, and a separate controller
//       --port P      (29092)    broker i listens on P+10(i-1)+offset; see LISTENERS
//       --dir D                  data, logs, certificates, state.json (default $KAFKA_DIR or /tmp/kafka-cluster-P)
//       --security               the TLS and SASL listeners as well
//       --reauth-ms MS           connections.max.reauth.ms (KIP-368)
//       --acl                    authorizer on: admin and ANONYMOUS may do all, alice writes topics named a*, bob nothing
//       --conf K=V               any broker setting (repeatable)
//       --debug LOGGER           log this at DEBUG, e.g. org.apache.kafka.common.network.Selector (repeatable; Kafka 4)
//       --heap M      (320m)     broker heap; --jit c1 (default, quick start) or c2 (for measuring)
//   kafka status | stop [--clean] [--purge]
//   kafka kill N | pause N | resume N | restart N [--hard]     SIGKILL, SIGSTOP, SIGCONT, stop+start broker N
//   kafka check                  produce and consume with the console tools over every listener and mechanism
//   kafka token [--sub S] [--ttl SEC] [--unsecured]            a bearer token for the OAUTHBEARER listeners
//   kafka tool CLASS ARGS...     a Java command-line class of that Kafka, e.g. org.apache.kafka.tools.TopicCommand
//
// As a module: import { install, start, load, kill, pause, resume, restart, stop } from './kafka.mjs'
import { spawn, spawnSync } from 'node:child_process'
import { generateKeyPairSync, createPrivateKey, createSign, randomUUID } from 'node:crypto'
import fs from 'node:fs'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'

export const CACHE = process.env.KAFKA_CACHE || path.join(os.homedir(), '.cache', 'kafka-cluster')
export const DEFAULT_VERSION = process.env.KAFKA_VERSION || '4.2.0'
const CLUSTER_ID = 'dGVzdC1jbHVzdGVyLTAwMA'
const PASSWORD = 'secret' // key stores and every test user: <user>-secret

/** name → port offset and protocol. PROXY is PLAINTEXT, but advertised one port higher: put a TCP proxy there. */
export const LISTENERS = {
  PLAINTEXT: { offset: 0, protocol: 'PLAINTEXT' },
  SSL: { offset: 1, protocol: 'SSL', security: true },
  MTLS: { offset: 2, protocol: 'SSL', security: true }, // client certificate required, TLS 1.2 only
  SASL_PLAINTEXT: { offset: 3, protocol: 'SASL_PLAINTEXT', security: true }, // OAUTHBEARER: unsecured tokens
  SASL_SSL: { offset: 4, protocol: 'SASL_SSL', security: true }, // OAUTHBEARER: RS256 with a local JWKS (Kafka >= 3.1)
  PROXY: { offset: 5, protocol: 'PLAINTEXT', advertise: 6 },
  SSL_BADHOST: { offset: 7, protocol: 'SSL', security: true }, // certificate for another host name
  SSL_EXPIRED: { offset: 8, protocol: 'SSL', security: true }, // certificate out of date
}
const CONTROLLER_OFFSET = 9,
  ZK_OFFSET = 90,
  SEPARATE_CONTROLLER_OFFSET = 91,
  CONTROLLER_ID = 100
export const USERS = { admin: 'admin-secret', alice: 'alice-secret', bob: 'bob-secret' }

// ---------------------------------------------------------------- versions
const num = (v) => v.split('.').map(Number)
export function atLeast(version, wanted) {
  const a = num(version),
    b = num(wanted)
  for (let i = 0; i < b.length; i++) if ((a[i] ?? 0) !== b[i]) return (a[i] ?? 0) > b[i]
  return true
}
const scalaOf = (v) => (atLeast(v, '2.6') ? '2.13' : '2.12')
const usesZk = (v) => !atLeast(v, '3.3')

// ---------------------------------------------------------------- install
export function install(version = DEFAULT_VERSION) {
  const dir = path.join(CACHE, version)
  if (fs.existsSync(path.join(dir, '.complete'))) return dir
  fs.mkdirSync(dir, { recursive: true })
  const dep = (g, a, v) =>
    `<dependency><groupId>${g}</groupId><artifactId>${a}</artifactId><version>${v}</version></dependency>`
  const pom = path.join(dir, 'pom.xml')
  fs.writeFileSync(
    pom,
    `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
${dep('org.apache.kafka', `kafka_${scalaOf(version)}`, version)}
${dep('org.apache.kafka', 'kafka-tools', version)}
${dep('org.slf4j', 'slf4j-simple', '1.7.36')}
${atLeast(version, '1.1') ? '' : dep('javax.xml.bind', 'jaxb-api', '2.3.1') /* left the JDK after Java 8 */}
${atLeast(version, '2.0') && !atLeast(version, '2.4') ? dep('org.apache.zookeeper', 'zookeeper', '3.4.12') : '' /* 3.4.13's client cannot resolve addresses on Java 14+ */}
</dependencies></project>\n`,
  )
  for (let attempt = 1; ; attempt++) {
    const r = spawnSync(
      'mvn',
      [
        '-q',
        '-B',
        '-f',
        pom,
        'dependency:copy-dependencies',
        `-DoutputDirectory=${dir}`,
        '-DincludeScope=runtime',
      ],
      { encoding: 'utf8' },
    )
    if (r.status === 0) break
    if (attempt === 3)
      throw new Error(
        `maven failed for Kafka ${version}:\n${r.stdout ?? ''}${r.stderr ?? ''}${r.error ?? ''}`,
      )
  }
  const jars = fs.readdirSync(dir)
  if (jars.some((j) => /^slf4j-(log4j12|reload4j)/.test(j)))
    for (const j of jars) if (j.startsWith('slf4j-simple')) fs.rmSync(path.join(dir, j))
  fs.writeFileSync(path.join(dir, '.complete'), '')
  return dir
}

// ---------------------------------------------------------------- java
function java() {
  return process.env.KAFKA_JAVA || 'java'
}
const classpath = (version) => path.join(CACHE, version, '*')
/** Ends well where there is a Java with a compiler. */
export const compilerCheck = () => [...compiler(), '-version']
/** Compiles Java programs against the broker's jars; only `java` itself has to be on the PATH, and have its compiler module. */
export function compileCommand(version, sources, outputDir) {
  const dir = path.join(CACHE, version)
  const jars = fs
    .readdirSync(dir)
    .filter((f) => f.endsWith('.jar'))
    .map((f) => path.join(dir, f))
  return [...compiler(), '-nowarn', '-d', outputDir, '-cp', jars.join(path.delimiter), ...sources]
}
const compiler = () => [java(), '-m', 'jdk.compiler/com.sun.tools.javac.Main']
/** The command line that runs a Java class on the broker's jars, with more class path entries behind them if wanted. */
export function javaCommand(version, cls, args, { jvm = [], classes = [] } = {}) {
  return [
    java(),
    '-Xmx256m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xshare:auto',
    '-XX:-UsePerfData',
    ...jvm,
    ...logFlags(),
    ...cdsFlags({ version, jit: 'c1' }),
    '-cp',
    [classpath(version), ...classes].join(path.delimiter),
    cls,
    ...args,
  ]
}
/** Runs a Java class of the broker's jars to its end. */
export function runTool(version, cls, args, { input, env, jvm = [], timeout = 60_000 } = {}) {
  const [command, ...rest] = javaCommand(version, cls, args, { jvm })
  return spawnSync(command, rest, { input, encoding: 'utf8', timeout, env: { ...process.env, ...env } })
}
function logFlags() {
  const f = path.join(CACHE, 'log4j.properties')
  if (!fs.existsSync(f)) {
    fs.mkdirSync(CACHE, { recursive: true })
    fs.writeFileSync(
      f,
      'log4j.rootLogger=WARN, out\nlog4j.appender.out=org.apache.log4j.ConsoleAppender\nlog4j.appender.out.Target=System.err\nlog4j.appender.out.layout=org.apache.log4j.PatternLayout\nlog4j.appender.out.layout.ConversionPattern=[%d] %p %c %m%n\n',
    )
  }
  return [
    `-Dlog4j.configuration=file:${f}`,
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    '-Dorg.slf4j.simpleLogger.showDateTime=true',
    '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
    '-Dlog4j2.level=WARN',
    '-Dlog4j2.statusLoggerLevel=OFF',
  ]
}
function spawnJava(state, name, cls, conf, extra = []) {
  const log = fs.openSync(path.join(state.dir, `${name}.log`), 'a')
  const jit = state.jit === 'c2' ? [] : ['-XX:TieredStopAtLevel=1']
  const heap = name.startsWith('broker') ? state.heap : '128m'
  const opens = [
    '-XX:+IgnoreUnrecognizedVMOptions',
    '--add-exports=java.base/sun.nio.ch=ALL-UNNAMED',
    '--add-opens=java.base/java.nio=ALL-UNNAMED',
    '--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED',
  ]
  const child = spawn(
    java(),
    [
      `-Xmx${heap}`,
      '-Xms64m',
      state.jit === 'c2' ? '-XX:+UseG1GC' : '-XX:+UseSerialGC',
      ...jit,
      '-Xshare:auto',
      '-XX:-UsePerfData',
      '-Djava.net.preferIPv4Stack=true',
      ...opens,
      ...logFlags(),
      ...state.debug.map((name) => `-Dorg.slf4j.simpleLogger.log.${name}=debug`),
      ...cdsFlags(state),
      ...extra,
      '-cp',
      classpath(state.version),
      cls,
      conf,
    ],
    { detached: true, stdio: ['ignore', log, log], cwd: state.dir },
  )
  fs.closeSync(log)
  child.unref()
  return child.pid
}
/** Class data sharing: the first clean stop of a version writes an archive, later starts map it. */
function cdsFlags(state) {
  const archive = path.join(CACHE, state.version, `broker-${state.jit}.jsa`)
  if (fs.existsSync(archive)) return [`-XX:SharedArchiveFile=${archive}`]
  return []
}

// ---------------------------------------------------------------- certificates and tokens
function sh(cmd, args, opts = {}) {
  const r = spawnSync(cmd, args, { encoding: 'utf8', ...opts })
  if (r.status !== 0) throw new Error(`${cmd} ${args.join(' ')}\n${r.stderr || r.error}`)
  return r.stdout
}
/** Makes a CA, server certificates (good, wrong host, expired), client certificates (good, other CA), PKCS#12 stores, a JWKS. */
export function makeCerts(dir) {
  if (fs.existsSync(path.join(dir, 'done'))) return certPaths(dir)
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(dir, { recursive: true })
  const o = (...a) => sh('openssl', a, { cwd: dir })
  for (const ca of ['ca', 'other-ca'])
    o(
      'req',
      '-x509',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-days',
      '3650',
      '-keyout',
      `${ca}.key`,
      '-out',
      `${ca}.pem`,
      '-subj',
      `/CN=${ca}`,
      '-addext',
      'basicConstraints=critical,CA:TRUE',
      '-addext',
      'keyUsage=critical,keyCertSign,cRLSign',
    )
  const issue = (name, ca, cn, san, days) => {
    o(
      'req',
      '-new',
      '-newkey',
      'rsa:2048',
      '-nodes',
      '-keyout',
      `${name}.key`,
      '-out',
      `${name}.csr`,
      '-subj',
      `/CN=${cn}`,
    )
    fs.writeFileSync(
      path.join(dir, `${name}.ext`),
      `basicConstraints=CA:FALSE\n${san ? `subjectAltName=${san}\n` : ''}`,
    )
    if (days > 0)
      o(
        'x509',
        '-req',
        '-in',
        `${name}.csr`,
        '-CA',
        `${ca}.pem`,
        '-CAkey',
        `${ca}.key`,
        '-CAcreateserial',
        '-days',
        String(days),
        '-extfile',
        `${name}.ext`,
        '-out',
        `${name}.pem`,
      )
    else {
      // x509 cannot backdate, `openssl ca` can
      fs.writeFileSync(path.join(dir, 'index.txt'), '')
      fs.writeFileSync(
        path.join(dir, 'ca.cnf'),
        `[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=ca2.srl\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n[p]\ncommonName=supplied\n`,
      )
      o(
        'ca',
        '-batch',
        '-notext',
        '-config',
        'ca.cnf',
        '-create_serial',
        '-cert',
        `${ca}.pem`,
        '-keyfile',
        `${ca}.key`,
        '-in',
        `${name}.csr`,
        '-out',
        `${name}.pem`,
        '-extfile',
        `${name}.ext`,
        '-startdate',
        '20200101000000Z',
        '-enddate',
        '20200201000000Z',
      )
    }
    o(
      'pkcs12',
      '-export',
      '-in',
      `${name}.pem`,
      '-inkey',
      `${name}.key`,
      '-certfile',
      `${ca}.pem`,
      '-name',
      name,
      '-out',
      `${name}.p12`,
      '-passout',
      `pass:${PASSWORD}`,
    )
  }
  issue('server', 'ca', 'localhost', 'DNS:localhost,IP:127.0.0.1', 3650)
  issue('badhost', 'ca', 'kafka.invalid', 'DNS:kafka.invalid', 3650)
  issue('expired', 'ca', 'localhost', 'DNS:localhost,IP:127.0.0.1', -1)
  issue('client', 'ca', 'alice', '', 3650)
  issue('stranger', 'other-ca', 'mallory', '', 3650)
  for (const ca of ['ca', 'other-ca'])
    sh(
      'keytool',
      [
        '-importcert',
        '-noprompt',
        '-alias',
        ca,
        '-file',
        `${ca}.pem`,
        '-keystore',
        `${ca}-trust.p12`,
        '-storetype',
        'PKCS12',
        '-storepass',
        PASSWORD,
      ],
      { cwd: dir },
    )
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  fs.writeFileSync(path.join(dir, 'jwt.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  fs.writeFileSync(
    path.join(dir, 'jwks.json'),
    JSON.stringify({
      keys: [{ ...publicKey.export({ format: 'jwk' }), kid: 'test', use: 'sig', alg: 'RS256' }],
    }),
  )
  fs.writeFileSync(path.join(dir, 'done'), '')
  return certPaths(dir)
}
const certPaths = (dir) =>
  Object.fromEntries(
    Object.entries({
      ca: 'ca.pem',
      otherCa: 'other-ca.pem',
      clientCert: 'client.pem',
      clientKey: 'client.key',
      strangerCert: 'stranger.pem',
      strangerKey: 'stranger.key',
      jwks: 'jwks.json',
    }).map(([k, f]) => [k, path.join(dir, f)]),
  )

export function token(dir, { sub = 'alice', ttl = 3600, unsecured = false, audience = 'kafka' } = {}) {
  const b64 = (x) => Buffer.from(JSON.stringify(x)).toString('base64url')
  const now = Math.floor(Date.now() / 1000)
  const body = `${b64(unsecured ? { alg: 'none' } : { alg: 'RS256', kid: 'test', typ: 'JWT' })}.${b64({ iss: 'test', sub, aud: audience, scope: 'kafka', iat: now, exp: now + ttl, jti: randomUUID() })}`
  if (unsecured) return `${body}.`
  return `${body}.${createSign('RSA-SHA256')
    .update(body)
    .sign(createPrivateKey(fs.readFileSync(path.join(dir, 'certs', 'jwt.key'))))
    .toString('base64url')}`
}

// ---------------------------------------------------------------- configuration
const port = (state, id, offset) => state.port + 10 * (id - 1) + offset
const activeListeners = (state) => Object.entries(LISTENERS).filter(([, l]) => !l.security || state.security)
const plainModule = 'org.apache.kafka.common.security.plain.PlainLoginModule required'
const scramModule = 'org.apache.kafka.common.security.scram.ScramLoginModule required'
const oauthModule = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required'

function mechanisms(state) {
  const v = state.version
  const scram = usesZk(v) || atLeast(v, '3.5') // KIP-900 brought SCRAM to KRaft
  return [
    'PLAIN',
    ...(scram ? ['SCRAM-SHA-256', 'SCRAM-SHA-512'] : []),
    ...(atLeast(v, '2.0') ? ['OAUTHBEARER'] : []),
  ]
}
function brokerProps(state, id) {
  const v = state.version,
    many = state.brokers.length > 1
  const rf = Math.min(3, state.brokers.length),
    isr = rf === 3 ? 2 : 1
  const active = activeListeners(state)
  const p = {
    'log.dirs': path.join(state.dir, `data-${id}`),
    'default.replication.factor': rf,
    'offsets.topic.replication.factor': rf,
    'transaction.state.log.replication.factor': rf,
    'transaction.state.log.min.isr': isr,
    'min.insync.replicas': isr,
    'num.partitions': 3,
    'offsets.topic.num.partitions': 1,
    'transaction.state.log.num.partitions': 1,
    'group.initial.rebalance.delay.ms': 0,
    'log.cleaner.dedupe.buffer.size': 2097152,
    'num.network.threads': 2,
    'num.io.threads': 4,
    'background.threads': 2,
    'log.index.size.max.bytes': 1048576,
    'replica.lag.time.max.ms': 5000,
    'transaction.abort.timed.out.transaction.cleanup.interval.ms': 1000,
    'controlled.shutdown.retry.backoff.ms': 500,
    'auto.create.topics.enable': true,
    'delete.topic.enable': true,
    'listener.security.protocol.map': [
      ...active.map(([n, l]) => `${n}:${l.protocol}`),
      ...(usesZk(v) ? [] : ['CONTROLLER:PLAINTEXT']),
    ].join(','),
    'inter.broker.listener.name': 'PLAINTEXT',
    listeners: active.map(([n, l]) => `${n}://127.0.0.1:${port(state, id, l.offset)}`).join(','),
    // TLS listeners are advertised by name, the others by address: both kinds of host check get exercised.
    'advertised.listeners': active
      .map(
        ([n, l]) =>
          `${n}://${l.protocol.endsWith('SSL') ? 'localhost' : '127.0.0.1'}:${port(state, id, l.advertise ?? l.offset)}`,
      )
      .join(','),
  }
  if (usesZk(v)) {
    Object.assign(p, {
      'broker.id': id,
      'zookeeper.connect': `127.0.0.1:${state.port + ZK_OFFSET}`,
      'zookeeper.session.timeout.ms': 4000,
      'zookeeper.connection.timeout.ms': 20000,
    })
  } else {
    Object.assign(p, {
      'node.id': id,
      'process.roles': many ? 'broker' : 'broker,controller',
      ...quorumProps(state),
      'broker.session.timeout.ms': 3000,
      'broker.heartbeat.interval.ms': 500,
    })
    if (!many) p.listeners += `,CONTROLLER://127.0.0.1:${port(state, 1, CONTROLLER_OFFSET)}`
    if (atLeast(v, '4.0'))
      Object.assign(p, {
        'share.coordinator.state.topic.replication.factor': rf,
        'share.coordinator.state.topic.min.isr': isr,
        'share.coordinator.state.topic.num.partitions': 1,
      })
  }
  if (state.security) {
    const certs = path.join(state.dir, 'certs')
    const store = (name) => ({
      'ssl.keystore.location': path.join(certs, `${name}.p12`),
      'ssl.keystore.type': 'PKCS12',
      'ssl.keystore.password': PASSWORD,
      'ssl.key.password': PASSWORD,
    })
    Object.assign(p, store('server'), {
      'ssl.truststore.location': path.join(certs, 'ca-trust.p12'),
      'ssl.truststore.type': 'PKCS12',
      'ssl.truststore.password': PASSWORD,
    })
    for (const [n, cert] of [
      ['ssl_badhost', 'badhost'],
      ['ssl_expired', 'expired'],
    ])
      for (const [k, val] of Object.entries(store(cert))) p[`listener.name.${n}.${k}`] = val
    if (atLeast(v, '1.1'))
      Object.assign(p, {
        'listener.name.mtls.ssl.client.auth': 'required',
        'listener.name.mtls.ssl.enabled.protocols': 'TLSv1.2',
        'listener.name.mtls.ssl.protocol': 'TLSv1.2',
      })
    else p['ssl.client.auth'] = 'requested'
    p['sasl.enabled.mechanisms'] = mechanisms(state).join(',')
    if (atLeast(v, '1.1'))
      for (const l of ['sasl_plaintext', 'sasl_ssl']) {
        p[`listener.name.${l}.plain.sasl.jaas.config`] = `${plainModule} ${Object.entries(USERS)
          .map(([u, w]) => `user_${u}="${w}"`)
          .join(' ')};`
        for (const m of ['scram-sha-256', 'scram-sha-512'])
          p[`listener.name.${l}.${m}.sasl.jaas.config`] = `${scramModule};`
        if (atLeast(v, '2.0')) {
          const jwks = l === 'sasl_ssl' && atLeast(v, '3.1')
          p[`listener.name.${l}.oauthbearer.sasl.jaas.config`] = jwks
            ? `${oauthModule};`
            : `${oauthModule} unsecuredLoginStringClaim_sub="admin";`
          if (jwks) {
            const pkg = atLeast(v, '3.4')
              ? 'org.apache.kafka.common.security.oauthbearer'
              : 'org.apache.kafka.common.security.oauthbearer.secured'
            p[`listener.name.${l}.oauthbearer.sasl.server.callback.handler.class`] =
              `${pkg}.OAuthBearerValidatorCallbackHandler`
            p[`listener.name.${l}.sasl.oauthbearer.jwks.endpoint.url`] =
              `file://${path.join(certs, 'jwks.json')}`
            p[`listener.name.${l}.sasl.oauthbearer.expected.audience`] = 'kafka'
          }
        }
      }
    if (state.reauthMs) p['connections.max.reauth.ms'] = state.reauthMs
  }
  if (state.acl) {
    p['authorizer.class.name'] = !usesZk(v)
      ? 'org.apache.kafka.metadata.authorizer.StandardAuthorizer'
      : atLeast(v, '2.4')
        ? 'kafka.security.authorizer.AclAuthorizer'
        : 'kafka.security.auth.SimpleAclAuthorizer'
    p['super.users'] = 'User:ANONYMOUS;User:admin'
  }
  return { ...p, ...state.conf }
}
const quorumProps = (state) => ({
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.voters':
    state.brokers.length > 1
      ? `${CONTROLLER_ID}@127.0.0.1:${state.port + SEPARATE_CONTROLLER_OFFSET}`
      : `1@127.0.0.1:${port(state, 1, CONTROLLER_OFFSET)}`,
  'controller.quorum.election.timeout.ms': 300,
  'controller.quorum.fetch.timeout.ms': 1000,
})
const writeProps = (file, p) =>
  fs.writeFileSync(
    file,
    Object.entries(p)
      .map(([k, v]) => `${k}=${v}\n`)
      .join(''),
  )
/** StorageTool costs a JVM start; its output depends on the version only, so it is kept beside the jars. */
function formatted(state) {
  const v = state.version,
    cache = path.join(CACHE, v, 'formatted')
  if (fs.existsSync(path.join(cache, 'meta.properties'))) return cache
  fs.rmSync(cache, { recursive: true, force: true })
  const conf = path.join(CACHE, v, 'format.properties')
  writeProps(conf, {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': '1@127.0.0.1:1',
    'controller.listener.names': 'CONTROLLER',
    listeners: 'PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1',
    'log.dirs': cache,
  })
  const scram = atLeast(v, '3.5')
    ? Object.entries(USERS).flatMap(([u, w]) =>
        ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((m) => ['--add-scram', `${m}=[name=${u},password=${w}]`]),
      )
    : []
  const r = runTool(v, 'kafka.tools.StorageTool', ['format', '-t', CLUSTER_ID, '-c', conf, ...scram])
  if (r.status !== 0) throw new Error(`format failed: ${r.stdout}${r.stderr}`)
  return cache
}
function formatDir(state, id, dir) {
  if (fs.existsSync(path.join(dir, 'meta.properties'))) return
  const from = formatted(state)
  fs.mkdirSync(dir, { recursive: true })
  for (const f of fs.readdirSync(from))
    if (f === 'bootstrap.checkpoint') fs.copyFileSync(path.join(from, f), path.join(dir, f))
  let meta = fs
    .readFileSync(path.join(from, 'meta.properties'), 'utf8')
    .replace(/^node\.id=.*$/m, `node.id=${id}`)
  meta = meta.replace(
    /^directory\.id=.*$/m,
    () => `directory.id=${Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')}`,
  )
  fs.writeFileSync(path.join(dir, 'meta.properties'), meta)
}

/** Every port that a cluster without --security listens on or advertises. */
export function portsOf(base, brokers) {
  const state = { port: base, brokers: Array.from({ length: brokers }) }
  const ports = brokers > 1 ? [base + SEPARATE_CONTROLLER_OFFSET] : [port(state, 1, CONTROLLER_OFFSET)]
  for (let id = 1; id <= brokers; id++)
    for (const l of Object.values(LISTENERS))
      if (!l.security) ports.push(...[l.offset, l.advertise ?? l.offset].map((o) => port(state, id, o)))
  return [...new Set(ports)]
}

// ---------------------------------------------------------------- wire check
const sleep = (ms) => new Promise((r) => setTimeout(r, ms))
/** Metadata v1 (broker ids and controller), the oldest form that every version from 0.10 to 4.x answers. */
export function metadata(host, portNo, timeout = 1500) {
  return new Promise((resolve, reject) => {
    const s = net.connect(portNo, host)
    const fail = (e) => {
      s.destroy()
      reject(e)
    }
    s.setTimeout(timeout, () => fail(new Error('timeout')))
    s.on('error', fail)
    s.on('close', () => reject(new Error('closed')))
    let buf = Buffer.alloc(0)
    s.on('connect', () => {
      const body = Buffer.from([0, 3, 0, 1, 0, 0, 0, 7, 0, 1, 0x78, 0, 0, 0, 0]) // key 3 v1, correlation 7, client "x", no topics
      const size = Buffer.alloc(4)
      size.writeInt32BE(body.length)
      s.write(Buffer.concat([size, body]))
    })
    s.on('data', (d) => {
      buf = Buffer.concat([buf, d])
      if (buf.length < 4 || buf.length < 4 + buf.readInt32BE(0)) return
      let o = 8
      const n = buf.readInt32BE(o)
      o += 4
      const ids = []
      for (let i = 0; i < n; i++) {
        ids.push(buf.readInt32BE(o))
        o += 4
        o += 2 + buf.readInt16BE(o) + 4
        const rack = buf.readInt16BE(o)
        o += 2 + Math.max(0, rack)
      }
      s.destroy()
      resolve({ ids: ids.sort((a, b) => a - b), controller: buf.readInt32BE(o) })
    })
  })
}
const alive = (pid) => {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1][0] !== 'Z'
  } catch {
    return !fs.existsSync('/proc/self') // no /proc (macOS): the signal's word has to do
  }
}
const ours = (state, pid) => {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes(state.dir)
  } catch {
    return (
      spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' }).stdout?.includes(
        state.dir,
      ) ?? false
    )
  }
}
const tail = (file, n = 25) => {
  try {
    return fs.readFileSync(file, 'utf8').trimEnd().split('\n').slice(-n).join('\n')
  } catch {
    return ''
  }
}

async function waitReady(state, ids, timeout = 60_000) {
  const until = Date.now() + timeout,
    wanted = state.brokers.filter((b) => b.pid && !b.paused).map((b) => b.id)
  for (const id of ids) {
    for (;;) {
      const b = state.brokers.find((x) => x.id === id)
      if (!alive(b.pid))
        throw new Error(`broker ${id} died:\n${tail(path.join(state.dir, `broker-${id}.log`))}`)
      try {
        const m = await metadata('127.0.0.1', port(state, id, 0))
        if (wanted.every((w) => m.ids.includes(w)) && m.controller >= 0) break
      } catch {
        /* not up yet */
      }
      if (Date.now() > until)
        throw new Error(
          `broker ${id} not ready in ${timeout} ms:\n${tail(path.join(state.dir, `broker-${id}.log`))}`,
        )
      await sleep(100)
    }
  }
}
async function waitPort(p, timeout = 30_000) {
  for (const until = Date.now() + timeout; ;) {
    if (
      await new Promise((r) => {
        const s = net.connect(p, '127.0.0.1', () => {
          s.destroy()
          r(true)
        })
        s.on('error', () => r(false))
      })
    )
      return
    if (Date.now() > until) throw new Error(`nothing listens on ${p}`)
    await sleep(50)
  }
}

// ---------------------------------------------------------------- life cycle
const stateFile = (dir) => path.join(dir, 'state.json')
const save = (state) => fs.writeFileSync(stateFile(state.dir), JSON.stringify(state, null, 1))
export const load = (dir = defaultDir()) => JSON.parse(fs.readFileSync(stateFile(dir), 'utf8'))
const defaultDir = (p = 29092) => process.env.KAFKA_DIR || path.join(os.tmpdir(), `kafka-cluster-${p}`)

function startBroker(state, id) {
  const conf = path.join(state.dir, `broker-${id}.properties`)
  writeProps(conf, brokerProps(state, id))
  if (!usesZk(state.version)) formatDir(state, id, path.join(state.dir, `data-${id}`))
  const extra = []
  if (state.security) {
    extra.push(
      `-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://${path.join(state.dir, 'certs', 'jwks.json')}`,
    )
    if (!atLeast(state.version, '1.1')) {
      const jaas = path.join(state.dir, 'jaas.conf')
      fs.writeFileSync(
        jaas,
        `KafkaServer {\n ${plainModule} ${Object.entries(USERS)
          .map(([u, w]) => `user_${u}="${w}"`)
          .join(' ')};\n ${scramModule};\n};\n`,
      )
      extra.push(`-Djava.security.auth.login.config=${jaas}`)
    }
  }
  if (state.cdsDump) extra.push(`-XX:ArchiveClassesAtExit=${state.cdsDump}`)
  const b = state.brokers.find((x) => x.id === id)
  b.pid = spawnJava(state, `broker-${id}`, 'kafka.Kafka', conf, extra)
  b.paused = false
  save(state)
}

export async function start(opts = {}) {
  const version = opts.version ?? DEFAULT_VERSION,
    p = Number(opts.port ?? 29092),
    dir = path.resolve(opts.dir ?? defaultDir(p)),
    n = Number(opts.brokers ?? 1)
  const began = Date.now()
  if (fs.existsSync(stateFile(dir))) {
    const old = load(dir)
    if (allPids(old).some(alive)) throw new Error(`${dir} already runs a cluster; stop it first`)
  }
  install(version)
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(dir, { recursive: true })
  const state = {
    version,
    mode: usesZk(version) ? 'zookeeper' : 'kraft',
    dir,
    port: p,
    heap: opts.heap ?? '320m',
    jit: opts.jit ?? 'c1',
    security: !!opts.security,
    acl: !!opts.acl,
    reauthMs: opts.reauthMs ? Number(opts.reauthMs) : undefined,
    conf: opts.conf ?? {},
    debug: opts.debug ?? [],
    cdsDump: opts.cdsDump,
    brokers: Array.from({ length: n }, (_, i) => ({ id: i + 1, pid: 0, paused: false })),
  }
  if (state.security) {
    // one CA for all clusters of this cache: making keys takes a second
    makeCerts(path.join(CACHE, 'certs'))
    fs.cpSync(path.join(CACHE, 'certs'), path.join(dir, 'certs'), { recursive: true })
  }
  save(state)
  try {
    if (usesZk(version)) {
      const zk = path.join(dir, 'zoo.cfg')
      writeProps(zk, {
        tickTime: 500,
        maxSessionTimeout: 60000,
        dataDir: path.join(dir, 'zk'),
        clientPort: p + ZK_OFFSET,
        clientPortAddress: '127.0.0.1',
        maxClientCnxns: 0,
        'admin.enableServer': false,
      })
      state.aux = {
        name: 'zookeeper',
        pid: spawnJava(state, 'zookeeper', 'org.apache.zookeeper.server.quorum.QuorumPeerMain', zk),
      }
      save(state)
      await waitPort(p + ZK_OFFSET)
      if (state.security) zkScram(state)
    } else if (n > 1) {
      const conf = path.join(dir, 'controller.properties'),
        data = path.join(dir, 'data-controller')
      writeProps(conf, {
        'process.roles': 'controller',
        'node.id': CONTROLLER_ID,
        ...quorumProps(state),
        listeners: `CONTROLLER://127.0.0.1:${p + SEPARATE_CONTROLLER_OFFSET}`,
        'log.dirs': data,
        ...Object.fromEntries(
          Object.entries(brokerProps(state, 1)).filter(([k]) =>
            /replication\.factor|min\.isr|insync|^num\.partitions|session\.timeout|heartbeat\.interval|authorizer|super\.users/.test(
              k,
            ),
          ),
        ),
        ...state.conf,
      })
      formatDir(state, CONTROLLER_ID, data)
      state.aux = { name: 'controller', pid: spawnJava(state, 'controller', 'kafka.Kafka', conf) }
      save(state)
    }
    for (const b of state.brokers) startBroker(state, b.id)
    await waitReady(
      state,
      state.brokers.map((b) => b.id),
    )
    if (state.acl) grantAcls(state)
  } catch (e) {
    await stop(state)
    throw e
  }
  state.startMs = Date.now() - began
  if (state.security) writeClientConfigs(state)
  save(state)
  return state
}
function zkScram(state) {
  // SCRAM users must exist in ZooKeeper
  for (const [u, w] of Object.entries(USERS)) {
    const r = runTool(state.version, 'kafka.admin.ConfigCommand', [
      '--zookeeper',
      `127.0.0.1:${state.port + ZK_OFFSET}`,
      '--alter',
      '--add-config',
      `SCRAM-SHA-256=[iterations=4096,password=${w}],SCRAM-SHA-512=[iterations=4096,password=${w}]`,
      '--entity-type',
      'users',
      '--entity-name',
      u,
    ])
    if (r.status !== 0) throw new Error(`scram user: ${r.stdout}${r.stderr}`)
  }
}
function grantAcls(state) {
  const v = state.version
  const where = atLeast(v, '2.1')
    ? ['--bootstrap-server', `127.0.0.1:${state.port}`]
    : ['--authorizer-properties', `zookeeper.connect=127.0.0.1:${state.port + ZK_OFFSET}`]
  const pattern = atLeast(v, '2.0') ? ['--resource-pattern-type', 'prefixed'] : []
  const cls = atLeast(v, '3.7') ? 'org.apache.kafka.tools.AclCommand' : 'kafka.admin.AclCommand'
  const add = (...a) => {
    const r = runTool(v, cls, [
      ...where,
      '--add',
      '--allow-principal',
      'User:alice',
      '--allow-principal',
      'User:CN=alice',
      ...pattern,
      ...a,
    ])
    if (r.status !== 0) throw new Error(`acl: ${r.stdout}${r.stderr}`)
  }
  add('--operation', 'Write', '--operation', 'Describe', '--operation', 'Create', '--topic', 'a')
  if (atLeast(v, '0.11')) add('--operation', 'Write', '--operation', 'Describe', '--transactional-id', 'a')
}
const allPids = (state) => [...state.brokers.map((b) => b.pid), state.aux?.pid].filter(Boolean)
const brokerOf = (state, id) => {
  const b = state.brokers.find((x) => x.id === Number(id))
  if (!b) throw new Error(`no broker ${id}`)
  return b
}
function signal(state, pid, sig) {
  if (pid && alive(pid) && ours(state, pid)) process.kill(pid, sig)
}
async function gone(pid, ms) {
  for (const until = Date.now() + ms; alive(pid);) {
    if (Date.now() > until) return false
    await sleep(20)
  }
  return true
}

export async function kill(state, id) {
  const b = brokerOf(state, id)
  signal(state, b.pid, 'SIGKILL')
  await gone(b.pid, 5000)
  b.pid = 0
  b.paused = false
  save(state)
}
export function pause(state, id) {
  const b = brokerOf(state, id)
  signal(state, b.pid, 'SIGSTOP')
  b.paused = true
  save(state)
}
export function resume(state, id) {
  const b = brokerOf(state, id)
  signal(state, b.pid, 'SIGCONT')
  b.paused = false
  save(state)
}
export async function restart(state, id, { hard = false } = {}) {
  const b = brokerOf(state, id)
  if (b.pid && alive(b.pid)) {
    if (b.paused) resume(state, id)
    signal(state, b.pid, hard ? 'SIGKILL' : 'SIGTERM')
    if (!(await gone(b.pid, 30_000))) {
      signal(state, b.pid, 'SIGKILL')
      await gone(b.pid, 5000)
    }
  }
  startBroker(state, b.id)
  await waitReady(state, [b.id])
}
export async function stop(state, { clean = false, purge = false } = {}) {
  if (clean) {
    for (const pid of state.brokers.map((b) => b.pid).filter(Boolean)) {
      signal(state, pid, 'SIGCONT')
      signal(state, pid, 'SIGTERM')
    }
    for (const b of state.brokers) if (b.pid) await gone(b.pid, 30_000)
  }
  const pids = allPids(state)
  for (const pid of pids) signal(state, pid, 'SIGKILL')
  for (const pid of pids) await gone(pid, 5000)
  for (const b of state.brokers) b.pid = 0
  if (state.aux) state.aux.pid = 0
  if (purge) fs.rmSync(state.dir, { recursive: true, force: true })
  else save(state)
}

/** What a test needs to know. */
export function describe(state) {
  const boot = {}
  for (const [n, l] of activeListeners(state))
    boot[n] = state.brokers
      .map(
        (b) =>
          `${l.protocol.endsWith('SSL') ? 'localhost' : '127.0.0.1'}:${port(state, b.id, l.advertise ?? l.offset)}`,
      )
      .join(',')
  return {
    version: state.version,
    mode: state.mode,
    dir: state.dir,
    startMs: state.startMs,
    bootstrap: boot,
    proxy: state.brokers.map((b) => ({
      listen: port(state, b.id, LISTENERS.PROXY.advertise),
      target: port(state, b.id, LISTENERS.PROXY.offset),
    })),
    brokers: state.brokers.map((b) => ({
      ...b,
      alive: !!b.pid && alive(b.pid),
      port: port(state, b.id, 0),
      logDir: path.join(state.dir, `data-${b.id}`),
      log: path.join(state.dir, `broker-${b.id}.log`),
    })),
    ...(state.security
      ? { mechanisms: mechanisms(state), users: USERS, certs: certPaths(path.join(state.dir, 'certs')) }
      : {}),
  }
}

// ---------------------------------------------------------------- check with the console tools
/** Java client settings, one file for each listener and mechanism. */
function writeClientConfigs(state) {
  const dir = path.join(state.dir, 'client'),
    certs = path.join(state.dir, 'certs'),
    v = state.version
  fs.mkdirSync(dir, { recursive: true })
  const trust = {
    'ssl.truststore.location': path.join(certs, 'ca-trust.p12'),
    'ssl.truststore.type': 'PKCS12',
    'ssl.truststore.password': PASSWORD,
    'ssl.endpoint.identification.algorithm': 'https',
  }
  const key = (n) => ({
    'ssl.keystore.location': path.join(certs, `${n}.p12`),
    'ssl.keystore.type': 'PKCS12',
    'ssl.keystore.password': PASSWORD,
    'ssl.key.password': PASSWORD,
  })
  const out = { PLAINTEXT: {} }
  out.SSL = { 'security.protocol': 'SSL', ...trust }
  out.MTLS = { ...out.SSL, ...key('client') }
  out['MTLS-nocert'] = out.SSL
  out['MTLS-stranger'] = { ...out.SSL, ...key('stranger') }
  out['SSL-otherca'] = { ...out.SSL, 'ssl.truststore.location': path.join(certs, 'other-ca-trust.p12') }
  out.SSL_BADHOST = out.SSL
  out.SSL_EXPIRED = out.SSL
  for (const l of ['SASL_PLAINTEXT', 'SASL_SSL'])
    for (const m of mechanisms(state)) {
      const base = { 'security.protocol': l, 'sasl.mechanism': m, ...(l === 'SASL_SSL' ? trust : {}) }
      const login = (u, w) => `${m === 'PLAIN' ? plainModule : scramModule} username="${u}" password="${w}";`
      if (m !== 'OAUTHBEARER') {
        out[`${l}-${m}`] = { ...base, 'sasl.jaas.config': login('alice', USERS.alice) }
        out[`${l}-${m}-badpassword`] = { ...base, 'sasl.jaas.config': login('alice', 'wrong') }
      } else if (l === 'SASL_SSL' && atLeast(v, '3.1')) {
        const pkg = atLeast(v, '3.4')
          ? 'org.apache.kafka.common.security.oauthbearer'
          : 'org.apache.kafka.common.security.oauthbearer.secured'
        fs.writeFileSync(path.join(dir, 'token.jwt'), token(state.dir))
        out[`${l}-${m}`] = {
          ...base,
          'sasl.jaas.config': `${oauthModule};`,
          'sasl.login.callback.handler.class': `${pkg}.OAuthBearerLoginCallbackHandler`,
          'sasl.oauthbearer.token.endpoint.url': `file://${path.join(dir, 'token.jwt')}`,
        }
      } else
        out[`${l}-${m}`] = {
          ...base,
          'sasl.jaas.config': `${oauthModule} unsecuredLoginStringClaim_sub="alice";`,
        }
    }
  for (const [n, p] of Object.entries(out)) writeProps(path.join(dir, `${n}.properties`), p)
}
const MUST_FAIL = /nocert|stranger|otherca|BADHOST|EXPIRED|badpassword/
/** Produces and consumes with the console tools over every listener × mechanism; negative cases must fail. */
export function check(state, only) {
  const v = state.version,
    dir = path.join(state.dir, 'client'),
    boot = describe(state).bootstrap,
    results = []
  const names = state.security
    ? fs
        .readdirSync(dir)
        .filter((f) => f.endsWith('.properties'))
        .map((f) => f.slice(0, -11))
    : ['PLAINTEXT']
  if (!state.security) {
    fs.mkdirSync(dir, { recursive: true })
    writeProps(path.join(dir, 'PLAINTEXT.properties'), {})
  }
  const producer = atLeast(v, '4.0')
    ? 'org.apache.kafka.tools.ConsoleProducer'
    : 'kafka.tools.ConsoleProducer'
  const consumer = atLeast(v, '3.8')
    ? 'org.apache.kafka.tools.consumer.ConsoleConsumer'
    : 'kafka.tools.ConsoleConsumer'
  const jvm = [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://${path.join(dir, 'token.jwt')}`]
  for (const name of names) {
    if (only && !name.includes(only)) continue
    if (MUST_FAIL.test(name) && !atLeast(v, '1.0')) continue // clients before 1.0 retry a refused login for ever
    const listener = Object.keys(boot)
      .sort((a, b) => b.length - a.length)
      .find((l) => name === l || name.startsWith(`${l}-`))
    const conf = path.join(dir, `${name}.properties`),
      topic = `a-check-${name.toLowerCase()}`,
      text = `hello over ${name}`
    const p = runTool(
      v,
      producer,
      [
        ...(atLeast(v, '2.5') ? ['--bootstrap-server'] : ['--broker-list']),
        boot[listener],
        '--topic',
        topic,
        atLeast(v, '4.2') ? '--command-config' : '--producer.config',
        conf,
        ...['max.block.ms=6000', 'acks=all'].flatMap((x) => [
          atLeast(v, '4.2') ? '--command-property' : '--producer-property',
          x,
        ]),
      ],
      { input: `${text}\n`, jvm },
    )
    let got = ''
    if (!MUST_FAIL.test(name)) {
      // 0.10's console consumer needs its new consumer switched on; the client file also holds for it
      const c = runTool(
        v,
        consumer,
        [
          ...(atLeast(v, '0.11') ? [] : ['--new-consumer']),
          '--bootstrap-server',
          boot[listener],
          '--topic',
          topic,
          atLeast(v, '4.2') ? '--command-config' : '--consumer.config',
          conf,
          '--from-beginning',
          '--max-messages',
          '1',
          '--timeout-ms',
          '10000',
        ],
        { jvm },
      )
      got = c.stdout.trim().split('\n').at(-1) // 4.2 prints a deprecation note first
      results.push({
        name,
        ok: got === text,
        ...(got === text
          ? {}
          : { got, error: (p.stderr + c.stderr).trim().split('\n').slice(-6).join(' | ').slice(-700) }),
      })
    } else {
      const why = /failed authentication due to: (.*)|([A-Z]\w+Exception: .*)/
        .exec(p.stdout + p.stderr)
        ?.slice(1)
        .find(Boolean)
        ?.trim()
        .slice(0, 160)
      results.push({ name, ok: !!why, refused: why })
    }
    process.stderr.write(
      `${results.at(-1).ok ? 'ok  ' : 'FAIL'} ${name} ${results.at(-1).refused ?? results.at(-1).error ?? ''}\n`,
    )
  }
  return results
}

// ---------------------------------------------------------------- command line
function parse(argv) {
  const o = /** @type {Record<string, any>} */ ({ _: [], conf: {}, debug: [] }),
    flags = new Set(['security', 'acl', 'hard', 'clean', 'purge', 'unsecured', 'no-cds'])
  for (let i = 0; i < argv.length; i++) {
    const a = argv[i]
    if (!a.startsWith('--')) {
      o._.push(a)
      continue
    }
    const [k, inline] = a.slice(2).split(/=(.*)/s)
    if (flags.has(k)) o[k] = true
    else {
      const val = inline ?? argv[++i]
      if (val === undefined) throw new Error(`--${k} needs a value`)
      if (k === 'conf') {
        const [ck, cv] = val.split(/=(.*)/s)
        o.conf[ck] = cv
      } else if (k === 'debug') o.debug.push(val)
      else o[k.replace(/-(\w)/g, (_, c) => c.toUpperCase())] = val
    }
  }
  return o
}
async function main([cmd, ...argv]) {
  const print = (x) => process.stdout.write(`${JSON.stringify(x, null, 2)}\n`)
  if (cmd === 'tool') {
    // arguments go through as they are
    const r = spawnSync(
      java(),
      [
        '-Xmx256m',
        '-XX:TieredStopAtLevel=1',
        ...logFlags(),
        '-cp',
        classpath(process.env.KAFKA_VERSION || DEFAULT_VERSION),
        ...argv,
      ],
      { stdio: 'inherit' },
    )
    process.exit(r.status ?? 1)
  }
  const o = parse(argv),
    dir = o.dir ?? defaultDir(o.port)
  switch (cmd) {
    case 'install': {
      const v = o._[0] ?? o.version ?? DEFAULT_VERSION
      const at = install(v),
        archive = path.join(CACHE, v, 'broker-c1.jsa')
      if (!o['no-cds'] && !fs.existsSync(archive)) {
        // one throw-away run writes the class archive: later starts take about half the time
        const tmp = fs.mkdtempSync(path.join(os.tmpdir(), 'kafka-cds-'))
        const s = await start({
          version: v,
          port: o.port ?? 28992,
          dir: tmp,
          security: atLeast(v, '1.1'),
          cdsDump: archive,
        })
        await stop(s, { clean: true, purge: true })
      }
      print({ version: v, jars: at, cds: fs.existsSync(archive) })
      break
    }
    case 'start':
      print(describe(await start(o)))
      break
    case 'status':
      print(describe(load(dir)))
      break
    case 'kill':
      await kill(load(dir), o._[0])
      break
    case 'pause':
      pause(load(dir), o._[0])
      break
    case 'resume':
      resume(load(dir), o._[0])
      break
    case 'restart':
      await restart(load(dir), o._[0], o)
      break
    case 'stop':
      if (fs.existsSync(stateFile(dir))) await stop(load(dir), o)
      break
    case 'token':
      process.stdout.write(`${token(dir, { ...o, ttl: o.ttl ? Number(o.ttl) : undefined })}\n`)
      break
    case 'check': {
      const r = check(load(dir), o._[0])
      print(r)
      process.exitCode = r.every((x) => x.ok) ? 0 : 1
      break
    }
    default: {
      const text = fs.readFileSync(fileURLToPath(import.meta.url), 'utf8').split('\n')
      process.stderr.write(
        `${text
          .slice(
            1,
            text.findIndex((l) => l.startsWith('import')),
          )
          .map((l) => l.replace(/^\/\/ ?/, ''))
          .join('\n')}\n`,
      )
      process.exitCode = cmd && cmd !== 'help' ? 2 : 0
    }
  }
}
if (process.argv[1] && fs.realpathSync(process.argv[1]) === fileURLToPath(import.meta.url))
  main(process.argv.slice(2)).catch((e) => {
    process.stderr.write(`${e.message}\n`)
    process.exit(1)
  })
