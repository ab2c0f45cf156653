/** From the start of a process to its first acknowledged record, and how much of that is the import. */
import { interleave, sinkTarget, type Options, type Scenario } from '../bench.js'
import { client, javaCommand, nodeFor } from '../contenders.js'
import { runClient, type Words } from '../processes.js'
import { middle, type Section } from '../section.js'

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
    ...options.peers.flatMap((name) => {
      if (name === 'franz-go') return []
      return name === 'java'
        ? [{ name: 'Java 4.2', command: javaCommand(), words: { loop: 'startup' } }]
        : [node(name, nodeFor(name), name)]
    }),
  ]
}

async function run(options: Options): Promise<Section[]> {
  const { runs, notes } = await interleave(
    'startup',
    options.rounds,
    starters(options),
    async ({ command, words }) => {
      const target = await sinkTarget({})
      try {
        const startedAt = performance.timeOrigin + performance.now()
        const line = await runClient<StartupLine>(command, { ...words, ...target.words })
        return {
          importMs: line.importMs ?? Number.NaN,
          ackMs: line.ackAt - startedAt,
          closeMs: line.closeMs ?? Number.NaN,
        }
      } finally {
        target.kill()
      }
    },
  )
  return [
    {
      title: `From the start of the process (median of ${options.rounds})`,
      rowsAre: 'library',
      columns: ['import, ms', 'first ack, ms', 'close, ms'],
      rows: [...runs].map(([{ name }, all]) => ({
        label: name,
        figures: [
          middle(all, (one) => one.importMs),
          middle(all, (one) => one.ackMs),
          middle(all, (one) => one.closeMs),
        ],
      })),
      notes: [...options.leftOut, ...notes],
      bars: ['first ack, ms'],
    },
  ]
}

export const startupScenario: Scenario = {
  name: 'startup',
  summary: 'import, and process start to first ack',
  run,
}
