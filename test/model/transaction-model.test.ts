/** The guarantees of transactions against schedules that fast-check makes up; campaign.ts says how to run many. */
// oxlint-disable-next-line import/no-unassigned-import -- before the package, which takes its timers when it is loaded
import './virtual-time.js'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { campaign } from './campaign.js'
import { runTransactions } from './run-transactions.js'
import { transactionViolations } from './transaction-checks.js'
import { lateArrival, transactionSchedules } from './transaction-schedule.js'

test(
  'every schedule of faults leaves transactions visible whole or not at all, and their producer usable',
  { timeout: 3_600_000 },
  async () => {
    const failed = await campaign(transactionSchedules, async (schedule) =>
      transactionViolations(await runTransactions(schedule)),
    )
    expect(failed, failed ?? '').toBeNull()
  },
)

test.each([0, 1])(
  'a record that is given up and arrives late stays out of the next transaction (partition %i)',
  async (partition) => {
    expect(transactionViolations(await runTransactions(lateArrival(partition)))).toEqual([])
  },
)

test('a schedule of transactions runs the same way every time', async () => {
  for (const schedule of fc.sample(transactionSchedules, { numRuns: 5, seed: 7 })) {
    const [first, second] = [await runTransactions(schedule), await runTransactions(schedule)]
    expect(first.journal).toEqual(second.journal)
    expect(transactionViolations(first)).toEqual(transactionViolations(second))
  }
})
