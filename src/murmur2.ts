/**
 * The key hash that Kafka's Java client partitions by. It is part of the protocol in all but name: one bit of
 * difference and the records of a key land on other partitions than those of every other producer.
 */

const SEED = 0x9747b28c
const MIX = 0x5bd1e995

/** murmur2 of `bytes[start, end)` as a signed 32-bit integer, equal to the Java client's. Allocates nothing. */
export function murmur2(bytes: Uint8Array, start = 0, end = bytes.length): number {
  const length = end - start
  let hash = SEED ^ length
  const lastWord = end - (length & 3)
  let at = start
  for (; at < lastWord; at += 4) {
    let word = bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)
    word = Math.imul(word, MIX)
    word = Math.imul(word ^ (word >>> 24), MIX)
    hash = Math.imul(hash, MIX) ^ word
  }
  const rest = end - at
  if (rest > 0) {
    if (rest > 2) hash ^= bytes[at + 2]! << 16
    if (rest > 1) hash ^= bytes[at + 1]! << 8
    hash = Math.imul(hash ^ bytes[at]!, MIX)
  }
  hash = Math.imul(hash ^ (hash >>> 13), MIX)
  return hash ^ (hash >>> 15)
}
