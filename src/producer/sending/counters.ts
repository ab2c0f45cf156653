/** What the sender counts, in records, requests and batches. */
export class SenderCounters {
  requests = 0
  recordsSent = 0
  recordRetries = 0
  batchSplits = 0
}
