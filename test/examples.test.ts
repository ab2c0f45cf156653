/**
 * Every example runs as its reader runs it: compiled (`npm run build:examples`, which `npm test` does first), in a
 * process of its own, the package found by its name.
 */
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdirSync, readFileSync } from 'node:fs'
import type { AddressInfo } from 'node:net'
import path from 'node:path'
import { createServer } from 'node:tls'
import { Producer } from 'kafka-producer'
import { TestCluster } from 'kafka-producer/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { describeKafka } from './kafka/cluster.js'

const examples = path.join(__dirname, '../examples')
const compiled = path.join(__dirname, '../build/examples')

class Example {
  stdout = ''
  stderr = ''
  readonly #process: ChildProcess
  readonly #ended: Promise<unknown>

  constructor(name: string, env: Readonly<Record<string, string>> = {}, flags: readonly string[] = []) {
    const { KAFKA_BOOTSTRAP: _, ...inherited } = process.env
    // Strict about what nobody handles, as the test suite is.
    const args = ['--unhandled-rejections=strict', '--throw-deprecation', ...flags, path.join(compiled, name)]
    this.#process = spawn(process.execPath, args, { env: { ...inherited, ...env } })
    this.#process.stdout?.setEncoding('utf8').on('data', (text: string) => (this.stdout += text))
    this.#process.stderr?.setEncoding('utf8').on('data', (text: string) => (this.stderr += text))
    this.#ended = once(this.#process, 'close')
    running.add(this)
  }

  write(text: string): void {
    this.#process.stdin?.write(text)
  }

  /** Writes the last of its input. */
  end(text: string): void {
    this.#process.stdin?.end(text)
  }

  kill(signal: NodeJS.Signals): void {
    this.#process.kill(signal)
  }

  /** Resolves once standard output has `text`; rejects when the process ends without it. */
  async prints(text: string): Promise<void> {
    while (!this.stdout.includes(text)) {
      const isOver = await Promise.race([
        this.#process.stdout ? once(this.#process.stdout, 'data').then(() => false) : true,
        this.#ended.then(() => true),
      ])
      if (isOver && !this.stdout.includes(text)) {
        throw new Error(`ended without "${text}":\n${this.stdout}\n${this.stderr}`)
      }
    }
  }

