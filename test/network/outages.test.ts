import { expect, test } from 'vitest'
import { ConnectionError } from '../../src/errors.js'
import { Outages } from '../../src/network/outages.js'

const [old, current] = [
  { host: 'old', port: 1 },
  { host: 'current', port: 2 },
]

function outages(): { outages: Outages; lines: string[] } {
  const lines: string[] = []
  const logger = { warn: (message: string) => void lines.push(message) }
  return { outages: new Outages({ logger, clock: { now: () => 0 } }), lines }
}

test('an address that no broker has any more is not in later messages', () => {
  const { outages: seen } = outages()
  seen.failed(1, old, new ConnectionError('old:1 refused the connection'))
  seen.failed(1, current, new ConnectionError('current:2 refused the connection'))
  expect(seen.inWords()).toBe('old:1 refused the connection; current:2 refused the connection')
  seen.keepOnly([current])
  expect(seen.inWords()).toBe('current:2 refused the connection')
  seen.reached(current)
  expect(seen.inWords()).toBe('')
})

test('an outage is over when its last address is gone: the next one is told at once', () => {
  const { outages: seen, lines } = outages()
  seen.failed(1, old, new ConnectionError('old:1 refused the connection'))
  seen.failed(1, old, new ConnectionError('old:1 refused the connection'))
  expect(lines).toHaveLength(1)
  seen.keepOnly([])
  seen.failed(1, current, new ConnectionError('current:2 refused the connection'))
  expect(lines).toHaveLength(2)
})
