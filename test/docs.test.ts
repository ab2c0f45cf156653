/**
 * The documents tell the truth: every TypeScript block compiles, every relative link leads somewhere, every npm script
 * that is named exists, and the README's quick start runs.
 */
import { execFile } from 'node:child_process'
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'
import { promisify } from 'node:util'
import { TestCluster } from 'kafka-producer/testing'
import ts from 'typescript'
import { describe, expect, test } from 'vitest'

const root = path.join(__dirname, '..')
const documents = [
  'README.md',
  ...readdirSync(path.join(root, 'docs'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.md'))
    .map((name) => path.join('docs', name)),
]

/** What a block may use without declaring it: the names that the README's service introduces. */
const KNOWN = `
import type { Producer } from 'kafka-producer'
declare global {
  interface OrderPaidEvent { type: 'OrderPaidEvent'; orderId: string; amount: number }
  const producer: Producer<string, OrderPaidEvent>
  const event: OrderPaidEvent
  const events: readonly OrderPaidEvent[]
}`

interface Block {
  readonly document: string
  /** Of the block's first line in the document, counted from 0. */
  readonly line: number
  readonly code: string
}

function blocksOf(document: string): Block[] {
  const text = readFileSync(path.join(root, document), 'utf8')
  return [...text.matchAll(/^```ts\n(.*?)^```$/gms)].map((match) => ({
    document,
    line: text.slice(0, match.index).split('\n').length,
    code: match[1] ?? '',
  }))
}

const blocks = documents.flatMap(blocksOf)

/** Compiles the blocks as ES modules at the top of the project, where the package's name leads to src. */
function problemsOf(candidates: readonly Block[]): string[] {
  const config = ts.readConfigFile(path.join(root, 'tsconfig.json'), (name) => ts.sys.readFile(name))
  const { options } = ts.convertCompilerOptionsFromJson(
    (config.config as { compilerOptions: object }).compilerOptions,
    root,
  )
  const files = new Map([[path.join(root, 'known-to-every-block.d.ts'), KNOWN]])
  const sources = new Map<string, Block>()
  for (const [i, block] of candidates.entries()) {
    const name = path.join(root, `block-${i}.mts`)
    sources.set(name, block)
    files.set(name, `${block.code}\nexport {}\n`)
  }
  const onDisk = ts.createCompilerHost(options)
  const host: ts.CompilerHost = {
    ...onDisk,
    readFile: (name) => files.get(name) ?? onDisk.readFile(name),
    fileExists: (name) => files.has(name) || onDisk.fileExists(name),
    getSourceFile: (name, languageVersion, ...rest) => {
      const text = files.get(name)
      if (text === undefined) return onDisk.getSourceFile(name, languageVersion, ...rest)
      return ts.createSourceFile(name, text, languageVersion)
    },
  }
  const program = ts.createProgram([...files.keys()], { ...options, noEmit: true }, host)
  return [...sources].flatMap(([name, { document, line }]) => {
    const file = program.getSourceFile(name)
    const found = [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)]
    return found.map(({ messageText, start }) => {
      const at = line + 1 + (file?.getLineAndCharacterOfPosition(start ?? 0).line ?? 0)
      return `${document}:${at}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`
    })
  })
}

describe('the documents', () => {
  test('have TypeScript blocks that compile', { timeout: 60_000 }, () => {
    expect(blocks.length).toBeGreaterThan(8)
    expect(problemsOf(blocks)).toEqual([])
  })

  test('are read by a check that sees a misspelt name', { timeout: 60_000 }, () => {
    const code =
      "import { Producr } from 'kafka-producer'\nvoid producer.send({ topic: 'orders', value: 1 })\n"
    const problems = problemsOf([{ document: 'x.md', line: 10, code }])
    expect(problems).toHaveLength(2)
    expect(problems[0]).toMatch(/^x\.md:11: .*Producr/)
    expect(problems[1]).toMatch(/^x\.md:12: /)
  })

  test.for(documents)('%s links to files that exist', (document) => {
    const text = readFileSync(path.join(root, document), 'utf8')
    for (const [, target = ''] of text.matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)) {
      expect(existsSync(path.join(root, path.dirname(document), target)), target).toBe(true)
    }
  })

  test.for(documents)('%s names scripts that exist', (document) => {
    const text = readFileSync(path.join(root, document), 'utf8')
    const { scripts } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8')) as {
      scripts: Record<string, string>
    }
    for (const [, script = ''] of text.matchAll(/npm run ([a-z:]+)/g)) expect(scripts).toHaveProperty(script)
  })
})

describe("the README's quick start", { timeout: 30_000 }, () => {
  const readme = blocks.filter(({ document }) => document === 'README.md')
  const runs: readonly [title: string, sign: string, printed: RegExp, stored: string][] = [
    ['the first ten lines', 'await using', /^stored in partition \d at offset 0\n$/, 'paid'],
    [
      'the service',
      'SIGTERM',
      /^order-1: partition \d, offset 0\nclosed\n$/,
      '{"type":"OrderPaidEvent","orderId":"order-1","amount":42000}',
    ],
  ]

  test.for(runs)('%s run as they stand', async ([, sign, printed, stored]) => {
    await using cluster = await TestCluster.start({ brokers: 3, topics: { orders: { partitions: 6 } } })
    const block = readme.find(({ code }) => code.includes(sign))
    expect(block).toBeDefined()
    // Two changes: where the cluster is, and that somebody asks the service to go once its order is through.
    const code = block!.code
      .replace(/\[?'localhost:9092'\]?/, JSON.stringify(cluster.bootstrapServers))
      .replace(
        /^await orderPaid.*$/m,
        "$&\nprocess.on('exit', () => console.log('closed'))\nprocess.kill(process.pid, 'SIGTERM')",
      )
    const { outputText } = ts.transpileModule(code, {
      compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
    })
    // In build/, where the package's name leads to dist: `npm test` builds it first.
    const file = path.join(root, `build/docs/quick-start-${sign.replace(' ', '-')}.mjs`)
    mkdirSync(path.dirname(file), { recursive: true })
    writeFileSync(file, outputText)
    const { stdout, stderr } = await promisify(execFile)(process.execPath, [file])
    expect(stderr).toBe('')
    expect(stdout).toMatch(printed)
    expect(cluster.records('orders').map((record) => String(record.value))).toEqual([stored])
  })
})

test('the guide shows how metadata becomes JSON, and that runs', { timeout: 30_000 }, async () => {
  await using cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
  const block = blocks.find(({ code }) => code.includes('JSON.stringify(metadata'))
  expect(block).toBeDefined()
  const code = `
import { json, Producer } from 'kafka-producer'
await using producer = new Producer({
  bootstrapServers: ${JSON.stringify(cluster.bootstrapServers)},
  valueSerializer: json(),
})
const event = { orderId: 'order-1' }
${block!.code}`
  const { outputText } = ts.transpileModule(code, {
    compilerOptions: { target: ts.ScriptTarget.ES2023, module: ts.ModuleKind.ESNext },
  })
  const file = path.join(root, 'build/docs/metadata-as-json.mjs')
  mkdirSync(path.dirname(file), { recursive: true })
  writeFileSync(file, outputText)
  const { stdout } = await promisify(execFile)(process.execPath, [file])
  expect(JSON.parse(stdout)).toMatchObject({ topic: 'orders', partition: 0, offset: '0' })
})
