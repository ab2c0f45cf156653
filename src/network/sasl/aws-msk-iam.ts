/**
 * Amazon MSK with IAM: an OAUTHBEARER token that AWS's own package signs. It is an optional peer, loaded when it is first
 * needed.
 */
import type * as MskSigner from 'aws-msk-iam-sasl-signer-js'
import { AuthenticationError } from '../../errors.js'
import type { OAuthToken, SaslAwsMskIam, SaslMechanism } from '../../config/sasl-option.js'
import type { ReadCredentials } from './credentials.js'
import { oauthBearer } from './oauthbearer.js'

const SIGNER = 'aws-msk-iam-sasl-signer-js'

/** What is used of the signer. */
type Signer = Pick<typeof MskSigner, 'generateAuthToken'>

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
    const { code, message } = error as NodeJS.ErrnoException
    // It names what was not found: this package, or a part of it.
    const isMissing = code === 'MODULE_NOT_FOUND' && message.startsWith(`Cannot find module '${SIGNER}'`)
    throw new AuthenticationError(
      isMissing
        ? `AWS_MSK_IAM needs the package ${SIGNER}: npm install ${SIGNER}`
        : `the package ${SIGNER} is installed, but cannot be loaded: ${message}`,
      { cause: error },
    )
  }
}
