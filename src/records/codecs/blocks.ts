/** What snappy's and LZ4's framings share: the bytes are cut into blocks, and each is compressed on its own. */
import { isUint8Array } from 'node:util/types'

/** `isOnly` where the batch is one block; then an engine is better asked to do it at once. */
export type CompressBlock = (block: Uint8Array, isOnly: boolean) => Uint8Array | Promise<Uint8Array>

type Frame = (blocks: readonly Uint8Array[], compressed: readonly Uint8Array[]) => Uint8Array

/** At once where every block is there at once. */
export function compressBlocks(
  bytes: Uint8Array,
  blockBytes: number,
  compressBlock: CompressBlock,
  frame: Frame,
): Uint8Array | Promise<Uint8Array> {
  const blocks: Uint8Array[] = []
  for (let start = 0; start < bytes.length; start += blockBytes) {
    const length = Math.min(blockBytes, bytes.length - start)
    // Never a Buffer: with one class of array the loops of the JavaScript engines stay fast.
    blocks.push(new Uint8Array(bytes.buffer, bytes.byteOffset + start, length))
  }
  const compressed: (Uint8Array | Promise<Uint8Array>)[] = []
  for (const block of blocks) compressed.push(compressBlock(block, blocks.length === 1))
  if (areThere(compressed)) return frame(blocks, compressed)
  return Promise.all(compressed.map((block) => Promise.resolve(block))).then((there) => frame(blocks, there))
}

function areThere(results: readonly (Uint8Array | Promise<Uint8Array>)[]): results is readonly Uint8Array[] {
  return results.every((result) => isUint8Array(result))
}
