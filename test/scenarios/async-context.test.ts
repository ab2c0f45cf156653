/** Which AsyncLocalStorage store the application sees when it is told of a record. */
import { AsyncLocalStorage, AsyncResource } from 'node:async_hooks'
import { expect, test } from 'vitest'
import { arena } from './arena.js'

test('an awaited send and a bound callback go on in the context of their own request', async () => {
  const { producer } = await arena()
  const orders = producer({ lingerMs: 5 })
  await orders.partitionsFor('orders')
  const request = new AsyncLocalStorage<string>()
  const seen: (string | undefined)[] = []
  const awaited = async (id: string): Promise<void> => {
    await orders.send({ topic: 'orders', value: id })
    seen.push(request.getStore())
  }
  const bound = (id: string): Promise<void> =>
    new Promise((resolve) => {
      orders.send(
        { topic: 'orders', value: id },
        AsyncResource.bind(() => {
          seen.push(request.getStore())
          resolve()
        }),
      )
    })
  await Promise.all([
    request.run('a', () => awaited('a')),
    request.run('b', () => bound('b')),
    request.run('c', () => awaited('c')),
    request.run('d', () => bound('d')),
  ])
  expect(seen).toHaveLength(4)
  expect(new Set(seen)).toEqual(new Set(['a', 'b', 'c', 'd']))
})
