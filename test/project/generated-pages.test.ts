// The pages that are printed from the source are up to date. `npm run docs:generate` (UPDATE_DOCS=1) writes them first.
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { beforeAll, expect, test } from 'vitest'
import { configurationPage, defaultOf, documentedOptions, errorsPage } from './generated-pages.js'
import { producerOptions } from '../../src/config/producer-options.js'

const pages = [
  ['configuration.md', configurationPage],
  ['errors.md', errorsPage],
] as const

function pathOf(page: string): string {
  return join(__dirname, '../../docs', page)
}

beforeAll(async () => {
  if (process.env['UPDATE_DOCS'] !== '1') return
  for (const [page, print] of pages) await writeFile(pathOf(page), await print())
})

test.each(pages)('docs/%s is what `npm run docs:generate` prints', async (page, print) => {
  expect(await readFile(pathOf(page), 'utf8')).toBe(await print())
})

test('every option has a docstring, in the order of the table', () => {
  const options = documentedOptions()
  expect(options.map(({ name }) => name)).toEqual(Object.keys(producerOptions))
  expect(options.filter(({ text }) => text === '')).toEqual([])
})

test('every default that a docstring states is the one of the table', () => {
  const stated = documentedOptions().map(({ name, defaultValue }) => [name, defaultValue ?? 'required'])
  const actual = Object.entries(producerOptions).map(([name, option]) => [name, defaultOf(option)])
  expect(stated).toEqual(actual)
})
