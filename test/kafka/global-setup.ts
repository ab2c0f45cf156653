/**
 * Vitest's global set-up: one owner for all real clusters of a run. Test files, which run in processes of their own, ask
 * it over loopback HTTP; so a cluster is started when the first file wants it, shared by the files that want the same,
 * and gone when the run is over. A run that needs no Kafka pays for one idle server.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { createHash, randomInt } from 'node:crypto'
import { once } from 'node:events'
import fs from 'node:fs'
import { createServer, type IncomingMessage, type Server } from 'node:http'
import net from 'node:net'
import os from 'node:os'
import path from 'node:path'
import type { TestProject } from 'vitest/node'
import { compileCommand, compilerCheck } from './launcher/java.mjs'
import { portsOf } from './launcher/listeners.mjs'
import { start } from './launcher/start.mjs'
import { load } from './launcher/state.mjs'
import { stop } from './launcher/stop.mjs'
import { CACHE } from './launcher/versions.mjs'
import { run } from './run.js'

/** The listeners with TLS and SASL, and what goes with them; see launcher/listeners.mjs. */
export interface KafkaSecurity {
  /** Alice may write topics that begin with a, bob nothing. */
  readonly acl?: boolean
  /** connections.max.reauth.ms (KIP-368). */
  readonly reauthMs?: number
}

/** What a test file asks of the owner. */
export type OwnerRequest =
  | { readonly ask: 'readiness'; readonly version: string }
  | {
      readonly ask: 'cluster'
      readonly version: string
      readonly brokers: number
      readonly conf: Readonly<Record<string, string>>
      readonly security: KafkaSecurity | undefined
      readonly debug: readonly string[]
      /** A cluster of the caller's own, which it may hurt and has to give back. */
      readonly own: boolean
    }
  | { readonly ask: 'stop'; readonly dir: string }

/** Whether real Kafka can be used here: the version and the compiled Java programs, or why not. */
export type Readiness =
  | { readonly version: string; readonly classes: string }
  | { readonly version: string; readonly missing: string }

declare module 'vitest' {
  interface ProvidedContext {
    realKafkaOwner: string
  }
}

const javaSources = path.join(__dirname, 'java')
const launcher = path.join(__dirname, 'kafka.mjs')

let server: Server | undefined
let runDir: string | undefined
let watchdog: ChildProcess | undefined
let clustersStarted = 0
const shared = new Map<string, Promise<string>>()
/** By version. */
const readiness = new Map<string, Promise<Readiness>>()

export async function setup(project: TestProject): Promise<void> {
  server = createServer((request, response) => {
    answer(request).then(
      (body) => response.end(JSON.stringify(body)),
      (error: unknown) => {
        response.statusCode = 500
        response.end(error instanceof Error ? error.message : String(error))
      },
    )
  })
  server.listen(0, '127.0.0.1').unref()
  await once(server, 'listening')
  project.provide('realKafkaOwner', `http://127.0.0.1:${(server.address() as net.AddressInfo).port}`)
}

export async function teardown(): Promise<void> {
  server?.close()
  server?.closeAllConnections()
  if (watchdog === undefined || watchdog.exitCode !== null) return
  const ended = once(watchdog, 'exit')
  watchdog.stdin?.end()
  await ended
}

async function answer(request: IncomingMessage): Promise<unknown> {
  let text = ''
  for await (const chunk of request) text += String(chunk)
  const asked = JSON.parse(text) as OwnerRequest
  switch (asked.ask) {
    case 'readiness': {
      let found = readiness.get(asked.version)
      if (found === undefined) readiness.set(asked.version, (found = findReadiness(asked.version)))
      return found
    }
    case 'cluster': {
      if (asked.own) return startCluster(asked)
      const same = JSON.stringify(asked)
      let cluster = shared.get(same)
      if (cluster === undefined) shared.set(same, (cluster = startCluster(asked)))
      return cluster
    }
    case 'stop':
      await stop(load(asked.dir), { purge: true })
      return null
  }
}

