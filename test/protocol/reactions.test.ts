/** The tables of reactions against the protocol's list of codes: nothing is misspelt, and nothing is left out. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import prettier from 'prettier'
import { describe, expect, test } from 'vitest'
import { errorByName, errorCodes } from '../../src/protocol/error-codes.js'
import {
  findCoordinatorReaction,
  findCoordinatorReactions,
  initProducerIdReaction,
  initProducerIdReactions,
  leavesAppendOpen,
  metadataReaction,
  metadataReactions,
  produceReaction,
  produceReactions,
} from '../../src/protocol/reactions.js'

const apis = [
  ['Produce', produceReactions, produceReaction, 'fail'],
  ['InitProducerId', initProducerIdReactions, initProducerIdReaction, 'fatal'],
  ['Metadata', metadataReactions, metadataReaction, 'fail'],
  ['FindCoordinator', findCoordinatorReactions, findCoordinatorReaction, 'fatal'],
] as const

describe.each(apis)('%s', (_, table, reaction, end) => {
  test('every row of its table is a code of the protocol', () => {
    expect(Object.keys(table).filter((name) => errorByName(name) === undefined)).toEqual([])
  })

  test('every code of the protocol has the reaction of its row, or the one that the rules give', () => {
    for (const { errno, name, retriable, refreshMetadata } of errorCodes) {
      const byRule = !retriable ? end : refreshMetadata && end === 'fail' ? ['refresh', 'retry'] : 'retry'
      const expected = (table as Record<string, string>)[name] ?? byRule
      expect([expected].flat(), name).toContain(reaction(errno))
    }
  })

  test('codes that nobody knows are an end', () => {
    expect([999, -2, 134, 32_767].map(reaction)).toEqual([end, end, end, end])
  })
})

test('what the Java client retries is retried', () => {
  for (const { errno, name, retriable } of errorCodes) {
    if (!retriable) continue
    expect([name, produceReaction(errno)]).toEqual([name, expect.stringMatching(/^(retry|refresh)$/)])
    expect([name, initProducerIdReaction(errno)]).toEqual([name, 'retry'])
    expect([name, metadataReaction(errno)]).toEqual([name, 'retry'])
    expect([name, findCoordinatorReaction(errno)]).toEqual([name, 'retry'])
  }
})

test('a refusal leaves no doubt about the append; a timeout, a failure or an unknown code does', () => {
  const open = errorCodes.filter(({ errno }) => leavesAppendOpen(errno)).map(({ name }) => name)
  expect(open).toEqual([
    'UNKNOWN_SERVER_ERROR',
    'REQUEST_TIMED_OUT',
    'NETWORK_EXCEPTION',
    'NOT_ENOUGH_REPLICAS_AFTER_APPEND',
    'KAFKA_STORAGE_ERROR',
  ])
  expect([999, -2].map(leavesAppendOpen)).toEqual([true, true])
})

const page = path.join(__dirname, '../../docs/delivery-guarantees.md')
const BEGIN =
  '<!-- reactions: printed from src/protocol/reactions.ts by test/protocol/reactions.test.ts under UPDATE_DOCS=1 -->\n'
const END = '<!-- /reactions -->'

/** The four tables as one: the codes that any of them has, in the order of the protocol's list. */
async function printed(): Promise<string> {
  const rows = errorCodes.flatMap(({ errno, name }) => {
    const cells = apis.map(([, table]) => (table as Record<string, string>)[name] ?? '')
    if (cells.every((cell) => cell === '')) return []
    return [`| ${errno} | \`${name}\` | ${cells.join(' | ')} | ${leavesAppendOpen(errno) ? 'yes' : ''} |`]
  })
  const head = `| errno | code | ${apis.map(([api]) => api).join(' | ')} | append open |`
  const table = `${head}\n| ---: | --- | --- | --- | --- | --- | --- |\n${rows.join('\n')}\n`
  return `\n${await prettier.format(table, { parser: 'markdown' })}\n`
}

test('docs/delivery-guarantees.md shows the tables as they are', async () => {
  const text = await readFile(page, 'utf8')
  const [before, rest = ''] = text.split(BEGIN)
  const [table, after = ''] = rest.split(END)
  const wanted = await printed()
  if (process.env['UPDATE_DOCS'] === '1') await writeFile(page, `${before}${BEGIN}${wanted}${END}${after}`)
  expect(process.env['UPDATE_DOCS'] === '1' ? wanted : table).toBe(wanted)
})
