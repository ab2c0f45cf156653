// @ts-check
// Stops a cluster.
/** @import { ClusterState } from './types.js' */
import fs from 'node:fs'
import { ended, signal } from './processes.mjs'
import { processIds, save } from './state.mjs'

/**
 * `clean` lets the brokers shut down first; `purge` deletes the cluster's folder.
 * @param {ClusterState} state
 * @param {{ readonly clean?: boolean; readonly purge?: boolean }} [options]
 */
export async function stop(state, { clean = false, purge = false } = {}) {
  if (clean) {
    for (const { pid } of state.brokers) {
      signal(state, pid, 'SIGCONT')
      signal(state, pid, 'SIGTERM')
    }
    for (const { pid } of state.brokers) await ended(pid, 30_000)
  }
  const pids = processIds(state)
  for (const pid of pids) signal(state, pid, 'SIGKILL')
  for (const pid of pids) await ended(pid, 5000)
  for (const broker of state.brokers) broker.pid = 0
  if (state.aux !== undefined) state.aux.pid = 0
  if (purge) fs.rmSync(state.dir, { recursive: true, force: true })
  else save(state)
}
