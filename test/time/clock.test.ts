import { once } from 'node:events'
import { connect, createServer, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { SystemClock } from '../../src/time/clock.js'

/** A system clock whose monotonic time can be moved by hand beside the real time that passes. */
function frozenClock(): { clock: SystemClock; stall: (ms: number) => void } {
  let shift = 0
  const clock = new SystemClock(() => performance.now() + shift)
  return { clock, stall: (ms) => (shift += ms) }
}

function fired(clock: SystemClock, delayMs: number): Promise<number> {
  return new Promise((resolve) => clock.setTimer(delayMs, () => resolve(clock.now())))
}

describe('the system clock', () => {
  test('fires timers in the order of their due times, whatever the order of setting', async () => {
    const clock = new SystemClock()
    const order: string[] = []
    const start = clock.now()
    clock.setTimer(30, () => order.push('late'))
    clock.setTimer(10, () => order.push('early'))
    const last = await fired(clock, 40)
    expect(order).toEqual(['early', 'late'])
    expect(last - start).toBeGreaterThanOrEqual(40)
  })

  test('never fires a cancelled timer, also when another one cancels it as both are due', async () => {
    const { clock, stall } = frozenClock()
    const order: string[] = []
    clock.setTimer(10, () => {
      order.push('first')
      second.cancel()
    })
    const second = clock.setTimer(11, () => order.push('second'))
    stall(12)
    await fired(clock, 20)
    expect(order).toEqual(['first'])
  })

  test('fires a timer that one that fires has set', async () => {
    const clock = new SystemClock()
    await expect(fired(clock, 0).then(() => fired(clock, 1))).resolves.toBeGreaterThan(0)
  })

  test.each([NaN, Infinity, -Infinity])('refuses a delay of %s, and goes on', async (delayMs) => {
    const clock = new SystemClock()
    expect(() => clock.setTimer(delayMs, () => {})).toThrow(RangeError)
    expect(() => clock.setTimer(delayMs, () => {}, { background: true })).toThrow(RangeError)
    await expect(fired(clock, 1)).resolves.toBeGreaterThan(0)
  })

  test('serves more timers than a call takes arguments', async () => {
    const { clock } = frozenClock()
    const others = Array.from({ length: 200_000 }, () => clock.setTimer(60_000, () => {}))
    await fired(clock, 1)
    await expect(fired(clock, 1)).resolves.toBeGreaterThan(0)
    for (const timer of others) timer.cancel()
  })

  test('takes the time in which the process did not run out of now() and out of every deadline', async () => {
    const { clock, stall } = frozenClock()
    const start = clock.now()
    let isLate = false
    const late = clock.setTimer(30_000, () => (isLate = true))
    const soon = fired(clock, 20)
    stall(3_600_000)
    expect(clock.now() - start).toBeLessThanOrEqual(20 + 501)
    const at = await soon
    expect(at - start).toBeLessThan(10_000)
    expect(isLate).toBe(false)
    late.cancel()
    expect(clock.now() - start).toBeLessThan(10_000)
  })

  test('lets the sockets be read before it fires after a stall', async () => {
    const { clock, stall } = frozenClock()
    const order: string[] = []
    const server = createServer((socket) => socket.on('data', () => order.push('data')))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const client = connect((server.address() as AddressInfo).port, '127.0.0.1')
    await once(server, 'connection')
    await new Promise<void>((resolve) => {
      // Behind setImmediate the loop runs timers first, and polls sockets after that.
      setImmediate(() => {
        clock.setTimer(1, () => {
          order.push('timer')
          resolve()
        })
        client.write('what came while the process stood still')
        stall(60_000)
        for (const until = performance.now() + 10; performance.now() < until;);
      })
    })
    expect(order).toEqual(['data', 'timer'])
    client.destroy()
    server.close()
    await once(server, 'close')
  })

  test('never goes back when a stall ends by cancelling the last timer', async () => {
    const { clock, stall } = frozenClock()
    const timer = clock.setTimer(10_000, () => {})
    stall(50_000)
    const during = clock.now()
    timer.cancel()
    const after = clock.now()
    expect(after).toBeGreaterThanOrEqual(during)
    expect(after - during).toBeLessThan(10_000)
  })

  test('lets time pass as it does while nobody waits', () => {
    const { clock, stall } = frozenClock()
    const start = clock.now()
    stall(60_000)
    expect(clock.now() - start).toBeGreaterThanOrEqual(60_000)
  })

  test('fires the others when one of them throws', async () => {
    const clock = new SystemClock()
    const failures: unknown[] = []
    const listeners = process.listeners('uncaughtException')
    process.removeAllListeners('uncaughtException')
    process.once('uncaughtException', (error) => failures.push(error))
    try {
      clock.setTimer(1, () => {
        throw new Error('from a timer')
      })
      await fired(clock, 2)
    } finally {
      for (const listener of listeners) process.on('uncaughtException', listener)
    }
    expect(failures).toEqual([expect.objectContaining({ message: 'from a timer' })])
  })

  test('keeps the process alive for a timer that somebody waits for, and not for housekeeping', async () => {
    const { execFileSync } = await import('node:child_process')
    const script = `
      const { SystemClock } = require(${JSON.stringify(await compiledClock())})
      const clock = new SystemClock()
      clock.setTimer(100, () => console.log('waited for'))
      clock.setTimer(3_600_000, () => console.log('housekeeping'), { background: true })
      clock.setTimer(3_600_000, () => console.log('cancelled')).cancel()`
    const output = execFileSync(process.execPath, ['-e', script], { encoding: 'utf8', timeout: 20_000 })
    expect(output).toBe('waited for\n')
  })
})

/** The clock and the module that it imports, to run in another process, once their types are gone. */
async function compiledClock(): Promise<string> {
  const { mkdtempSync, readFileSync, writeFileSync } = await import('node:fs')
  const { tmpdir } = await import('node:os')
  const { default: ts } = await import('typescript')
  const home = mkdtempSync(join(tmpdir(), 'clock-'))
  for (const name of ['event-loop', 'clock']) {
    const source = readFileSync(join(__dirname, `../../src/time/${name}.ts`), 'utf8')
    const { outputText } = ts.transpileModule(source, {
      compilerOptions: {
        module: ts.ModuleKind.CommonJS,
        target: ts.ScriptTarget.ES2022,
        esModuleInterop: true,
      },
    })
    writeFileSync(join(home, `${name}.js`), outputText)
  }
  return join(home, 'clock.js')
}
