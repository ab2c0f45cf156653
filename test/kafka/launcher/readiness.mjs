// @ts-check
// Waits until brokers and ZooKeeper accept requests.
/** @import { ClusterState } from './types.js' */
import fs from 'node:fs'
import net from 'node:net'
import path from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { portOf } from './listeners.mjs'
import { alive } from './processes.mjs'
import { brokerOf } from './state.mjs'

/**
 * Waits until each of these brokers knows the controller and every running broker.
 * @param {ClusterState} state
 * @param {readonly number[]} ids
 */
export async function waitReady(state, ids, timeoutMs = 60_000) {
  const until = Date.now() + timeoutMs
  const wanted = state.brokers.filter(({ pid, paused }) => pid !== 0 && !paused).map(({ id }) => id)
  for (const id of ids) {
    const log = path.join(state.dir, `broker-${id}.log`)
    while (!(await knows(portOf(state, id, 0), wanted))) {
      if (!alive(brokerOf(state, id).pid)) throw new Error(`broker ${id} died:\n${tail(log)}`)
      if (Date.now() > until) throw new Error(`broker ${id} not ready in ${timeoutMs} ms:\n${tail(log)}`)
      await sleep(100)
    }
  }
}

/** @param {number} port */
export async function waitPort(port, timeoutMs = 30_000) {
  for (const until = Date.now() + timeoutMs; !(await accepts(port)); await sleep(50))
    if (Date.now() > until) throw new Error(`nothing listens on ${port}`)
}

/**
 * @param {number} port
 * @returns {Promise<boolean>}
 */
function accepts(port) {
  return new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => {
      socket.destroy()
      resolve(true)
    })
    socket.on('error', () => resolve(false))
  })
}

/**
 * False too while the broker cannot be reached.
 * @param {number} port
 * @param {readonly number[]} brokers
 */
async function knows(port, brokers) {
  try {
    const { ids, controller } = await metadata(port)
    return controller >= 0 && brokers.every((id) => ids.includes(id))
  } catch {
    return false
  }
}

// A Metadata request: api key 3, version 1, correlation id 7, client id "x", no topics. Version 1 is the oldest with the
// controller, and every version from 0.10 to 4.x supports it.
const METADATA_REQUEST = Buffer.from([0, 0, 0, 15, 0, 3, 0, 1, 0, 0, 0, 7, 0, 1, 0x78, 0, 0, 0, 0])

/**
 * @param {number} port
 * @returns {Promise<{ ids: number[]; controller: number }>}
 */
function metadata(port) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, '127.0.0.1', () => socket.write(METADATA_REQUEST))
    socket.setTimeout(1500, () => socket.destroy(new Error('timeout')))
    socket.on('error', reject)
    socket.on('close', () => reject(new Error('closed')))
    let received = Buffer.alloc(0)
    socket.on('data', (/** @type {Buffer} */ chunk) => {
      received = Buffer.concat([received, chunk])
      if (received.length < 4 || received.length < 4 + received.readInt32BE(0)) return
      socket.destroy()
      resolve(parseMetadata(received))
    })
  })
}

/** @param {Buffer} response with its size and correlation id */
function parseMetadata(response) {
  let at = 12
  const ids = []
  for (let left = response.readInt32BE(8); left > 0; left--) {
    ids.push(response.readInt32BE(at))
    at += 4
    at += 2 + response.readInt16BE(at) + 4 // host and port
    at += 2 + Math.max(0, response.readInt16BE(at)) // rack, nullable
  }
  return { ids, controller: response.readInt32BE(at) }
}

/**
 * @param {string} file
 */
function tail(file) {
  try {
    return fs.readFileSync(file, 'utf8').trimEnd().split('\n').slice(-25).join('\n')
  } catch {
    return ''
  }
}
