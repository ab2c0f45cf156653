/** The syntax of java.util.Properties: what its `load` reads, this reads, to the same names and values. */

import { ConfigError } from './errors.js'

/**
 * The settings of a properties file in their order; where a name is repeated, the last value counts. A `\u` without
 * four hex digits is a ConfigError, as Java refuses it too.
 */
export function readProperties(source: string): Map<string, string> {
  const settings = new Map<string, string>()
  for (const line of logicalLines(source)) {
    // The name ends at the first separator without a backslash before it; one = or : may follow blanks.
    const [, name, value] = /^((?:[^\\=: \t\f]|\\[^])*)[ \t\f]*(?:[=:][ \t\f]*)?([^]*)$/.exec(line)!
    settings.set(unescape(name!), unescape(value!))
  }
  return settings
}

/** Without comments and blank lines; a backslash at the end joins a line with the next one. */
function* logicalLines(source: string): Generator<string> {
  let joined: string | undefined
  for (const natural of source.split(/\r\n|\r|\n/)) {
    const line = natural.replace(/^[ \t\f]+/, '')
    if (joined === undefined && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue
    // A backslash continues the line unless it is itself escaped.
    const continues = /(?:^|[^\\])(?:\\\\)*\\$/.test(line)
    joined = (joined ?? '') + (continues ? line.slice(0, -1) : line)
    if (continues) continue
    yield joined
    joined = undefined
  }
  if (joined !== undefined && joined !== '') yield joined
}

const escapes = new Map([
  ['t', '\t'],
  ['n', '\n'],
  ['r', '\r'],
  ['f', '\f'],
])

function unescape(text: string): string {
  return text.replaceAll(/\\(?:u([0-9a-fA-F]{4})|([^]))/g, (_, code: string | undefined, other: string) => {
    if (code !== undefined) return String.fromCharCode(Number.parseInt(code, 16))
    if (other === 'u') throw new ConfigError(['the properties have a \\u without four hex digits after it'])
    return escapes.get(other) ?? other
  })
}