async function findReadiness(version: string): Promise<Readiness> {
  try {
    return { version, classes: await prepare(version) }
  } catch (error) {
    const missing = error instanceof Error ? error.message : String(error)
    const line = '='.repeat(100)
    process.stderr.write(
      `\n${line}\nThe tests against real Apache Kafka ${version} are LEFT OUT: ${missing}\n` +
        `They need a JDK (17 or newer) and, the first time, Maven.\n${line}\n`,
    )
    return { version, missing }
  }
}

/** Jars in the cache and our Java programs compiled against them; throws an error that says what is missing. */
async function prepare(version: string): Promise<string> {
  if (process.platform === 'win32') throw new Error('the cluster launcher needs POSIX signals')
  await run(compilerCheck()).catch((error: unknown) => {
    throw new Error(`no Java with a compiler (${inShort(error)})`)
  })
  if (!fs.existsSync(path.join(CACHE, version, '.complete'))) {
    await run(['mvn', '-v']).catch((error: unknown) => {
      throw new Error(`Kafka's jars are not in ${CACHE} and Maven cannot be run (${inShort(error)})`)
    })
    process.stderr.write(`\nFetching the jars of Apache Kafka ${version} with Maven into ${CACHE} ...\n`)
    await run([process.execPath, launcher, 'install', version, '--no-cds'], { timeoutMs: 900_000 }).catch(
      (error: unknown) => {
        throw new Error(`Maven could not fetch Kafka's jars (${inShort(error)})`)
      },
    )
  }
  return compilePrograms(version)
}

/** Compiled once for each state of the sources; written beside and renamed, so that two runs may do it at once. */
async function compilePrograms(version: string): Promise<string> {
  const sources = fs.readdirSync(javaSources).filter((name) => name.endsWith('.java'))
  const hash = createHash('sha256')
  for (const name of sources.sort()) hash.update(fs.readFileSync(path.join(javaSources, name)))
  const classes = path.join(CACHE, version, `test-programs-${hash.digest('hex').slice(0, 12)}`)
  if (fs.existsSync(classes)) return classes
  const unfinished = fs.mkdtempSync(path.join(CACHE, version, 'compiling-'))
  await run(
    compileCommand(
      version,
      sources.map((name) => path.join(javaSources, name)),
      unfinished,
    ),
  )
  try {
    fs.renameSync(unfinished, classes)
  } catch (error) {
    fs.rmSync(unfinished, { recursive: true })
    if (!fs.existsSync(classes)) throw error
  }
  return classes
}

async function startCluster(asked: Extract<OwnerRequest, { ask: 'cluster' }>): Promise<string> {
  const { version, brokers, conf, security, debug } = asked
  const parent = (runDir ??= fs.mkdtempSync(path.join(os.tmpdir(), 'kafka-producer-test-')))
  // Detached: Ctrl-C in the terminal reaches the run and not the watchdog, which has work to do then.
  watchdog ??= spawn(process.execPath, [path.join(__dirname, 'watchdog.mjs'), parent], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  })
  const dir = path.join(parent, `cluster-${++clustersStarted}`)
  for (let attempt = 1; ; attempt++) {
    try {
      const port = await freeBasePort(brokers)
      await start({
        ...{ version, port, dir, brokers, conf, debug },
        security: security !== undefined,
        acl: security?.acl === true,
        reauthMs: security?.reauthMs,
      })
      return dir
    } catch (error) {
      // Between the look and the start somebody else may have taken a port.
      if (attempt === 3 || !/BindException|already in use/.test(String(error))) throw error
    }
  }
}

/** Below the range from which systems take the ports of outgoing connections. */
async function freeBasePort(brokers: number): Promise<number> {
  for (let tries = 0; tries < 100; tries++) {
    const base = 12_000 + 100 * randomInt(150)
    const free = await Promise.all(portsOf(base, brokers).map(isFree))
    if (free.every(Boolean)) return base
  }
  throw new Error('found no free ports for a Kafka cluster')
}

function isFree(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = net.createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })
}

/** Enough of an error to act on, in a line. */
function inShort(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error)
  return text.trim().split('\n').slice(0, 3).join(' ').slice(0, 400)
}
