/** Runs a program to its end without blocking; a program that fails is an error with the end of its stderr. */
import { spawn } from 'node:child_process'
import { Readable } from 'node:stream'

export interface RunOptions {
  readonly input?: string | Iterable<string> | AsyncIterable<string>
  /** Given every line of stdout as it comes; nothing is collected then. */
  readonly onLine?: (line: string) => void
  /** Default 180 s; then the program is killed and the call fails. */
  readonly timeoutMs?: number
}

/** The text on stdout; empty when `onLine` took it. */
export async function run(
  command: readonly [string, ...string[]],
  options: RunOptions = {},
): Promise<string> {
  const { input = '', onLine, timeoutMs = 180_000 } = options
  const [program, ...args] = command
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'pipe'] })
  let stderr = ''
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr = (stderr + text).slice(-8_000)
  })
  const ended = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code, signal) => resolve({ code, signal }))
  })
  const watch = setTimeout(() => child.kill('SIGKILL'), timeoutMs)
  // A program may end without reading its input; what it makes of that shows in its exit code.
  child.stdin.on('error', () => child.stdin.destroy())
  Readable.from(typeof input === 'string' ? [input] : input).pipe(child.stdin)
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    stdout += text
    if (onLine === undefined) return
    const lines = stdout.split('\n')
    stdout = lines.pop() ?? ''
    for (const line of lines) onLine(line)
  })
  try {
    const { code, signal } = await ended
    if (code === 0) return stdout
    const how = signal === null ? `exit code ${code}` : `killed by ${signal}, at most ${timeoutMs} ms allowed`
    throw new Error(`${[program, ...args].join(' ').slice(-400)}: ${how}\n${stderr}${stdout.slice(-4_000)}`)
  } finally {
    clearTimeout(watch)
  }
}
