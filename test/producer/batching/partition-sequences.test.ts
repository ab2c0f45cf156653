import { describe, expect, test } from 'vitest'
import { addToSequence, PartitionSequences } from '../../../src/producer/batching/partition-sequences.js'
import type { QueuedBatch } from '../../../src/producer/batching/partition-queue.js'
import { madeBatch } from '../made-batch.js'

const MAX = 0x7fffffff

/** Sequences of producer 7, epoch 0, with a batch in flight for each number of records. */
function inFlight(...records: number[]): { sequences: PartitionSequences; batches: QueuedBatch[] } {
  const sequences = new PartitionSequences()
  sequences.restart({ producerId: 7n, producerEpoch: 0 })
  const batches = records.map((count, ordinal) => madeBatch(ordinal, count))
  for (const batch of batches) sequences.assign(batch)
  return { sequences, batches }
}

test.each([
  [0, 1, 1],
  [MAX - 1, 1, MAX],
  [MAX, 1, 0],
  [MAX, 5, 4],
  [MAX - 2, 5, 2],
  [5, MAX, 4],
])('%i and %i records later comes %i', (sequence, count, expected) => {
  expect(addToSequence(sequence, count)).toBe(expected)
})

test('sequences count records and go on at 0 after 2147483647', () => {
  const { sequences } = inFlight(3)
  expect(sequences.next).toBe(3)
  // A record count cannot be made so large here: a batch that says so stands for the billions before.
  const billions = Object.defineProperty(madeBatch(1), 'recordCount', { value: MAX - 5 })
  sequences.assign(billions)
  expect(sequences.next).toBe(MAX - 2)
  const across = madeBatch(2, 5)
  sequences.assign(across)
  expect(across.baseSequence).toBe(MAX - 2)
  expect(sequences.next).toBe(2)
  for (const batch of [...sequences.inFlight]) sequences.acknowledge(batch, 0n)
  expect(sequences.isContiguous).toBe(true)
})

test('a batch gets producer id, epoch and sequence, and is in flight from then on', () => {
  const { sequences, batches } = inFlight(3, 2)
  expect(batches).toMatchObject([
    { producerId: 7n, producerEpoch: 0, baseSequence: 0 },
    { producerId: 7n, producerEpoch: 0, baseSequence: 3 },
  ])
  expect(sequences.isFirstInFlight(batches[0]!)).toBe(true)
  expect(sequences.isFirstInFlight(batches[1]!)).toBe(false)
})

describe('acknowledge', () => {
  test('in order: nothing is in flight, and everything is contiguous', () => {
    const { sequences, batches } = inFlight(3, 2)
    sequences.acknowledge(batches[0]!, 100n)
    expect(sequences).toMatchObject({ lastAckedOffset: 102n, isContiguous: false })
    sequences.acknowledge(batches[1]!, 103n)
    expect(sequences).toMatchObject({ lastAckedOffset: 104n, isContiguous: true, inFlight: [] })
  })

  test('out of order: an older answer does not take back a newer one', () => {
    const { sequences, batches } = inFlight(3, 2)
    sequences.acknowledge(batches[1]!, 103n)
    sequences.acknowledge(batches[0]!, 100n)
    expect(sequences).toMatchObject({ lastAckedOffset: 104n, isContiguous: true })
  })

  test('a duplicate has no offset, and the last known one stays', () => {
    const { sequences, batches } = inFlight(1, 1)
    sequences.acknowledge(batches[0]!, 9n)
    sequences.acknowledge(batches[1]!, -1n)
    expect(sequences).toMatchObject({ lastAckedOffset: 9n, isContiguous: true })
  })
})

describe('abandon', () => {
  test('leaves open whether there is a gap, until an answer to a later batch shows that there is none', () => {
    const { sequences, batches } = inFlight(3, 2)
    sequences.abandon(batches[0]!)
    expect(sequences).toMatchObject({ isUnresolved: true, isContiguous: false })
    sequences.acknowledge(batches[1]!, 3n)
    // Brokers take no batch behind a gap, so the abandoned one is in the log.
    expect(sequences.isContiguous).toBe(true)
  })

  test('of the last batch is a gap as far as anybody knows', () => {
    const { sequences, batches } = inFlight(3, 2)
    sequences.acknowledge(batches[0]!, 0n)
    sequences.abandon(batches[1]!)
    expect(sequences).toMatchObject({ isUnresolved: true, isContiguous: false, inFlight: [] })
  })

  test('of a batch whose time was over before, and that is answered after all, is no abandonment', () => {
    const { sequences, batches } = inFlight(3)
    sequences.acknowledge(batches[0]!, 0n)
    sequences.abandon(batches[0]!)
    expect(sequences.isUnresolved).toBe(false)
  })
})

test('the parts of a split batch share its sequences, in its place', () => {
  const { sequences, batches } = inFlight(1, 5, 1)
  const parts = [madeBatch(1, 2), madeBatch(1.5, 3)]
  sequences.replace(batches[1]!, parts)
  expect(sequences.inFlight).toEqual([batches[0], ...parts, batches[2]])
  expect(parts).toMatchObject([
    { producerId: 7n, producerEpoch: 0, baseSequence: 1 },
    { producerId: 7n, producerEpoch: 0, baseSequence: 3 },
  ])
  expect(sequences.next).toBe(7)
})

test('parts of a batch that reaches over the end of the sequences wrap as it does', () => {
  const { sequences } = inFlight()
  sequences.assign(Object.defineProperty(madeBatch(0), 'recordCount', { value: MAX }))
  const batch = madeBatch(1, 4)
  sequences.assign(batch)
  const parts = [madeBatch(1, 2), madeBatch(1.5, 2)]
  sequences.replace(batch, parts)
  expect(parts.map(({ baseSequence }) => baseSequence)).toEqual([MAX, 1])
})

test('a restart begins at 0 under the new identity; batches in flight lose their sequences and may still be written', () => {
  const { sequences, batches } = inFlight(3, 2)
  sequences.acknowledge(batches[0]!, 5n)
  batches[1]!.maybeWritten = true
  sequences.isUnresolved = sequences.mustRestart = true
  sequences.restart({ producerId: 7n, producerEpoch: 1 })
  expect(batches[1]).toMatchObject({ hasSequence: false, producerId: -1n, maybeWritten: true })
  expect(sequences).toMatchObject({
    producerEpoch: 1,
    next: 0,
    isUnresolved: false,
    mustRestart: false,
    isContiguous: true,
    inFlight: [],
    lastAckedOffset: 7n,
  })
  sequences.assign(batches[1]!)
  expect(batches[1]).toMatchObject({ producerEpoch: 1, baseSequence: 0 })
})
