/** What a batch may hold once it is decompressed, for the test broker: a bomb of a few kilobytes unpacks to any size. */
export const MAX_OUTPUT_BYTES = 128 * 1024 * 1024

/** Throws where so many bytes are more than a batch may hold. */
export function assertOutput(bytes: number): void {
  if (bytes > MAX_OUTPUT_BYTES) throw new Error(`more than ${MAX_OUTPUT_BYTES} bytes when decompressed`)
}
