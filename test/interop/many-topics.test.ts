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
    const created: string[] = []
    const createNext = async () => {
      const next = names.slice(created.length, created.length + AT_ONCE)
      await kafka().createTopics(next.map((name) => ({ name, partitions: PARTITIONS })))
      created.push(...next)
    }
    const producer = new Producer({ bootstrapServers: kafka().bootstrapServers })
    let rounds = 0
    /** A record for every partition that there is so far. */
    const sendRound = () => {
      rounds++
      for (const topic of created) {
        for (let partition = 0; partition < PARTITIONS; partition++) {
          const value = `${topic}/${partition}/${rounds}`
          sent.set(value, producer.send({ topic, partition, value }))
        }
      }
      return producer.flush()
    }
    const creating = new AbortController()
    const sendWhileCreating = async () => {
      while (!creating.signal.aborted) await sendRound()
    }
    try {
      await createNext()
      const sending = sendWhileCreating()
      try {
        while (created.length < TOPICS) await createNext()
      } finally {
        creating.abort()
        await sending
      }
      await sendRound()
      await Promise.all(sent.values())
    } finally {
      expect(await producer.close()).toBe(0)
    }
    expect(rounds).toBeGreaterThan(2)

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
