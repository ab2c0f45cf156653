/**
 * Every row of the tables of coordinators in src/protocol/reactions.ts, and codes that nobody knows, answered in the
 * midst of a transaction: what is asked again and of whom, what the application is told, and what is visible afterwards.
 */
import { describe, expect, test } from 'vitest'
import { ProducerFencedError, type KafkaError, type Producer } from '../../src/index.js'
import { errorByCode, errorByName } from '../../src/protocol/error-codes.js'
import {
  addOffsetsToTxnReactions,
  addPartitionsToTxnReactions,
  coordinatorReaction,
  endTxnReactions,
  findCoordinatorReactions,
  initTransactionsReactions,
  produceReactions,
  txnOffsetCommitReactions,
  type CoordinatorReaction,
} from '../../src/protocol/reactions.js'
import type { ApiName, TestCluster, TransactionVersion } from '../../src/testing/index.js'
import { arena, failure, requests } from './arena.js'

const nameOf = (code: string | number): string => (typeof code === 'string' ? code : errorByCode(code).name)
const errnoOf = (code: string | number): number =>
  typeof code === 'number' ? code : errorByName(code)!.errno

type Row = readonly [code: string | number, reaction: CoordinatorReaction]

/** The rows of a table, and codes that it leaves to the rules. */
function rowsOf(table: typeof endTxnReactions): Row[] {
  const byRule = [999, -2, errorByName('NOT_CONTROLLER')!.errno, errorByName('RESOURCE_NOT_FOUND')!.errno]
  return [
    ...Object.entries(table),
    ...byRule.map((code) => [code, coordinatorReaction(table, code)] as const),
  ].filter(([code]) => code !== 'NONE')
}

function committed(cluster: TestCluster): string[] {
  return cluster.records('orders', { isolation: 'read_committed' }).map(({ value }) => String(value))
}

/** How an error that ends the producer looks; a stale epoch is a fencing whoever tells of it. */
function told(code: string | number, flags: { fatal: boolean; abortable: boolean }): object {
  const name = nameOf(code)
  const isFenced = name === 'INVALID_PRODUCER_EPOCH' || name === 'PRODUCER_FENCED'
  return { code: isFenced ? 'PRODUCER_FENCED' : name, errno: errnoOf(code), ...flags }
}

/** What every call ends with once the producer is unusable: the same class of error again. */
function because(error: KafkaError): object {
  const { name, code, errno } = error
  return {
    name,
    code,
    errno,
    fatal: true,
    message: `${error.message} (state FATAL_ERROR; allowed: close())`,
    cause: error,
  }
}

async function stage(transactionVersion: TransactionVersion): Promise<{
  cluster: TestCluster
  orders: Producer
  fatal: KafkaError[]
  send: (value: string) => Promise<unknown>
}> {
  const { cluster, producer } = await arena({ topics: { orders: { partitions: 1 } }, transactionVersion })
  const orders = producer({ transactionalId: 'checkout' })
  const fatal: KafkaError[] = []
  orders.on('fatal', (error) => fatal.push(error))
  return { cluster, orders, fatal, send: (value) => orders.send({ topic: 'orders', value }) }
}

interface Case {
  readonly api: ApiName
  readonly table: typeof endTxnReactions
  readonly version: TransactionVersion
  /** Makes the request, in a transaction that has a record. */
  readonly ask: (set: Awaited<ReturnType<typeof stage>>) => Promise<unknown>
}

const sendOffsets = ({ orders }: { orders: Producer }): Promise<void> =>
  orders.sendOffsetsToTransaction([{ topic: 'orders', partition: 0, offset: 1 }], { groupId: 'readers' })

const cases: readonly Case[] = [
  {
    api: 'AddPartitionsToTxn',
    table: addPartitionsToTxnReactions,
    version: 1,
    ask: ({ send }) => send('b'),
  },
  { api: 'AddOffsetsToTxn', table: addOffsetsToTxnReactions, version: 1, ask: sendOffsets },
  { api: 'TxnOffsetCommit', table: txnOffsetCommitReactions, version: 1, ask: sendOffsets },
  { api: 'TxnOffsetCommit', table: txnOffsetCommitReactions, version: 2, ask: sendOffsets },
]

