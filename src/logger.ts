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

function write(level: string, message: string, fields: Readonly<Record<string, unknown>> | undefined): void {
  const text = `kafka-producer ${level} ${message}${fields === undefined ? '' : ` ${asJson(fields)}`}`
  process.stderr.write(`${text.replaceAll(/\s*\n\s*/g, ' | ')}\n`)
}

function asJson(fields: Readonly<Record<string, unknown>>): string {
  try {
    return JSON.stringify(fields, (_, field: unknown) => {
      if (typeof field === 'bigint') return String(field)
      return field instanceof Error ? `${field.name}: ${field.message}` : field
    })
  } catch {
    // A cycle: reporting must never be what fails.
    return `{fields that JSON cannot express: ${Object.keys(fields).join(', ')}}`
  }
}
