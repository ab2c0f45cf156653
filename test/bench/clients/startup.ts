/** How long a library takes from nothing to its first acknowledged record; the parent knows when the process was started. */
import { Arguments } from '../arguments.js'
import { libraries } from './libraries.js'
import { print } from './load.js'

async function main(): Promise<void> {
  const args = new Arguments(process.argv.slice(2))
  const name = args.string('library', 'none')
  const bootstrapServers = args.string('bootstrapServers', '').split(',')
  const topic = args.string('topic', 'bench-0')
  args.done()

  const load = libraries[name]
  if (load === undefined) throw new Error(`unknown library ${name}`)
  const before = performance.now()
  const open = load()
  const importMs = performance.now() - before
  const sender = await open({ bootstrapServers, topic, lingerMs: 5 })
  await sender.send([Buffer.alloc(100, 'x')])
  const ackAt = performance.timeOrigin + performance.now()
  const closing = performance.now()
  await sender.close()
  print({ importMs, ackAt, closeMs: performance.now() - closing })
}

void main()
