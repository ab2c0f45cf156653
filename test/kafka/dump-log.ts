/** Reads what Kafka's own log dump tool (DumpLogSegments) prints about the batches of a segment file. */

/** A batch as Kafka's broker stored it. */
export interface DumpedBatch {
  readonly partition: number
  readonly baseOffset: number
  readonly lastOffset: number
  readonly count: number
  /** -1 for a batch without idempotence. */
  readonly baseSequence: number
  readonly lastSequence: number
  /** -1 for a batch without idempotence. */
  readonly producerId: number
  readonly producerEpoch: number
  readonly isTransactional: boolean
  readonly isControl: boolean
  /** How a transaction ended, where this is its marker and the tool was told to look into the batches. */
  readonly marker: 'COMMIT' | 'ABORT' | null
  readonly magic: number
  readonly compresscodec: string
  /** CRC-32C of the batch, as stored. */
  readonly crc: number
  /** The tool's verdict on size and CRC. */
  readonly isvalid: boolean
}

/** The batches that one run of the tool printed; throws when a line that should be a batch lacks a field. */
export function parseDump(text: string): DumpedBatch[] {
  const batches: DumpedBatch[] = []
  let partition = -1
  for (const line of text.split('\n')) {
    const file = /^Dumping .*-(\d+)[/\\]\d+\.log$/.exec(line)
    if (file) partition = Number(file[1])
    const marker = /^\| .* endTxnMarker: (COMMIT|ABORT) /.exec(line)?.[1]
    if (marker !== undefined) batches.push({ ...batches.pop()!, marker: marker as 'COMMIT' | 'ABORT' })
    if (!line.startsWith('baseOffset: ')) continue
    const fields = new Map([...line.matchAll(/(\w+): (\S+)/g)].map(([, name, value]) => [name!, value!]))
    const field = (name: string): string => {
      const value = fields.get(name)
      if (value === undefined) throw new Error(`the log dump has no ${name}: ${line}`)
      return value
    }
    batches.push({
      partition,
      baseOffset: Number(field('baseOffset')),
      lastOffset: Number(field('lastOffset')),
      count: Number(field('count')),
      baseSequence: Number(field('baseSequence')),
      lastSequence: Number(field('lastSequence')),
      producerId: Number(field('producerId')),
      producerEpoch: Number(field('producerEpoch')),
      isTransactional: field('isTransactional') === 'true',
      isControl: field('isControl') === 'true',
      marker: null,
      magic: Number(field('magic')),
      compresscodec: field('compresscodec').toLowerCase(),
      crc: Number(field('crc')),
      isvalid: field('isvalid') === 'true',
    })
  }
  return batches
}
