// @ts-check
// Java command lines on the broker's jars: compile, run to the end, run in the background.
/** @import { ClusterState } from './types.js' */
import { spawn, spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { CACHE } from './versions.mjs'

const java = () => process.env['KAFKA_JAVA'] || 'java'

/** @returns {[string, ...string[]]} */
const compiler = () => [java(), '-m', 'jdk.compiler/com.sun.tools.javac.Main']

/** @param {string} version */
const classpath = (version) => path.join(CACHE, version, '*')

/**
 * A command that succeeds if the Java found has a compiler.
 * @returns {[string, ...string[]]}
 */
export const compilerCheck = () => [...compiler(), '-version']

/**
 * Compiles Java programs against the broker's jars. Needs `java` with its compiler module, but no `javac` on the PATH.
 * @param {string} version
 * @param {readonly string[]} sources
 * @param {string} outputDir
 * @returns {[string, ...string[]]}
 */
export function compileCommand(version, sources, outputDir) {
  const dir = path.join(CACHE, version)
  const jars = fs
    .readdirSync(dir)
    .filter((name) => name.endsWith('.jar'))
    .map((name) => path.join(dir, name))
  return [...compiler(), '-nowarn', '-d', outputDir, '-cp', jars.join(path.delimiter), ...sources]
}

/**
 * Runs a Java class on the broker's jars, followed by `classes` on the class path.
 * @param {string} version
 * @param {string} className
 * @param {readonly string[]} args
 * @param {{ readonly jvm?: readonly string[]; readonly classes?: readonly string[] }} [options]
 * @returns {[string, ...string[]]}
 */
export function javaCommand(version, className, args, { jvm = [], classes = [] } = {}) {
  return [
    java(),
    '-Xmx256m',
    '-XX:+UseSerialGC',
    '-XX:TieredStopAtLevel=1',
    '-Xshare:auto',
    '-XX:-UsePerfData',
    ...jvm,
    ...logFlags(),
    ...classArchiveFlags(version, 'c1'),
    '-cp',
    [classpath(version), ...classes].join(path.delimiter),
    className,
    ...args,
  ]
}

/**
 * Runs a Java class of the broker's jars to its end.
 * @param {string} version
 * @param {string} className
 * @param {readonly string[]} args
 * @param {{ readonly input?: string; readonly jvm?: readonly string[] }} [options]
 */
export function runTool(version, className, args, { input, jvm = [] } = {}) {
  const [command, ...rest] = javaCommand(version, className, args, { jvm })
  return spawnSync(command, rest, { input, encoding: 'utf8', timeout: 60_000 })
}

/**
 * Runs a Java class with the caller's standard streams; its exit code.
 * @param {string} version
 * @param {readonly string[]} args the class, then its arguments
 */
export function runInteractively(version, args) {
  const flags = ['-Xmx256m', '-XX:TieredStopAtLevel=1', ...logFlags(), '-cp', classpath(version)]
  return spawnSync(java(), [...flags, ...args], { stdio: 'inherit' }).status ?? 1
}

/**
 * Starts a server that outlives this process and logs to `name`.log; returns its process id.
 * @param {ClusterState} state
 * @param {string} name
 * @param {string} className
 * @param {string} configFile
 * @param {readonly string[]} [jvm]
 */
export function spawnServer(state, name, className, configFile, jvm = []) {
  const log = fs.openSync(path.join(state.dir, `${name}.log`), 'a')
  const child = spawn(
    java(),
    [
      `-Xmx${name.startsWith('broker') ? state.heap : '128m'}`,
      '-Xms64m',
      ...(state.jit === 'c2' ? ['-XX:+UseG1GC'] : ['-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1']),
      '-Xshare:auto',
      '-XX:-UsePerfData',
      '-Djava.net.preferIPv4Stack=true',
      '-XX:+IgnoreUnrecognizedVMOptions',
      '--add-exports=java.base/sun.nio.ch=ALL-UNNAMED',
      '--add-opens=java.base/java.nio=ALL-UNNAMED',
      '--add-opens=java.base/jdk.internal.ref=ALL-UNNAMED',
      ...logFlags(),
      ...state.debug.map((logger) => `-Dorg.slf4j.simpleLogger.log.${logger}=debug`),
      ...classArchiveFlags(state.version, state.jit),
      ...jvm,
      '-cp',
      classpath(state.version),
      className,
      configFile,
    ],
    { detached: true, stdio: ['ignore', log, log], cwd: state.dir },
  )
  fs.closeSync(log)
  child.unref()
  if (child.pid === undefined) throw new Error(`cannot run ${java()}`)
  return child.pid
}

const LOG4J = `log4j.rootLogger=WARN, out
log4j.appender.out=org.apache.log4j.ConsoleAppender
log4j.appender.out.Target=System.err
log4j.appender.out.layout=org.apache.log4j.PatternLayout
log4j.appender.out.layout.ConversionPattern=[%d] %p %c %m%n
`

/** Warnings only, for each logger that a version of Kafka brings. */
function logFlags() {
  const file = path.join(CACHE, 'log4j.properties')
  if (!fs.existsSync(file)) {
    fs.mkdirSync(CACHE, { recursive: true })
    fs.writeFileSync(file, LOG4J)
  }
  return [
    `-Dlog4j.configuration=file:${file}`,
    '-Dorg.slf4j.simpleLogger.defaultLogLevel=warn',
    '-Dorg.slf4j.simpleLogger.showDateTime=true',
    '-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS',
    '-Dlog4j2.level=WARN',
    '-Dlog4j2.statusLoggerLevel=OFF',
  ]
}

/**
 * Class data sharing: `kafka install` writes an archive for the version, and later starts map it.
 * @param {string} version
 * @param {string} jit
 */
export const classArchive = (version, jit) => path.join(CACHE, version, `broker-${jit}.jsa`)

/**
 * @param {string} version
 * @param {string} jit
 */
function classArchiveFlags(version, jit) {
  const archive = classArchive(version, jit)
  return fs.existsSync(archive) ? [`-XX:SharedArchiveFile=${archive}`] : []
}
