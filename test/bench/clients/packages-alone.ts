/** Loaded with --require: hides this package's optional peers, so that what is measured are its dependencies alone. */
import module from 'node:module'

const hidden = new Set(['@node-rs/crc32', 'lz4-napi', 'snappy'])

const loader = module as unknown as { _resolveFilename: (name: string, ...rest: unknown[]) => string }
const resolve = loader._resolveFilename

loader._resolveFilename = function (name, ...rest) {
  if (!hidden.has(name)) return resolve.call(this, name, ...rest)
  throw Object.assign(new Error(`Cannot find module '${name}'`), { code: 'MODULE_NOT_FOUND' })
}
