/**
 * Where the bytes and the time of a record go: this package alone, its measured window under V8's sampling
 * profilers. What the loop itself allocates (the record object) is listed under its own file.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { measure, progress, sinkTarget, windowOf, type Options, type Scenario } from '../bench.js'
import type { ProfiledFunction } from '../clients/profile.js'
import { ours } from '../contenders.js'
import type { Section } from '../section.js'

const RECORDS = 2_000_000
const LISTED = 12
const profilesFolder = join(__dirname, '..', '..', 'profiles')

async function run(options: Options): Promise<Section[]> {
  mkdirSync(profilesFolder, { recursive: true })
  const sections: Section[] = []
  for (const contender of ours(options.node, options.loop, options.engines.slice(-1))) {
    for (const size of options.sizes) {
      for (const profile of ['heap', 'cpu'] as const) {
        const records = windowOf(options, RECORDS)
        const profileFile = join(profilesFolder, `${contender.loop}-${size}.${profile}profile`)
        const load = {
          size,
          batchSize: options.batchSizes[0] ?? 16_384,
          records,
          warmupMs: options.warmupMs,
          outstanding: options.outstanding,
          profile,
          profileFile,
        }
        const one = await measure(contender, load, await sinkTarget({ check: options.check }))
        const functions = one.functions ?? []
        process.stdout.write(
          `${JSON.stringify({ scenario: 'memory', profile, size, ...one, functions: functions.slice(0, LISTED) })}\n`,
        )
        progress(`memory: ${contender.name}, ${size} B, ${profile} profile`)
        sections.push(table(`${contender.name}, ${size} B values`, profile, functions, records))
      }
    }
  }
  return sections
}

function total(functions: readonly ProfiledFunction[]): number {
  return functions.reduce((sum, one) => sum + one.self, 0)
}

function table(
  what: string,
  profile: 'heap' | 'cpu',
  functions: readonly ProfiledFunction[],
  records: number,
): Section {
  const all = total(functions)
  const ofPackage = total(functions.filter((one) => one.place.startsWith('dist/')))
  const isCpu = profile === 'cpu'
  return {
    title: `${what}: ${isCpu ? 'time of the main thread' : 'allocated, what was collected at once included'}`,
    rowsAre: 'function',
    columns: [isCpu ? '% of the samples' : 'bytes per record'],
    rows: [
      { label: 'all', figures: [isCpu ? 100 : all / records] },
      { label: 'this package', figures: [isCpu ? (ofPackage * 100) / all : ofPackage / records] },
      ...functions.slice(0, LISTED).map((one) => ({
        label: `\`${one.name}\` ${one.place}`,
        figures: [isCpu ? (one.self * 100) / all : one.self / records],
      })),
    ],
    notes: [],
    bars: [],
  }
}

export const memoryScenario: Scenario = {
  name: 'memory',
  summary:
    'bytes allocated per record and CPU profile of this package; profiles for DevTools in build/profiles',
  run,
}
