// Stops every real cluster of a test run when the run is over, however it ended: standard input is a pipe that the run
// holds open, and the kernel closes it even after SIGKILL. Argument: the folder with one folder per cluster.
import fs from 'node:fs'
import path from 'node:path'
import { load, stop } from './kafka.mjs'

const runDir = process.argv[2]
process.stdin.resume()
process.stdin.on('end', async () => {
  for (const name of fs.readdirSync(runDir)) {
    const dir = path.join(runDir, name)
    if (fs.existsSync(path.join(dir, 'state.json'))) await stop(load(dir), { purge: true })
  }
  fs.rmSync(runDir, { recursive: true, force: true })
})
