/** The topics of the Produce scripts in the words of TestCluster. */
import type { TestTopicOptions } from '../../src/testing/index.js'
import { scriptTopics, type ScriptTopic } from './produce-scripts.js'

const options: Record<ScriptTopic, TestTopicOptions> = {
  plain: {},
  small: { maxMessageBytes: Number(scriptTopics.small['max.message.bytes']) },
  stamped: { messageTimestampType: scriptTopics.stamped['message.timestamp.type'] },
  compacted: { cleanupPolicy: scriptTopics.compacted['cleanup.policy'] },
}

export function createScriptTopics(partitions: number): Record<string, TestTopicOptions> {
  return Object.fromEntries(Object.entries(options).map(([name, topic]) => [name, { partitions, ...topic }]))
}
