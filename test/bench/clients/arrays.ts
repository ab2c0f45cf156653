/**
 * The load for libraries that are made for arrays: each `send` gets ARRAY records, with so many at a time that
 * `outstanding` records wait, and is awaited. That is what their documentation advises for throughput.
 */
import { Meter } from '../meter.js'
import { keys, print, values, warmUp, type Load } from './load.js'

const ARRAY = 1000

export interface Message {
  readonly value: Buffer
  readonly key?: string
  readonly headers?: Record<string, string>
}

export async function measureArrays(
  load: Load,
  send: (messages: Message[]) => Promise<unknown>,
): Promise<void> {
  if (load.loop !== 'array') throw new Error(`only loop=array here, not ${load.loop}`)
  const bytes = values(load.size)
  const names = load.keyed ? keys() : undefined
  let next = 0

  const message = (): Message => {
    const index = next++
    const value = bytes[index % bytes.length] as Buffer
    if (names === undefined) return { value }
    return { value, key: names[index % names.length] as string, headers: { source: 'checkout' } }
  }
  const sendAll = async (records: number): Promise<void> => {
    let left = records
    const task = async (): Promise<void> => {
      while (left > 0) {
        const length = Math.min(ARRAY, left)
        left -= length
        await send(Array.from({ length }, message))
      }
    }
    await Promise.all(Array.from({ length: Math.ceil(load.outstanding / ARRAY) }, task))
  }

  const warmupRecords = await warmUp(load, sendAll)
  const meter = new Meter()
  await sendAll(load.records)
  print({ runtime: `Node ${process.versions.node}`, ...meter.stop(load.records), warmupRecords })
}
