// @ts-check
// Stops every real cluster of a test run when the run ends, however it ends: the run holds a pipe to this process's
// standard input open, and the kernel closes it even after SIGKILL. Argument: the folder with one folder per cluster.
import { once } from 'node:events'
import fs from 'node:fs'
import path from 'node:path'
import { exists, load } from './launcher/state.mjs'
import { stop } from './launcher/stop.mjs'

const runDir = process.argv[2]
if (runDir === undefined) throw new Error('usage: watchdog.mjs FOLDER')
process.stdin.resume()
await once(process.stdin, 'end')
for (const name of fs.readdirSync(runDir)) {
  const dir = path.join(runDir, name)
  if (exists(dir)) await stop(load(dir), { purge: true })
}
fs.rmSync(runDir, { recursive: true, force: true })
