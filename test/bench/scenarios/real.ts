/** The throughput scenario to one broker of real Kafka on this machine, which then takes most of its cores. */
import type { Scenario } from '../bench.js'
import { withKafka } from '../kafka-target.js'
import { throughput } from './throughput.js'

/** Of the sink's window: a broker on the same machine takes the records several times more slowly. */
const WINDOW_SHARE = 0.25

export const realScenario: Scenario = {
  name: 'real',
  summary: 'values without keys to real Kafka 4.2 on this machine',
  run: (options) =>
    withKafka((kafka) =>
      throughput('real', { ...options, share: options.share * WINDOW_SHARE }, false, () =>
        Promise.resolve(kafka.target()),
      ),
    ),
}
