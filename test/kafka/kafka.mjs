#!/usr/bin/env node
// @ts-check
// Real Apache Kafka on loopback for tests: installs jars, starts 1 to N brokers, kills, pauses and stops them. Needs Node 20
// and no packages. JavaScript, because Node 20 cannot run TypeScript; tsc checks it by its JSDoc.
//
//   kafka install [VERSION]      fetch the broker's jars with Maven into $KAFKA_CACHE/VERSION (default ~/.cache/kafka-cluster)
//   kafka start [options]        start and wait until each broker knows the others; prints the JSON that `status` prints
//       --version V   (4.2.0)    0.10.2.2 ... 4.2.x; ZooKeeper is started from the same jars below 3.3
//       --brokers N   (1)        3 or more: replication factor 3, min.insync.replicas 2, and a separate controller
//       --port P      (29092)    broker i listens on P+10(i-1)+offset; see launcher/listeners.mjs
//       --dir D                  data, logs, certificates, state.json (default $KAFKA_DIR or /tmp/kafka-cluster-P)
//       --security               the TLS and SASL listeners as well
//       --reauth-ms MS           connections.max.reauth.ms (KIP-368)
//       --acl                    authorizer on: admin and ANONYMOUS may do everything, alice may write topics named a*
//       --conf K=V               any broker setting (repeatable)
//       --debug LOGGER           log this at DEBUG, e.g. org.apache.kafka.common.network.Selector (repeatable; Kafka 4)
//       --heap M      (320m)     broker heap; --jit c1 (default, quick start) or c2 (for measuring)
//   kafka status | stop [--clean] [--purge]
//   kafka kill N | pause N | resume N | restart N [--hard]     SIGKILL, SIGSTOP, SIGCONT, stop+start broker N
//   kafka check                  produce and consume with the console tools over every listener and mechanism
//   kafka token [--sub S] [--ttl SEC] [--unsecured]            a bearer token for the OAUTHBEARER listeners
//   kafka tool CLASS ARGS...     a Java command-line class of that Kafka, e.g. org.apache.kafka.tools.TopicCommand
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArguments } from './launcher/arguments.mjs'
import { kill, pause, restart, resume } from './launcher/chaos.mjs'
import { check } from './launcher/check.mjs'
import { describe } from './launcher/describe.mjs'
import { install } from './launcher/install.mjs'
import { classArchive, runInteractively } from './launcher/java.mjs'
import { start } from './launcher/start.mjs'
import { defaultDir, exists, load } from './launcher/state.mjs'
import { stop } from './launcher/stop.mjs'
import { token } from './launcher/token.mjs'
import { atLeast, DEFAULT_VERSION } from './launcher/versions.mjs'

/** @typedef {ReturnType<typeof parseArguments>} Arguments */

/** @param {readonly string[]} argv */
async function main([command = 'help', ...argv]) {
  // The Java class reads its own options.
  if (command === 'tool') return runInteractively(DEFAULT_VERSION, argv)
  const args = parseArguments(argv)
  const dir = args.values.get('dir') ?? defaultDir(args.number('port'))
  const id = Number(args.words[0])
  switch (command) {
    case 'install':
      return installWithArchive(args)
    case 'start':
      return print(describe(await start(startOptions(args))))
    case 'status':
      return print(describe(load(dir)))
    case 'kill':
      await kill(load(dir), id)
      return 0
    case 'pause':
      pause(load(dir), id)
      return 0
    case 'resume':
      resume(load(dir), id)
      return 0
    case 'restart':
      await restart(load(dir), id, { hard: args.flags.has('hard') })
      return 0
    case 'stop':
      if (exists(dir))
        await stop(load(dir), { clean: args.flags.has('clean'), purge: args.flags.has('purge') })
      return 0
    case 'token':
      process.stdout.write(`${token(dir, tokenOptions(args))}\n`)
      return 0
    case 'check': {
      const results = check(load(dir), args.words[0])
      print(results)
      return results.every(({ ok }) => ok) ? 0 : 1
    }
    default:
      printUsage()
      return command === 'help' ? 0 : 2
  }
}

/** @param {Arguments} args */
function startOptions({ values, flags, number, conf, debug }) {
  return {
    version: values.get('version'),
    port: number('port'),
    dir: values.get('dir'),
    brokers: number('brokers'),
    security: flags.has('security'),
    acl: flags.has('acl'),
    reauthMs: number('reauth-ms'),
    heap: values.get('heap'),
    jit: values.get('jit'),
    ...{ conf, debug },
  }
}

/** @param {Arguments} args */
const tokenOptions = ({ values, flags, number }) => ({
  sub: values.get('sub'),
  ttl: number('ttl'),
  unsecured: flags.has('unsecured'),
  audience: values.get('audience'),
})

/**
 * Also runs a broker once to write the class archive, which halves the time of later starts.
 * @param {Arguments} args
 */
async function installWithArchive({ words, values, flags, number }) {
  const version = words[0] ?? values.get('version') ?? DEFAULT_VERSION
  const jars = install(version)
  const archive = classArchive(version, 'c1')
  if (!flags.has('no-cds') && !fs.existsSync(archive)) {
    const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'kafka-cds-'))
    const port = number('port') ?? 28992
    const state = await start({ version, port, dir, security: atLeast(version, '1.1'), cdsDump: archive })
    await stop(state, { clean: true, purge: true })
  }
  return print({ version, jars, cds: fs.existsSync(archive) })
}

/** @param {unknown} result */
function print(result) {
  process.stdout.write(`${JSON.stringify(result, null, 2)}\n`)
  return 0
}

/** Prints the head of this file. */
function printUsage() {
  const lines = fs.readFileSync(fileURLToPath(import.meta.url), 'utf8').split('\n')
  const usage = lines.slice(
    2,
    lines.findIndex((line) => line.startsWith('import')),
  )
  process.stderr.write(`${usage.map((line) => line.replace(/^\/\/ ?/, '')).join('\n')}\n`)
}

try {
  process.exitCode = await main(process.argv.slice(2))
} catch (error) {
  process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
  process.exitCode = 1
}
