/**
 * Connects over TLS with SCRAM and sends one record; a refusal says what to change. The password and the certificate of
 * the authority are read from files whenever a connection is made, so that new ones need no restart.
 *
 *   npm run build:examples
 *   KAFKA_BOOTSTRAP=broker:9093 KAFKA_CA=ca.pem KAFKA_USERNAME=orders KAFKA_PASSWORD_FILE=password.txt \
 *     node build/examples/sasl-tls.js
 *
 * KAFKA_MECHANISM is SCRAM-SHA-512 unless it says SCRAM-SHA-256 or PLAIN, KAFKA_TOPIC is `orders`.
 */
import { readFile } from 'node:fs/promises'
import { AuthenticationError, KafkaError, Producer } from 'kafka-producer'

function setting(name: string, otherwise?: string): string {
  const value = process.env[name] ?? otherwise
  if (value !== undefined) return value
  console.error(`${name} is missing; the head of examples/sasl-tls.ts says what it is`)
  process.exit(2)
}

function mechanism(): 'PLAIN' | 'SCRAM-SHA-256' | 'SCRAM-SHA-512' {
  const name = setting('KAFKA_MECHANISM', 'SCRAM-SHA-512')
  return name === 'PLAIN' || name === 'SCRAM-SHA-256' ? name : 'SCRAM-SHA-512'
}

async function main(): Promise<void> {
  const bootstrapServers = setting('KAFKA_BOOTSTRAP')
  const caFile = setting('KAFKA_CA')
  const username = setting('KAFKA_USERNAME')
  const passwordFile = setting('KAFKA_PASSWORD_FILE')
  await using producer = new Producer({
    bootstrapServers,
    ssl: async () => ({ ca: await readFile(caFile) }),
    sasl: {
      mechanism: mechanism(),
      username,
      password: async () => (await readFile(passwordFile, 'utf8')).trim(),
    },
  })
  const { topic, partition, offset } = await producer.send({
    topic: setting('KAFKA_TOPIC', 'orders'),
    value: 'sent over TLS',
  })
  console.log(`stored as ${topic}-${partition}@${offset}`)
}

main().catch((error: unknown) => {
  if (!(error instanceof KafkaError)) throw error
  // An AuthenticationError does not pass by itself; anything else may be tried again.
  console.error(`${error instanceof AuthenticationError ? 'refused' : 'failed'}: ${error.message}`)
  process.exitCode = 1
})
