/**
 * Fire-and-forget never ends a process that runs under --unhandled-rejections=strict; what a user derives from the
 * promise and does not catch stays the user's. In processes of their own, under plain Node.
 */
import { execFile } from 'node:child_process'
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import ts from 'typescript'
import { beforeAll, expect, test } from 'vitest'

const root = path.join(__dirname, '../..')

interface Ended {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

function execute(args: readonly string[]): Promise<Ended> {
  return new Promise((resolve) => {
    execFile(process.execPath, args, { cwd: root, encoding: 'utf8' }, (error, stdout, stderr) => {
      resolve({
        code: typeof error?.code === 'number' ? error.code : error === null ? 0 : -1,
        stdout,
        stderr,
      })
    })
  })
}

const out = path.join(root, 'build', 'unhandled-rejections')

beforeAll(() => {
  for (const name of readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' })) {
    if (!name.endsWith('.ts')) continue
    const { outputText } = ts.transpileModule(readFileSync(path.join(root, 'src', name), 'utf8'), {
      compilerOptions: {
        module: ts.ModuleKind.CommonJS,
        target: ts.ScriptTarget.ES2023,
        esModuleInterop: true,
      },
    })
    const target = path.join(out, name.replace(/ts$/, 'js'))
    mkdirSync(path.dirname(target), { recursive: true })
    writeFileSync(target, outputText)
  }
})

/** Runs a script with a cluster that refuses every record, and a producer without a logger. */
function strict(script: string): Promise<Ended> {
  const program = `
    const { Producer } = require(${JSON.stringify(path.join(out, 'index.js'))})
    const { TestCluster } = require(${JSON.stringify(path.join(out, 'testing/index.js'))})
    async function main() {
      const cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
      cluster.fail({ api: 'Produce', times: Infinity }, { error: 'INVALID_RECORD' })
      const logger = { debug() {}, info() {}, warn() {}, error() {} }
      const producer = new Producer({ bootstrapServers: cluster.bootstrapServers, logger, lingerMs: 0 })
      const record = { topic: 'orders', value: 'v' }
      ${script}
      await producer.close()
      await cluster.close()
      console.log('lived')
    }
    main()`
  return execute(['--unhandled-rejections=strict', '-e', program])
}

test('sends that nobody awaits fail in every way, and the process lives', async () => {
  const ended = await strict(`
    producer.send(record)                                     // refused by the broker
    producer.topic('orders').send({ value: 'v' })
    producer.send({ topic: 'a/b', value: 'v' })               // refused at once
    producer.send({ topic: 'orders', value: {} })
    producer.send({ topic: 'orders', value: 'v', partition: -1 })
    producer.send(undefined)
    producer.topic('orders').send(undefined)
    await producer.flush()
    const slow = new Producer({
      bootstrapServers: cluster.bootstrapServers, logger, lingerMs: 0,
      valueSerializer: async () => { throw new Error('no') },
      interceptors: [{ onAcknowledgement() {} }],
    })
    slow.send(record)                                         // fails in an asynchronous serializer, behind an interceptor
    await slow.flush()
    slow.send({ topic: 'other', value: 'v' })
    await slow.close({ timeoutMs: 0 })                        // given up
    slow.send(record)                                         // after the close
    const lost = new Producer({ bootstrapServers: '127.0.0.1:1', logger, maxBlockMs: 50 })
    lost.send(record)                                         // no broker at all
    await lost.flush()
    await lost.close()
    await new Promise((resolve) => setImmediate(resolve))
  `)
  expect(ended).toEqual({ code: 0, stdout: 'lived\n', stderr: '' })
}, 30_000)

test("a .then of the user's own without a catch ends it, as Node has it", async () => {
  const ended = await strict(`
    producer.send(record).then(() => {})
    await producer.flush()
    await new Promise((resolve) => setImmediate(resolve))
  `)
  expect(ended.code).toBe(1)
  expect(ended.stderr).toContain('INVALID_RECORD')
}, 30_000)

test('a process that has nothing else to do ends when its producer is closed', async () => {
  const ended = await strict(`await producer.send(record).catch((error) => console.log(error.code))`)
  expect(ended).toEqual({ code: 0, stdout: 'INVALID_RECORD\nlived\n', stderr: '' })
}, 30_000)
