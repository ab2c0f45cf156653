/**
 * `npm run release:check`: what has to be true before a version is published, beside `npm run verify`. It reads the
 * project and changes nothing.
 */
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..', '..')
const read = (name) => readFileSync(path.join(root, name), 'utf8')
const git = (...words) => execFileSync('git', words, { cwd: root, encoding: 'utf8' }).trim()

const { version } = JSON.parse(read('package.json'))
const problems = []

if (git('status', '--porcelain') !== '') problems.push('the working tree has changes: commit them first')

const locked = JSON.parse(read('package-lock.json')).version
if (locked !== version)
  problems.push(
    `package-lock.json says ${locked}, package.json ${version}: run \`npm install --package-lock-only\``,
  )

const changelog = read('docs/CHANGELOG.md')
const unreleased = /^## Unreleased\n(.*?)(?=^## |$(?![\s\S]))/ms.exec(changelog)?.[1] ?? ''
if (!new RegExp(`^## ${version.replaceAll('.', '\\.')} - \\d{4}-\\d{2}-\\d{2}$`, 'm').test(changelog))
  problems.push(`docs/CHANGELOG.md has no section "## ${version} - YYYY-MM-DD"`)
if (/^- /m.test(unreleased)) problems.push('docs/CHANGELOG.md still has entries under Unreleased')

if (git('tag', '--list', `v${version}`) !== '') problems.push(`the tag v${version} exists: raise the version`)

for (const problem of problems) console.error(`release:check: ${problem}`)
if (problems.length > 0) process.exit(1)
console.log(`release:check: ${version} may be released once \`npm run verify\` passes`)
