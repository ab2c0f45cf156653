/** PLAIN (RFC 4616): user name and password as they are. */
import { AuthenticationError } from '../../errors.js'
import type { SaslMechanism, SaslPassword } from '../../config/sasl-option.js'
import { readText, type ReadCredentials } from './credentials.js'

export function plain({ mechanism, username, password }: SaslPassword, read: ReadCredentials): SaslMechanism {
  return {
    mechanism,
    authenticate: async (step) => {
      const parts = [await readText(read, 'username', username), await readText(read, 'password', password)]
      if (parts.some((part) => part.includes('\0'))) {
        throw new AuthenticationError('the user name or the password has a NUL, which PLAIN cannot carry')
      }
      await step(Buffer.from(`\0${parts.join('\0')}`))
    },
  }
}
