/**
 * The port between the server and the languages. A host is one process (or none) that keeps the state of one context,
 * from `start` until it ends. To restart a context the server closes its host and makes another.
 *
 * The code that a host runs is a stranger's, and so is all that comes out of its process: a host checks what it reads by
 * a schema and with bounds before it calls `emit`, and keeps no more than one message of it.
 */
export interface LanguageHost {
  /**
   * Resolves when cells can run.
   * @throws {HostStartError} if it cannot, with what its process wrote to stderr
   */
  start(options: HostStart): Promise<void>;

  /**
   * Runs one cell. Resolves when the cell and what its main thread wrote are over, also if the cell failed: that is an
   * output. Never two at once. Rejects only if the process ends meanwhile (`HostEndedError`).
   *
   * `emit` is back-pressure: a host awaits it before it reads more from its process.
   */
  execute(cell: Cell, emit: Emit): Promise<void>;

  /**
   * Asks the running cell to end, with an error output. Resolves when it has been asked. Does nothing between cells. The
   * server asks again, and closes the host in the end, if the cell goes on.
   */
  interrupt(): Promise<void>;

  /** Seeds random generators anew that the code has not seeded itself; before the next cell, or during this one. */
  reseed(): Promise<void>;

  /**
   * Ends the process and what it started. Safe to call twice, and at any time.
   * @param reason for whoever waits for its cell
   */
  close(reason?: string): Promise<void>;

  /** Of its process and what that starts, while it runs. */
  readonly processGroup: number | undefined;

  /** Resolves once, when the process has ended: by itself, or after `close`. */
  readonly ended: Promise<HostEnd>;
}

/** Makes a host that has not started. */
export type MakeHost = () => LanguageHost;

export interface HostStart {
  /** Absolute. */
  cwd: string;
  /** The whole environment of the process. */
  env: Record<string, string>;
}

export interface Cell {
  code: string;
  /** Variables to set before the code runs. They stay unless `envAfter` names them. */
  env: Record<string, string>;
  /** Variables to set after the code, whatever became of it; `null` unsets. */
  envAfter: Record<string, string | null>;
  /** It leaves nothing in the context, and is not counted. Only the hosts that are there from the start are asked for it. */
  isRehearsal: boolean;
}

export type Emit = (output: HostOutput) => void | Promise<void>;

export type HostOutput =
  | { type: 'stdout' | 'stderr'; text: string }
  /** `main` marks the value of the cell itself, against what it displayed. `data` goes by MIME type. */
  | { type: 'result'; main: boolean; data: MimeBundle }
  /** `traceback` without colours. */
  | { type: 'error'; name: string; value: string; traceback: string }
  /** How many cells this context has run, with this one. */
  | { type: 'count'; executionCount: number };

/**
 * Values of `text/*`, `image/svg+xml` and the like are strings, other images base64; `application/json`, `e2b/data` and
 * `e2b/chart` are JSON values.
 */
export type MimeBundle = Record<string, unknown>;

export interface HostEnd {
  /** Exit code, or null if a signal ended it. */
  code: number | null;
  signal: string | null;
  /** Why the server has ended it, if it has. */
  reason?: string;
}

/** A context's process could not be started. The message is for the caller, on one line or several. */
export class HostStartError extends Error {
  override readonly name = 'HostStartError';
}

/** A context's process ended while a cell ran. */
export class HostEndedError extends Error {
  override readonly name = 'HostEndedError';

  constructor(readonly end: HostEnd) {
    super(
      `the process ended by ${end.signal ?? `exit code ${end.code}`}${end.reason ? `: ${end.reason}` : ''}`,
    );
  }
}
