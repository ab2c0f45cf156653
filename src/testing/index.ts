/// <reference types="node" preserve="true" />
/** The public entry `kafka-producer/testing`. */
export { TestCluster } from './test-cluster.js'
export type {
  LogDescription,
  RecordsOptions,
  StoredMarker,
  StoredRecord,
  TestClusterOptions,
  TransactionDescription,
} from './test-cluster.js'
export type { TestTopicOptions } from './state/cluster-state.js'
export type { CoordinatorType } from './coordinators/coordinators.js'
export type { CommittedOffset, GroupMember, GroupOptions } from './coordinators/group-coordinator.js'
export type { TransactionVersion } from './coordinators/transaction-coordinator.js'
export type { TopicPartition } from '../record.js'
export type { TransactionStatus } from './coordinators/transaction-state.js'
export type { ApiName, FaultAction, FaultMatch } from './faults.js'
export type { ReceivedBatch, ReceivedRequest } from './broker/request-context.js'
