// @ts-check
// Fetches the broker's jars with Maven into the cache.
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import path from 'node:path'
import { atLeast, CACHE, DEFAULT_VERSION } from './versions.mjs'

/** Returns the folder of the version's jars. */
export function install(version = DEFAULT_VERSION) {
  const dir = path.join(CACHE, version)
  if (fs.existsSync(path.join(dir, '.complete'))) return dir
  fs.mkdirSync(dir, { recursive: true })
  const pom = path.join(dir, 'pom.xml')
  fs.writeFileSync(pom, projectFor(version))
  copyDependencies(version, pom, dir)
  removeSecondLogger(dir)
  fs.writeFileSync(path.join(dir, '.complete'), '')
  return dir
}

/** @param {string} version */
function projectFor(version) {
  const scala = atLeast(version, '2.6') ? '2.13' : '2.12'
  const dependencies = [
    dependency('org.apache.kafka', `kafka_${scala}`, version),
    dependency('org.apache.kafka', 'kafka-tools', version),
    dependency('org.slf4j', 'slf4j-simple', '1.7.36'),
  ]
  // Left the JDK after Java 8.
  if (!atLeast(version, '1.1')) dependencies.push(dependency('javax.xml.bind', 'jaxb-api', '2.3.1'))
  // The client of ZooKeeper 3.4.13 cannot resolve addresses on Java 14 and newer.
  if (atLeast(version, '2.0') && !atLeast(version, '2.4'))
    dependencies.push(dependency('org.apache.zookeeper', 'zookeeper', '3.4.12'))
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>local</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging>
<dependencies>
${dependencies.join('\n')}
</dependencies></project>
`
}

/**
 * @param {string} group
 * @param {string} artifact
 * @param {string} version
 */
const dependency = (group, artifact, version) =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`

/**
 * Tries three times: a registry may fail for a moment.
 * @param {string} version
 * @param {string} pom
 * @param {string} dir
 */
function copyDependencies(version, pom, dir) {
  const goal = ['dependency:copy-dependencies', `-DoutputDirectory=${dir}`, '-DincludeScope=runtime']
  for (let attempt = 1; ; attempt++) {
    const result = spawnSync('mvn', ['-q', '-B', '-f', pom, ...goal], { encoding: 'utf8' })
    if (result.status === 0) return
    if (attempt === 3) {
      const output = result.error ? String(result.error) : `${result.stdout}${result.stderr}`
      throw new Error(`maven failed for Kafka ${version}:\n${output}`)
    }
  }
}

/**
 * Removes slf4j-simple where Kafka brings its own logger: slf4j takes only one.
 * @param {string} dir
 */
function removeSecondLogger(dir) {
  const jars = fs.readdirSync(dir)
  if (!jars.some((jar) => /^slf4j-(log4j12|reload4j)/.test(jar))) return
  for (const jar of jars) if (jar.startsWith('slf4j-simple')) fs.rmSync(path.join(dir, jar))
}
