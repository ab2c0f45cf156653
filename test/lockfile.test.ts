import { readdirSync, readFileSync } from 'node:fs'
import path from 'node:path'
import { describe, expect, test } from 'vitest'

interface Locked {
  readonly version?: string
  readonly resolved?: string
  readonly link?: boolean
  readonly optionalDependencies?: Readonly<Record<string, string>>
}

const root = path.join(__dirname, '..')
const lockfiles = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter(
  (file) => path.basename(file) === 'package-lock.json' && !file.includes('node_modules'),
)

const packagesOf = (file: string) =>
  (
    JSON.parse(readFileSync(path.join(root, file), 'utf8')) as {
      packages: Readonly<Record<string, Locked>>
    }
  ).packages

/** Where Node looks for `name` from the package at `place`: its own folder first, then those above. */
function find(packages: Readonly<Record<string, Locked>>, place: string, name: string): Locked | undefined {
  for (let at = place; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
    const found = packages[`${at === '' ? '' : `${at}/`}node_modules/${name}`]
    if (found !== undefined || at === '') return found
  }
}

describe.each(lockfiles)('%s', (file) => {
  const packages = packagesOf(file)

  // npm ci refuses a lockfile without them, and npm install adds them: so it must, on every platform.
  test('holds the optional binaries of every platform', () => {
    const missing = Object.entries(packages).flatMap(([place, locked]) =>
      Object.keys(locked.optionalDependencies ?? {})
        .filter((name) => find(packages, place, name)?.version === undefined)
        .map((name) => `${place}: ${name}`),
    )
    expect(missing).toEqual([])
  })

  test('names no registry', () => {
    const resolved = Object.values(packages).filter(
      (locked) => locked.resolved !== undefined && locked.link !== true,
    )
    expect(resolved).toEqual([])
  })
})
