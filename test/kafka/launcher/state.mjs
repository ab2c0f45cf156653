// @ts-check
// A cluster's state.json, by which every command finds the processes of the cluster.
/** @import { ClusterState } from './types.js' */
import fs from 'node:fs'
import os from 'node:os'
import path from 'node:path'

/** @param {number} [port] */
export const defaultDir = (port = 29092) =>
  process.env['KAFKA_DIR'] || path.join(os.tmpdir(), `kafka-cluster-${port}`)

/** @param {string} dir */
const stateFile = (dir) => path.join(dir, 'state.json')

/** @param {string} dir */
export const exists = (dir) => fs.existsSync(stateFile(dir))

/** @param {string} dir */
export const load = (dir) => /** @type {ClusterState} */ (JSON.parse(fs.readFileSync(stateFile(dir), 'utf8')))

/** @param {ClusterState} state */
export const save = (state) => fs.writeFileSync(stateFile(state.dir), JSON.stringify(state, null, 1))

/**
 * @param {ClusterState} state
 * @param {number} id
 */
export function brokerOf(state, id) {
  const broker = state.brokers.find((candidate) => candidate.id === id)
  if (broker === undefined) throw new Error(`no broker ${id}`)
  return broker
}

/** @param {ClusterState} state */
export const processIds = (state) =>
  [...state.brokers.map(({ pid }) => pid), state.aux?.pid ?? 0].filter((pid) => pid !== 0)
