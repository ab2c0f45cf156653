/** Where the coordinator is: the last FindCoordinator counts, also while the metadata has that broker elsewhere. */
import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { Backoff } from '../../../src/time/backoff.js'
import { Cluster } from '../../../src/network/cluster.js'
import { Coordinator } from '../../../src/producer/transactions/coordinator.js'
import { EndTxn, FindCoordinator, Metadata } from '../../../src/protocol/apis.js'
import { ManualClock, settled } from '../../network/manual-clock.js'
import { MemoryNetwork } from '../../network/memory-transport.js'
import { networkConfig } from '../../network/network-config.js'
import { metadata, ScriptedBroker } from '../../network/scripted-broker.js'
import { barrier } from '../../fault-barrier.js'

const OLD = '10.0.0.2'
const NEW = '10.0.0.22'

let clock: ManualClock
let network: MemoryNetwork
let cluster: Cluster
/** Knows all others, and coordinates nothing. */
let first: ScriptedBroker
/** Broker 2, at its new address. */
let second: ScriptedBroker
/** Where metadata and FindCoordinator have broker 2. */
let host: { metadata: string; coordinator: string }

beforeEach(async () => {
  clock = new ManualClock()
  network = new MemoryNetwork()
  host = { metadata: OLD, coordinator: NEW }
  first = new ScriptedBroker(({ api }) => {
    if (api.key === Metadata.key) {
      return metadata([
        [1, '10.0.0.1', 9092],
        [2, host.metadata, 9092],
      ])
    }
    if (api.key !== FindCoordinator.key) return undefined
    const found = {
      key: 'checkout',
      nodeId: 2,
      host: host.coordinator,
      port: 9092,
      errorCode: 0,
      errorMessage: null,
    }
    return { throttleTimeMs: 0, ...found, coordinators: [found] }
  })
  second = new ScriptedBroker(({ api }) =>
    api.key === EndTxn.key
      ? { throttleTimeMs: 0, errorCode: 0, producerId: 7n, producerEpoch: 1 }
      : undefined,
  )
  network.listen('10.0.0.1', 9092, first.serve)
  network.listen(NEW, 9092, second.serve)
  cluster = new Cluster({
    barrier,
    config: networkConfig,
    clock,
    connect: network.connect,
    lookup: network.lookup,
  })
  cluster.requestMetadataUpdate()
  await settled()
})

afterEach(async () => {
  await cluster.close()
  await settled()
  assert.equal(network.sockets.size, 0, 'sockets that are left')
  assert.equal(clock.timers, 0, 'timers that are left')
})

function coordinator(type: 'group' | 'transaction'): Coordinator {
  const backoff = new Backoff(100, 1000, () => 0.5)
  return new Coordinator(type, 'checkout', { cluster, clock, backoff, shortBackoff: backoff })
}

/** Any request that only a coordinator answers. */
async function ask(one: Coordinator): Promise<void> {
  const body = { transactionalId: 'checkout', producerId: 7n, producerEpoch: 0, committed: true }
  const asked = one.request(EndTxn, {
    body: () => body,
    verdict: ({ errorCode }) => ({ reaction: errorCode === 0 ? 'success' : 'fatal', errorCode }),
  })
  await clock.advance(2000)
  await asked
}

describe.each(['transaction', 'group'] as const)('the coordinator of a %s', (type) => {
  test('is where FindCoordinator says, and metadata is asked for', async () => {
    const before = first.of('Metadata').length
    await ask(coordinator(type))
    expect(second.of('EndTxn')).toHaveLength(1)
    expect(first.of('FindCoordinator')).toHaveLength(1)
    expect(network.attempts).not.toContain(`${OLD}:9092`)
    expect(first.of('Metadata').length).toBeGreaterThan(before)
  })

  test('stays there, whatever the metadata says, until its connection fails', async () => {
    const one = coordinator(type)
    await ask(one)
    for (const address of [OLD, NEW, OLD]) {
      host.metadata = address
      cluster.requestMetadataUpdate()
      await clock.advance(2000)
      await ask(one)
    }
    expect(second.of('EndTxn')).toHaveLength(4)
    expect(second.sockets).toHaveLength(1)
    expect(first.of('FindCoordinator')).toHaveLength(1)

    host.coordinator = '10.0.0.23'
    network.listen('10.0.0.23', 9092, second.serve)
    second.sockets[0]!.destroy()
    await settled()
    await ask(one)
    expect(second.of('EndTxn')).toHaveLength(5)
    expect(network.attempts.at(-1)).toBe('10.0.0.23:9092')
  })

  test('is asked for again where it is said to be nowhere', async () => {
    host.coordinator = ''
    const asked = ask(coordinator(type))
    await clock.advance(500)
    host.coordinator = NEW
    await clock.advance(1500)
    await asked
    expect(second.of('EndTxn')).toHaveLength(1)
  })
})
