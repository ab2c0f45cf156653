// @ts-check
// Kills, pauses, resumes and restarts single brokers.
/** @import { ClusterState } from './types.js' */
import { alive, ended, signal } from './processes.mjs'
import { waitReady } from './readiness.mjs'
import { startBroker } from './start.mjs'
import { brokerOf, save } from './state.mjs'

/**
 * SIGKILL.
 * @param {ClusterState} state
 * @param {number} id
 */
export async function kill(state, id) {
  const broker = brokerOf(state, id)
  signal(state, broker.pid, 'SIGKILL')
  await ended(broker.pid, 5000)
  broker.pid = 0
  broker.paused = false
  save(state)
}

/**
 * SIGSTOP: the broker keeps its connections and responds to nothing.
 * @param {ClusterState} state
 * @param {number} id
 */
export function pause(state, id) {
  const broker = brokerOf(state, id)
  signal(state, broker.pid, 'SIGSTOP')
  broker.paused = true
  save(state)
}

/**
 * SIGCONT.
 * @param {ClusterState} state
 * @param {number} id
 */
export function resume(state, id) {
  const broker = brokerOf(state, id)
  signal(state, broker.pid, 'SIGCONT')
  broker.paused = false
  save(state)
}

/**
 * Stops the broker if it runs, starts it, and waits until it knows the cluster. `hard` stops it with SIGKILL.
 * @param {ClusterState} state
 * @param {number} id
 * @param {{ readonly hard?: boolean }} [options]
 */
export async function restart(state, id, { hard = false } = {}) {
  const broker = brokerOf(state, id)
  if (broker.pid !== 0 && alive(broker.pid)) {
    if (broker.paused) resume(state, id)
    signal(state, broker.pid, hard ? 'SIGKILL' : 'SIGTERM')
    if (!(await ended(broker.pid, 30_000))) {
      signal(state, broker.pid, 'SIGKILL')
      await ended(broker.pid, 5000)
    }
  }
  startBroker(state, id)
  await waitReady(state, [id])
}
