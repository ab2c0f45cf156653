// @ts-check
/** @import { TokenOptions } from './types.js' */
import { createPrivateKey, createSign, randomUUID } from 'node:crypto'
import fs from 'node:fs'
import path from 'node:path'

/**
 * A bearer token for the OAUTHBEARER listeners of the cluster in `dir`.
 * @param {string} dir
 * @param {TokenOptions} [options]
 */
export function token(dir, { sub = 'alice', ttl = 3600, unsecured = false, audience = 'kafka' } = {}) {
  const now = Math.floor(Date.now() / 1000)
  const header = unsecured ? { alg: 'none' } : { alg: 'RS256', kid: 'test', typ: 'JWT' }
  const claims = {
    iss: 'test',
    sub,
    aud: audience,
    scope: 'kafka',
    iat: now,
    exp: now + ttl,
    jti: randomUUID(),
  }
  const body = `${encode(header)}.${encode(claims)}`
  if (unsecured) return `${body}.`
  const key = createPrivateKey(fs.readFileSync(path.join(dir, 'certs', 'jwt.key')))
  return `${body}.${createSign('RSA-SHA256').update(body).sign(key).toString('base64url')}`
}

/** @param {object} part */
const encode = (part) => Buffer.from(JSON.stringify(part)).toString('base64url')
