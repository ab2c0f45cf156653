/** Memory while the application offers 200,000 records/s and the sink answers late, or not at all for seconds. */
import { interleave, sinkTarget, type Options, type Scenario } from '../bench.js'
import { client, nodeFor, ourCommand, type NodePeer } from '../contenders.js'
import { runClient, type Words } from '../processes.js'
import { middle, type Section } from '../section.js'

const RATE = 200_000
const SECONDS = 10
const LATE_MS = 2000
/** The default, in MB. */
const BUFFER_MEMORY = 32
/** What the process may have beside its buffers. */
const ALLOWANCE = 120

interface StallLine {
  readonly sent: number
  /** null from those that were not asked. */
  readonly acknowledged: number | null
  readonly failed: number
  readonly idleRssMB: number
  readonly firstSecondsMB: number
  readonly laterMB: number
  readonly peakRssMB: number
  readonly rss: readonly (readonly [number, number])[]
}

interface Way {
  readonly name: string
  readonly command: readonly string[]
  readonly words: Words
  readonly isSilent: boolean
}

const ends = [
  { end: `answers ${LATE_MS / 1000} s late`, isSilent: false },
  { end: 'no answers', isSilent: true },
]

function ways(options: Options): Way[] {
  const ours = ends.flatMap(({ end, isSilent }) =>
    [true, false].map((awaiting) => ({
      name: `kafka-producer, ${awaiting ? 'awaited' : 'not awaited'}, ${end}`,
      command: ourCommand(options.node, 'fast', 'stall'),
      words: { awaiting },
      isSilent,
    })),
  )
  const nodePeers = options.peers.filter((name): name is NodePeer => name !== 'java' && name !== 'franz-go')
  const peers = nodePeers.map((library) => ({
    name: `${library}, arrays, not awaited, ${ends[0]?.end}`,
    command: [nodeFor(library), client('stall')],
    words: { library },
    isSilent: false,
  }))
  return [...ours, ...peers]
}

async function run(options: Options): Promise<Section[]> {
  const seconds = Math.max(6, Math.round(SECONDS * options.share))
  const { runs, notes } = await interleave('stall', options.rounds, ways(options), async (way) => {
    const target = await sinkTarget({ delayMs: way.isSilent ? 0 : LATE_MS })
    try {
      const line = await runClient<StallLine>(way.command, {
        rate: RATE,
        seconds,
        ...way.words,
        isSilent: way.isSilent,
        sinkPid: target.pid,
        ...target.words,
      })
      const report = await target.stop()
      if (line.acknowledged !== null) {
        const { sent, acknowledged, failed } = line
        if (acknowledged + failed !== sent)
          throw new Error(`${sent} sent, ${acknowledged} acknowledged, ${failed} failed`)
        if (report?.records !== acknowledged + 1)
          throw new Error(`${acknowledged} acknowledged, the sink counted ${report?.records}`)
      }
      return line
    } finally {
      target.kill()
    }
  })
  const allowed = (line: StallLine): number => line.idleRssMB + 2 * BUFFER_MEMORY + ALLOWANCE
  const firstRuns = [...runs].map(([{ name }, all]) => ({ label: name, points: all[0]?.rss ?? [] }))
  const limit = middle([...runs.values()].flat().slice(0, 1), allowed)
  return [
    {
      title: `${RATE.toLocaleString('en-US')} records/s of 100 B offered for ${seconds} s (median of ${options.rounds})`,
      rowsAre: 'client',
      columns: [
        'idle RSS, MB',
        'most in 3 s',
        'most after that',
        'peak RSS, MB',
        'allowed, MB',
        'refused, % of the records',
      ],
      rows: [...runs].map(([{ name }, all]) => ({
        label: name,
        figures: [
          middle(all, (one) => one.idleRssMB),
          middle(all, (one) => one.firstSecondsMB),
          middle(all, (one) => one.laterMB),
          middle(all, (one) => one.peakRssMB),
          name.startsWith('kafka-producer') ? middle(all, allowed) : Number.NaN,
          middle(all, (one) => (one.failed * 100) / one.sent),
        ],
      })),
      notes: [...options.leftOut, ...notes],
      bars: ['peak RSS, MB'],
      curves: {
        title: `Resident memory while ${RATE.toLocaleString('en-US')} records/s are offered and answers are late`,
        x: 's',
        y: 'RSS, MB',
        lines: [
          ...firstRuns,
          {
            label: 'allowed: idle + 2 x bufferMemory + 120 MB',
            points: [
              [0, limit],
              [seconds, limit],
            ],
          },
        ],
      },
    },
  ]
}

export const stallScenario: Scenario = {
  name: 'stall',
  summary: `memory while ${RATE.toLocaleString('en-US')} records/s are offered and the sink answers late or not at all`,
  run,
}