describe.each(cases)('$api, transactions v$version', ({ api, table, version, ask }) => {
  const rows = rowsOf(table)
  const isPassing = (reaction: CoordinatorReaction): boolean => reaction === 'retry' || reaction === 'find'

  test.each(rows.filter(([, reaction]) => isPassing(reaction)))('%s: %s', async (code, reaction) => {
    const set = await stage(version)
    const { cluster, orders } = set
    await orders.initTransactions()
    orders.beginTransaction()
    cluster.fail({ api }, { error: code })
    const found = requests(cluster, 'FindCoordinator').length + (api === 'AddPartitionsToTxn' ? 0 : 1) // that of the group
    await ask(set)
    await set.send('c')
    await orders.commitTransaction()
    expect(requests(cluster, api)).toHaveLength(2)
    expect(requests(cluster, 'FindCoordinator')).toHaveLength(found + (reaction === 'find' ? 1 : 0))
    expect(committed(cluster)).toContain('c')
  })

  test.each(rows.filter(([, reaction]) => reaction === 'abortable'))('%s: %s', async (code) => {
    const set = await stage(version)
    const { cluster, fatal, orders } = set
    await orders.initTransactions()
    orders.beginTransaction()
    cluster.fail({ api }, { error: code })
    await failure(ask(set))
    const error = await failure<KafkaError>(orders.commitTransaction())
    expect(error).toMatchObject({ name: 'TransactionAbortedError', abortable: true, fatal: false })
    expect(error.cause).toMatchObject(told(code, { fatal: false, abortable: true }))
    expect(error.message).toContain(`${nameOf(code)} (${errnoOf(code)})`)
    await orders.abortTransaction()
    expect(fatal).toEqual([])
    orders.beginTransaction()
    await set.send('next')
    await orders.commitTransaction()
    expect(committed(cluster)).toEqual(['next'])
  })

  test.each(rows.filter(([, reaction]) => reaction === 'fatal'))('%s: %s', async (code) => {
    const set = await stage(version)
    const { cluster, fatal, orders } = set
    await orders.initTransactions()
    orders.beginTransaction()
    cluster.fail({ api }, { error: code })
    const error = await failure(ask(set))
    expect(error).toMatchObject(told(code, { fatal: true, abortable: false }))
    expect(fatal).toHaveLength(1)
    expect(await failure(orders.commitTransaction())).toMatchObject(because(fatal[0]!))
    expect(await failure(orders.abortTransaction())).toMatchObject(because(fatal[0]!))
    expect(await failure(set.send('next'))).toMatchObject(because(fatal[0]!))
    expect(committed(cluster)).toEqual([])
  })
})

