/** What can hold a partition's first batch back. */
export type Hold =
  /** No broker leads the partition. */
  | 'leader'
  /** It waits for more records (linger), or for the end of a back-off. */
  | 'time'
  /** A codec is at work on it. */
  | 'codec'
  | GateHold

/** What its gate can hold it back for; see drain-gate.ts. */
export type GateHold =
  /** A response to an earlier batch of the partition decides what may follow. */
  | 'response'
  /** There is no producer id, or its epochs are used up. */
  | 'producer-id'
  /** No transaction takes it, or the coordinator has not been told of the partition yet. */
  | 'transaction'

/** Where a partition stands: it can be drained, it is held back, or it has no batches. */
export type Place = 'ready' | Hold | 'idle'
