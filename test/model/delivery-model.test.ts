/**
 * The delivery guarantees against schedules of sends and faults that fast-check makes up.
 *
 * A campaign: MODEL_RUNS=5000 MODEL_SEED=1 npx vitest run --config test/vitest.config.mts test/model
 * One schedule again: MODEL_SEED and MODEL_PATH as a failure prints them. MODEL_SHRINK=0 reports a failure as it was
 * found.
 */
import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { violations } from './checks.js'
import { runSchedule, type Run } from './run-schedule.js'
import { leaderMovesBehindLostAnswers, schedules } from './schedule.js'

/** Nobody waits longer for a smaller schedule. */
const SHRINK_MS = 30_000

const {
  MODEL_RUNS: runs = '300',
  MODEL_SEED: givenSeed = '20260101',
  MODEL_PATH: path,
  MODEL_SHRINK: shrink = '1',
} = process.env

test(
  'every schedule of faults leaves acknowledged records stored once and in order, and everything settled in time',
  { timeout: 3_600_000 },
  async () => {
    let shrinkUntil = Infinity
    const property = fc.asyncProperty(schedules, async (schedule) => {
      if (Date.now() > shrinkUntil) return
      const found = violations(await runSchedule(schedule))
      if (found.length === 0) return
      if (shrinkUntil === Infinity) shrinkUntil = Date.now() + SHRINK_MS
      throw new Error(found.join('\n'))
    })
    const replay = path === undefined ? {} : { path }
    const details = await fc.check(property, {
      numRuns: Number(runs),
      seed: Number(givenSeed),
      endOnFailure: shrink === '0',
      ...replay,
    })
    if (!details.failed) return
    expect.fail(
      `replay with MODEL_SEED=${details.seed} MODEL_PATH=${details.counterexamplePath ?? ''}\n` +
        `${String(details.errorInstance)}\n${fc.stringify(details.counterexample?.[0])}\n` +
        `after ${details.numRuns} schedules, shrunk ${details.numShrinks} times`,
    )
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
