// CPU of a connected producer that has nothing to do, beside what the process uses without one; prints JSON.
const { setTimeout: sleep } = require('node:timers/promises')
const { Producer } = require('kafka-producer')

const WINDOW_MS = 5000

async function cpuMs() {
  const before = process.cpuUsage()
  await sleep(WINDOW_MS)
  const { user, system } = process.cpuUsage(before)
  return (user + system) / 1000
}

async function main() {
  const without = await cpuMs()
  const producer = new Producer({ bootstrapServers: process.argv[2] })
  for (let i = 0; i < 1000; i++) await producer.send({ topic: 'orders', value: 'warm' })
  await sleep(500)
  const idle = await cpuMs()
  await producer.close()
  console.log(JSON.stringify({ windowMs: WINDOW_MS, without, idle }))
}

main()
