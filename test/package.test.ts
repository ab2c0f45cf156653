/**
 * The package as it is published: packed, installed into an empty folder, then imported, required, tested with Jest and
 * type-checked the ways its users do. Run by `npm run test:package`; other Nodes and compilers come from the registry
 * into node_modules/.cache.
 */
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import os from 'node:os'
import path from 'node:path'
import { promisify } from 'node:util'
import { TestCluster } from 'kafka-producer/testing'
import ts from 'typescript'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { findAny } from './package/find-any.js'

const root = path.join(__dirname, '..')
const fixtures = path.join(__dirname, 'package')
const cache = path.join(root, 'node_modules/.cache/package-test')
const INSTALL = ['install', '--no-audit', '--no-fund', '--no-package-lock', '--loglevel=error']

interface Packed {
  readonly filename: string
  readonly size: number
  readonly files: readonly { readonly path: string }[]
}

let home: string
let packed: Packed

const run = async (
  file: string,
  args: readonly string[],
  cwd: string,
): Promise<{ stdout: string; stderr: string }> => {
  // npm hands its settings down in the environment: a nested npm must not take ours for its own.
  const env = Object.fromEntries(
    Object.entries(process.env).filter(([name]) => !/^npm_|^NODE_OPTIONS$/i.test(name)),
  )
  try {
    return await promisify(execFile)(file, args, { cwd, env, timeout: 240_000, maxBuffer: 64 * 1024 * 1024 })
  } catch (error) {
    const { stdout, stderr } = error as { stdout?: string; stderr?: string }
    throw new Error(`${file} ${args.join(' ')} failed in ${cwd}\n${stdout}\n${stderr}`, { cause: error })
  }
}

/** A registry package in the cache, installed once for each version; written beside and renamed, so never half there. */
async function tool(spec: string): Promise<string> {
  const folder = path.join(cache, spec.replace('@', '-'))
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true })
    const unfinished = mkdtempSync(path.join(cache, 'installing-'))
    writeFileSync(path.join(unfinished, 'package.json'), '{ "private": true }')
    await run('npm', [...INSTALL, spec], unfinished)
    renameSync(unfinished, folder)
  }
  return path.join(folder, 'node_modules')
}

/** Tools by their own lockfile, linked into the fixture that uses them; false where npm cannot install them. */
async function toolsOf(fixture: string): Promise<boolean> {
  const lockfile = readFileSync(path.join(fixtures, fixture, 'package-lock.json'))
  const hash = createHash('sha256').update(lockfile).digest('hex').slice(0, 12)
  const folder = path.join(cache, `${fixture}-${hash}`)
  if (!existsSync(folder)) {
    mkdirSync(cache, { recursive: true })
    const unfinished = mkdtempSync(path.join(cache, 'installing-'))
    for (const name of ['package.json', 'package-lock.json', '.npmrc']) {
      cpSync(path.join(fixtures, fixture, name), path.join(unfinished, name))
    }
    try {
      await run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], unfinished)
    } catch (error) {
      rmSync(unfinished, { recursive: true, force: true })
      if (process.env['CI'] !== undefined) throw error
      return false
    }
    renameSync(unfinished, folder)
  }
  symlinkSync(path.join(folder, 'node_modules'), path.join(home, fixture, 'node_modules'), 'dir')
  return true
}

beforeAll(async () => {
  home = mkdtempSync(path.join(os.tmpdir(), 'kafka-producer-package-'))
  const { stdout } = await run('npm', ['pack', '--json', '--silent', '--pack-destination', home], root)
  packed = (JSON.parse(stdout.slice(stdout.indexOf('[\n'))) as Packed[])[0]!
  writeFileSync(path.join(home, 'package.json'), '{ "private": true }')
  await run('npm', [...INSTALL, path.join(home, packed.filename), '@types/node@20'], home)
  cpSync(fixtures, home, { recursive: true })
}, 300_000)

afterAll(() => rmSync(home, { recursive: true, force: true }))

