// @ts-check
// Starts a cluster.
/** @import { ClusterState, StartOptions } from './types.js' */
import fs from 'node:fs'
import path from 'node:path'
import { createScramUsers, grantAcls } from './access.mjs'
import {
  brokerProperties,
  CONTROLLER_ID,
  controllerProperties,
  writeProperties,
  zooKeeperServerProperties,
} from './broker-config.mjs'
import { makeCertificates } from './certificates.mjs'
import { install } from './install.mjs'
import { spawnServer } from './java.mjs'
import { ZOOKEEPER_OFFSET } from './listeners.mjs'
import { alive } from './processes.mjs'
import { waitPort, waitReady } from './readiness.mjs'
import { securityFlags, writeClientConfigs } from './security-config.mjs'
import { brokerOf, defaultDir, exists, load, processIds, save } from './state.mjs'
import { stop } from './stop.mjs'
import { formatStorage } from './storage.mjs'
import { CACHE, DEFAULT_VERSION, usesZooKeeper } from './versions.mjs'

/** @param {StartOptions} options */
export async function start(options) {
  const began = Date.now()
  const state = initialState(options)
  if (exists(state.dir) && processIds(load(state.dir)).some(alive))
    throw new Error(`${state.dir} already runs a cluster; stop it first`)
  install(state.version)
  fs.rmSync(state.dir, { recursive: true, force: true })
  fs.mkdirSync(state.dir, { recursive: true })
  if (state.security) {
    // All clusters of a cache share one CA: making keys takes a second.
    makeCertificates(path.join(CACHE, 'certs'))
    fs.cpSync(path.join(CACHE, 'certs'), path.join(state.dir, 'certs'), { recursive: true })
  }
  save(state)
  try {
    if (usesZooKeeper(state.version)) await startZooKeeper(state)
    else if (state.brokers.length > 1) startController(state)
    const ids = state.brokers.map(({ id }) => id)
    for (const id of ids) startBroker(state, id)
    await waitReady(state, ids)
    if (state.acl) grantAcls(state)
  } catch (error) {
    await stop(state)
    throw error
  }
  state.startMs = Date.now() - began
  if (state.security) {
    const dir = path.join(state.dir, 'client')
    fs.mkdirSync(dir, { recursive: true })
    writeClientConfigs(state, dir, writeProperties)
  }
  save(state)
  return state
}

/**
 * @param {StartOptions} options
 * @returns {ClusterState}
 */
function initialState(options) {
  const { version = DEFAULT_VERSION, port = 29092, brokers = 1 } = options
  return {
    version,
    mode: usesZooKeeper(version) ? 'zookeeper' : 'kraft',
    dir: path.resolve(options.dir ?? defaultDir(port)),
    port,
    heap: options.heap ?? '320m',
    jit: options.jit ?? 'c1',
    security: options.security === true,
    acl: options.acl === true,
    reauthMs: options.reauthMs,
    conf: options.conf ?? {},
    debug: options.debug ?? [],
    cdsDump: options.cdsDump,
    brokers: Array.from({ length: brokers }, (_, i) => ({ id: i + 1, pid: 0, paused: false })),
  }
}

/** @param {ClusterState} state */
async function startZooKeeper(state) {
  const config = path.join(state.dir, 'zoo.cfg')
  writeProperties(config, zooKeeperServerProperties(state, path.join(state.dir, 'zk')))
  const className = 'org.apache.zookeeper.server.quorum.QuorumPeerMain'
  state.aux = { name: 'zookeeper', pid: spawnServer(state, 'zookeeper', className, config) }
  save(state)
  await waitPort(state.port + ZOOKEEPER_OFFSET)
  if (state.security) createScramUsers(state)
}

/** @param {ClusterState} state */
function startController(state) {
  const config = path.join(state.dir, 'controller.properties')
  const data = path.join(state.dir, 'data-controller')
  writeProperties(config, controllerProperties(state, data))
  formatStorage(state.version, CONTROLLER_ID, data)
  state.aux = { name: 'controller', pid: spawnServer(state, 'controller', 'kafka.Kafka', config) }
  save(state)
}

/**
 * @param {ClusterState} state
 * @param {number} id
 */
export function startBroker(state, id) {
  const config = path.join(state.dir, `broker-${id}.properties`)
  writeProperties(config, brokerProperties(state, id))
  if (!usesZooKeeper(state.version)) formatStorage(state.version, id, path.join(state.dir, `data-${id}`))
  const jvm = state.security ? securityFlags(state) : []
  if (state.cdsDump !== undefined) jvm.push(`-XX:ArchiveClassesAtExit=${state.cdsDump}`)
  const broker = brokerOf(state, id)
  broker.pid = spawnServer(state, `broker-${id}`, 'kafka.Kafka', config, jvm)
  broker.paused = false
  save(state)
}
