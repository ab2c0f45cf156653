// @ts-check
// Certificates, key stores and the JWKS of the TLS and SASL listeners, made with openssl and keytool.
import { spawnSync } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'
import { STORE_PASSWORD } from './listeners.mjs'

const FILES = {
  ca: 'ca.pem',
  otherCa: 'other-ca.pem',
  clientCert: 'client.pem',
  clientKey: 'client.key',
  strangerCert: 'stranger.pem',
  strangerKey: 'stranger.key',
  jwks: 'jwks.json',
}

/** @param {string} dir */
export const certificatePaths = (dir) =>
  Object.fromEntries(Object.entries(FILES).map(([name, file]) => [name, path.join(dir, file)]))

/**
 * Makes two CAs, server certificates (valid, wrong host, expired), client certificates (valid, of the other CA), PKCS#12
 * stores and a JWKS.
 * @param {string} dir
 */
export function makeCertificates(dir) {
  if (fs.existsSync(path.join(dir, 'done'))) return
  fs.rmSync(dir, { recursive: true, force: true })
  fs.mkdirSync(dir, { recursive: true })
  for (const name of ['ca', 'other-ca']) makeAuthority(dir, name)
  issue(dir, { name: 'server', ca: 'ca', cn: 'localhost', san: 'DNS:localhost,IP:127.0.0.1' })
  issue(dir, { name: 'badhost', ca: 'ca', cn: 'kafka.invalid', san: 'DNS:kafka.invalid' })
  issue(dir, { name: 'expired', ca: 'ca', cn: 'localhost', san: 'DNS:localhost,IP:127.0.0.1', expired: true })
  issue(dir, { name: 'client', ca: 'ca', cn: 'alice' })
  issue(dir, { name: 'stranger', ca: 'other-ca', cn: 'mallory' })
  makeTokenKey(dir)
  fs.writeFileSync(path.join(dir, 'done'), '')
}

/**
 * @param {string} dir
 * @param {string} name
 */
function makeAuthority(dir, name) {
  run(
    dir,
    `openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -keyout ${name}.key -out ${name}.pem -subj /CN=${name}` +
      ' -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign',
  )
  run(
    dir,
    `keytool -importcert -noprompt -alias ${name} -file ${name}.pem -keystore ${name}-trust.p12` +
      ` -storetype PKCS12 -storepass ${STORE_PASSWORD}`,
  )
}

/**
 * @param {string} dir
 * @param {{ name: string; ca: string; cn: string; san?: string; expired?: boolean }} certificate
 */
function issue(dir, { name, ca, cn, san, expired = false }) {
  run(dir, `openssl req -new -newkey rsa:2048 -nodes -keyout ${name}.key -out ${name}.csr -subj /CN=${cn}`)
  const extensions = `basicConstraints=CA:FALSE\n${san === undefined ? '' : `subjectAltName=${san}\n`}`
  fs.writeFileSync(path.join(dir, `${name}.ext`), extensions)
  if (expired) signExpired(dir, name, ca)
  else
    run(
      dir,
      `openssl x509 -req -in ${name}.csr -CA ${ca}.pem -CAkey ${ca}.key -CAcreateserial -days 3650` +
        ` -extfile ${name}.ext -out ${name}.pem`,
    )
  run(
    dir,
    `openssl pkcs12 -export -in ${name}.pem -inkey ${name}.key -certfile ${ca}.pem -name ${name} -out ${name}.p12` +
      ` -passout pass:${STORE_PASSWORD}`,
  )
}

/**
 * Uses `openssl ca`, because `openssl x509` cannot backdate.
 * @param {string} dir
 * @param {string} name
 * @param {string} ca
 */
function signExpired(dir, name, ca) {
  fs.writeFileSync(path.join(dir, 'index.txt'), '')
  fs.writeFileSync(
    path.join(dir, 'ca.cnf'),
    '[ca]\ndefault_ca=d\n[d]\ndatabase=index.txt\nserial=ca2.srl\nnew_certs_dir=.\ndefault_md=sha256\npolicy=p\n' +
      '[p]\ncommonName=supplied\n',
  )
  run(
    dir,
    `openssl ca -batch -notext -config ca.cnf -create_serial -cert ${ca}.pem -keyfile ${ca}.key -in ${name}.csr` +
      ` -out ${name}.pem -extfile ${name}.ext -startdate 20200101000000Z -enddate 20200201000000Z`,
  )
}

/**
 * The key that signs bearer tokens, and its public half as the broker reads it.
 * @param {string} dir
 */
function makeTokenKey(dir) {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  fs.writeFileSync(path.join(dir, 'jwt.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }))
  const jwk = { ...publicKey.export({ format: 'jwk' }), kid: 'test', use: 'sig', alg: 'RS256' }
  fs.writeFileSync(path.join(dir, 'jwks.json'), JSON.stringify({ keys: [jwk] }))
}

/**
 * @param {string} dir
 * @param {string} commandLine words without blanks
 */
function run(dir, commandLine) {
  const [command = '', ...args] = commandLine.split(' ')
  const result = spawnSync(command, args, { encoding: 'utf8', cwd: dir })
  if (result.status !== 0)
    throw new Error(`${commandLine}\n${result.error ? String(result.error) : result.stderr}`)
}