  async exit(): Promise<{ code: number | null; stdout: string; stderr: string }> {
    await this.#ended
    running.delete(this)
    return { code: this.#process.exitCode, stdout: this.stdout, stderr: this.stderr }
  }
}

const running = new Set<Example>()

afterEach(() => {
  for (const example of running) example.kill('SIGKILL')
  running.clear()
})

describe('examples', { timeout: 60_000 }, () => {
  test('each of them is run here', () => {
    const names = readdirSync(examples).filter((name) => name.endsWith('.ts'))
    expect(names).toEqual([
      'custom-partitioner.ts',
      'delivery-semantics.ts',
      'demo.ts',
      'exactly-once.ts',
      'order-service.ts',
      'sasl-tls.ts',
      'test-your-service.ts',
      'worker-threads.ts',
    ])
  })

  test('the demo sends orders and clicks, and proves by reading back that all arrived', async () => {
    const { code, stdout, stderr } = await new Example('demo.js').exit()
    expect(stderr).toBe('')
    expect(stdout).toContain('Read back: 20,000 of 20,000 orders, 60,000 of 60,000 clicks.')
    expect(stdout).toContain('Proof: each order is stored once')
    expect(stdout.match(/^ {2}partition \d: /gm)).toHaveLength(6 + 3)
    expect(code).toBe(0)
  })

  test('the demo uses the cluster that KAFKA_BOOTSTRAP names', async () => {
    await using cluster = await TestCluster.start({
      topics: { 'demo-orders': { partitions: 2 }, 'demo-clicks': { partitions: 1 } },
    })
    const KAFKA_BOOTSTRAP = cluster.bootstrapServers.toString()
    const { code, stdout, stderr } = await new Example('demo.js', { KAFKA_BOOTSTRAP }).exit()
    expect(stderr).toBe('')
    expect(stdout).toContain('Proof: 20,000 orders were acknowledged')
    expect(stdout).toContain(
      `kafka-console-consumer.sh --bootstrap-server ${KAFKA_BOOTSTRAP} --topic demo-orders`,
    )
    expect(cluster.records('demo-orders')).toHaveLength(20_000)
    expect(code).toBe(0)
  })

  test('the order service announces each order, and on SIGTERM delivers what it has and leaves', async () => {
    await using cluster = await TestCluster.start({ brokers: 3, topics: { orders: { partitions: 6 } } })
    const service = new Example('order-service.js', { KAFKA_BOOTSTRAP: cluster.bootstrapServers.toString() })
    await service.prints('taking orders')
    service.write('order-1 42000\nnonsense\norder-2 1250\norder-1 1\n')
    await service.prints('order-2 paid: orders-')
    service.kill('SIGTERM')
    const { code, stdout, stderr } = await service.exit()
    expect(stderr).toBe('not an order: nonsense\n')
    expect(stdout).toContain('every order was announced')
    expect(code).toBe(0)
    const events = cluster
      .records('orders')
      .map((record) => [String(record.key), JSON.parse(String(record.value))])
    expect(events.filter(([key]) => key === 'order-1')).toEqual([
      ['order-1', { type: 'OrderPaidEvent', orderId: 'order-1', amount: 42_000 }],
      ['order-1', { type: 'OrderPaidEvent', orderId: 'order-1', amount: 1 }],
    ])
    expect(events).toHaveLength(3)
  })

  test('the order service says which orders it could not announce, and fails', async () => {
    await using cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
    cluster.fail({ api: 'Produce' }, { error: 'TOPIC_AUTHORIZATION_FAILED' })
    const service = new Example('order-service.js', { KAFKA_BOOTSTRAP: cluster.bootstrapServers.toString() })
    service.end('order-1 42000\n')
    const { code, stdout, stderr } = await service.exit()
    expect(stderr).toMatch(/^TOPIC_AUTHORIZATION_FAILED: .*orders/m)
    expect(stdout).toContain('not announced: order-1')
    expect(code).toBe(1)
  })

  test('the custom partitioner keeps one customer apart', async () => {
    const { code, stdout, stderr } = await new Example('custom-partitioner.js').exit()
    expect(stderr).toBe('')
    const lines = stdout.trim().split('\n')
    expect(lines).toHaveLength(7)
    for (const line of lines) expect(line.includes('-> partition 0,')).toBe(line.startsWith('acme'))
    expect(code).toBe(0)
  })

  test('the three delivery semantics differ under the same faults by what they lose and double', async () => {
    const { code, stdout, stderr } = await new Example('delivery-semantics.js').exit()
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^at most once +20 +20 +18 +2 +0 +lost: payment-3, payment-12$/m)
    expect(stdout).toMatch(/^at least once +20 +20 +22 +0 +2 +doubled: payment-8, payment-17$/m)
    expect(stdout).toMatch(/^exactly once +20 +20 +20 +0 +0 *$/m)
    expect(code).toBe(0)
  })

  test('the example of TLS and SASL says what is missing, and why it is refused', async () => {
    const missing = await new Example('sasl-tls.js', { KAFKA_BOOTSTRAP: 'localhost:1' }).exit()
    expect(missing.stderr).toMatch(/^KAFKA_CA is missing/)
    expect(missing.code).toBe(2)

    const pem = (name: string): string => path.join(__dirname, 'fixtures/tls', `${name}.pem`)
    const server = createServer({ cert: readFileSync(pem('elsewhere')), key: readFileSync(pem('key')) })
    server.on('tlsClientError', () => {})
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    const { port } = server.address() as AddressInfo
    const { code, stderr } = await new Example('sasl-tls.js', {
      KAFKA_BOOTSTRAP: `localhost:${port}`,
      KAFKA_CA: pem('ca'),
      KAFKA_USERNAME: 'orders',
      KAFKA_PASSWORD_FILE: pem('key'),
    }).exit()
    server.close()
    expect(stderr).toMatch(/^refused: .*has a certificate for another host/m)
    expect(code).toBe(1)
  })

  test('the worker threads send all their readings, each sensor in order', async () => {
    await using cluster = await TestCluster.start({ topics: { readings: { partitions: 3 } } })
    const env = { KAFKA_BOOTSTRAP: cluster.bootstrapServers.toString(), READINGS: '2000', WORKERS: '3' }
    const { code, stdout, stderr } = await new Example('worker-threads.js', env).exit()
    expect(stderr).toBe('')
    expect(stdout).toMatch(/^6000 readings acknowledged by 3 workers, \d+ in a second$/m)
    expect(code).toBe(0)
    const bySensor = new Map<string, number[]>()
    for (const { key, value } of cluster.records('readings'))
      bySensor.set(String(key), [...(bySensor.get(String(key)) ?? []), Number(value)])
    expect(bySensor.size).toBe(300)
    for (const numbers of bySensor.values()) {
      expect(numbers).toEqual(numbers.toSorted((a, b) => a - b))
      expect(numbers).toHaveLength(20)
    }
  })

  test('the test of a service passes', async () => {
    const { code, stdout } = await new Example('test-your-service.js', {}, ['--test']).exit()
    expect(stdout).toMatch(/^(#|ℹ) fail 0$/m)
    expect(code).toBe(0)
  })
})

describeKafka('with a consumer', { brokers: 1 }, (kafka) => {
  test('exactly once: a receipt for each payment, also across a restart, and the offsets with them', async () => {
    const [input, output] = [
      await kafka().createTopic('payments', 3),
      await kafka().createTopic('receipts', 3),
    ]
    const env = { KAFKA_BOOTSTRAP: kafka().bootstrapServers, KAFKA_INPUT: input, KAFKA_OUTPUT: output }
    await using customers = new Producer({ bootstrapServers: kafka().bootstrapServers })
    const expected: string[] = []
    for (const round of [1, 2]) {
      const payments = Array.from({ length: 30 }, (_, i) => ({
        key: `customer-${i}`,
        value: `${round}-${i}`,
      }))
      await Promise.all(payments.map((payment) => customers.send({ topic: input, ...payment })))
      expected.push(...payments.map(({ value }) => `received: ${value}`))
      const example = new Example('exactly-once.js', env)
      const written = (): number =>
        [...example.stdout.matchAll(/^(\d+) receipts for/gm)].reduce(
          (sum, [, count]) => sum + Number(count),
          0,
        )
      await expect.poll(written, { timeout: 60_000 }).toBe(payments.length)
      example.kill('SIGTERM')
      expect((await example.exit()).code).toBe(0)
      const receipts = await kafka().consume(output, 'read_committed')
      expect(receipts.map(({ value }) => String(value)).toSorted()).toEqual(expected.toSorted())
      const offsets = await kafka().groupOffsets(`receipts-of-${input}`)
      expect([...offsets.values()].reduce((a, b) => a + b, 0)).toBe(expected.length)
    }
  })
})
