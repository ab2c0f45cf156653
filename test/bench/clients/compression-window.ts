/** What the compression scenario asks of every client: a window after a warm-up, the bytes in it, and the event loop's delay. */
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { Meter } from '../meter.js'

/** `send` sends so many records to their end, and resolves with the bytes of their values. */
export async function measureWindow(
  send: (records: number) => Promise<number>,
  { warmupRecords, records }: { readonly warmupRecords: number; readonly records: number },
): Promise<object> {
  const warmupBytes = await send(warmupRecords)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  delay.enable()
  const meter = new Meter()
  const bytes = await send(records)
  const measured = meter.stop(records)
  delay.disable()
  return {
    runtime: `Node ${process.versions.node}`,
    ...measured,
    warmupRecords,
    bytes,
    allBytes: warmupBytes + bytes,
    loopDelayP99Ms: delay.percentile(99) / 1e6,
  }
}
