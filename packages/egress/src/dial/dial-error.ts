/**
 * Why a destination was not reached. `unresolved`: its name has no address. `internal`: none of its addresses may be reached
 * by a sandbox. `unreachable`: nothing answers there. `proxy`: the owner's proxy cannot be used, or refused.
 */
export type DialFailure = 'unresolved' | 'internal' | 'unreachable' | 'proxy';

/** A connection that could not be made. Its sandbox sees a closed connection, whatever the reason. */
export class DialError extends Error {
  override readonly name = 'DialError';
  readonly failure: DialFailure;

  constructor(failure: DialFailure, message: string, options?: ErrorOptions) {
    super(message, options);
    this.failure = failure;
  }
}
