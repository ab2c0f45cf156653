/** The options of a Cluster in tests: the defaults of the producer, one bootstrap server, and a silent logger. */
import type { NetworkConfig } from '../../src/network/cluster.js'

export const networkConfig: NetworkConfig = {
  bootstrapServers: [{ host: '10.0.0.1', port: 9092 }],
  clientId: 'a-test',
  clientDnsLookup: 'use_all_dns_ips',
  connectionsMaxIdleMs: 540_000,
  logger: { debug: () => {}, info: () => {}, warn: () => {}, error: () => {} },
  metadataMaxAgeMs: 300_000,
  metadataMaxIdleMs: 300_000,
  metadataRecoveryRebootstrapTriggerMs: 300_000,
  metadataRecoveryStrategy: 'rebootstrap',
  reconnectBackoffMs: 50,
  reconnectBackoffMaxMs: 1000,
  requestTimeoutMs: 30_000,
  retryBackoffMs: 100,
  retryBackoffMaxMs: 1000,
  socketConnectionSetupTimeoutMs: 10_000,
  socketConnectionSetupTimeoutMaxMs: 30_000,
  socketMaxResponseBytes: 1_000_000,
}
