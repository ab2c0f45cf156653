/**
 * Amazon MSK with IAM: an OAUTHBEARER token that AWS's own package signs. It is an optional peer, loaded when it is first
 * needed.
 */
import type * as MskSigner from 'aws-msk-iam-sasl-signer-js'
import { AuthenticationError } from '../../errors.js'
import { optionalPackage } from '../../optional-package.js'
import type { OAuthToken, SaslAwsMskIam, SaslMechanism } from '../../config/sasl-option.js'
import type { ReadCredentials } from './credentials.js'
import { oauthBearer } from './oauthbearer.js'

const SIGNER = 'aws-msk-iam-sasl-signer-js'

/** What is used of the signer. */
type Signer = Pick<typeof MskSigner, 'generateAuthToken'>

export function awsMskIam(
  { region }: SaslAwsMskIam,
  read: ReadCredentials,
  load: (name: string) => unknown = optionalPackage,
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
  let signer: unknown
  try {
    signer = load(SIGNER)
  } catch (error) {
    const { message } = error as Error
    throw new AuthenticationError(`the package ${SIGNER} is installed, but cannot be loaded: ${message}`, {
      cause: error,
    })
  }
  if (signer === undefined) {
    throw new AuthenticationError(`AWS_MSK_IAM needs the package ${SIGNER}: npm install ${SIGNER}`)
  }
  return signer as Signer
}
