/** The throughput scenario with what a real record has: a string key, hashed by murmur2, and one header. */
import type { Scenario } from '../bench.js'
import { throughput } from './throughput.js'

export const keyedScenario: Scenario = {
  name: 'keyed',
  summary: 'string keys of 10,000 orders and one header on every record',
  run: (options) => throughput('keyed', options, true),
}
