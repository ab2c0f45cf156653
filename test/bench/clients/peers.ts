/** Loads another library from test/bench/peers, where a plain npm install puts nothing. */
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'

// Compiled files run in build/bench/clients.
export const peersFolder = join(__dirname, '..', '..', '..', 'test', 'bench', 'peers')

export function hasPeer(name: string): boolean {
  return existsSync(join(peersFolder, 'node_modules', name, 'package.json'))
}

export function requirePeer(name: string): unknown {
  return createRequire(join(peersFolder, 'package.json'))(name)
}
