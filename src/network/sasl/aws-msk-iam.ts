/**
 * Amazon MSK with IAM: an OAUTHBEARER token that AWS's own package signs. It is an optional peer, loaded when it is first
 * needed.
 */
import { AuthenticationError } from '../../errors.js'
import type { OAuthToken, SaslAwsMskIam, SaslMechanism } from '../../sasl-option.js'
import type { ReadCredentials } from './credentials.js'
import { oauthBearer } from './oauthbearer.js'

const SIGNER = 'aws-msk-iam-sasl-signer-js'

/** What is used of the signer. */
interface Signer {
  readonly generateAuthToken: (options: { readonly region: string }) => Promise<{ readonly token: string }>
}

export function awsMskIam(
  { region }: SaslAwsMskIam,
  read: ReadCredentials,
  load: (name: string) => unknown = require,
): SaslMechanism {
  let signer: Signer | undefined
  const token = async (): Promise<OAuthToken> => {
    signer ??= loadSigner(load)
    const signed = await signer.generateAuthToken({ region })
    return { value: signed.token }
  }
  return oauthBearer({ mechanism: 'OAUTHBEARER', token }, read)
}

function loadSigner(load: (name: string) => unknown): Signer {
  try {
    return load(SIGNER) as Signer
  } catch (error) {
    throw new AuthenticationError(`AWS_MSK_IAM needs the package ${SIGNER}: npm install ${SIGNER}`, {
      cause: error,
    })
  }
}
