/** What a broker said in its answer to ApiVersions: which versions it speaks, and which features are in force. */
import { UnsupportedVersionError } from '../../errors.js'
import type { ApiVersions } from '../../protocol/apis.js'
import type { Api, ResponseOf } from '../../protocol/schema.js'

interface Range {
  readonly minVersion: number
  readonly maxVersion: number
}

export class BrokerVersions {
  readonly #ranges = new Map<number, Range>()
  readonly #features = new Map<string, number>()
  /** Grows with every change of the features in force; -1n where the broker does not tell. */
  readonly featuresEpoch: bigint

  constructor({ apiKeys, finalizedFeatures, finalizedFeaturesEpoch }: ResponseOf<typeof ApiVersions>) {
    this.featuresEpoch = finalizedFeaturesEpoch
    for (const range of apiKeys) this.#ranges.set(range.apiKey, range)
    for (const { name, maxVersionLevel } of finalizedFeatures) this.#features.set(name, maxVersionLevel)
  }

  knows<Req, Res>({ key, minVersion, maxVersion }: Api<Req, Res>): boolean {
    const broker = this.#ranges.get(key)
    return broker !== undefined && broker.minVersion <= maxVersion && broker.maxVersion >= minVersion
  }

  /** The highest version up to `maxVersion` that both sides speak; throws UnsupportedVersionError with both ranges. */
  highest<Req, Res>(api: Api<Req, Res>, peer: string, maxVersion: number = api.maxVersion): number {
    const broker = this.#ranges.get(api.key)
    const ours = Math.min(api.maxVersion, maxVersion)
    const version = Math.min(ours, broker?.maxVersion ?? -1)
    if (broker !== undefined && version >= api.minVersion && version >= broker.minVersion) return version
    throw new UnsupportedVersionError(
      `${api.name}: this client speaks versions ${api.minVersion} to ${ours}, ${peer} ` +
        (broker === undefined ? 'does not know this API' : `${broker.minVersion} to ${broker.maxVersion}`),
    )
  }

  /** The level of a finalized feature; 0 when it is not in force. */
  feature(name: string): number {
    return this.#features.get(name) ?? 0
  }
}
