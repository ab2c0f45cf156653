/**
 * One buffer that the codecs write to before the length of the result is known. It is free again when the call that
 * took it returns: whoever takes it must copy what it keeps, and must not await.
 */

/** More than this is given back to the runtime instead of being kept for the next batch. */
const KEPT_BYTES = 1024 * 1024 + 64 * 1024

let kept = new Uint8Array(64 * 1024)

export function scratch(size: number): Uint8Array {
  if (size <= kept.length) return kept
  const grown = new Uint8Array(size)
  if (size <= KEPT_BYTES) kept = grown
  return grown
}

/** The same bytes as a plain Uint8Array: with one class of array, the loops of the codecs stay fast. */
export function plain(bytes: Uint8Array, start = 0, end = bytes.length): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset + start, end - start)
}
