// A process for transactions.test.ts: opens a transaction, writes to every partition, tells so, and waits to be killed.
import { Producer } from 'kafka-producer'

const [bootstrapServers, transactionalId, topic, partitions] = process.argv.slice(2)
const producer = new Producer({ bootstrapServers, transactionalId })
await producer.initTransactions()
producer.beginTransaction()
const sent = []
for (let partition = 0; partition < Number(partitions); partition++) {
  for (let i = 0; i < 10; i++) sent.push(producer.send({ topic, partition, value: `lost-${partition}-${i}` }))
}
await Promise.all(sent)
process.send('open')
