/**
 * Runs a property over many schedules, as the environment says, and tells how to repeat the one that breaks it.
 *
 * A campaign: MODEL_RUNS=5000 MODEL_SEED=1 npx vitest run --config test/vitest.config.mts test/model
 * One schedule again: MODEL_SEED and MODEL_PATH as a failure prints them. MODEL_SHRINK=0 reports a failure as it was
 * found.
 */
import fc from 'fast-check'

/** Nobody waits longer for a smaller schedule. */
const SHRINK_MS = 30_000

/** Resolves with what there is to say of the schedule that failed, or null. */
export async function campaign<Schedule>(
  schedules: fc.Arbitrary<Schedule>,
  violationsOf: (schedule: Schedule) => Promise<string[]>,
): Promise<string | null> {
  const {
    MODEL_RUNS: runs = '300',
    MODEL_SEED: givenSeed = '20260101',
    MODEL_PATH: path,
    MODEL_SHRINK: shrink = '1',
  } = process.env
  let shrinkUntil = Infinity
  const property = fc.asyncProperty(schedules, async (schedule) => {
    if (Date.now() > shrinkUntil) return
    const found = await violationsOf(schedule)
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
  if (!details.failed) return null
  return (
    `replay with MODEL_SEED=${details.seed} MODEL_PATH=${details.counterexamplePath ?? ''}\n` +
    `${String(details.errorInstance)}\n${fc.stringify(details.counterexample?.[0])}\n` +
    `after ${details.numRuns} schedules, shrunk ${details.numShrinks} times`
  )
}
