/** The seam for time: tests of the brokers themselves have a clock that they set. */
import { clearTimeout, setTimeout } from '../../time/event-loop.js'

export interface BrokerClock {
  /** Milliseconds since the epoch. */
  wallNow(): number
  setTimer(delayMs: number, fire: () => void): { cancel(): void }
}

export const realClock: BrokerClock = {
  wallNow: () => Date.now(),
  setTimer: (delayMs, fire) => {
    const timer = setTimeout(fire, delayMs)
    return { cancel: () => clearTimeout(timer) }
  },
}
