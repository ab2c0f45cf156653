/** Small SVG charts, legible on a light and on a dark page: bars for figures of a table, lines for figures over time. */
import { figure, type Curves, type Section } from './section.js'

const WIDTH = 760
const LABELS = 300
const BAR = 18
const GAP = 6
const HEAD = 34

const STYLE = `<style>
text { font: 12px system-ui, sans-serif; fill: #1f2328 }
.title { font-weight: 600 }
.axis { stroke: #8b949e; stroke-width: 1 }
.ours { fill: #2f81f7 }
.other { fill: #8b949e }
.line { fill: none; stroke-width: 2 }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3 } }
</style>`

const COLORS = ['#2f81f7', '#3fb950', '#db6d28', '#a371f7', '#d29922', '#f85149', '#8b949e']

function escaped(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}

function svg(height: number, title: string, body: readonly string[]): string {
  const open = `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${WIDTH}" height="${height}" role="img" aria-label="${escaped(title)}">`
  const head = `<text class="title" x="0" y="18">${escaped(title)}</text>`
  return `${[open, STYLE, head, ...body, '</svg>'].join('\n')}\n`
}

/** A bar for each row that has a figure in `column`. */
export function barChart(section: Section, column: string): string {
  const index = section.columns.indexOf(column)
  const bars = section.rows.flatMap(({ label, figures }) => {
    const value = figures[index] ?? Number.NaN
    return Number.isFinite(value) ? [{ label, value }] : []
  })
  const most = Math.max(...bars.map(({ value }) => value), Number.MIN_VALUE)
  const body = bars.flatMap(({ label, value }, row) => {
    const y = HEAD + row * (BAR + GAP)
    const length = Math.max(1, (value / most) * (WIDTH - LABELS - 90))
    const kind = label.startsWith('kafka-producer') ? 'ours' : 'other'
    return [
      `<text x="${LABELS - 8}" y="${y + 13}" text-anchor="end">${escaped(label)}</text>`,
      `<rect class="${kind}" x="${LABELS}" y="${y}" width="${length.toFixed(1)}" height="${BAR}" rx="2"/>`,
      `<text x="${(LABELS + length + 6).toFixed(1)}" y="${y + 13}">${figure(value)}</text>`,
    ]
  })
  return svg(HEAD + bars.length * (BAR + GAP), `${section.title}: ${column}`, body)
}

const PLOT = { left: 60, top: HEAD, width: WIDTH - 80, height: 220 }

export function lineChart({ title, x, y, lines }: Curves): string {
  const points = lines.flatMap((line) => line.points)
  const mostX = Math.max(...points.map((point) => point[0]), Number.MIN_VALUE)
  const mostY = Math.max(...points.map((point) => point[1]), Number.MIN_VALUE)
  const atX = (value: number): string => (PLOT.left + (value / mostX) * PLOT.width).toFixed(1)
  const atY = (value: number): string => (PLOT.top + PLOT.height * (1 - value / mostY)).toFixed(1)
  const bottom = PLOT.top + PLOT.height
  const body = [
    `<path class="axis" fill="none" d="M${PLOT.left} ${PLOT.top}V${bottom}H${PLOT.left + PLOT.width}"/>`,
    `<text x="${PLOT.left - 6}" y="${PLOT.top + 10}" text-anchor="end">${figure(mostY)}</text>`,
    `<text x="${PLOT.left - 6}" y="${bottom}" text-anchor="end">0</text>`,
    `<text x="${PLOT.left + 4}" y="${PLOT.top + 10}">${escaped(y)}</text>`,
    `<text x="${PLOT.left + PLOT.width}" y="${bottom + 16}" text-anchor="end">${figure(mostX)} ${escaped(x)}</text>`,
  ]
  for (const [index, line] of lines.entries()) {
    const color = COLORS[index % COLORS.length]
    const path = line.points.map(([px, py]) => `${atX(px)} ${atY(py)}`).join('L')
    const legend = bottom + 36 + index * 18
    body.push(
      `<path class="line" stroke="${color}" d="M${path}"/>`,
      `<rect x="${PLOT.left}" y="${legend - 9}" width="14" height="4" fill="${color}"/>`,
      `<text x="${PLOT.left + 22}" y="${legend - 3}">${escaped(line.label)}</text>`,
    )
  }
  return svg(bottom + 36 + lines.length * 18, title, body)
}
