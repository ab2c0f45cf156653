/** The tables of reactions against the protocol's list of codes: nothing is misspelt, and nothing is left out. */
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
  // Classes of its own make it treat these differently: see the comments in the table.
  const decided = ['UNKNOWN_SERVER_ERROR']
  for (const { errno, name, retriable } of errorCodes) {
    if (!retriable || decided.includes(name)) continue
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
