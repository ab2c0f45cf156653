/** Queues, and batches with records in them, for tests of what handles batches. */
import { Generation } from '../../src/producer/batching/flush-generations.js'
import {
  PartitionQueue,
  type QueuedBatch,
  type QueueParts,
} from '../../src/producer/batching/partition-queue.js'
import { ProducerBatch } from '../../src/producer/batching/producer-batch.js'
import { RecordDraft } from '../../src/records/record-draft.js'

const draft = new RecordDraft()

/** A queue that no schedule looks at. */
export function madeQueue(partition = 0, parts: Partial<QueueParts> = {}): PartitionQueue {
  return new PartitionQueue('orders', partition, {
    reconsider: () => {},
    compress: null,
    release: () => {},
    ...parts,
  })
}

/** A batch of `records` records, each an empty value. */
export function madeBatch(ordinal: number, records = 1, queue = madeQueue()): QueuedBatch {
  const start = {
    generation: new Generation(0),
    createdMs: 0,
    deadlineMs: 1000,
    limit: Infinity,
    lingerUntilMs: 0,
    lingerRound: 0,
  }
  const batch = new ProducerBatch(
    queue,
    Buffer.alloc(100 + records * 10),
    start,
    { ordinal, span: 1 },
    records,
  )
  for (let i = 0; i < records; i++) {
    draft.set('orders', 0, null, '', undefined)
    batch.records.tryAppend(Infinity, draft)
    batch.join(() => {})
  }
  return batch
}
