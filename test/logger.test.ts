import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { stderrLogger } from '../src/logger.js'

let written: string[]

beforeEach(() => {
  written = []
  vi.spyOn(process.stderr, 'write').mockImplementation((text) => {
    written.push(String(text))
    return true
  })
})

afterEach(() => {
  vi.restoreAllMocks()
})

describe('the default logger', () => {
  test('writes one line for one event, whatever breaks lines in it', () => {
    stderrLogger.warn('  first\r\n\r\n  second\rthird', { name: 'a\nb' })
    expect(written).toEqual(['kafka-producer WARN first | second | third {"name":"a\\nb"}\n'])
  })

  test('takes a message of blanks in one pass', () => {
    // An expression with blanks around the line break tries every run of them from each of its characters.
    const blanks = ' '.repeat(3000)
    stderrLogger.warn(`host ${blanks}`.repeat(50), { host: blanks.repeat(100) })
    expect(written).toHaveLength(1)
  })

  test('cuts what is too long, and says how long it is', () => {
    stderrLogger.error('x'.repeat(1_000_000), {
      text: 'y'.repeat(1_000_000),
      error: new Error('z'.repeat(1_000_000)),
    })
    expect(written).toHaveLength(1)
    expect(written[0]!.length).toBeLessThan(5000)
    expect(written[0]).toContain('characters)')
  })
})
