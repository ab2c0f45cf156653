/** Where the producer reports what no caller sees. Messages and fields never hold a secret. */

/** Takes one event: a sentence, and what it is about as fields. pino, winston and console adapt to it in a line. */
export type Log = (message: string, fields?: Readonly<Record<string, unknown>>) => void

export interface Logger {
  debug: Log
  info: Log
  warn: Log
  error: Log
}

/** The default: warnings and errors on stderr, each on one line, fields as JSON; debug and info nowhere. */
export const stderrLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: (message, fields) => write('WARN', message, fields),
  error: (message, fields) => write('ERROR', message, fields),
}

/** What is said of one event is cut here: the text of a user's error, or of a broker, has any length. */
const MAX_TEXT = 4000

function write(level: string, message: string, fields: Readonly<Record<string, unknown>> | undefined): void {
  const text = fields === undefined ? message : `${shortened(message)} ${asJson(fields)}`
  process.stderr.write(`kafka-producer ${level} ${onOneLine(shortened(text))}\n`)
}

/** Splits at line breaks, which takes time in proportion to the text, where one expression with blanks around them does not. */
function onOneLine(text: string): string {
  return text
    .split(/[\r\n]/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
    .join(' | ')
}

function asJson(fields: Readonly<Record<string, unknown>>): string {
  try {
    return JSON.stringify(fields, (_, field: unknown) => {
      if (typeof field === 'bigint') return String(field)
      if (field instanceof Error) return shortened(`${field.name}: ${field.message}`)
      return typeof field === 'string' ? shortened(field) : field
    })
  } catch {
    // A cycle: reporting must never be what fails.
    return `{fields that JSON cannot express: ${Object.keys(fields).join(', ')}}`
  }
}

function shortened(text: string): string {
  return text.length <= MAX_TEXT ? text : `${text.slice(0, MAX_TEXT)}... (${text.length} characters)`
}
