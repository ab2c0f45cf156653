/** Why the broker says no: an error that carries the protocol's code, thrown where the check is. */
import { KafkaError } from '../../errors.js'
import { errorByName } from '../../protocol/error-codes.js'

/** The protocol's number of an error, by its name. */
export function errno(code: string): number {
  const row = errorByName(code)
  if (row === undefined) throw new Error(`no error of the protocol is called ${code}`)
  return row.errno
}

/** A record that made the broker refuse its whole batch (KIP-467). */
export interface RecordError {
  readonly batchIndex: number
  readonly batchIndexErrorMessage: string | null
}

export class Refusal extends KafkaError {
  override readonly errno: number
  readonly recordErrors: readonly RecordError[]

  constructor(code: string, message: string, recordErrors: readonly RecordError[] = []) {
    super(message, { code })
    this.errno = errno(code)
    this.recordErrors = recordErrors
  }
}

/** The code of what a check threw, -1 for one that has none; anything but a KafkaError is a bug of the broker's. */
export function refusedErrno(error: unknown): number {
  if (!(error instanceof KafkaError)) throw error
  return error.errno ?? -1
}
