/**
 * What lies there is not what was kept: its content was read and is another, or it is missing. Any other error of reading, one of the
 * host, an abort, a deadline, only means that it could not be told. The message goes after "it".
 */
export class DamageError extends Error {
  override readonly name = "DamageError";
}
