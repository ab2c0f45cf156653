/** What TestCluster answers in each talk about a transaction; test/interop compares the same talks with Kafka. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestCluster } from '../../src/testing/index.js'
import { RawClient } from './raw-client.js'
import { PARTITIONS_PER_SCRIPT, transactionScripts } from './transaction-scripts.js'
import { TransactionTalk } from './transaction-talk.js'

describe('the coordinators of the test cluster answer', () => {
  let cluster: TestCluster
  let client: RawClient

  beforeAll(async () => {
    const partitions = transactionScripts.length * PARTITIONS_PER_SCRIPT
    cluster = await TestCluster.start({ topics: { talks: { partitions } } })
    client = await RawClient.connect(cluster.bootstrapServers[0]!)
  })

  afterAll(async () => {
    client.close()
    await cluster.close()
  })

  test.each(transactionScripts.map((script, i) => ({ script, i, title: script.title })))(
    '$title',
    async ({ script, i }) => {
      const firstPartition = i * PARTITIONS_PER_SCRIPT
      const talk = new TransactionTalk({ client, topic: 'talks', firstPartition, name: `talk-${i}` })
      await script.talk(talk)
      expect(talk.notes).toEqual(script.expected)
    },
  )
})
