// Builds the service with the bundler that is named, into one file that needs no node_modules: build.mjs NAME FILE
import path from 'node:path'

const [name, outfile] = process.argv.slice(2)
const entry = path.resolve('service.mjs')
const folder = path.dirname(outfile)
const filename = path.basename(outfile)

const esbuild = async (options) => {
  const { build } = await import('esbuild')
  return build({ entryPoints: [entry], outfile, bundle: true, platform: 'node', minify: true, ...options })
}

const builds = {
  esbuildCjs: () => esbuild({ format: 'cjs' }),

  esbuildEsm: () =>
    esbuild({
      format: 'esm',
      banner: {
        js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url)",
      },
    }),

  async webpack() {
    const { default: webpack } = await import('webpack')
    const stats = await new Promise((resolve, reject) => {
      webpack(
        {
          mode: 'production',
          target: 'node20',
          entry,
          output: { path: folder, filename },
          optimization: { minimize: false },
        },
        (error, result) => (error ? reject(error) : resolve(result)),
      )
    })
    if (stats.hasErrors() || stats.hasWarnings()) throw new Error(stats.toString())
  },

  async rollup() {
    const { rollup } = await import('rollup')
    const plugins = await Promise.all(
      ['node-resolve', 'commonjs', 'json'].map((plugin) => import(`@rollup/plugin-${plugin}`)),
    )
    const [nodeResolve, commonjs, json] = plugins.map((plugin) => plugin.default)
    const bundle = await rollup({
      input: entry,
      plugins: [nodeResolve({ preferBuiltins: true, exportConditions: ['node'] }), commonjs(), json()],
    })
    await bundle.write({ file: outfile, format: 'es', inlineDynamicImports: true })
  },

  async ncc() {
    const { default: ncc } = await import('@vercel/ncc')
    const { code, assets } = await ncc(entry, { quiet: true })
    const { mkdir, writeFile } = await import('node:fs/promises')
    for (const [asset, { source }] of Object.entries(assets)) {
      await mkdir(path.dirname(path.join(folder, asset)), { recursive: true })
      await writeFile(path.join(folder, asset), source)
    }
    await writeFile(outfile, code)
  },

  async vite() {
    const { build } = await import('vite')
    await build({
      configFile: false,
      logLevel: 'warn',
      ssr: { noExternal: true },
      build: {
        ssr: entry,
        outDir: folder,
        emptyOutDir: false,
        minify: true,
        rollupOptions: { output: { entryFileNames: filename } },
      },
    })
  },
}

await builds[name]()
