/**
 * Prints docs/configuration.md and docs/errors.md from the source that they describe: the option table and its
 * docstrings, the error classes and theirs, the table of error codes. test/project/generated-pages.test.ts compares the pages
 * with the files, and writes them under `npm run docs:generate`.
 */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import prettier from 'prettier'
import ts from 'typescript'
import { show, type Option } from '../../src/config/option-kinds.js'
import * as errors from '../../src/errors.js'
import { ConfigError, type KafkaError } from '../../src/errors.js'
import { producerOptions } from '../../src/config/producer-options.js'
import { brokerError, errorCodes } from '../../src/protocol/error-codes.js'

const root = join(__dirname, '../..')
const GENERATED =
  '<!-- Printed from the source by `npm run docs:generate`; a test fails when it is stale. -->'

/** A declaration's name with its docstring: the text, and the tag `@defaultValue` where it has one. */
export interface Documented {
  readonly name: string
  readonly text: string
  readonly defaultValue: string | undefined
}

function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readFileSync(join(root, path), 'utf8'), ts.ScriptTarget.Latest, true)
}

function documented(name: string, node: ts.Node): Documented {
  const comment = ts.getJSDocCommentsAndTags(node).find(ts.isJSDoc)
  const tag = comment?.tags?.find((one) => one.tagName.text === 'defaultValue')
  return {
    name,
    text: ts.getTextOfJSDocComment(comment?.comment) ?? '',
    defaultValue: ts.getTextOfJSDocComment(tag?.comment),
  }
}

/** The entries of the option table, in their order. */
export function documentedOptions(): Documented[] {
  const found: Documented[] = []
  parse('src/config/producer-options.ts').forEachChild((statement) => {
    if (!ts.isVariableStatement(statement)) return
    for (const { name, initializer } of statement.declarationList.declarations) {
      if (name.getText() !== 'producerOptions' || !initializer || !ts.isObjectLiteralExpression(initializer))
        continue
      for (const entry of initializer.properties) {
        if (entry.name !== undefined) found.push(documented(entry.name.getText(), entry))
      }
    }
  })
  return found
}

/** The exported classes of a file, in their order. */
function documentedClasses(path: string): (Documented & { readonly parent: string })[] {
  const found: (Documented & { readonly parent: string })[] = []
  parse(path).forEachChild((statement) => {
    if (!ts.isClassDeclaration(statement) || statement.name === undefined) return
    const parent = statement.heritageClauses?.[0]?.types[0]?.expression.getText() ?? ''
    found.push({ ...documented(statement.name.text, statement), parent })
  })
  return found
}

/** The docstring of an exported function. */
function documentedFunction(path: string, name: string): Documented {
  const declaration = parse(path).statements.find(
    (statement) => ts.isFunctionDeclaration(statement) && statement.name?.text === name,
  )
  if (declaration === undefined) throw new Error(`${path} has no function ${name}`)
  return documented(name, declaration)
}

/** How the default of an option reads, in the docs and in its docstring. */
export function defaultOf(option: Option<unknown, unknown>): string {
  if (option.defaultText !== undefined) return option.defaultText
  return typeof option.default === 'string' ? `'${option.default}'` : show(option.default)
}

function optionSection({ name, text }: Documented): string {
  const option: Option<unknown, unknown> = producerOptions[name as keyof typeof producerOptions]
  const facts = [
    ...(option.kafkaName === undefined ? [] : [`Kafka: \`${option.kafkaName}\``]),
    name === 'bootstrapServers' ? 'required' : `default: \`${defaultOf(option)}\``,
    `valid: ${option.valid.replaceAll('"', "'")}`,
  ]
  return `### ${name}\n\n${facts.join(' | ')}\n\n${text}\n`
}

function isOurs({ name }: Documented): boolean {
  return producerOptions[name as keyof typeof producerOptions].kafkaName === undefined
}

