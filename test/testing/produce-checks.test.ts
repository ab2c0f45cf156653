/** What a broker of TestCluster answers to each Produce request; test/interop compares the same scripts with Kafka. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestCluster } from '../../src/testing/index.js'
import { RawClient } from './raw-client.js'
import { runScript, scripts, scriptTopics, summary } from './produce-scripts.js'
import { createScriptTopics } from './script-topics.js'

describe('a broker of the test cluster answers', () => {
  let cluster: TestCluster
  let client: RawClient

  beforeAll(async () => {
    cluster = await TestCluster.start({ topics: createScriptTopics(scripts.length) })
    client = await RawClient.connect(cluster.bootstrapServers[0]!)
  })

  afterAll(async () => {
    client.close()
    await cluster.close()
  })

  test.each(scripts.map((script, partition) => ({ script, partition, title: script.title })))(
    '$title',
    async ({ script, partition }) => {
      const topic = script.topic ?? 'plain'
      expect(scriptTopics).toHaveProperty(topic)
      const topicId = (await client.metadata([topic])).topics[0]!.topicId
      const answers = await runScript(script, { client, topic, topicId, partition })
      expect(answers.map(summary)).toEqual(script.steps.map(({ expected }) => expected))
    },
  )
})
