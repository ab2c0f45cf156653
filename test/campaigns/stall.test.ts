/**
 * Full speed, nobody awaits, and the brokers stall for seconds: memory must stay flat, and every send must end once. The
 * producer runs in a process of its own, since the test runner's memory would hide it. `npm run campaign -- stall` takes
 * ten minutes for it.
 */
import { execFile } from 'node:child_process'
import path from 'node:path'
import { promisify } from 'node:util'
import { beforeAll, expect, test } from 'vitest'
import { run } from '../kafka/run.js'
import { asked, report } from './campaign.js'
import type { SoakResult } from './stall-soak.js'

const root = path.join(__dirname, '..', '..')
const seed = asked('SEED', 1)
const seconds = asked('SECONDS', 15)
/** The producer's default. */
const BATCH_SIZE = 16_384
/** Shorter ones have too few stalls for their peaks to be compared. */
const COMPARABLE_SECONDS = 120

const megabytes = (bytes: number): string => `${(bytes / 1024 / 1024).toFixed(1)} MB`

beforeAll(async () => {
  const tsc = path.join(root, 'node_modules', 'typescript', 'bin', 'tsc')
  await promisify(execFile)(process.execPath, [tsc, '-p', path.join(root, 'test', 'campaigns')])
}, 120_000)

test(`memory stays flat through ${seconds} s of stalls`, { timeout: seconds * 1_000 + 60_000 }, async () => {
  const soak = path.join(root, 'build', 'campaigns', 'campaigns', 'stall-soak.js')
  // With little heap garbage cannot pile up, and a leak of some size is the end of the process.
  const flags = ['--unhandled-rejections=strict', '--expose-gc', '--max-old-space-size=512']
  const output = await run([process.execPath, ...flags, soak, `seconds=${seconds}`, `seed=${seed}`], {
    timeoutMs: seconds * 1_000 + 45_000,
  })
  const result = JSON.parse(output.trimEnd().split('\n').at(-1) ?? '') as SoakResult
  const { sent, acknowledged, failed, quiet, peakRss } = result
  const failures = Object.entries(failed).map(([code, count]) => `${count} ${code}`)
  report(
    `stall, seed ${seed}: ${seconds} s, ${result.stalls} stalls; ${sent} sent, ${acknowledged} acknowledged, ` +
      `${failures.join(', ') || 'none'} failed`,
  )
  report(`  peak resident memory ${peakRss.map(megabytes).join(' in the second third, ')} in the last`)
  const looks = quiet.map(
    ({ heapBytes, objects, bufferBytes }) =>
      `${megabytes(heapBytes)} of heap in ${objects} objects and ${megabytes(bufferBytes)} of buffers`,
  )
  report(`  with nothing on its way: ${looks.join(' after a third, ')} at the end`)

  const ended = Object.values(failed).reduce((sum, count) => sum + count, acknowledged)
  expect({ ended, settledTwice: result.settledTwice }).toEqual({ ended: sent, settledTwice: 0 })
  expect(result.stalls).toBeGreaterThan(0)
  const [before, after] = quiet
  // The pool may have filled up meanwhile: a Buffer and its memory for each batch. A leak would count in millions.
  const pooled = 2 * (result.bufferMemory / BATCH_SIZE)
  expect(after.objects - before.objects).toBeLessThan(1_000 + pooled)
  expect(after.heapBytes - before.heapBytes).toBeLessThan(2 * 1024 * 1024)
  // Besides the pool of batches, which keeps what it has, there are the sockets' buffers only.
  expect(after.bufferBytes).toBeLessThan(result.bufferMemory + 4 * 1024 * 1024)
  // A record of 100 bytes costs some times as much while it waits: its callback, its promise.
  expect(Math.max(...peakRss)).toBeLessThan(20 * result.bufferMemory)
  const growth = seconds < COMPARABLE_SECONDS ? 0 : peakRss[1] / peakRss[0]
  expect(growth).toBeLessThan(1.15)
})
