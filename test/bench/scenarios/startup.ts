/** From the start of a process to its first acknowledged record, and how much of that is the import. */
import { printLine, type Options, type Scenario } from '../bench.js'
import { client, javaCommand, nodeFor } from '../contenders.js'
import { runClient, Sink, type Words } from '../processes.js'
import { figure, markdownTable, median } from '../table.js'

interface StartupLine {
  readonly importMs?: number
  /** Milliseconds since the epoch. */
  readonly ackAt: number
  readonly closeMs?: number
}

interface Starter {
  readonly name: string
  readonly command: readonly string[]
  readonly words: Words
}

function starters(options: Options): Starter[] {
  const node = (name: string, program: string, library: string): Starter => ({
    name,
    command: [program, client('startup')],
    words: { library },
  })
  return [
    node('Node alone', options.node, 'none'),
    node('kafka-producer', options.node, 'kafka-producer'),
    ...options.peers.map((name) =>
      name === 'java'
        ? { name: 'Java 4.2', command: javaCommand(), words: { loop: 'startup' } }
        : node(name, nodeFor(name), name),
    ),
  ]
}

async function run(options: Options): Promise<string> {
  const lines = new Map<string, { importMs: number; ackMs: number; closeMs: number }[]>()
  for (let round = 1; round <= options.rounds; round++) {
    for (const { name, command, words } of starters(options)) {
      const sink = await Sink.start({})
      try {
        const startedAt = performance.timeOrigin + performance.now()
        const line = await runClient<StartupLine>(command, {
          ...words,
          bootstrapServers: sink.address.bootstrapServers.join(','),
        })
        const figures = {
          importMs: line.importMs ?? Number.NaN,
          ackMs: line.ackAt - startedAt,
          closeMs: line.closeMs ?? Number.NaN,
        }
        printLine({ scenario: 'startup', round, client: name, ...figures })
        const known = lines.get(name)
        if (known) known.push(figures)
        else lines.set(name, [figures])
      } finally {
        sink.kill()
      }
    }
  }
  return markdownTable(
    ['library', 'import, ms', 'process start to first ack, ms', 'close, ms'],
    [...lines].map(([name, all]) => [
      name,
      figure(median(all.map((one) => one.importMs))),
      figure(median(all.map((one) => one.ackMs))),
      figure(median(all.map((one) => one.closeMs))),
    ]),
  )
}

export const startupScenario: Scenario = {
  name: 'startup',
  summary: 'import, and process start to first ack',
  run,
}