/** docs/configuration.md */
export async function configurationPage(): Promise<string> {
  const options = documentedOptions()
  return format(`${GENERATED}

# Configuration

\`new Producer(config)\` takes the options below. Their names are those of Kafka's own producer settings, with the dots
made camelCase, so what is written about \`linger.ms\` elsewhere is true of \`lingerMs\` here; defaults and bounds are those of
the Java client 4.2, and where something differs its text says so. Times are in milliseconds, sizes in bytes.

Only \`bootstrapServers\` is required. An option that is \`undefined\` counts as absent. Everything that is wrong is reported
at once, in one \`ConfigError\`.

## Kafka's options

${options
  .filter((option) => !isOurs(option))
  .map(optionSection)
  .join('\n')}
## Options that Kafka does not have

${options.filter(isOurs).map(optionSection).join('\n')}
## From a properties file

\`configFromProperties(text)\`: ${documentedFunction('src/config/config-properties.ts', 'configFromProperties').text}
`)
}

/** docs/errors.md */
export async function errorsPage(): Promise<string> {
  const classes = documentedClasses('src/errors.ts').map((one) => {
    const { code, ...flags } = sample(one.name)
    const cells = [
      `\`${one.name}\``,
      one.name === 'KafkaError' ? '' : `\`${one.parent}\``,
      code === 'UNKNOWN' ? '' : `\`${code}\``,
      flagged(flags),
      one.text,
    ]
    return row(cells)
  })
  const codes = errorCodes
    .filter(({ errno }) => errno !== 0)
    .map(({ errno, name, refreshMetadata, message }) => {
      const error = brokerError(errno, '')
      const marks = [flagged(error), refreshMetadata ? 'looks for the leader first' : '']
      return row([`${errno}`, `\`${name}\``, `\`${error.name}\``, marks.filter(Boolean).join(', '), message])
    })
  return format(`${GENERATED}

# Errors

Every error that this package throws, rejects with or passes to a callback is a \`KafkaError\`. A class of its own exists
where a caller would act differently; everything else is told apart by \`code\`.
Only options and faults of \`TestCluster\` that are out of bounds are a plain \`RangeError\`: they are a test's own.

- \`code\`: Kafka's own name of the error, or one of ours; stable
- \`errno\`: the protocol's number, where it has one
- \`retriable\`: the same call may succeed when it is made again
- \`fatal\`: the producer is unusable; only \`close()\` is left
- \`abortable\`: abort the transaction and go on
- \`mayHaveBeenWritten\`: on delivery errors, the record may be in the log nevertheless; sending it again may double it
- \`cause\`: the error underneath

## Classes

The code is the one that an error of the class has unless a broker's answer gave it another.

A plain \`KafkaError\` has the code \`INTERNAL_ERROR\` after a fault of this package itself: it is fatal, its \`cause\` is the
fault, and it is worth a report. It has the code \`PARTITIONER_FAILED\` when a partitioner threw, and \`INVALID_ARGUMENT\` when a
method was called with something that it cannot use: the message names the argument, and says what would be valid.

${row(['class', 'extends', 'code', 'is', 'meaning'])}
${row(['---', '---', '---', '---', '---'])}
${classes.join('\n')}

## What brokers answer

The class and the flags are those of the code itself; where the producer knows more (that it was the last attempt, that a
transaction is open), the error says so.

${row(['errno', 'code', 'class', 'is', 'meaning'])}
${row(['---:', '---', '---', '---', '---'])}
${codes.join('\n')}
`)
}

const classes = new Map<string, unknown>(Object.entries(errors))

function sample(name: string): KafkaError {
  if (name === 'ConfigError') return new ConfigError([])
  const ErrorClass = classes.get(name)
  return new (ErrorClass as new (message: string) => KafkaError)('')
}

function flagged(error: { retriable: boolean; fatal: boolean; abortable: boolean }): string {
  return (['retriable', 'fatal', 'abortable'] as const).filter((flag) => error[flag]).join(', ')
}

function row(cells: readonly string[]): string {
  return `| ${cells.map((cell) => cell.replaceAll(/\s*\n\s*/g, ' ').replaceAll('|', '\\|')).join(' | ')} |`
}

/** As `prettier --check` wants it. */
async function format(page: string): Promise<string> {
  const options = await prettier.resolveConfig(join(root, 'package.json'))
  return prettier.format(page, { ...options, parser: 'markdown' })
}
