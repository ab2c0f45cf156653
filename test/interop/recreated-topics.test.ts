/**
 * A topic that is deleted and created again under a producer, on Apache Kafka: where records go by name, some of them are
 * in the new log before the producer knows of it. A proxy cuts a connection then, so that metadata is asked for while a
 * batch is to be sent again. Kafka's own consumer and the dump of its log are the witnesses.
 */
import { Producer, type KafkaError, type Logger, type ProducerConfig } from 'kafka-producer'
import { expect, test } from 'vitest'
import { describeKafka, type RealKafka } from '../kafka/cluster.js'
import { FaultProxy, type Fault } from '../kafka/proxy.js'

const silent: Logger = { debug() {}, info() {}, warn() {}, error() {} }

/** What a consumer gets to see. */
async function committed(kafka: RealKafka, topic: string): Promise<string[]> {
  const records = await kafka.consume(topic, 'read_committed')
  return records.map(({ offset, value }) => `${offset} ${String(value)}`)
}

/** "epoch/sequence" of each batch in the log that is no marker. */
async function stored(kafka: RealKafka, topic: string): Promise<string[]> {
  const batches = await kafka.dumpLog(topic, 0)
  return batches
    .filter(({ isControl }) => !isControl)
    .map(({ producerEpoch, baseSequence }) => `${producerEpoch}/${baseSequence}`)
}

/** The next Produce request meets this fault, those after it none. */
function strikeOnce(proxy: FaultProxy, fault: Fault): void {
  const next = proxy.produceRequests + 1
  proxy.plan = ({ nth }) => (nth === next ? fault : 'none')
}

describeKafka('where records go by name', { brokers: 1, version: '3.9.1', own: true }, (kafka) => {
  test('a transaction stores both records: what is in the new log before its id is known is no duplicate', async () => {
    const topic = await kafka().createTopic('recreated', 1)
    await using proxy = await FaultProxy.start(kafka().describe().proxy)
    await using producer = new Producer({
      bootstrapServers: proxy.bootstrapServers,
      transactionalId: kafka().topicName('recreated'),
      logger: silent,
    })
    await producer.initTransactions()
    await producer.partitionsFor(topic)
    await kafka().recreateTopic(topic, 1)
    producer.beginTransaction()
    expect(await producer.send({ topic, value: 'b' })).toMatchObject({ offset: 0n })
    strikeOnce(proxy, 'cut-before')
    expect(await producer.send({ topic, value: 'c' })).toMatchObject({ offset: 1n })
    await producer.commitTransaction()
    expect(proxy.cuts).toBe(1)
    expect(await committed(kafka(), topic)).toEqual(['0 b', '1 c'])
    expect(await stored(kafka(), topic)).toEqual(['0/0', '0/1'])
  })

  test('a record whose response is lost while the new id comes in is stored once', async () => {
    const topic = await kafka().createTopic('recreated', 1)
    await using proxy = await FaultProxy.start(kafka().describe().proxy)
    await using producer = new Producer({ bootstrapServers: proxy.bootstrapServers, logger: silent })
    await producer.send({ topic, value: 'a' })
    await kafka().recreateTopic(topic, 1)
    expect(await producer.send({ topic, value: 'b' })).toMatchObject({ offset: 0n })
    strikeOnce(proxy, 'cut-after')
    expect(await producer.send({ topic, value: 'c' })).toMatchObject({ offset: 1n })
    expect(await producer.send({ topic, value: 'd' })).toMatchObject({ offset: 2n })
    expect(proxy.cuts).toBe(1)
    expect(await committed(kafka(), topic)).toEqual(['0 b', '1 c', '2 d'])
    expect(await stored(kafka(), topic)).toEqual(['0/1', '0/2', '0/3'])
  })
})

describeKafka('where records go by id', { brokers: 1, version: '4.2.0' }, (kafka) => {
  const configOf = (): ProducerConfig => ({ bootstrapServers: kafka().bootstrapServers, logger: silent })

  test('they go on under the old sequences', async () => {
    const topic = await kafka().createTopic('recreated', 1)
    await using producer = new Producer(configOf())
    await producer.send({ topic, value: 'a' })
    await kafka().recreateTopic(topic, 1)
    const sent = ['b', 'c', 'd'].map((value) => producer.send({ topic, value }))
    expect((await Promise.all(sent)).map(({ offset }) => offset)).toEqual([0n, 1n, 2n])
    expect(await committed(kafka(), topic)).toEqual(['0 b', '1 c', '2 d'])
    expect((await stored(kafka(), topic))[0]).toBe('0/1')
  })

  test('in the midst of a transaction v2 it is aborted, and the next one is exact', async () => {
    const topic = await kafka().createTopic('recreated', 1)
    await using producer = new Producer({ ...configOf(), transactionalId: kafka().topicName('recreated') })
    const fatal: KafkaError[] = []
    producer.on('fatal', (error) => fatal.push(error))
    await producer.initTransactions()
    producer.beginTransaction()
    await producer.send({ topic, value: 'a' })
    await kafka().recreateTopic(topic, 1)
    await expect(producer.send({ topic, value: 'b' })).rejects.toMatchObject({
      code: 'OUT_OF_ORDER_SEQUENCE_NUMBER',
      mayHaveBeenWritten: false,
      fatal: false,
    })
    await expect(producer.commitTransaction()).rejects.toMatchObject({ abortable: true, fatal: false })
    await producer.abortTransaction()
    await producer.transaction(async (tx) => {
      await tx.send({ topic, value: 'c' })
      await tx.send({ topic, value: 'd' })
    })
    expect(fatal).toEqual([])
    const values = (await kafka().consume(topic, 'read_committed')).map(({ value }) => String(value))
    expect(values).toEqual(['c', 'd'])
  })
})
