/**
 * Packages that work where they are installed and are not missed where they are not. They are found at run time, from
 * where this code lies: a bundler that saw a plain `require` of one would fail on a package that nothing needs, or pack
 * native code for one platform.
 */
import { createRequire } from 'node:module'
import path from 'node:path'

// A bundle that is an ES module has no __filename.
const here = typeof __filename === 'string' ? __filename : path.join(process.cwd(), 'package.json')
const requireHere = createRequire(here)

/** The package, or undefined where it is not installed. Throws where it is, and cannot be loaded. */
export function optionalPackage(name: string): unknown {
  try {
    requireHere.resolve(name)
  } catch {
    return undefined
  }
  return requireHere(name)
}
