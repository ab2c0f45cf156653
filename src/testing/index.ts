/** The public entry `kafka-producer/testing`. */
export { TestCluster } from './test-cluster.js'
export type { StoredRecord, TestClusterOptions } from './test-cluster.js'
export type { TopicOptions } from './cluster-state.js'
export type { ApiName, FaultAction, FaultMatch } from './faults.js'
export type { ReceivedBatch, ReceivedRequest } from './request-context.js'
