/** What a campaign was asked for, by `npm run campaign`; in a test run everything has its small default. */

/** A whole number from the environment. */
export function asked(name: 'SEED' | 'RUNS' | 'FIRST' | 'RECORDS' | 'SECONDS', otherwise: number): number {
  const text = process.env[`CAMPAIGN_${name}`]
  if (text === undefined) return otherwise
  const value = Number(text)
  if (!Number.isInteger(value) || value < 0)
    throw new Error(`${name.toLowerCase()} is ${text}, not a whole number`)
  return value
}

/** Prints a line of the result. */
export function report(line: string): void {
  process.stdout.write(`${line}\n`)
}
