/**
 * Hostile answers: no crash, no hang, no memory by the wire's word. Small in a test run; `npm run campaign -- fuzz --runs
 * 5000000` is the whole.
 */
import { describe, expect, test } from 'vitest'
import { KafkaError } from '../../src/errors.js'
import { Connection } from '../../src/network/connection/connection.js'
import { Metadata } from '../../src/protocol/apis.js'
import { ManualClock, settled } from '../network/manual-clock.js'
import { MemoryNetwork } from '../network/memory-transport.js'
import { ScriptedBroker } from '../network/scripted-broker.js'
import { asked, report } from './campaign.js'
import { FrameDice, fuzzDecoders, fuzzFrames, type FuzzResult } from './fuzz-responses.js'
import { barrier } from '../fault-barrier.js'

const seed = asked('SEED', 1)
const runs = asked('RUNS', 20_000)
const timeout = 60_000 + runs
/** What a run may leave behind at most, whatever its size. */
const MEMORY_BOUND = 200 * 1024 * 1024

function expectCalm(what: string, run: () => FuzzResult): void {
  const before = process.memoryUsage()
  const { frames, refused, slowestMs } = run()
  const after = process.memoryUsage()
  report(`${what}: ${frames} frames, ${refused} refused, the slowest took ${slowestMs.toFixed(1)} ms`)
  expect(refused).toBeGreaterThan(0)
  expect(after.rss - before.rss).toBeLessThan(MEMORY_BOUND)
}

describe('hostile answers on the test cluster', () => {
  test('every decoder reads them or refuses them', { timeout }, () => {
    expectCalm(`decoders, seed ${seed}`, () => fuzzDecoders(seed, runs))
  })

  test('the stream of them is cut into frames or ends', { timeout }, () => {
    expectCalm(`frame reader, seed ${seed}`, () => fuzzFrames(seed, Math.ceil(runs / 5), 100_000))
  })

  test('a connection answers its caller or closes, and keeps nothing', { timeout }, async () => {
    const dice = new FrameDice(seed)
    const count = Math.ceil(runs / 20)
    let closed = 0
    for (let i = 0; i < count; i++) {
      const clock = new ManualClock()
      const network = new MemoryNetwork()
      const body = dice.body(dice.seed())
      const isRightHeader = dice.below(2) === 0
      const broker = new ScriptedBroker(({ api, correlationId, socket }) => {
        if (api.key !== Metadata.key) return undefined
        const header = Buffer.alloc(8)
        header.writeInt32BE(body.length + 4)
        header.writeInt32BE(isRightHeader ? correlationId : dice.below(2 ** 31), 4)
        socket.end(Buffer.concat([header, body]))
        return 'nothing'
      })
      network.listen('127.0.0.1', 9092, (socket) => broker.serve(socket))
      const one = new Connection({
        barrier,
        nodeId: 1,
        address: { host: 'h', port: 9092, ip: '127.0.0.1' },
        connect: network.connect,
        clock,
        setupTimeoutMs: 10_000,
        clientId: null,
        requestTimeoutMs: 30_000,
        connectionsMaxIdleMs: -1,
        socketMaxResponseBytes: 100_000,
      })
      await one.open()
      const outcome = await one
        .request(Metadata, {
          topics: [],
          allowAutoTopicCreation: true,
          includeClusterAuthorizedOperations: false,
          includeTopicAuthorizedOperations: false,
        })
        .catch((error: unknown) => error)
      if (outcome instanceof Error) {
        if (!(outcome instanceof KafkaError)) throw outcome
        closed++
      }
      one.close()
      await one.closed
      await settled()
      expect(clock.foregroundTimers).toBe(0)
    }
    report(`connection, seed ${seed}: ${count} answers, ${closed} ended the connection`)
    expect(closed).toBeGreaterThan(0)
  })
})
