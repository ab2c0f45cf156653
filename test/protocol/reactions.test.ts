/** The tables of reactions against the protocol's list of codes: nothing is misspelt, and nothing is left out. */
import { readFile, writeFile } from 'node:fs/promises'
import path from 'node:path'
import prettier from 'prettier'
import { describe, expect, test } from 'vitest'
import { errorByName, errorCodes } from '../../src/protocol/error-codes.js'
import {
  addOffsetsToTxnReactions,
  addPartitionsToTxnReactions,
  coordinatorReaction,
  endTxnReactions,
  findCoordinatorReactions,
  initProducerIdReaction,
  initProducerIdReactions,
  initTransactionsReactions,
  leavesAppendOpen,
  metadataReaction,
  metadataReactions,
  produceReaction,
  produceReactions,
  txnOffsetCommitReactions,
} from '../../src/protocol/reactions.js'

/** The reaction of a coordinator's table to a code. */
function of(table: typeof endTxnReactions): (errno: number) => string {
  return (errno) => coordinatorReaction(table, errno)
}

const apis = [
  ['Produce', produceReactions, produceReaction, 'fail'],
  ['InitProducerId', initProducerIdReactions, initProducerIdReaction, 'fatal'],
  ['Metadata', metadataReactions, metadataReaction, 'fail'],
  ['FindCoordinator', findCoordinatorReactions, of(findCoordinatorReactions), 'fatal'],
  [
    'InitProducerId with a transactional id',
    initTransactionsReactions,
    of(initTransactionsReactions),
    'fatal',
  ],
  ['AddPartitionsToTxn', addPartitionsToTxnReactions, of(addPartitionsToTxnReactions), 'abortable'],
  ['AddOffsetsToTxn', addOffsetsToTxnReactions, of(addOffsetsToTxnReactions), 'fatal'],
  ['TxnOffsetCommit', txnOffsetCommitReactions, of(txnOffsetCommitReactions), 'fatal'],
  ['EndTxn', endTxnReactions, of(endTxnReactions), 'fatal'],
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
    for (const [api, , reaction] of apis.slice(3)) {
      expect([api, name, reaction(errno)]).toEqual([api, name, expect.stringMatching(/^(retry|find)$/)])
    }
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

/** Tables side by side: the codes that any of them has, in the order of the protocol's list. */
function sideBySide(
  shown: (typeof apis)[number][],
  more: readonly [head: string, cell: (errno: number) => string][],
): string {
  const heads = ['errno', 'code', ...shown.map(([api]) => api), ...more.map(([head]) => head)]
  const rows = errorCodes.flatMap(({ errno, name }) => {
    const cells = shown.map(([, table]) => (table as Record<string, string>)[name] ?? '')
    if (cells.every((cell) => cell === '')) return []
    return [[errno, `\`${name}\``, ...cells, ...more.map(([, cell]) => cell(errno))]]
  })
  const lines = [heads, ['---:', ...heads.slice(1).map(() => '---')], ...rows]
  return lines.map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

async function printed(): Promise<string> {
  const isCoordinators = ([name]: (typeof apis)[number]): boolean =>
    !/^(Produce|InitProducerId|Metadata)$/.test(name)
  const appendOpen = (errno: number): string => (leavesAppendOpen(errno) ? 'yes' : '')
  const tables = [
    sideBySide(
      apis.filter((one) => !isCoordinators(one)),
      [['append open', appendOpen]],
    ),
    sideBySide(apis.filter(isCoordinators), []),
  ]
  return `\n${await prettier.format(tables.join('\nAsked of a coordinator:\n\n'), { parser: 'markdown' })}\n`
}

test('docs/delivery-guarantees.md shows the tables as they are', async () => {
  const text = await readFile(page, 'utf8')
  const [before, rest = ''] = text.split(BEGIN)
  const [table, after = ''] = rest.split(END)
  const wanted = await printed()
  if (process.env['UPDATE_DOCS'] === '1') await writeFile(page, `${before}${BEGIN}${wanted}${END}${after}`)
  expect(process.env['UPDATE_DOCS'] === '1' ? wanted : table).toBe(wanted)
})
