// The campaigns' command: `npm run campaign -- <name> [options]` runs one of the tests in this folder at a size
// that a test run has no time for. The options go to the test as environment variables; see campaign.ts.
import { spawn } from 'node:child_process'
import path from 'node:path'
import { parseArgs } from 'node:util'

const root = path.join(import.meta.dirname, '..', '..')
const campaigns = {
  cut: {
    file: 'cut-connection.test.ts',
    text: 'one connection is reset at a random Produce request, run after run',
  },
  chaos: {
    file: 'chaos.test.ts',
    text: 'three real brokers are killed, paused, restarted and cut off under load',
  },
  stall: {
    file: 'stall.test.ts',
    text: 'full speed against a sink that stalls for seconds; memory must stay flat',
  },
  fuzz: {
    file: 'fuzz-responses.test.ts',
    text: 'mutated and random answers through every decoder and through a connection',
  },
  sessions: {
    file: 'sessions.test.ts',
    text: "SASL sessions of 3 s are renewed at 5,000 records/s; the broker's log tells",
    minutes: 1,
  },
  transactions: {
    file: 'transactions.test.ts',
    text: 'brokers die during commits; a processor of 5,000 records is killed again and again',
    runs: 200,
    records: 5000,
  },
}
/** The titles of the tests, by target. */
const targets = { test: 'on the test cluster', kafka: 'on Kafka', both: '' }
const help = `npm run campaign -- <campaign> [options]

${Object.entries(campaigns)
  .map(([name, { text }]) => `  ${name.padEnd(12)} ${text}`)
  .join('\n')}

  --seed N        where the dice start; the same seed gives the same schedule (1)
  --runs N        cut, fuzz: how many runs (1000); transactions: how many brokers are killed (200)
  --first N       cut: number of the first run (0); with --runs 1 it repeats one run
  --target NAME   cut: test, kafka or both (both)
  --records N     chaos: how many records at least (100000); transactions: through the processor (5000)
  --minutes N     stall, sessions: how long (10; 1 for each mechanism)
`

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: 'string', default: '1' },
    runs: { type: 'string' },
    first: { type: 'string', default: '0' },
    target: { type: 'string', default: 'both' },
    records: { type: 'string' },
    minutes: { type: 'string' },
    help: { type: 'boolean', default: false },
  },
})
const campaign = campaigns[positionals[0]]
const target = targets[values.target]
if (values.help || positionals.length !== 1 || campaign === undefined || target === undefined) {
  process.stderr.write(help)
  process.exit(values.help ? 0 : 1)
}
const child = spawn(
  process.execPath,
  [
    path.join(root, 'node_modules', 'vitest', 'vitest.mjs'),
    ...['run', '--config', path.join(root, 'test', 'vitest.config.mts')],
    path.join('test', 'campaigns', campaign.file),
    ...['--testNamePattern', target],
  ],
  {
    cwd: root,
    stdio: 'inherit',
    env: {
      ...process.env,
      // A campaign that leaves out what it was asked for has shown nothing.
      CI: 'true',
      CAMPAIGN_SEED: values.seed,
      CAMPAIGN_RUNS: values.runs ?? String(campaign.runs ?? 1000),
      CAMPAIGN_FIRST: values.first,
      CAMPAIGN_RECORDS: values.records ?? String(campaign.records ?? 100_000),
      CAMPAIGN_SECONDS: String(Number(values.minutes ?? campaign.minutes ?? 10) * 60),
    },
  },
)
child.on('exit', (code) => process.exit(code ?? 1))
