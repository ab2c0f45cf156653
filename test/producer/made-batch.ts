/** Batches with records in them, for tests of what handles batches. */
import { Generation } from '../../src/producer/flush-generations.js'
import { PartitionQueue } from '../../src/producer/partition-queue.js'
import { ProducerBatch } from '../../src/producer/producer-batch.js'

/** A batch of `records` records, each an empty value. */
export function madeBatch(
  ordinal: number,
  records = 1,
  queue = new PartitionQueue('orders', 0),
): ProducerBatch {
  const batch = new ProducerBatch(
    queue,
    Buffer.alloc(100 + records * 10),
    new Generation(0),
    { createdMs: 0, deadlineMs: 1000 },
    { ordinal, span: 1 },
  )
  for (let i = 0; i < records; i++) {
    batch.records.tryAppend(Infinity, 0, null, -1, '', undefined)
    batch.join(() => {})
  }
  return batch
}
