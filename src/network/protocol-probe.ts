/**
 * What a server speaks that hung up: TLS where plaintext was wanted, or the other way round. It gets to know nothing but
 * the name of this package.
 */
import type { Connections } from './connections.js'
import type { Doubt } from './connection/hang-up.js'
import type { Address, Connect } from './connection/transport.js'

/** So long a server may take to say what it speaks, when it hung up on TLS. */
const ASK_MS = 1000

/** Undefined where there is nothing to find out, or the server is something else. */
export async function speaksOtherwise(
  doubt: Doubt | undefined,
  { otherwise }: Connect,
  connections: Connections,
  nodeId: number,
  address: Address,
): Promise<'TLS' | 'plaintext' | undefined> {
  if (doubt === undefined || doubt === 'SASL expected' || otherwise === undefined) return undefined
  const connection = connections.create(nodeId, address, {
    connect: otherwise,
    clientId: null,
    setupTimeoutMs: ASK_MS,
    requestTimeoutMs: ASK_MS,
  })
  try {
    if (doubt === 'TLS port') await connection.reach()
    else await connection.open()
  } catch {
    // It is something else, of which the first attempt has said more.
    return undefined
  }
  connection.close()
  return doubt === 'TLS port' ? 'TLS' : 'plaintext'
}
