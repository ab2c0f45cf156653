// @ts-check
// Formats the log folders of KRaft nodes.
import { randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { writeProperties } from './broker-config.mjs'
import { runTool } from './java.mjs'
import { USERS } from './listeners.mjs'
import { atLeast, CACHE } from './versions.mjs'

const CLUSTER_ID = 'dGVzdC1jbHVzdGVyLTAwMA'

/**
 * @param {string} version
 * @param {number} nodeId
 * @param {string} dir
 */
export function formatStorage(version, nodeId, dir) {
  if (fs.existsSync(path.join(dir, 'meta.properties'))) return
  const template = formattedTemplate(version)
  fs.mkdirSync(dir, { recursive: true })
  const checkpoint = path.join(template, 'bootstrap.checkpoint')
  if (fs.existsSync(checkpoint)) fs.copyFileSync(checkpoint, path.join(dir, 'bootstrap.checkpoint'))
  const directoryId = Buffer.from(randomUUID().replaceAll('-', ''), 'hex').toString('base64url')
  const meta = fs
    .readFileSync(path.join(template, 'meta.properties'), 'utf8')
    .replace(/^node\.id=.*$/m, `node.id=${nodeId}`)
    .replace(/^directory\.id=.*$/m, () => `directory.id=${directoryId}`)
  fs.writeFileSync(path.join(dir, 'meta.properties'), meta)
}

/**
 * Kept beside the jars: StorageTool costs a JVM start, and its output depends on the version only.
 * @param {string} version
 */
function formattedTemplate(version) {
  const template = path.join(CACHE, version, 'formatted')
  if (fs.existsSync(path.join(template, 'meta.properties'))) return template
  fs.rmSync(template, { recursive: true, force: true })
  const config = path.join(CACHE, version, 'format.properties')
  writeProperties(config, {
    'process.roles': 'broker,controller',
    'node.id': 1,
    'controller.quorum.voters': '1@127.0.0.1:1',
    'controller.listener.names': 'CONTROLLER',
    listeners: 'PLAINTEXT://127.0.0.1:2,CONTROLLER://127.0.0.1:1',
    'log.dirs': template,
  })
  const scram = atLeast(version, '3.5')
    ? Object.entries(USERS).flatMap(([user, password]) =>
        ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => [
          '--add-scram',
          `${mechanism}=[name=${user},password=${password}]`,
        ]),
      )
    : []
  const args = ['format', '-t', CLUSTER_ID, '-c', config, ...scram]
  const result = runTool(version, 'kafka.tools.StorageTool', args)
  if (result.status !== 0) throw new Error(`format failed: ${result.stdout}${result.stderr}`)
  return template
}
