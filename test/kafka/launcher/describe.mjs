// @ts-check
/** @import { ClusterDescription, ClusterState } from './types.js' */
import path from 'node:path'
import { certificatePaths } from './certificates.mjs'
import { activeListeners, advertisedAddress, LISTENERS, portOf, USERS } from './listeners.mjs'
import { alive } from './processes.mjs'
import { mechanisms } from './security-config.mjs'

/**
 * The cluster's addresses, processes, folders and logs.
 * @param {ClusterState} state
 * @returns {ClusterDescription}
 */
export function describe(state) {
  const { version, mode, dir, startMs } = state
  const bootstrap = Object.fromEntries(
    activeListeners(state).map(([name, listener]) => [
      name,
      state.brokers.map(({ id }) => advertisedAddress(state, id, listener)).join(','),
    ]),
  )
  return {
    ...{ version, mode, dir, startMs, bootstrap },
    proxy: state.brokers.map(({ id }) => ({
      listen: portOf(state, id, LISTENERS.PROXY.advertise),
      target: portOf(state, id, LISTENERS.PROXY.offset),
    })),
    brokers: state.brokers.map((broker) => ({
      ...broker,
      alive: broker.pid !== 0 && alive(broker.pid),
      port: portOf(state, broker.id, 0),
      logDir: path.join(dir, `data-${broker.id}`),
      log: path.join(dir, `broker-${broker.id}.log`),
    })),
    ...(state.security && {
      mechanisms: mechanisms(state),
      users: USERS,
      certs: certificatePaths(path.join(dir, 'certs')),
    }),
  }
}