describe.each([1, 2] as const)('EndTxn, transactions v%i', (version) => {
  const rows = rowsOf(endTxnReactions)

  test.each(rows.filter(([, reaction]) => reaction === 'retry' || reaction === 'find'))(
    '%s: %s',
    async (code, reaction) => {
      const { cluster, orders, send } = await stage(version)
      await orders.initTransactions()
      for (const isCommitted of [true, false]) {
        orders.beginTransaction()
        await send(String(isCommitted))
        const [asked, found] = [
          requests(cluster, 'EndTxn').length,
          requests(cluster, 'FindCoordinator').length,
        ]
        cluster.fail({ api: 'EndTxn' }, { error: code })
        await (isCommitted ? orders.commitTransaction() : orders.abortTransaction())
        expect(requests(cluster, 'EndTxn')).toHaveLength(asked + 2)
        expect(requests(cluster, 'FindCoordinator')).toHaveLength(found + (reaction === 'find' ? 1 : 0))
      }
      expect(committed(cluster)).toEqual(['true'])
    },
  )

  test.each(rows.filter(([, reaction]) => reaction === 'abortable'))(
    '%s: a commit can be aborted, an abort is the end',
    async (code) => {
      const { cluster, fatal, orders, send } = await stage(version)
      await orders.initTransactions()
      orders.beginTransaction()
      await send('a')
      cluster.fail({ api: 'EndTxn' }, { error: code })
      const error = await failure<KafkaError>(orders.commitTransaction())
      expect(error).toMatchObject({ name: 'TransactionAbortedError', cause: { code } })
      await orders.abortTransaction()
      expect(fatal).toEqual([])
      orders.beginTransaction()
      await send('b')
      cluster.fail({ api: 'EndTxn' }, { error: code })
      expect(await failure(orders.abortTransaction())).toMatchObject({ code, fatal: true })
      expect(fatal).toHaveLength(1)
      expect(committed(cluster)).toEqual([])
    },
  )

  test.each(rows.filter(([, reaction]) => reaction === 'fatal'))('%s: fatal', async (code) => {
    const { cluster, fatal, orders, send } = await stage(version)
    await orders.initTransactions()
    orders.beginTransaction()
    await send('a')
    cluster.fail({ api: 'EndTxn' }, { error: code })
    const error = await failure(orders.commitTransaction())
    expect(error).toMatchObject({
      ...told(code, { fatal: true, abortable: false }),
      // Whoever answers with an error that is not for this place may have done it all the same.
      mayHaveBeenWritten: !(nameOf(code) in endTxnReactions),
    })
    expect(fatal).toHaveLength(1)
    expect(fatal[0]).toMatchObject(told(code, { fatal: true, abortable: false }))
    expect(await failure(send('b'))).toMatchObject(because(fatal[0]!))
    expect(committed(cluster)).toEqual([])
  })
})

describe('InitProducerId with a transactional id', () => {
  const rows = rowsOf(initTransactionsReactions)

  test.each(rows.filter(([, reaction]) => reaction === 'retry' || reaction === 'find'))(
    '%s: %s',
    async (code, reaction) => {
      const { cluster, orders } = await stage(2)
      cluster.fail({ api: 'InitProducerId' }, { error: code })
      await orders.initTransactions()
      expect(requests(cluster, 'InitProducerId')).toHaveLength(2)
      expect(requests(cluster, 'FindCoordinator')).toHaveLength(reaction === 'find' ? 2 : 1)
    },
  )

  test.each(rows.filter(([, reaction]) => reaction === 'abortable'))(
    '%s: can be called again',
    async (code) => {
      const { cluster, fatal, orders } = await stage(2)
      cluster.fail({ api: 'InitProducerId' }, { error: code })
      expect(await failure(orders.initTransactions())).toMatchObject({ code, fatal: false })
      expect(fatal).toEqual([])
      await orders.initTransactions()
    },
  )

  test.each(rows.filter(([, reaction]) => reaction === 'fatal'))('%s: fatal', async (code) => {
    const { cluster, fatal, orders, send } = await stage(2)
    cluster.fail({ api: 'InitProducerId' }, { error: code })
    const error = await failure<KafkaError>(orders.initTransactions())
    expect(error).toMatchObject(told(code, { fatal: true, abortable: false }))
    expect(error.message).toContain('transactional id checkout')
    expect(fatal).toEqual([error])
    expect(await failure(send('a'))).toMatchObject(because(error))
    expect(requests(cluster, 'InitProducerId')).toHaveLength(1)
  })
})

