/**
 * Where the bytes and the time of a record go: this package alone, its measured window under V8's sampling
 * profilers. What the loop itself allocates (the record object) is listed under its own file.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { measure, printLine, type Options, type Scenario } from '../bench.js'
import type { ProfiledFunction } from '../clients/profile.js'
import { ours } from '../contenders.js'
import { figure, markdownTable } from '../table.js'

const LISTED = 12
const profilesFolder = join(__dirname, '..', '..', 'profiles')

async function run(options: Options): Promise<string> {
  mkdirSync(profilesFolder, { recursive: true })
  const sections: string[] = []
  for (const contender of ours(options.node, options.loop)) {
    for (const size of options.sizes) {
      for (const profile of ['heap', 'cpu'] as const) {
        const records = options.records ?? 2_000_000
        const profileFile = join(profilesFolder, `${contender.loop}-${size}.${profile}profile`)
        const { functions = [], ...figures } = await measure(
          contender,
          {
            size,
            batchSize: options.batchSizes[0] ?? 16_384,
            records,
            warmupMs: options.warmupMs,
            outstanding: options.outstanding,
            profile,
            profileFile,
          },
          { check: options.check },
        )
        printLine({ scenario: 'memory', profile, size, ...figures, functions: functions.slice(0, LISTED) })
        sections.push(`**${contender.name}, ${size} B values: ${summary(profile, functions, records)}**`)
        sections.push(table(profile, functions, records))
      }
    }
  }
  return `${sections.join('\n\n')}\n\nThe profiles are in build/profiles; Chrome's DevTools open them.`
}

function total(functions: readonly ProfiledFunction[]): number {
  return functions.reduce((sum, one) => sum + one.self, 0)
}

function summary(profile: 'heap' | 'cpu', functions: readonly ProfiledFunction[], records: number): string {
  if (profile === 'cpu') return 'main thread, share of the samples'
  const package_ = total(functions.filter((one) => one.place.startsWith('dist/')))
  return `${figure(total(functions) / records)} bytes allocated per record, ${figure(package_ / records)} in dist/`
}

function table(profile: 'heap' | 'cpu', functions: readonly ProfiledFunction[], records: number): string {
  const all = total(functions)
  const head = profile === 'cpu' ? '% of the samples' : 'bytes per record'
  return markdownTable(
    ['function', head],
    functions
      .slice(0, LISTED)
      .map((one) => [
        `\`${one.name}\` ${one.place}`,
        figure(profile === 'cpu' ? (one.self * 100) / all : one.self / records),
      ]),
  )
}

export const memoryScenario: Scenario = {
  name: 'memory',
  summary: 'bytes allocated per record and CPU profile of this package',
  run,
}
