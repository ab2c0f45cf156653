/** TestCluster against Apache Kafka, answer by answer: a lenient test broker would prove nothing about the producer. */
import { randomUUID } from 'node:crypto'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { ApiVersions, Metadata, Produce, ZERO_UUID } from '../../src/protocol/apis.js'
import { TestCluster } from '../../src/testing/index.js'
import { describeKafka } from '../kafka/cluster.js'
import { batch, produceRequest, RawClient } from '../testing/raw-client.js'
import {
  runScript,
  scripts,
  scriptTopics,
  summary,
  type PartitionAnswer,
  type ScriptTopic,
} from '../testing/produce-scripts.js'
import { createScriptTopics } from '../testing/script-topics.js'

/** An answer without what two brokers may word or time differently. */
function comparable(answer: PartitionAnswer, sentAt: number) {
  const { recordErrors, errorMessage, logAppendTimeMs } = answer
  return {
    ...answer,
    summary: summary(answer),
    recordErrors: recordErrors.map(({ batchIndex }) => batchIndex),
    errorMessage: errorMessage === null ? null : 'a message',
    logAppendTimeMs: logAppendTimeMs >= BigInt(sentAt) ? "the broker's time" : logAppendTimeMs,
  }
}

describeKafka('TestCluster and Kafka give the same answer', { brokers: 1 }, (kafka) => {
  const realNames = new Map<ScriptTopic, string>()
  let cluster: TestCluster
  let real: RawClient
  let ours: RawClient

  beforeAll(async () => {
    for (const [name, config] of Object.entries(scriptTopics)) {
      const created = await kafka().createTopic(`checks-${name}`, scripts.length, { config })
      realNames.set(name as ScriptTopic, created)
    }
    cluster = await TestCluster.start({ topics: createScriptTopics(scripts.length) })
    ours = await RawClient.connect(cluster.bootstrapServers[0]!)
    real = await RawClient.connect(kafka().bootstrapServers.split(',')[0]!)
  }, 120_000)

  afterAll(async () => {
    real.close()
    ours.close()
    await cluster.close()
  })

  test.each(scripts.map((script, partition) => ({ script, partition, title: script.title })))(
    'to $title',
    async ({ script, partition }) => {
      const sentAt = Date.now() - 1000
      const answersOf = async (client: RawClient, topic: string) => {
        const { topicId } = (await client.metadata([topic])).topics[0]!
        const answers = await runScript(script, { client, topic, topicId, partition })
        return answers.map((answer) => comparable(answer, sentAt))
      }
      const topic = script.topic ?? 'plain'
      const fromKafka = await answersOf(real, realNames.get(topic)!)
      expect(await answersOf(ours, topic)).toEqual(fromKafka)
      expect(fromKafka.map((answer) => answer.summary)).toEqual(script.steps.map(({ expected }) => expected))
    },
  )

  /** What a question is answered with by both; the connection is fresh each time. */
  async function expectSameAnswer<T>(question: (client: RawClient) => Promise<T>): Promise<T> {
    const [fromKafka, fromUs] = [kafka().bootstrapServers.split(',')[0]!, cluster.bootstrapServers[0]!].map(
      async (address) => {
        const client = await RawClient.connect(address)
        try {
          return await question(client)
        } finally {
          client.close()
        }
      },
    )
    const expected = await fromKafka!
    expect(await fromUs).toEqual(expected)
    return expected
  }

  test('about the versions of each API that TestCluster serves', async () => {
    const served = new Set([0, 3, 10, 18, 22, 24, 25, 26, 28])
    for (let version = 0; version <= 4; version++) {
      await expectSameAnswer(async (client) => {
        const { errorCode, apiKeys, supportedFeatures, finalizedFeatures } = await client.apiVersions(version)
        const isTransactions = ({ name }: { name: string }) => name === 'transaction.version'
        return {
          errorCode,
          // Version 6 of InitProducerId is unstable, and offered by no broker that is not told to.
          apiKeys: apiKeys.filter(({ apiKey }) => served.has(apiKey)),
          supportedFeatures: supportedFeatures.filter(isTransactions),
          finalizedFeatures: finalizedFeatures.filter(isTransactions),
        }
      })
    }
  })

  test('to an ApiVersions request of the future', async () => {
    const answer = await expectSameAnswer(async (client) => {
      const bytes = Buffer.concat(
        ApiVersions.encodeRequest(4, 7, 'raw', { clientSoftwareName: 'raw', clientSoftwareVersion: '1' }),
      )
      bytes.writeInt16BE(9, 6)
      client.duplex.write(bytes)
      return client.answer(ApiVersions, 0, 7)
    })
    expect(answer).toMatchObject({ errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 4 }] })
  })

  test('to a client whose name is none', async () => {
    const answer = await expectSameAnswer((client) =>
      client.request(ApiVersions, 4, { clientSoftwareName: '', clientSoftwareVersion: '!' }),
    )
    expect(answer).toMatchObject({ errorCode: 42, apiKeys: [] })
  })

  test('to a version that is listed but not served, which is a closed connection', async () => {
    const frame = Buffer.concat(Produce.encodeRequest(3, 0, 'raw', produceRequest(null)))
    frame.writeInt16BE(2, 6)
    expect(
      await expectSameAnswer(async (client) => {
        client.duplex.write(frame)
        return client.ended
      }),
    ).toBe('end')
  })

  test('to a request that makes no sense, which is a closed connection', async () => {
    await expectSameAnswer(async (client) => {
      client.duplex.write(Buffer.from('GET / HTTP/1.1\r\n\r\n'))
      return client.ended
    })
    const frame = Buffer.concat(Produce.encodeRequest(3, 0, 'raw', produceRequest(null)))
    await expectSameAnswer(async (client) => {
      const short = frame.subarray(0, frame.length - 5)
      short.writeInt32BE(short.length - 4, 0)
      client.duplex.write(short)
      return client.ended
    })
  })

  test('to acks=0: silence, or a closed connection where something is wrong', async () => {
    await expectSameAnswer(async (client) => {
      client.send(Produce, 9, produceRequest(batch(), { topic: 'nowhere', acks: 0 }))
      return client.ended
    })
    await expectSameAnswer(async (client) => {
      const names = (await client.metadata(null)).topics.map(({ name }) => name!)
      const topic = names.find((name) => name === 'plain' || name === realNames.get('plain'))!
      client.send(Produce, 9, produceRequest(batch(), { topic, acks: 0, partition: scripts.length - 1 }))
      // The next answer is the one to this.
      return (await client.initProducerId()).errorCode
    })
  })

  test('to InitProducerId', async () => {
    const ask = (body: Parameters<RawClient['initProducerId']>[0]) =>
      expectSameAnswer(async (client) => {
        const { producerId, ...rest } = await client.initProducerId(body)
        return { ...rest, isNew: producerId >= 0n && producerId !== body?.producerId }
      })
    expect(await ask({})).toMatchObject({ errorCode: 0, producerEpoch: 0, isNew: true })
    expect(await ask({ producerId: 5n, producerEpoch: 3 })).toMatchObject({ errorCode: 0, producerEpoch: 0 })
    expect(await ask({ producerId: 5n })).toMatchObject({ errorCode: 42 })
    expect(await ask({ producerEpoch: 3 })).toMatchObject({ errorCode: 42 })
    expect(await ask({ transactionalId: '' })).toMatchObject({ errorCode: 42 })
  })

  test('about topics', async () => {
    const fresh = `auto-${randomUUID()}`
    const unknownId = 'aaaaaaaa-0000-4000-8000-000000000001'
    const ask = async (names: string[], allowAutoTopicCreation: boolean, version: number) =>
      expectSameAnswer(async (client) => {
        const { topics, errorCode } = await client.metadata(names, allowAutoTopicCreation, version)
        return { topics, errorCode }
      })
    for (const version of [1, 4, 8, 9, 12, 13]) {
      const absent = await ask(['absent'], false, Math.max(version, 4))
      expect(absent.topics).toMatchObject([{ errorCode: 3, name: 'absent', partitions: [] }])
      for (const name of ['', '.', '..', 'a b', 'x'.repeat(250), 'caf\u00e9']) {
        expect((await ask([name], true, version)).topics).toMatchObject([{ errorCode: 17, name }])
      }
      expect((await ask([], false, Math.max(version, 4))).topics).toEqual([])
    }
    expect((await ask([fresh], true, 13)).topics).toMatchObject([{ errorCode: 3, name: fresh }])
    await expectSameAnswer(async (client) => {
      let topic
      do topic = (await client.metadata([fresh], true)).topics[0]!
      while (topic.errorCode !== 0 || topic.partitions.some(({ errorCode }) => errorCode !== 0))
      expect(topic.topicId).not.toBe(ZERO_UUID)
      const byId = await client.request(Metadata, 13, {
        topics: [
          { name: null, topicId: topic.topicId },
          { name: null, topicId: unknownId },
        ],
        allowAutoTopicCreation: false,
        includeClusterAuthorizedOperations: false,
        includeTopicAuthorizedOperations: false,
      })
      return Object.fromEntries(
        byId.topics.map(({ errorCode, name, topicId }) => [
          topicId === topic.topicId ? 'its id' : topicId,
          { errorCode, name },
        ]),
      )
    })
  })
})
