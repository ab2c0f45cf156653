/**
 * Profiles exactly the measured window, which the flags --cpu-prof and --heap-prof cannot: they take in start and
 * warm-up, and --heap-prof only counts what is still alive at the end, not what was allocated.
 */
import { writeFileSync } from 'node:fs'
import { Session } from 'node:inspector'

const SAMPLING_BYTES = 16_384
const SAMPLING_MICROSECONDS = 500

export interface ProfiledFunction {
  readonly name: string
  /** File and line, relative to the working directory where possible. */
  readonly place: string
  /** Bytes allocated or microseconds spent in the function itself. */
  readonly self: number
}

interface CallFrame {
  readonly functionName: string
  readonly url: string
  readonly lineNumber: number
}

interface HeapNode {
  readonly callFrame: CallFrame
  readonly selfSize: number
  readonly children: readonly HeapNode[]
}

export class Profile {
  readonly #session = new Session()
  readonly #kind: 'cpu' | 'heap'
  readonly #file: string

  constructor(kind: 'cpu' | 'heap', file: string) {
    this.#kind = kind
    this.#file = file
    this.#session.connect()
  }

  async start(): Promise<void> {
    if (this.#kind === 'heap') {
      await this.#post('HeapProfiler.startSampling', {
        samplingInterval: SAMPLING_BYTES,
        includeObjectsCollectedByMajorGC: true,
        includeObjectsCollectedByMinorGC: true,
      })
      return
    }
    await this.#post('Profiler.enable')
    await this.#post('Profiler.setSamplingInterval', { interval: SAMPLING_MICROSECONDS })
    await this.#post('Profiler.start')
  }

  /** Writes the file that Chrome's DevTools open, and returns the functions, the greatest first. */
  async stop(): Promise<ProfiledFunction[]> {
    const command = this.#kind === 'heap' ? 'HeapProfiler.stopSampling' : 'Profiler.stop'
    const { profile } = (await this.#post(command)) as { profile: unknown }
    this.#session.disconnect()
    if (this.#file !== '') writeFileSync(this.#file, JSON.stringify(profile))
    const totals = new Map<string, { name: string; place: string; self: number }>()
    const add = (frame: CallFrame, self: number): void => {
      if (self === 0) return
      const place = frame.url === '' ? '' : `${relative(frame.url)}:${frame.lineNumber + 1}`
      const key = `${frame.functionName} ${place}`
      const total = totals.get(key)
      if (total) total.self += self
      else totals.set(key, { name: frame.functionName || '(anonymous)', place, self })
    }
    if (this.#kind === 'heap') addHeap(profile as { head: HeapNode }, add)
    else addCpu(profile as CpuProfile, add)
    return [...totals.values()].toSorted((a, b) => b.self - a.self)
  }

  #post(method: string, params: object = {}): Promise<unknown> {
    return new Promise((resolve, reject) => {
      this.#session.post(method, params, (error, result) => {
        if (error) reject(new Error(`${method}: ${error.message}`))
        else resolve(result)
      })
    })
  }
}

interface CpuProfile {
  readonly nodes: readonly { readonly id: number; readonly callFrame: CallFrame }[]
  readonly samples: readonly number[]
  readonly timeDeltas: readonly number[]
}

function addCpu(profile: CpuProfile, add: (frame: CallFrame, self: number) => void): void {
  const frames = new Map(profile.nodes.map((node) => [node.id, node.callFrame]))
  for (const [index, id] of profile.samples.entries()) {
    const frame = frames.get(id)
    // The time after a sample is its own: its delta stands beside the next one.
    if (frame) add(frame, profile.timeDeltas[index + 1] ?? 0)
  }
}

function addHeap(profile: { head: HeapNode }, add: (frame: CallFrame, self: number) => void): void {
  const open = [profile.head]
  for (let node = open.pop(); node !== undefined; node = open.pop()) {
    add(node.callFrame, node.selfSize)
    open.push(...node.children)
  }
}

function relative(url: string): string {
  const path = url.replace(/^file:\/\//, '')
  const root = `${process.cwd()}/`
  return path.startsWith(root) ? path.slice(root.length) : path
}
