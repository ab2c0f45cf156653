/** The clients that can be measured: how each is started, what it needs, and which of its loops are used. */
import { spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync } from 'node:fs'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { hasPeer, peersFolder } from './clients/peers.js'

export type PeerName = 'java' | 'kafkajs' | 'platformatic'

export interface Contender {
  readonly name: string
  /** The program and its first arguments. */
  readonly command: readonly string[]
  readonly loop: string
  /** Share of the records that it is given, so that slow ones do not take minutes. */
  readonly share: number
}

/** What an application waits for: one record in 64, or each by its own task. */
export type LoopName = 'lean' | 'task'

const installPeers = 'npm install --prefix test/bench/peers'
const newerNode = join(peersFolder, 'node_modules', '.bin', 'node')
const javaClasses = join(__dirname, 'java')
const javaSource = join(__dirname, '..', '..', 'test', 'bench', 'clients', 'java', 'ProducerClient.java')
const jarsFolder = join(process.env['KAFKA_CACHE'] ?? join(homedir(), '.cache', 'kafka-cluster'), '4.2.0')
/** The jars that the client itself needs; the broker's would only slow its start. */
const clientJars =
  /^(kafka-clients|slf4j-(api|simple)|lz4-java|snappy-java|zstd-jni|jackson-(core|databind|annotations))-/

export function client(file: string): string {
  return join(__dirname, 'clients', `${file}.js`)
}

export function ours(node: string, loop: LoopName): Contender[] {
  const command = [node, client('kafka-producer')]
  if (loop === 'task') return [{ name: 'kafka-producer', command, loop: 'task', share: 1 }]
  return [
    { name: 'kafka-producer, promises', command, loop: 'lean', share: 1 },
    { name: 'kafka-producer, callbacks', command, loop: 'callback', share: 1 },
  ]
}

export function peer(name: PeerName, loop: LoopName): Contender {
  switch (name) {
    case 'java':
      return { name: 'Java 4.2', command: javaCommand(), loop, share: 1 }
    case 'kafkajs':
      return {
        name: 'kafkajs 2.2.4, arrays',
        command: [process.execPath, client('kafkajs')],
        loop: 'array',
        share: 0.1,
      }
    case 'platformatic':
      return {
        name: '@platformatic/kafka 2.12, arrays',
        command: [newerNode, client('platformatic')],
        loop: 'array',
        share: 0.2,
      }
  }
}

/** Node of the peers' folder, for what does not run on the Node of this process. */
export function nodeFor(name: PeerName): string {
  return name === 'platformatic' ? newerNode : process.execPath
}

/** Why a peer cannot be measured here; undefined when it can. */
export function missing(name: PeerName): string | undefined {
  switch (name) {
    case 'java':
      if (!existsSync(join(jarsFolder, 'kafka-clients-4.2.0.jar'))) {
        return `no jars in ${jarsFolder}: node test/kafka/kafka.mjs install`
      }
      return spawnSync('javac', ['-version']).status === 0 ? undefined : 'no Java Development Kit'
    case 'kafkajs':
      return hasPeer('kafkajs') ? undefined : installPeers
    case 'platformatic':
      return hasPeer('@platformatic/kafka') && existsSync(newerNode) ? undefined : installPeers
  }
}

/** Compiles the Java client, which takes a second, and must not be in any window. */
export function compileJava(): void {
  mkdirSync(javaClasses, { recursive: true })
  const result = spawnSync('javac', ['-d', javaClasses, '-cp', classPath(), javaSource], { stdio: 'inherit' })
  if (result.status !== 0) throw new Error('javac failed')
}

export function javaCommand(): string[] {
  return ['java', '-Dorg.slf4j.simpleLogger.defaultLogLevel=error', '-cp', classPath(), 'ProducerClient']
}

function classPath(): string {
  const jars = readdirSync(jarsFolder).filter((jar) => clientJars.test(jar))
  return [javaClasses, ...jars.map((jar) => join(jarsFolder, jar))].join(':')
}
