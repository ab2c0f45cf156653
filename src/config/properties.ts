/** The syntax of java.util.Properties: what its `load` reads, this reads, to the same names and values. */

import { ConfigError } from '../errors.js'

/**
 * The settings of a properties file in their order; where a name is repeated, the last value counts. A `\u` without
 * four hex digits is a ConfigError, as Java refuses it too.
 */
export function readProperties(source: string): Map<string, string> {
  const settings = new Map<string, string>()
  for (const line of logicalLines(source)) {
    const end = endOfName(line)
    const [separator = ''] = SEPARATOR.exec(line.slice(end)) ?? []
    settings.set(unescape(line.slice(0, end)), unescape(line.slice(end + separator.length)))
  }
  return settings
}

/** Blanks, and one = or : among them. */
const SEPARATOR = /^[ \t\f]*(?:[=:][ \t\f]*)?/

/** The name ends at the first separator without a backslash before it. */
function endOfName(line: string): number {
  for (let at = 0; at < line.length; at++) {
    const character = line[at]!
    if (character === '\\') at++
    else if ('=: \t\f'.includes(character)) return at
  }
  return line.length
}

/** Without comments and blank lines; a backslash at the end joins a line with the next one. */
function* logicalLines(source: string): Generator<string> {
  let joined: string | undefined
  for (const natural of source.split(/\r\n|\r|\n/)) {
    const line = natural.replace(/^[ \t\f]+/, '')
    if (joined === undefined && (line === '' || line.startsWith('#') || line.startsWith('!'))) continue
    const continues = isContinued(line)
    joined = (joined ?? '') + (continues ? line.slice(0, -1) : line)
    if (continues) continue
    yield joined
    joined = undefined
  }
  if (joined !== undefined && joined !== '') yield joined
}

/** A backslash at the end continues the line unless it is itself escaped. */
function isContinued(line: string): boolean {
  let backslashes = 0
  while (line.at(-1 - backslashes) === '\\') backslashes++
  return backslashes % 2 === 1
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
