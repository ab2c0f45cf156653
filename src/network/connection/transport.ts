/**
 * The seam for sockets and names: a connection is made to one address of one name at a time, so that what goes over
 * every address, in what order and how long, is decided in one place (cluster.ts) and can be tested without a network.
 */
import { promises as dns } from 'node:dns'
import { connect as netConnect, isIP } from 'node:net'
import type { Duplex } from 'node:stream'
import { connect as tlsSocket } from 'node:tls'

/** One end point. `ip` is the address to go to; `host` the name it came from, which is what TLS has to check. */
export interface Address {
  readonly host: string
  readonly port: number
  readonly ip: string
}

/**
 * Opens a socket: 'connect' (one over TLS: 'secureConnect') when it can be written to, 'error' otherwise, and 'close'
 * after everything else, also after `destroy()`. A promise, which settles in time, where something has to be asked for
 * first. By the time of 'close' the socket holds none of the bytes that were written to it.
 */
export interface Connect {
  (address: Address): Duplex | Promise<Duplex>
  /** TLS for plaintext and plaintext for TLS, to find out what a server speaks that hung up. Nothing else goes there. */
  readonly otherwise?: (address: Address) => Duplex
}

/** Names to addresses. Both reject with the resolver's own error. */
export interface Lookup {
  /** All addresses of a name, IPv4 and IPv6, in the resolver's order, at least one. An address is its own. */
  addresses(host: string): Promise<readonly string[]>
  /** The canonical names of all addresses of a name; an address that has no name stands for itself. */
  canonicalNames(host: string): Promise<readonly string[]>
}

/** Plain TCP: no delay for small requests, and probes that find a peer which is gone without a word. */
export const tcpConnect = Object.assign(
  ({ ip, port }: Address): Duplex => netConnect({ host: ip, port, noDelay: true, keepAlive: true }),
  {
    // Whose certificate it is does not matter: there is nothing to say to them.
    otherwise: ({ host, ip, port }: Address): Duplex =>
      tlsSocket({ host: ip, port, servername: isIP(host) === 0 ? host : '', rejectUnauthorized: false }),
  },
) satisfies Connect

async function addresses(host: string): Promise<readonly string[]> {
  const name = host.startsWith('[') && host.endsWith(']') ? host.slice(1, -1) : host
  if (isIP(name) !== 0) return [name]
  const found = await dns.lookup(name, { all: true, verbatim: true })
  return [...new Set(found.map(({ address }) => address))]
}

async function canonicalNames(host: string): Promise<readonly string[]> {
  const names = (await addresses(host)).map(async (ip) => {
    try {
      return (await dns.lookupService(ip, 0)).hostname
    } catch {
      return ip
    }
  })
  return [...new Set(await Promise.all(names))]
}

/** The resolver of the system, hosts file included. */
export const systemLookup: Lookup = { addresses, canonicalNames }
