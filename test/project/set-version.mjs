/** Runs within `npm version`: the client tells brokers the version that package.json has. */
import { readFileSync, writeFileSync } from 'node:fs'
import path from 'node:path'

const root = path.join(import.meta.dirname, '..', '..')
const { version } = JSON.parse(readFileSync(path.join(root, 'package.json'), 'utf8'))
writeFileSync(
  path.join(root, 'src', 'version.ts'),
  `/** Written by \`npm version\`, from package.json. */\nexport const version = '${version}'\n`,
)
