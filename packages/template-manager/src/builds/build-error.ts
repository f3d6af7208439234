/** Where in a build something is: `base`, `user`, `1`…`n` for the client's steps, `finalize`, `optimize`. */
export type BuildPhase = string;

/** A build that cannot be, for a reason that its author can do something about. The message is shown as it is. */
export class BuildError extends Error {
  override readonly name = 'BuildError';
  /** Empty if no phase is to blame. */
  readonly phase: BuildPhase;

  constructor(phase: BuildPhase, message: string, options?: ErrorOptions) {
    super(message, options);
    this.phase = phase;
  }
}
