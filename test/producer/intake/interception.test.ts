import { expect, test } from 'vitest'
import { KafkaError } from '../../../src/errors.js'
import type { ProducerInterceptor } from '../../../src/interceptor.js'
import { Interception } from '../../../src/producer/intake/interception.js'
import type { RecordMetadata } from '../../../src/record.js'

const metadata: RecordMetadata = {
  topic: 'orders',
  partition: 0,
  offset: 7n,
  timestamp: 1,
  serializedKeySize: -1,
  serializedValueSize: 1,
}

function intercepted(...interceptors: ProducerInterceptor[]): { interception: Interception; log: string[] } {
  const log: string[] = []
  const logger = {
    debug: () => {},
    info: () => {},
    warn: () => {},
    error: (message: string) => void log.push(message),
  }
  return { interception: new Interception(interceptors, logger), log }
}

test('each interceptor sees what the one before it made of the record', () => {
  const { interception } = intercepted(
    { onSend: (record) => ({ ...record, value: `${String(record.value)}1` }) },
    { onAcknowledgement: () => {} },
    { onSend: (record) => ({ ...record, topic: `${record.topic}-copy`, value: `${String(record.value)}2` }) },
  )
  const given = { value: 'v', key: 'k' }
  expect(interception.onSend('orders', given)).toEqual({ topic: 'orders-copy', key: 'k', value: 'v12' })
  expect(given).toEqual({ value: 'v', key: 'k' })
})

test('what one throws is logged, and the record goes on as if it were not there', () => {
  const seen: unknown[] = []
  const bad: ProducerInterceptor = {
    onSend: () => {
      throw new Error('no')
    },
    onAcknowledgement: () => {
      throw new Error('no')
    },
    close: () => {
      throw new Error('no')
    },
  }
  const good: ProducerInterceptor = {
    onSend: (record) => record,
    onAcknowledgement: (...told) => void seen.push(told),
    close: () => void seen.push('closed'),
  }
  const { interception, log } = intercepted(bad, good)
  expect(interception.onSend('orders', { value: 'v' })).toEqual({ topic: 'orders', value: 'v' })
  interception.around(() => void seen.push('settled'), { h: '1' })(null, metadata)
  interception.close()
  expect(seen).toEqual([[metadata, null, { h: '1' }], 'settled', 'closed'])
  expect(log).toEqual(["an interceptor's onSend threw", "an interceptor's onAcknowledgement threw", "an interceptor's close threw"]) // prettier-ignore
})

test('interceptors hear of a failure before whoever sent the record', () => {
  const seen: unknown[] = []
  const { interception } = intercepted({ onAcknowledgement: (_, error) => void seen.push(error?.code) })
  const callback = interception.around((error, told) => void seen.push([error?.code, told]), undefined)
  callback(new KafkaError('no', { code: 'NO' }), metadata)
  expect(seen).toEqual(['NO', ['NO', metadata]])
})
