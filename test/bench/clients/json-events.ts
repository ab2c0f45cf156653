/** The same JSON events of about `size` bytes for every client: what services send, not random and not repeated. */
const DISTINCT = 20_000

export function jsonEvents(size: number): Buffer[] {
  let state = 42
  const below = (limit: number): number => {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0
    return (state >>> 8) % limit
  }
  return Array.from({ length: DISTINCT }, (_, index) => {
    const items: object[] = []
    const event = {
      type: 'OrderPaidEvent',
      orderId: `order-${below(1_000_000)}`,
      customerId: `customer-${below(50_000)}`,
      paidAt: new Date(1_790_000_000_000 + index * 137).toISOString(),
      amount: below(100_000),
      currency: ['EUR', 'USD', 'GBP'][below(3)],
      address: {
        street: `Main Street ${below(300)}`,
        city: ['Berlin', 'Paris', 'Rome'][below(3)],
        zip: below(99_999),
      },
      items,
    }
    do items.push({ sku: `sku-${below(5000)}`, quantity: 1 + below(3), price: below(10_000) })
    while (JSON.stringify(event).length < size)
    return Buffer.from(JSON.stringify(event))
  })
}
