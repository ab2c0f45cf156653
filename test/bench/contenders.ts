/** The clients that can be measured: how each is started, what it needs, and which of its loops are used. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { hasPeer, peersFolder, requirePeer } from './clients/peers.js'
import type { Words } from './processes.js'

export const peerNames = ['java', 'franz-go', 'confluent', 'platformatic', 'kafkajs'] as const
export type PeerName = (typeof peerNames)[number]

/** The peers that are libraries for Node. */
export type NodePeer = 'confluent' | 'platformatic' | 'kafkajs'

export interface Contender {
  readonly name: string
  /** The program and its first arguments. */
  readonly command: readonly string[]
  readonly loop: string
  /** Share of the records that it is given, so that slow ones do not take minutes. */
  readonly share: number
  /** More arguments of this client. */
  readonly words?: Words
}

/** What an application waits for: one record in 64, or each by its own task. */
export type LoopName = 'lean' | 'task'

/** This package with its dependencies alone, or with the optional peers as well: native CRC, LZ4 and snappy. */
export type Engines = 'alone' | 'fast'

const installPeers = 'npm install --prefix test/bench/peers'
const newerNode = join(peersFolder, 'node_modules', '.bin', 'node')
// Compiled files run in build/bench.
const sources = join(__dirname, '..', '..', 'test', 'bench', 'clients')
const javaClasses = join(__dirname, 'java')
const goBinary = join(__dirname, 'franz-go')
const jarsFolder = join(process.env['KAFKA_CACHE'] ?? join(homedir(), '.cache', 'kafka-cluster'), '4.2.0')
/** The jars that the client itself needs; the broker's would only slow its start. */
const clientJars =
  /^(kafka-clients|slf4j-(api|simple)|lz4-java|snappy-java|zstd-jni|jackson-(core|databind|annotations))-/

export function client(file: string): string {
  return join(__dirname, 'clients', `${file}.js`)
}

/** Node with a client of this package, without its optional peers where `engines` says so. */
export function ourCommand(node: string, engines: Engines, file: string): string[] {
  const flags = engines === 'alone' ? ['--require', client('packages-alone')] : []
  return [node, ...flags, client(file)]
}

/** How the tables tell the two apart. */
export function engineLabel(engines: Engines): string {
  return engines === 'alone' ? 'packages alone' : 'native packages'
}

export function ours(node: string, loop: LoopName, allEngines: readonly Engines[]): Contender[] {
  const loops = loop === 'task' ? { task: '' } : { lean: ' promises,', callback: ' callbacks,' }
  return Object.entries(loops).flatMap(([loop, how]) =>
    allEngines.map((engines) => ({
      name: `kafka-producer,${how} ${engineLabel(engines)}`,
      command: ourCommand(node, engines, 'kafka-producer'),
      loop,
      share: 1,
    })),
  )
}

/** A peer may be measured in two ways, where its documentation has two. */
export function peer(name: PeerName, loop: LoopName): Contender[] {
  switch (name) {
    case 'java':
      return [{ name: 'Java 4.2', command: javaCommand(), loop, share: 1 }]
    case 'franz-go':
      return [{ name: 'franz-go 1.22', command: goCommand(), loop, share: 1 }]
    case 'confluent':
      return [
        nodePeer(name, 'confluent 1.10, arrays', 'confluent', 'array', 0.1),
        nodePeer(name, 'confluent 1.10, callbacks', 'confluent', 'callback', 0.1),
      ]
    case 'kafkajs':
      return [nodePeer(name, 'kafkajs 2.2.4, arrays', 'kafkajs', 'array', 0.1)]
    case 'platformatic':
      return [nodePeer(name, '@platformatic/kafka 2.12, arrays', 'platformatic', 'array', 0.2)]
  }
}

function nodePeer(peer: PeerName, name: string, file: string, loop: string, share: number): Contender {
  return { name, command: [nodeFor(peer), client(file)], loop, share }
}

/** Node of the peers' folder, for what does not run on the Node of this process. */
export function nodeFor(name: PeerName): string {
  return name === 'platformatic' ? newerNode : process.execPath
}

/** A Node that is newer than the oldest supported one, from the peers' folder; undefined where that is not installed. */
export function newerNodeIfThere(): string | undefined {
  return existsSync(newerNode) ? newerNode : undefined
}

/** Why a peer cannot be measured here; undefined when it can. */
export function missing(name: PeerName): string | undefined {
  switch (name) {
    case 'java':
      if (!existsSync(join(jarsFolder, 'kafka-clients-4.2.0.jar'))) {
        return `no jars in ${jarsFolder}: node test/kafka/kafka.mjs install`
      }
      return spawnSync('javac', ['-version']).status === 0 ? undefined : 'no Java Development Kit'
    case 'franz-go':
      return spawnSync('go', ['version']).status === 0 ? undefined : 'no Go'
    case 'confluent':
      return confluentProblem()
    case 'kafkajs':
      return hasPeer('kafkajs') ? undefined : installPeers
    case 'platformatic':
      return hasPeer('@platformatic/kafka') && existsSync(newerNode) ? undefined : installPeers
  }
}

/** It has a binary for some platforms, and otherwise has to be built. */
function confluentProblem(): string | undefined {
  if (!hasPeer('@confluentinc/kafka-javascript')) {
    return `not installed, or not built: CKJS_LINKING=dynamic ${installPeers}`
  }
  try {
    requirePeer('@confluentinc/kafka-javascript')
    return undefined
  } catch (error) {
    return `its binary does not load: ${error instanceof Error ? error.message.split('\n')[0] : String(error)}`
  }
}

/** Compiles what has to be, so that it is in no window. Throws where that fails. */
export function prepare(name: PeerName): void {
  if (name === 'java') {
    mkdirSync(javaClasses, { recursive: true })
    const source = join(sources, 'java', 'ProducerClient.java')
    compile('javac', ['-d', javaClasses, '-cp', classPath(), source])
  } else if (name === 'franz-go') {
    compile('go', ['build', '-C', join(sources, 'franz-go'), '-o', goBinary, '.'])
  }
}

function compile(program: string, words: readonly string[]): void {
  const { status, stderr } = spawnSync(program, words, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program} failed: ${stderr.trim().split('\n').at(-1)}`)
}

export function javaCommand(): string[] {
  return ['java', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', classPath(), 'ProducerClient']
}

export function goCommand(): string[] {
  return [goBinary]
}

function classPath(): string {
  const jars = readdirSync(jarsFolder).filter((jar) => clientJars.test(jar))
  return [javaClasses, ...jars.map((jar) => join(jarsFolder, jar))].join(':')
}
