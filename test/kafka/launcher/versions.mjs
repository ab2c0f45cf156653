// @ts-check
// Kafka versions, and the cache that holds the jars of each.
import os from 'node:os'
import path from 'node:path'

export const CACHE = process.env['KAFKA_CACHE'] || path.join(os.homedir(), '.cache', 'kafka-cluster')
export const DEFAULT_VERSION = process.env['KAFKA_VERSION'] || '4.2.0'

/**
 * @param {string} version
 * @param {string} wanted
 */
export function atLeast(version, wanted) {
  const actual = version.split('.').map(Number)
  for (const [i, part] of wanted.split('.').map(Number).entries()) {
    const ours = actual[i] ?? 0
    if (ours !== part) return ours > part
  }
  return true
}

/** @param {string} version */
export const usesZooKeeper = (version) => !atLeast(version, '3.3')