describe('FindCoordinator', () => {
  const rows = rowsOf(findCoordinatorReactions)

  test.each(rows.filter(([, reaction]) => reaction === 'retry' || reaction === 'find'))(
    '%s: retry',
    async (code) => {
      const { cluster, orders, send } = await stage(2)
      cluster.fail({ api: 'FindCoordinator' }, { error: code })
      await orders.initTransactions()
      expect(requests(cluster, 'FindCoordinator')).toHaveLength(2)
      orders.beginTransaction()
      await send('a')
      cluster.fail({ api: 'FindCoordinator' }, { error: code })
      await sendOffsets({ orders })
      await orders.commitTransaction()
      expect(requests(cluster, 'FindCoordinator')).toHaveLength(4)
    },
  )

  test.each(rows.filter(([, reaction]) => reaction === 'abortable'))(
    '%s for a group: the transaction is aborted and the producer goes on',
    async (code) => {
      const { cluster, orders, send } = await stage(2)
      await orders.initTransactions()
      orders.beginTransaction()
      await send('a')
      cluster.fail({ api: 'FindCoordinator' }, { error: code })
      const error = await failure(sendOffsets({ orders }))
      expect(error).toMatchObject({ code, abortable: true, fatal: false })
      expect(error.message).toContain('consumer group readers')
      await orders.abortTransaction()
      await orders.transaction(() => sendOffsets({ orders }))
      expect(cluster.committedOffsets('readers')).toHaveLength(1)
    },
  )

  test.each(rows.filter(([, reaction]) => reaction === 'fatal'))('%s: fatal', async (code) => {
    const { cluster, fatal, orders } = await stage(2)
    cluster.fail({ api: 'FindCoordinator' }, { error: code })
    const error = await failure(orders.initTransactions())
    expect(error).toMatchObject({ code: nameOf(code), fatal: true })
    expect(fatal).toEqual([error])
  })
})

describe.each([1, 2] as const)('Produce, transactions v%i', (version) => {
  const rows = Object.entries(produceReactions)
  const lasting = new Set<string>(['fail', 'fenced', 'split', 'out-of-order'])

  test.each(rows.filter(([, reaction]) => lasting.has(reaction)))(
    '%s: %s makes the transaction fail, and the next one begins afresh',
    async (code, reaction) => {
      const { cluster, fatal, orders, send } = await stage(version)
      await orders.initTransactions()
      orders.beginTransaction()
      await send('a')
      cluster.fail({ api: 'Produce' }, { error: code })
      const lost = await failure<KafkaError>(send('b'))
      const isFenced = reaction === 'fenced'
      expect(lost).toMatchObject({
        code,
        fatal: false,
        abortable: isFenced || code === 'TRANSACTION_ABORTABLE',
      })
      expect(lost instanceof ProducerFencedError).toBe(isFenced)
      expect(await failure(orders.commitTransaction())).toMatchObject({ abortable: true, cause: lost })
      await orders.abortTransaction()
      expect(fatal).toEqual([])
      await orders.transaction(() => void send('c'))
      expect(committed(cluster)).toEqual(['c'])
      expect(cluster.records('orders').at(-1)).toMatchObject({ sequence: 0 })
    },
  )

  test.each(rows.filter(([, reaction]) => reaction === 'fatal'))('%s: fatal', async (code) => {
    const { cluster, fatal, orders, send } = await stage(version)
    await orders.initTransactions()
    orders.beginTransaction()
    await send('a')
    cluster.fail({ api: 'Produce' }, { error: code })
    const error = await failure(send('b'))
    expect(error).toMatchObject({ code, fatal: true })
    expect(fatal).toHaveLength(1)
    expect(await failure(orders.commitTransaction())).toMatchObject({ code, fatal: true })
    expect(await failure(orders.abortTransaction())).toMatchObject({ code, fatal: true })
    expect(committed(cluster)).toEqual([])
  })

  test.each(rows.filter(([, reaction]) => reaction === 'retry' || reaction === 'refresh'))(
    '%s: %s is passed over',
    async (code) => {
      const { cluster, orders, send } = await stage(version)
      await orders.initTransactions()
      orders.beginTransaction()
      await send('a')
      cluster.fail({ api: 'Produce' }, { error: code })
      await send('b')
      await orders.commitTransaction()
      expect(committed(cluster)).toEqual(['a', 'b'])
    },
  )
})
