// @ts-check
const FLAGS = new Set(['security', 'acl', 'hard', 'clean', 'purge', 'unsecured', 'no-cds'])

/**
 * Splits a command line into words, flags, values by option, and the repeatable --conf and --debug.
 * @param {readonly string[]} argv
 */
export function parseArguments(argv) {
  /** @type {string[]} */
  const words = []
  /** @type {Set<string>} */
  const flags = new Set()
  /** @type {Map<string, string>} */
  const values = new Map()
  /** @type {Record<string, string>} */
  const conf = {}
  /** @type {string[]} */
  const debug = []
  const left = argv[Symbol.iterator]()
  for (const argument of left) {
    if (!argument.startsWith('--')) {
      words.push(argument)
      continue
    }
    const [name, inline] = splitAtEquals(argument.slice(2))
    if (FLAGS.has(name)) {
      flags.add(name)
      continue
    }
    const value = inline ?? left.next().value
    if (value === undefined) throw new Error(`--${name} needs a value`)
    if (name === 'debug') debug.push(value)
    else if (name === 'conf') {
      const [key, setting] = splitAtEquals(value)
      if (setting === undefined) throw new Error(`--conf ${value}: expected key=value`)
      conf[key] = setting
    } else values.set(name, value)
  }
  /** @param {string} name */
  const number = (name) => (values.has(name) ? Number(values.get(name)) : undefined)
  return { words, flags, values, conf, debug, number }
}

/**
 * @param {string} text
 * @returns {[string, string | undefined]}
 */
function splitAtEquals(text) {
  const at = text.indexOf('=')
  return at === -1 ? [text, undefined] : [text.slice(0, at), text.slice(at + 1)]
}