describe('the packed package', () => {
  test('holds the build, the documents and examples for its users, the card, and nothing else', () => {
    const names = packed.files.map((file) => file.path)
    const documents = /^(docs\/[\w-]+\.md|docs\/performance\/[\w-]+\.svg|examples\/[\w-]+\.ts)$/
    const others = names.filter((name) => !/^dist\/.*\.(js|d\.ts)$/.test(name) && !documents.test(name))
    expect(others.toSorted()).toEqual(['LICENSE', 'README.md', 'package.json'])
    const built = names.filter((name) => name.startsWith('dist/') && name.endsWith('.js'))
    const sources = readdirSync(path.join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.ts') && !name.endsWith('.d.ts'),
    )
    expect(built.map((name) => name.slice('dist/'.length, -'.js'.length)).toSorted()).toEqual(
      sources.map((name) => name.slice(0, -'.ts'.length)).toSorted(),
    )
  })

  test('has every file that a document in it links to', () => {
    const inside = path.join(home, 'node_modules/kafka-producer')
    const documents = packed.files.map((file) => file.path).filter((name) => name.endsWith('.md'))
    expect(documents).toContain('docs/guide.md')
    const broken = documents.flatMap((name) => {
      const links = readFileSync(path.join(inside, name), 'utf8').matchAll(/\]\(([^)#:]+)(?:#[^)]*)?\)/g)
      return [...links]
        .filter(([, target = '']) => !existsSync(path.join(inside, path.dirname(name), target)))
        .map(([, target]) => `${name}: ${target}`)
    })
    expect(broken).toEqual([])
  })

  test('names no file that it does not hold as the source of another', () => {
    const inside = path.join(home, 'node_modules/kafka-producer')
    for (const { path: name } of packed.files.filter((file) => file.path.startsWith('dist/'))) {
      expect(readFileSync(path.join(inside, name), 'utf8'), name).not.toContain('//# sourceMappingURL')
    }
  })

  test('stays within its budget: size, four dependencies, no install script', () => {
    expect(packed.size).toBeLessThan(300_000)
    const card = JSON.parse(
      readFileSync(path.join(home, 'node_modules/kafka-producer/package.json'), 'utf8'),
    ) as Record<string, Record<string, string> | undefined>
    expect(Object.keys(card['dependencies'] ?? {})).toEqual(['crc-32', 'lz4js', 'snappyjs', 'zstd-codec'])
    expect(card['optionalDependencies']).toBeUndefined()
    for (const script of ['preinstall', 'install', 'postinstall', 'prepare']) {
      expect(card['scripts']).not.toHaveProperty(script)
    }
  })
})

describe('runs without a warning', () => {
  for (const version of [process.versions.node, '20.19.0', '22', '24', '26']) {
    const isOwn = version === process.versions.node
    test(`on Node ${version}, imported and required`, { timeout: 300_000 }, async () => {
      const node = isOwn ? process.execPath : path.join(await tool(`node@${version}`), 'node/bin/node')
      expect((await run(node, ['--version'], home)).stdout).toMatch(`v${version}`)
      for (const file of ['runtime/import.mjs', 'runtime/require.cjs']) {
        const flags = ['--trace-warnings', '--pending-deprecation', '--unhandled-rejections=strict']
        expect(await run(node, [...flags, file], home)).toEqual({ stdout: 'ok\n', stderr: '' })
      }
    })
  }

  for (const version of ['29', '30']) {
    test(`under Jest ${version} in CommonJS`, { timeout: 300_000 }, async () => {
      const jest = path.join(await tool(`jest@${version}`), 'jest/bin/jest.js')
      // Jest reports on stderr; an open handle would keep it from ending by itself.
      const { stderr } = await run(process.execPath, [jest, '--ci', '--no-cache'], path.join(home, 'jest'))
      expect(stderr).toMatch(/^Tests: +1 passed, 1 total$/m)
      expect(stderr).not.toMatch(/did not exit|open handle|warning/i)
    })
  }
})

describe('in a bundle, without node_modules', () => {
  let isInstalled = false
  beforeAll(async () => {
    isInstalled = await toolsOf('bundlers')
  }, 300_000)

  const bundles = {
    esbuildCjs: 'service.cjs',
    esbuildEsm: 'service.mjs',
    webpack: 'service.cjs',
    rollup: 'service.mjs',
    ncc: 'service.mjs',
    vite: 'service.mjs',
  }
  for (const [name, file] of Object.entries(bundles)) {
    test(`of ${name}, a service sends with each codec`, { timeout: 300_000 }, async ({ skip }) => {
      if (!isInstalled) skip('npm cannot install the bundlers')
      // Not below `home`, whose node_modules holds the package.
      const folder = mkdtempSync(path.join(os.tmpdir(), 'kafka-producer-bundle-'))
      try {
        const bundle = path.join(folder, file)
        await run(process.execPath, ['build.mjs', name, bundle], path.join(home, 'bundlers'))
        await using cluster = await TestCluster.start({ topics: { orders: { partitions: 1 } } })
        // A Node without a zstd of its own, so that zstd-codec is used too.
        const node = path.join(await tool('node@20.19.0'), 'node/bin/node')
        const { stdout, stderr } = await run(node, [bundle, cluster.bootstrapServers.toString()], folder)
        expect(stderr).toBe('')
        expect(JSON.parse(stdout)).toEqual({
          engines: [null, 'node:zlib', 'snappyjs', 'lz4js', 'zstd-codec'],
          name: 'ConfigError',
        })
        const records = cluster.records('orders')
        expect(records.map(({ key }) => String(key))).toEqual(['none', 'gzip', 'snappy', 'lz4', 'zstd'])
        expect(new Set(records.map(({ value }) => String(value)))).toEqual(new Set(['paid '.repeat(2000)]))
      } finally {
        rmSync(folder, { recursive: true, force: true })
      }
    })
  }
})

describe('in a jsdom environment', () => {
  let isInstalled = false
  beforeAll(async () => {
    isInstalled = await toolsOf('jsdom')
  }, 300_000)

  const runners = {
    Jest: ['jest/bin/jest.js', '--ci', '--no-cache'],
    vitest: ['vitest/vitest.mjs', 'run', '--environment', 'jsdom', '--globals'],
  }
  for (const [name, [script, ...flags]] of Object.entries(runners)) {
    test(`of ${name}, a service's test sends with each codec`, { timeout: 120_000 }, async ({ skip }) => {
      if (!isInstalled) skip('npm cannot install jsdom')
      const folder = path.join(home, 'jsdom')
      const { stdout, stderr } = await run(
        process.execPath,
        [path.join('node_modules', script!), ...flags],
        folder,
      )
      expect(stdout + stderr).toMatch(/1 passed/)
      expect(stdout + stderr).not.toMatch(/warning|failed/i)
    })
  }
})

describe('the optional codec packages', () => {
  const compress = (state: string) => run(process.execPath, ['runtime/codecs.cjs', state], home)
  const modules = (...names: string[]) => path.join(home, 'node_modules', ...names)

  test('may be missing: each type has its default engine, and none is loaded that is not used', async () => {
    expect(await compress('missing')).toEqual({ stdout: 'ok\n', stderr: '' })
  })

  test('may be broken: the default engine is used, with a warning', async () => {
    const broken = {
      'lz4-napi': "throw new Error('no binary for this platform')",
      // What it needs is not there, which is not the same as not being there itself.
      snappy: "require('@napi-rs/snappy-nowhere')",
    }
    for (const [name, source] of Object.entries(broken)) {
      mkdirSync(modules(name))
      writeFileSync(modules(name, 'index.js'), source)
    }
    try {
      expect(await compress('broken')).toEqual({ stdout: 'ok\n', stderr: '' })
    } finally {
      for (const name of Object.keys(broken)) rmSync(modules(name), { recursive: true })
    }
  })
})

test('an idle producer uses no measurable CPU', { timeout: 60_000 }, async () => {
  await using cluster = await TestCluster.start({ brokers: 3, topics: { orders: { partitions: 3 } } })
  const { stdout } = await run(
    process.execPath,
    ['runtime/idle.cjs', cluster.bootstrapServers.toString()],
    home,
  )
  const { windowMs, without, idle } = JSON.parse(stdout) as {
    windowMs: number
    without: number
    idle: number
  }
  // One percent of one core: a timer that polls, or a loop that spins, is far above it.
  expect(idle - without).toBeLessThan(windowMs / 100)
})

describe('its types', () => {
  test('let no any reach the user', { timeout: 60_000 }, () => {
    const entries = ['index.d.ts', 'testing/index.d.ts'].map((name) =>
      path.join(home, 'node_modules/kafka-producer/dist', name),
    )
    expect(findAny(entries, path.join(home, 'node_modules/kafka-producer'))).toEqual([])
  })

  test('are read by a check that sees an any wherever it hides', () => {
    const folder = mkdtempSync(path.join(home, 'any-'))
    const places = [
      'export declare class A { #private; private p; constructor(x: Promise<any>); m(f: (x: any[]) => void): void; q: string }',
      'export type B<T = any> = { [K in "a"]: T }',
      'export declare const c: Map<string, { d?: any }>',
      'export type E<T> = T extends string ? { f: any } : never',
      'export declare function g(x: Missing): void',
    ]
    writeFileSync(path.join(folder, 'index.d.ts'), places.join('\n'))
    const found = findAny([path.join(folder, 'index.d.ts')], folder)
    expect([...new Set(found.map((place) => place.slice(0, 1)))].toSorted()).toEqual([
      'A',
      'B',
      'E',
      'c',
      'g',
    ])
    expect(found.filter((place) => place.startsWith('A'))).toHaveLength(2)
  })

  for (const compiler of ['5.9', ts.version]) {
    test(
      `name what they need under TypeScript ${compiler} with types: []`,
      { timeout: 300_000 },
      async () => {
        const modules =
          compiler === ts.version ? path.join(root, 'node_modules') : await tool(`typescript@${compiler}`)
        const folder = mkdtempSync(path.join(home, 'no-types-'))
        const lines = [
          "import { Producer } from 'kafka-producer'",
          "import { TestCluster } from 'kafka-producer/testing'",
          'const cluster = await TestCluster.start()',
          "const producer = new Producer({ bootstrapServers: cluster.bootstrapServers, ssl: { ca: '' } })",
          '// A Buffer, and not an any, is what refuses this.',
          '// @ts-expect-error',
          "const value: number = cluster.records('orders')[0]!.value",
          'void [producer, value]',
        ]
        writeFileSync(path.join(folder, 'service.mts'), lines.join('\n'))
        const options = { strict: true, target: 'es2022', lib: ['es2022'], types: [] }
        writeFileSync(
          path.join(folder, 'tsconfig.json'),
          JSON.stringify({
            compilerOptions: { ...options, module: 'nodenext', skipLibCheck: false, noEmit: true },
            files: ['service.mts'],
          }),
        )
        const tsc = path.join(modules, 'typescript/bin/tsc')
        expect((await run(process.execPath, [tsc, '-p', folder], folder)).stdout).toBe('')
      },
    )
  }

  const esm = { file: 'consumer.mts', module: 'node16', resolution: 'node16' }
  const ways = [
    { file: 'consumer.ts', module: 'commonjs', resolution: 'node10' },
    { file: 'consumer.cts', module: 'node16', resolution: 'node16' },
    esm,
    { ...esm, module: 'nodenext', resolution: 'nodenext' },
    { file: 'consumer.cts', module: 'nodenext', resolution: 'nodenext' },
    { file: 'consumer.ts', module: 'esnext', resolution: 'bundler' },
  ]
  for (const compiler of ['5.4', '5.9', ts.version, '7']) {
    for (const { file, module, resolution } of ways) {
      // TypeScript 7 has no node10 any more.
      if (compiler === '7' && resolution === 'node10') continue
      test(`hold under TypeScript ${compiler}, ${resolution}, ${file}`, { timeout: 300_000 }, async () => {
        const modules =
          compiler === ts.version ? path.join(root, 'node_modules') : await tool(`typescript@${compiler}`)
        // The same source under three names: .cts and .mts say which module system it is in.
        const folder = mkdtempSync(path.join(home, 'types-'))
        cpSync(path.join(fixtures, 'types/consumer.ts'), path.join(folder, file))
        const options = {
          strict: true,
          exactOptionalPropertyTypes: true,
          target: 'es2022',
          lib: ['es2022'],
          types: ['node'],
          module,
          moduleResolution: resolution,
          skipLibCheck: false,
          noEmit: true,
          ...(compiler === ts.version && resolution === 'node10' ? { ignoreDeprecations: '6.0' } : {}),
        }
        const project = { compilerOptions: options, files: [file] }
        writeFileSync(path.join(folder, 'tsconfig.json'), JSON.stringify(project))
        const tsc = path.join(modules, 'typescript/bin/tsc')
        expect((await run(process.execPath, [tsc, '-p', folder], folder)).stdout).toBe('')
      })
    }
  }
})
