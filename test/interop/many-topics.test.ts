/** One producer over many topics that come into being while it runs. */
import { expect, test } from 'vitest'
import { Producer, type RecordMetadata } from 'kafka-producer'
import { describeKafka } from '../kafka/cluster.js'

const TOPICS = 50
const PARTITIONS = 20
const AT_ONCE = 10

describeKafka('many topics', { brokers: 3 }, (kafka) => {
  test('50 topics of 20 partitions, created while the producer runs, are all written by one process', async () => {
    const names = Array.from({ length: TOPICS }, () => kafka().topicName('many'))
    const sent = new Map<string, Promise<RecordMetadata>>()
    let round = 0
    const creating = new AbortController()
    const producer = new Producer({ bootstrapServers: kafka().bootstrapServers })
    try {
      /** A record for every partition of these topics. */
      const sendRound = (topics: readonly string[]) => {
        round++
        for (const topic of topics) {
          for (let partition = 0; partition < PARTITIONS; partition++) {
            const value = `${topic}/${partition}/${round}`
            sent.set(value, producer.send({ topic, partition, value }))
          }
        }
      }
      const created: string[] = []
      const sending = (async () => {
        while (!creating.signal.aborted) {
          sendRound(created)
          await producer.flush()
          await new Promise(setImmediate)
        }
      })()
      for (let i = 0; i < TOPICS; i += AT_ONCE) {
        const next = names.slice(i, i + AT_ONCE)
        await kafka().createTopics(next.map((name) => ({ name, partitions: PARTITIONS })))
        created.push(...next)
      }
      creating.abort()
      await sending
      sendRound(created)
      await producer.flush()
      console.log('RECORDS', sent.size, round)
      await Promise.all(sent.values())
    } finally {
      expect(await producer.close()).toBe(0)
    }

    const stored = await kafka().consume(names)
    const places = stored.map((r) => `${r.topic}/${r.partition}/${r.offset} ${r.value?.toString()}`)
    const wanted = await Promise.all(
      [...sent].map(async ([value, metadata]) => {
        const { topic, partition, offset } = await metadata
        return `${topic}/${partition}/${offset} ${value}`
      }),
    )
    expect(new Set(stored.map((r) => `${r.topic}/${r.partition}`)).size).toBe(TOPICS * PARTITIONS)
    expect(places.length).toBe(wanted.length)
    expect(places.sort()).toEqual(wanted.sort())
  })
})
