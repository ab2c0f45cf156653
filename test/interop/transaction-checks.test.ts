/** The coordinators of TestCluster against those of Apache Kafka, answer by answer. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { describeKafka } from '../kafka/cluster.js'
import { RawClient } from '../testing/raw-client.js'
import { PARTITIONS_PER_SCRIPT, transactionScripts } from '../testing/transaction-scripts.js'
import { TransactionTalk } from '../testing/transaction-talk.js'

describeKafka('Kafka gives the answers of TestCluster', { brokers: 1 }, (kafka) => {
  const run = randomUUID()
  let client: RawClient
  let topic: string

  beforeAll(async () => {
    topic = await kafka().createTopic('talks', transactionScripts.length * PARTITIONS_PER_SCRIPT)
    client = await RawClient.connect(kafka().bootstrapServers.split(',')[0]!)
    // The first questions make Kafka create the topics of its coordinators.
    const first = new TransactionTalk({ client, topic, firstPartition: 0, name: run })
    await first.find(1)
    await first.find(0)
    await first.init()
    await first.commitOffsets()
    await first.end(false)
  }, 120_000)

  afterAll(() => {
    client.close()
  })

  test.each(transactionScripts.map((script, i) => ({ script, i, title: script.title })))(
    'in the talk about $title',
    async ({ script, i }) => {
      const firstPartition = i * PARTITIONS_PER_SCRIPT
      const talk = new TransactionTalk({ client, topic, firstPartition, name: `${run}-${i}` })
      await script.talk(talk)
      expect(talk.notes).toEqual(script.expected)
    },
    120_000,
  )
})
