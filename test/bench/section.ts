/** The result of a scenario: a table of medians, and what of it is drawn. Markdown, JSON and charts are made from it. */

export interface Row {
  readonly label: string
  /** One for each column, NaN where there is none. */
  readonly figures: readonly number[]
}

export interface Line {
  readonly label: string
  readonly points: readonly (readonly [x: number, y: number])[]
}

/** Figures over time. */
export interface Curves {
  readonly title: string
  readonly x: string
  readonly y: string
  readonly lines: readonly Line[]
}

export interface Section {
  readonly title: string
  /** What the rows are. */
  readonly rowsAre: string
  readonly columns: readonly string[]
  readonly rows: readonly Row[]
  /** What is not in the table, and why. */
  readonly notes: readonly string[]
  /** Which of the columns are drawn as bars. */
  readonly bars: readonly string[]
  readonly curves?: Curves
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >> 1
  const upper = sorted[middle] ?? Number.NaN
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] ?? Number.NaN)) / 2
}

/** Of each round, what `of` says, and the median of that. */
export function middle<R>(runs: readonly R[], of: (run: R) => number): number {
  return median(runs.map(of))
}

/** Three significant digits, thousands apart: 0.593, 2.51, 1,780,000. */
export function figure(value: number): string {
  if (!Number.isFinite(value)) return '-'
  return Number(value.toPrecision(3)).toLocaleString('en-US', { maximumFractionDigits: 3 })
}

export function markdown({ title, rowsAre, columns, rows, notes }: Section): string {
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`
  const table = [
    line([rowsAre, ...columns]),
    line(['---', ...columns.map(() => '---:')]),
    ...rows.map(({ label, figures }) => line([label, ...figures.map(figure)])),
  ]
  return [`**${title}**`, table.join('\n'), ...notes.map((note) => `- ${note}`)].join('\n\n')
}
