// @ts-check
// Users and access rights that Kafka's own command-line programs create in a running cluster.
/** @import { ClusterState } from './types.js' */
import { runTool } from './java.mjs'
import { USERS, ZOOKEEPER_OFFSET } from './listeners.mjs'
import { atLeast } from './versions.mjs'

/**
 * Creates the SCRAM users in ZooKeeper; KRaft has them from formatting.
 * @param {ClusterState} state
 */
export function createScramUsers(state) {
  for (const [user, password] of Object.entries(USERS)) {
    const secret = `[iterations=4096,password=${password}]`
    const result = runTool(state.version, 'kafka.admin.ConfigCommand', [
      ...['--zookeeper', `127.0.0.1:${state.port + ZOOKEEPER_OFFSET}`, '--alter'],
      ...['--add-config', `SCRAM-SHA-256=${secret},SCRAM-SHA-512=${secret}`],
      ...['--entity-type', 'users', '--entity-name', user],
    ])
    if (result.status !== 0) throw new Error(`scram user: ${result.stdout}${result.stderr}`)
  }
}

/**
 * Alice may write topics and use transactional ids whose names begin with a.
 * @param {ClusterState} state
 */
export function grantAcls(state) {
  const { version, port } = state
  const className = atLeast(version, '3.7') ? 'org.apache.kafka.tools.AclCommand' : 'kafka.admin.AclCommand'
  const common = [
    ...(atLeast(version, '2.1')
      ? ['--bootstrap-server', `127.0.0.1:${port}`]
      : ['--authorizer-properties', `zookeeper.connect=127.0.0.1:${port + ZOOKEEPER_OFFSET}`]),
    ...['--add', '--allow-principal', 'User:alice', '--allow-principal', 'User:CN=alice'],
    ...(atLeast(version, '2.0') ? ['--resource-pattern-type', 'prefixed'] : []),
    ...['--operation', 'Write', '--operation', 'Describe'],
  ]
  /** @param {readonly string[]} args */
  const add = (args) => {
    const result = runTool(version, className, [...common, ...args])
    if (result.status !== 0) throw new Error(`acl: ${result.stdout}${result.stderr}`)
  }
  add(['--operation', 'Create', '--topic', 'a'])
  if (atLeast(version, '0.11')) add(['--transactional-id', 'a'])
}
