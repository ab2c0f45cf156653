/**
 * Who may import whom in src: one table, from which the import rules of .oxlintrc.json are generated. A layer is a folder
 * at any depth, or files at the top of src.
 */
import { readdirSync } from 'node:fs'
import path from 'node:path'

const src = path.join(__dirname, '../../src')

/** The files at the top of src that are no leaves. */
const FACE = ['producer', 'topic-producer', 'transaction', 'record-stream']
const ENTRY = ['index']

const leaves = readdirSync(src)
  .filter((name) => name.endsWith('.ts'))
  .map((name) => name.slice(0, -'.ts'.length))
  .filter((name) => !FACE.includes(name) && !ENTRY.includes(name) && name !== 'errors')

export interface Layer {
  readonly name: string
  /** Names of the files at the top of src, without an end; undefined for the folder of the layer's name. */
  readonly files?: readonly string[]
  /** Layers that it may import, beside itself. */
  readonly imports: readonly string[]
  /** Layers of which it may import types only. */
  readonly types?: readonly string[]
}

const BELOW_NETWORK = ['errors', 'leaves', 'config', 'time', 'protocol', 'records']
const BELOW_FACE = [...BELOW_NETWORK, 'network', 'producer/']

export const layers: readonly Layer[] = [
  { name: 'errors', files: ['errors'], imports: [] },
  // Checks of arguments are in config/; import/no-cycle keeps the two from going round.
  { name: 'leaves', files: leaves, imports: ['errors', 'config'] },
  { name: 'config', imports: ['errors', 'leaves'] },
  { name: 'time', imports: ['errors', 'leaves'] },
  { name: 'protocol', imports: ['errors'] },
  { name: 'records', imports: ['errors', 'leaves', 'config', 'protocol'] },
  { name: 'network', imports: BELOW_NETWORK },
  { name: 'producer/', imports: [...BELOW_NETWORK, 'network'], types: ['face'] },
  { name: 'face', files: FACE, imports: BELOW_FACE },
  { name: 'entry', files: ENTRY, imports: [...BELOW_FACE, 'face'] },
  // The test broker shares the codec with the client, and none of the client's behaviour: of producer.ts only the types.
  { name: 'testing', imports: ['errors', 'leaves', 'time', 'protocol', 'records'], types: ['producer.ts'] },
]

/** A part of `face`, for who may see one of its files. */
const PRODUCER_FILE: Layer = { name: 'producer.ts', files: ['producer'], imports: [] }

const folderOf = (layer: Layer): string => layer.name.replace('/', '')

/** The layer's files, relative to src, as a glob. */
const globs = (layer: Layer): string[] =>
  layer.files?.map((name) => `src/${name}.ts`) ?? [`src/${folderOf(layer)}/**`]

interface Pattern {
  readonly regex: string
  readonly message: string
  readonly allowTypeImports?: true
}

/** Imports of a target from any depth of a layer. */
function patternOf(layer: Layer, target: Layer, types: boolean): Pattern {
  const up = layer.files === undefined ? String.raw`^(\./)*(\.\./)+` : String.raw`^(\./)+`
  const to =
    target.files === undefined ? `${folderOf(target)}/` : String.raw`(${target.files.join('|')})\.js$`
  return {
    regex: `${up}${to}`,
    message: `${layer.name} imports ${layer.imports.join(', ') || 'nothing'} only, not ${target.name}: see test/project/layers.ts.`,
    ...(types ? { allowTypeImports: true } : {}),
  }
}

export interface Edge {
  readonly from: Layer
  readonly to: Layer
  readonly types: boolean
}

/** What the table forbids, and of which of it types are allowed. */
export const forbidden: readonly Edge[] = layers.flatMap((from) =>
  layers
    .filter((to) => to !== from && !from.imports.includes(to.name))
    .flatMap((to): Edge[] => {
      if (to.name !== 'face' || from.types?.includes('producer.ts') !== true) {
        return [{ from, to, types: from.types?.includes(to.name) === true }]
      }
      const others = FACE.filter((name) => name !== 'producer')
      return [
        { from, to: { ...to, files: others }, types: false },
        { from, to: PRODUCER_FILE, types: true },
      ]
    }),
)

const CRC: Pattern = {
  regex: '^crc-32(/|$)',
  message: 'crc-32 is imported in src/records/crc32c.ts only.',
}
const CODECS: Pattern = {
  regex: '^(lz4js|snappyjs|zstd-codec)(/|$)',
  message: 'Codecs are imported in src/records/codecs/ only.',
}
const SOCKETS: Pattern = {
  regex: '^(node:)?(net|tls)$',
  message: 'Sockets are opened in src/network/connection/ and src/testing/test-cluster.ts only.',
  allowTypeImports: true,
}
const CODEC_ALONE: Pattern = {
  regex: String.raw`^(\./)*\.\./([^.]|\.\./[^o])`,
  message: 'A codec knows nothing of the project but its own folder and src/optional-package.ts.',
}

/** Files that may import a package which the others may not. */
const exceptions: readonly { layer: string; files: string[]; patterns: readonly Pattern[] }[] = [
  { layer: 'records', files: ['src/records/crc32c.ts'], patterns: [CODECS, SOCKETS] },
  { layer: 'records', files: ['src/records/codecs/**'], patterns: [CRC, SOCKETS, CODEC_ALONE] },
  {
    layer: 'network',
    files: ['src/network/connection/transport.ts', 'src/network/connection/tls.ts'],
    patterns: [CRC, CODECS],
  },
  { layer: 'testing', files: ['src/testing/test-cluster.ts'], patterns: [CRC, CODECS] },
]

/** The overrides of .oxlintrc.json about src; of several that match a file, the last one counts. */
export function importRules(): object[] {
  const rule = (files: string[], patterns: readonly Pattern[]): object => ({
    files,
    rules: { 'no-restricted-imports': ['error', { patterns }] },
  })
  const edgesOf = (name: string): Pattern[] =>
    forbidden
      .filter(({ from }) => from.name === name)
      .map(({ from, to, types }) => patternOf(from, to, types))
  return [
    ...layers.map((layer) => rule(globs(layer), [...edgesOf(layer.name), CRC, CODECS, SOCKETS])),
    ...exceptions.map(({ layer, files, patterns }) => rule(files, [...edgesOf(layer), ...patterns])),
  ]
}
