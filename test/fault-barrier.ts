/** A barrier for parts that are tested alone: a fault behind it fails the test run. */
import { FaultBarrier } from '../src/fault-barrier.js'

function failTheRun(error: Error): void {
  setImmediate(() => {
    throw error
  })
}

export const barrier = new FaultBarrier(failTheRun)
