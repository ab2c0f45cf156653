/** Starts the sink and the clients, each a process of its own, and reads the JSON lines that they print. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process'
import { createInterface } from 'node:readline'
import { join } from 'node:path'
import type { SinkAddress, SinkReport } from './sink/main.js'

export type Words = Readonly<Record<string, string | number | boolean>>

function words(values: Words): string[] {
  return Object.entries(values).map(([name, value]) => `${name}=${value}`)
}

export class Sink {
  readonly address: SinkAddress
  readonly #process: ChildProcess
  readonly #lines: AsyncIterator<string>

  private constructor(address: SinkAddress, child: ChildProcess, lines: AsyncIterator<string>) {
    this.address = address
    this.#process = child
    this.#lines = lines
  }

  static async start(options: Words): Promise<Sink> {
    const child = spawn(process.execPath, [join(__dirname, 'sink', 'main.js'), ...words(options)], {
      stdio: ['ignore', 'pipe', 'inherit', 'ipc'],
    })
    const { stdout } = child
    if (stdout === null) throw new Error('the sink has no output')
    const lines = createInterface({ input: stdout })[Symbol.asyncIterator]()
    return new Sink(await readLine<SinkAddress>(lines), child, lines)
  }

  /** Stalls all answers, or lets them go again. */
  toggleStall(): void {
    this.#process.kill('SIGUSR2')
  }

  async stop(): Promise<SinkReport> {
    this.#process.kill('SIGTERM')
    return readLine<SinkReport>(this.#lines)
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }
}

async function readLine<T>(lines: AsyncIterator<string>): Promise<T> {
  const line = await lines.next()
  if (line.done === true) throw new Error('the sink ended before it had printed its line')
  return JSON.parse(line.value) as T
}

/** No client needs so long; one that does hangs. */
const CLIENT_TIMEOUT_MS = 180_000

/** Runs a client to its end and returns the JSON of its last line. */
export function runClient<T>(command: readonly string[], options: Words): Promise<T> {
  const [program, ...rest] = command
  if (program === undefined) throw new Error('no program to run')
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...rest, ...words(options)], { stdio: ['ignore', 'pipe', 'pipe'] })
    const timer = setTimeout(() => child.kill('SIGKILL'), CLIENT_TIMEOUT_MS)
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8')
    child.stdout.on('data', (text: string) => {
      output += text
    })
    child.stderr.setEncoding('utf8')
    child.stderr.on('data', (text: string) => {
      process.stderr.write(text)
      errors = (errors + text).slice(0, 2000)
    })
    child.once('error', reject)
    child.once('close', (code, signal) => {
      clearTimeout(timer)
      const line = output.trimEnd().split('\n').at(-1) ?? ''
      if (code === 0 && line.startsWith('{')) resolve(JSON.parse(line) as T)
      else reject(new Error(`it ended with ${signal ?? code}: ${firstError(errors)}\n${command.join(' ')}`))
    })
  })
}

/** Of the repository: where it lies is nobody's business who reads the report. */
const folder = `${join(__dirname, '..', '..')}/`

function firstError(errors: string): string {
  const lines = errors.split('\n').map((line) => line.trim())
  const first = lines.find((line) => /error/i.test(line)) ?? lines.findLast((line) => line !== '')
  return first?.replaceAll(folder, '') ?? 'no message'
}

/** Of a Node at this path: its major version. */
export function nodeVersion(node: string): string {
  const { stdout } = spawnSync(node, ['--version'], { encoding: 'utf8' })
  return /^v(\d+)/.exec(stdout)?.[1] ?? '?'
}
