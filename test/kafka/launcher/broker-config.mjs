// @ts-check
// The settings of brokers and controllers.
/** @import { ClusterState, Properties } from './types.js' */
import fs from 'node:fs'
import path from 'node:path'
import {
  activeListeners,
  advertisedAddress,
  CONTROLLER_OFFSET,
  portOf,
  SEPARATE_CONTROLLER_OFFSET,
  ZOOKEEPER_OFFSET,
} from './listeners.mjs'
import { securityProperties } from './security-config.mjs'
import { atLeast, usesZooKeeper } from './versions.mjs'

export const CONTROLLER_ID = 100

/**
 * @param {ClusterState} state
 * @param {number} id
 * @returns {Properties}
 */
export function brokerProperties(state, id) {
  return {
    ...commonProperties(state, id),
    ...listenerProperties(state, id),
    ...(usesZooKeeper(state.version) ? zooKeeperProperties(state, id) : kraftProperties(state, id)),
    ...(state.security ? securityProperties(state) : {}),
    ...(state.acl ? authorizerProperties(state.version) : {}),
    ...state.conf,
  }
}

/**
 * A separate controller; it needs the brokers' settings of replication, sessions and authorization too.
 * @param {ClusterState} state
 * @param {string} dataDir
 * @returns {Properties}
 */
export function controllerProperties(state, dataDir) {
  const shared =
    /replication\.factor|min\.isr|insync|^num\.partitions|session\.timeout|heartbeat\.interval|authorizer|super\.users/
  return {
    'process.roles': 'controller',
    'node.id': CONTROLLER_ID,
    ...quorumProperties(state),
    listeners: `CONTROLLER://127.0.0.1:${state.port + SEPARATE_CONTROLLER_OFFSET}`,
    'log.dirs': dataDir,
    ...Object.fromEntries(Object.entries(brokerProperties(state, 1)).filter(([key]) => shared.test(key))),
    ...state.conf,
  }
}

/**
 * @param {ClusterState} state
 * @param {string} dataDir
 * @returns {Properties}
 */
export const zooKeeperServerProperties = (state, dataDir) => ({
  tickTime: 500,
  maxSessionTimeout: 60000,
  dataDir,
  clientPort: state.port + ZOOKEEPER_OFFSET,
  clientPortAddress: '127.0.0.1',
  maxClientCnxns: 0,
  'admin.enableServer': false,
})

/**
 * @param {string} file
 * @param {Properties} properties
 */
export function writeProperties(file, properties) {
  const lines = Object.entries(properties).map(([key, value]) => `${key}=${value}\n`)
  fs.writeFileSync(file, lines.join(''))
}

/** @param {ClusterState} state */
function replication(state) {
  const factor = Math.min(3, state.brokers.length)
  return { factor, minIsr: factor === 3 ? 2 : 1 }
}

/**
 * @param {ClusterState} state
 * @param {number} id
 * @returns {Properties}
 */
function commonProperties(state, id) {
  const { factor, minIsr } = replication(state)
  return {
    'log.dirs': path.join(state.dir, `data-${id}`),
    'default.replication.factor': factor,
    'offsets.topic.replication.factor': factor,
    'transaction.state.log.replication.factor': factor,
    'transaction.state.log.min.isr': minIsr,
    'min.insync.replicas': minIsr,
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
  }
}

/**
 * @param {ClusterState} state
 * @param {number} id
 * @returns {Properties}
 */
function listenerProperties(state, id) {
  const active = activeListeners(state)
  const zooKeeper = usesZooKeeper(state.version)
  const protocols = active.map(([name, { protocol }]) => `${name}:${protocol}`)
  const bound = active.map(([name, { offset }]) => `${name}://127.0.0.1:${portOf(state, id, offset)}`)
  if (!zooKeeper) protocols.push('CONTROLLER:PLAINTEXT')
  if (!zooKeeper && state.brokers.length === 1)
    bound.push(`CONTROLLER://127.0.0.1:${portOf(state, 1, CONTROLLER_OFFSET)}`)
  return {
    'listener.security.protocol.map': protocols.join(','),
    'inter.broker.listener.name': 'PLAINTEXT',
    listeners: bound.join(','),
    'advertised.listeners': active
      .map(([name, listener]) => `${name}://${advertisedAddress(state, id, listener)}`)
      .join(','),
  }
}

/**
 * @param {ClusterState} state
 * @param {number} id
 * @returns {Properties}
 */
const zooKeeperProperties = (state, id) => ({
  'broker.id': id,
  'zookeeper.connect': `127.0.0.1:${state.port + ZOOKEEPER_OFFSET}`,
  'zookeeper.session.timeout.ms': 4000,
  'zookeeper.connection.timeout.ms': 20000,
})

/**
 * @param {ClusterState} state
 * @param {number} id
 * @returns {Properties}
 */
function kraftProperties(state, id) {
  const { factor, minIsr } = replication(state)
  return {
    'node.id': id,
    'process.roles': state.brokers.length > 1 ? 'broker' : 'broker,controller',
    ...quorumProperties(state),
    'broker.session.timeout.ms': 3000,
    'broker.heartbeat.interval.ms': 500,
    ...(atLeast(state.version, '4.0') && {
      'share.coordinator.state.topic.replication.factor': factor,
      'share.coordinator.state.topic.min.isr': minIsr,
      'share.coordinator.state.topic.num.partitions': 1,
    }),
  }
}

/**
 * @param {ClusterState} state
 * @returns {Properties}
 */
const quorumProperties = (state) => ({
  'controller.listener.names': 'CONTROLLER',
  'controller.quorum.voters':
    state.brokers.length > 1
      ? `${CONTROLLER_ID}@127.0.0.1:${state.port + SEPARATE_CONTROLLER_OFFSET}`
      : `1@127.0.0.1:${portOf(state, 1, CONTROLLER_OFFSET)}`,
  'controller.quorum.election.timeout.ms': 300,
  'controller.quorum.fetch.timeout.ms': 1000,
})

/**
 * @param {string} version
 * @returns {Properties}
 */
function authorizerProperties(version) {
  let className = 'org.apache.kafka.metadata.authorizer.StandardAuthorizer'
  if (usesZooKeeper(version))
    className = atLeast(version, '2.4')
      ? 'kafka.security.authorizer.AclAuthorizer'
      : 'kafka.security.auth.SimpleAclAuthorizer'
  return { 'authorizer.class.name': className, 'super.users': 'User:ANONYMOUS;User:admin' }
}
