/** The linter's import rules are those of the table in layers.ts, and each of them bites at every depth. */
import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { format } from 'prettier'
import { expect, test } from 'vitest'
import { forbidden, importRules, layers, type Layer } from './layers.js'

const root = path.join(__dirname, '../..')
const file = path.join(root, '.oxlintrc.json')

interface Override {
  readonly files: readonly string[]
  readonly rules: object
}

test('.oxlintrc.json is what `npm run docs:generate` prints', async () => {
  const written = readFileSync(file, 'utf8')
  const config = JSON.parse(written) as { overrides: Override[] }
  const isImportRule = ({ files, rules }: Override): boolean =>
    'no-restricted-imports' in rules && files.every((glob) => glob.startsWith('src/'))
  const others = config.overrides.filter((override) => !isImportRule(override))
  const printed = await format(JSON.stringify({ ...config, overrides: [...others, ...importRules()] }), {
    parser: 'json',
    semi: false,
    printWidth: 110,
  })
  if (process.env['UPDATE_DOCS'] === '1') writeFileSync(file, printed)
  expect(readFileSync(file, 'utf8')).toBe(printed)
})

/** The files of a layer that a probe is written to: folders at three depths. */
function placesOf(layer: Layer): { file: string; up: string }[] {
  if (layer.files !== undefined) return layer.files.map((name) => ({ file: `src/${name}.ts`, up: './' }))
  const folder = layer.name.replace('/', '')
  return ['', 'a/', 'a/b/'].map((below, depth) => ({
    file: `src/${folder}/${below}probe.ts`,
    up: '../'.repeat(depth + 1),
  }))
}

const targetsOf = (layer: Layer): string[] =>
  layer.files?.map((name) => `${name}.js`) ??
  ['x.js', 'a/x.js'].map((name) => `${layer.name.replace('/', '')}/${name}`)

/** Lints one probe for each place of a layer, and answers which lines of which file are refused. */
function refusedIn(probes: ReadonlyMap<string, readonly string[]>): Map<string, number[]> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'layers-'))
  try {
    copyFileSync(file, path.join(folder, '.oxlintrc.json'))
    for (const [name, lines] of probes) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true })
      writeFileSync(path.join(folder, name), lines.join('\n'))
    }
    const { stdout } = spawnSync(
      process.execPath,
      [path.join(root, 'node_modules/oxlint/bin/oxlint'), '--format', 'json', 'src'],
      { cwd: folder, encoding: 'utf8', maxBuffer: 64 * 1024 * 1024 },
    )
    const { diagnostics } = JSON.parse(stdout) as {
      diagnostics: { code?: string; filename: string; labels: { span: { line: number } }[] }[]
    }
    const refused = new Map<string, number[]>()
    for (const { code, filename, labels } of diagnostics) {
      if (code?.includes('no-restricted-imports') !== true) continue
      refused.set(filename, [...(refused.get(filename) ?? []), labels[0]!.span.line])
    }
    return refused
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
}

/** Each line of a probe declares a name of its own. */
const typed = (target: string, line: number): string => `import type { X as X${line} } from '${target}'`
const plain = (target: string, line: number): string => `import { x as x${line} } from '${target}'`

test('every edge that the table forbids is refused at every depth, and no other', { timeout: 60_000 }, () => {
  const probes = new Map<string, string[]>()
  const wanted = new Map<string, number[]>()
  for (const from of layers) {
    for (const { file: name, up } of placesOf(from)) {
      const lines: string[] = []
      const bad: number[] = []
      const add = (write: typeof plain, target: string, isBad: boolean): void => {
        lines.push(write(`${up}${target}`, lines.length))
        if (isBad) bad.push(lines.length)
      }
      for (const edge of forbidden.filter((one) => one.from.name === from.name)) {
        for (const target of targetsOf(edge.to)) {
          add(plain, target, true)
          add(typed, target, !edge.types)
        }
      }
      for (const to of layers.filter((one) => from.imports.includes(one.name))) {
        for (const target of targetsOf(to)) add(plain, target, false)
      }
      probes.set(name, lines)
      wanted.set(name, bad)
    }
  }
  const refused = refusedIn(probes)
  for (const [name, bad] of wanted) {
    expect(
      [...(refused.get(name) ?? [])].toSorted((a, b) => a - b),
      name,
    ).toEqual(bad)
  }
  expect(forbidden.length).toBeGreaterThan(40)
})
