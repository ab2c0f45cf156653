/** The delivery guarantees against schedules of sends and faults that fast-check makes up; campaign.ts says how to run many. */
// oxlint-disable-next-line import/no-unassigned-import -- before the package, which takes its timers when it is loaded
import './virtual-time.js'
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { campaign } from './campaign.js'
import { violations } from './checks.js'
import { runSchedule, type Run } from './run-schedule.js'
import { leaderMovesBehindLostAnswers, schedules } from './schedule.js'

test(
  'every schedule of faults leaves acknowledged records stored once and in order, and everything settled in time',
  { timeout: 3_600_000 },
  async () => {
    const failed = await campaign(schedules, async (schedule) => violations(await runSchedule(schedule)))
    expect(failed, failed ?? '').toBeNull()
  },
)

test('five batches with lost answers are known again when the leader has moved', async () => {
  expect(violations(await runSchedule(leaderMovesBehindLostAnswers))).toEqual([])
})

test('a schedule runs the same way every time', async () => {
  for (const schedule of fc.sample(schedules, { numRuns: 10, seed: 7 })) {
    expect(fingerprint(await runSchedule(schedule))).toBe(fingerprint(await runSchedule(schedule)))
  }
})

function fingerprint(run: Run): string {
  const { sent, flushes, closes, journal, metrics } = run
  const outcomes = sent.map(({ number, settledAt, error, metadata }) => [
    number,
    settledAt,
    error?.message,
    metadata?.partition,
    metadata?.offset,
  ])
  const text = JSON.stringify([outcomes, flushes, closes, journal, metrics], (_, field: unknown) =>
    typeof field === 'bigint' ? String(field) : field,
  )
  return createHash('sha256').update(text).digest('hex')
}
