// A process for stalls.test.ts: sends numbered records until it is told to stop, with short timeouts, and tells what failed.
// Its own busy time is asked for by the message 'block'.
import { Producer } from 'kafka-producer'

const [bootstrapServers, topic] = process.argv.slice(2)
const producer = new Producer({
  bootstrapServers,
  lingerMs: 0,
  requestTimeoutMs: 1000,
  deliveryTimeoutMs: 1500,
  logger: { debug() {}, info() {}, warn() {}, error() {} },
})
const failures = []
let disconnects = 0
let sent = 0
let acknowledged = 0
producer.on('disconnect', () => disconnects++)

const timer = setInterval(() => {
  producer.send({ topic, value: String(sent++) }, (error) => {
    if (error !== null) failures.push(error.message)
    else if (++acknowledged % 20 === 0) process.send({ acknowledged })
  })
}, 5)

process.on('message', async (message) => {
  if (message.block !== undefined) {
    // With a record just sent, so that one is under way while nothing runs.
    producer.send({ topic, value: String(sent++) }, (error) => error !== null && failures.push(error.message))
    setTimeout(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, message.block), 20)
    return
  }
  clearInterval(timer)
  await producer.flush()
  const report = { sent, failures, disconnects } // closing disconnects too
  process.send({ ...report, undelivered: await producer.close() })
  process.disconnect()
})
