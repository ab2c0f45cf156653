// @ts-check
// Looks at the processes of a cluster and signals them.
/** @import { ClusterState } from './types.js' */
import { spawnSync } from 'node:child_process'
import fs from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'

/**
 * False for a zombie too.
 * @param {number} pid
 */
export function alive(pid) {
  try {
    process.kill(pid, 0)
  } catch {
    return false
  }
  try {
    return fs.readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.[0] !== 'Z'
  } catch {
    // Without /proc (macOS), only the signal tells.
    return !fs.existsSync('/proc/self')
  }
}

/**
 * Signals a process only if it still belongs to the cluster: the system may have given its id to another one.
 * @param {ClusterState} state
 * @param {number} pid 0: none
 * @param {NodeJS.Signals} name
 */
export function signal(state, pid, name) {
  if (pid !== 0 && alive(pid) && commandLine(pid).includes(state.dir)) process.kill(pid, name)
}

/** @param {number} pid */
function commandLine(pid) {
  try {
    return fs.readFileSync(`/proc/${pid}/cmdline`, 'utf8')
  } catch {
    const result = spawnSync('ps', ['-o', 'command=', '-p', String(pid)], { encoding: 'utf8' })
    return result.error ? '' : result.stdout
  }
}

/**
 * Waits until a process has ended; false if it outlives `ms`.
 * @param {number} pid 0: none
 * @param {number} ms
 */
export async function ended(pid, ms) {
  if (pid === 0) return true
  for (const until = Date.now() + ms; alive(pid);) {
    if (Date.now() > until) return false
    await sleep(20)
  }
  return true
}
