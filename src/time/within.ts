/** A bound on how long somebody waits for a promise; what the promise stands for goes on. */
import type { KafkaError } from '../errors.js'
import type { Clock } from './clock.js'

/** The promise's outcome, or the error that `late` makes when `deadline` (running time; may be Infinity) comes first. */
export function within<T>(
  clock: Clock,
  deadline: number,
  promise: Promise<T>,
  late: () => KafkaError,
): Promise<T> {
  if (deadline === Infinity) return promise
  return new Promise((resolve, reject) => {
    const timer = clock.setTimer(Math.max(0, deadline - clock.now()), () => reject(late()))
    promise.then(resolve, reject).finally(() => timer.cancel())
  })
}
