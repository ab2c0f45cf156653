// @ts-check
// Checks a cluster with Kafka's console tools over every listener and mechanism.
/** @import { CheckResult, ClusterState } from './types.js' */
import fs from 'node:fs'
import path from 'node:path'
import { writeProperties } from './broker-config.mjs'
import { describe } from './describe.mjs'
import { runTool } from './java.mjs'
import { atLeast } from './versions.mjs'

const MUST_FAIL = /nocert|stranger|otherca|BADHOST|EXPIRED|badpassword/

/**
 * Produces and consumes with each client configuration whose name includes `only`; where the configuration is wrong, the
 * client must be refused.
 * @param {ClusterState} state
 * @param {string} [only]
 */
export function check(state, only = '') {
  const dir = path.join(state.dir, 'client')
  /** @type {CheckResult[]} */
  const results = []
  for (const name of configurations(state, dir)) {
    if (!name.includes(only)) continue
    // Clients before 1.0 retry a refused login for ever.
    if (MUST_FAIL.test(name) && !atLeast(state.version, '1.0')) continue
    const result = checkOne(state, dir, name)
    results.push(result)
    const note = result.refused ?? result.error ?? ''
    process.stderr.write(`${result.ok ? 'ok  ' : 'FAIL'} ${name} ${note}\n`)
  }
  return results
}

/**
 * @param {ClusterState} state
 * @param {string} dir
 */
function configurations(state, dir) {
  if (!state.security) {
    fs.mkdirSync(dir, { recursive: true })
    writeProperties(path.join(dir, 'PLAINTEXT.properties'), {})
    return ['PLAINTEXT']
  }
  const files = fs.readdirSync(dir).filter((file) => file.endsWith('.properties'))
  return files.map((file) => path.basename(file, '.properties'))
}

/**
 * @param {ClusterState} state
 * @param {string} dir
 * @param {string} name
 * @returns {CheckResult}
 */
function checkOne(state, dir, name) {
  const target = {
    version: state.version,
    servers: serversFor(state, name),
    topic: `a-check-${name.toLowerCase()}`,
    config: path.join(dir, `${name}.properties`),
    jvm: [`-Dorg.apache.kafka.sasl.oauthbearer.allowed.urls=file://${path.join(dir, 'token.jwt')}`],
  }
  const text = `hello over ${name}`
  const produced = produce(target, text)
  if (MUST_FAIL.test(name)) {
    const match = /failed authentication due to: (.*)|([A-Z]\w+Exception: .*)/.exec(
      produced.stdout + produced.stderr,
    )
    const refused = (match?.[1] ?? match?.[2])?.trim().slice(0, 160)
    return { name, ok: refused !== undefined && refused !== '', refused }
  }
  const consumed = consume(target)
  // Kafka 4.2 prints a deprecation note before the record.
  const got = consumed.stdout.trim().split('\n').at(-1) ?? ''
  if (got === text) return { name, ok: true }
  const log = (produced.stderr + consumed.stderr).trim().split('\n')
  return { name, ok: false, got, error: log.slice(-6).join(' | ').slice(-700) }
}

/**
 * The addresses of the listener with the longest name that the configuration's name begins with.
 * @param {ClusterState} state
 * @param {string} name
 */
function serversFor(state, name) {
  const listeners = Object.entries(describe(state).bootstrap).sort(([a], [b]) => b.length - a.length)
  const found = listeners.find(([listener]) => name === listener || name.startsWith(`${listener}-`))
  if (found === undefined) throw new Error(`no listener for ${name}`)
  return found[1]
}

/** @typedef {{ version: string; servers: string; topic: string; config: string; jvm: string[] }} Target */

/**
 * @param {Target} target
 * @param {string} text
 */
function produce({ version, servers, topic, config, jvm }, text) {
  const className = `${atLeast(version, '4.0') ? 'org.apache.kafka.tools' : 'kafka.tools'}.ConsoleProducer`
  const newNames = atLeast(version, '4.2')
  const property = newNames ? '--command-property' : '--producer-property'
  const args = [
    ...[atLeast(version, '2.5') ? '--bootstrap-server' : '--broker-list', servers],
    ...['--topic', topic],
    ...[newNames ? '--command-config' : '--producer.config', config],
    ...[property, 'max.block.ms=6000', property, 'acks=all'],
  ]
  return runTool(version, className, args, { input: `${text}\n`, jvm })
}

/** @param {Target} target */
function consume({ version, servers, topic, config, jvm }) {
  const packageName = atLeast(version, '3.8') ? 'org.apache.kafka.tools.consumer' : 'kafka.tools'
  const args = [
    // 0.10 still uses the consumer of 0.8 by default.
    ...(atLeast(version, '0.11') ? [] : ['--new-consumer']),
    ...['--bootstrap-server', servers, '--topic', topic],
    ...[atLeast(version, '4.2') ? '--command-config' : '--consumer.config', config],
    ...['--from-beginning', '--max-messages', '1', '--timeout-ms', '10000'],
  ]
  return runTool(version, `${packageName}.ConsoleConsumer`, args, { jvm })
}
