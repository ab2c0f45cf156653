/** Bytes to compress: what batches hold, and what codecs stumble over. */

/** Numbers from 0 to 1, the same for the same seed. */
export function randomFrom(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

export type Texture = 'json' | 'random' | 'one byte' | 'three letters' | 'period' | 'match at the end'
export const textures: readonly Texture[] = [
  'json',
  'random',
  'one byte',
  'three letters',
  'period',
  'match at the end',
]

/** `length` bytes of a kind. */
export function sample(texture: Texture, length: number, seed: number): Buffer {
  const random = randomFrom(seed)
  const below = (limit: number): number => Math.floor(random() * limit)
  const bytes = Buffer.alloc(length)
  switch (texture) {
    case 'json': {
      let text = ''
      while (text.length < length) text += jsonEvent(below)
      bytes.write(text, 'latin1')
      return bytes
    }
    case 'random':
      for (let i = 0; i < length; i++) bytes[i] = below(256)
      return bytes
    case 'one byte':
      return bytes.fill(below(256))
    case 'three letters':
      for (let i = 0; i < length; i++) bytes[i] = 97 + below(3)
      return bytes
    case 'period': {
      const period = 1 + below(60)
      for (let i = 0; i < length; i++) bytes[i] = i < period ? below(256) : bytes[i - period]!
      return bytes
    }
    case 'match at the end': {
      for (let i = 0; i < length; i++) bytes[i] = below(256)
      // Something that was there before, in the last bytes, where LZ4 allows no match.
      const size = 4 + below(4)
      const end = length - 5 - below(8)
      const from = end - size - 200 - below(500)
      if (from > 0) bytes.copy(bytes, end - size, from, from + size)
      return bytes
    }
  }
}

function jsonEvent(below: (limit: number) => number): string {
  return JSON.stringify({
    type: 'OrderPaidEvent',
    orderId: `order-${below(1_000_000)}`,
    amount: below(100_000),
    currency: ['EUR', 'USD', 'GBP'][below(3)],
    items: [{ sku: `sku-${below(500)}`, quantity: 1 + below(3) }],
    note: 'x'.repeat(below(9)),
  })
}
