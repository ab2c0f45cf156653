/** The hooks around a record's way: before it is serialized, and when its outcome is known (KIP-42). */
import type { KafkaError } from './errors.js'
import type { Headers, ProducerRecord, RecordMetadata } from './record.js'

/**
 * Sees every record of a producer. Interceptors run in the order of the `interceptors` option, inside `send`, so
 * they should be quick. What one throws is logged and otherwise ignored: the record goes on as if that interceptor
 * were not there.
 *
 * One that works for any producer, whatever its types, declares `onSend` as a generic method:
 * `onSend<K, V>(record: ProducerRecord<K, V>): ProducerRecord<K, V>`.
 */
export interface ProducerInterceptor<K = unknown, V = unknown> {
  /** Called by `send` before serialization; returns the record to send, which may be the same one. */
  onSend?(record: ProducerRecord<K, V>): ProducerRecord<K, V>
  /**
   * Called once per record, just before its promise is settled or its callback runs. On failure the metadata's
   * offset is -1n, and its partition is -1 when none was chosen yet. The headers are those that were sent (KIP-512).
   */
  onAcknowledgement?(metadata: RecordMetadata, error: KafkaError | null, headers: Headers | undefined): void
  /** Called once, when the producer has closed. */
  close?(): void
}
