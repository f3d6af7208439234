/** Values of `error_code` that clients know. */
export type ErrorCode =
  | 'sandbox_capacity_unavailable'
  | 'sandbox_placement_timeout'
  | 'sandbox_no_compatible_node'
  | 'sandbox_node_unavailable'
  | 'sandbox_create_failed'
  | 'sandbox_memory_override_disabled'
  | 'quota_exceeded'
  | 'internal_server_error';

export interface IsletErrorOptions {
  /** Text for programs beside the status. */
  errorCode?: ErrorCode;
  /** True where the same request may succeed later without a change. */
  retryable?: boolean;
  cause?: unknown;
}

/**
 * An error whose status and message may be shown to a client as they are.
 * Everything else that is thrown reaches a client as a 500 without its text.
 */
export class IsletError extends Error {
  /** HTTP status; also the numeric `code` in the body. */
  readonly status: number;
  readonly errorCode: ErrorCode | undefined;
  readonly retryable: boolean;

  constructor(status: number, message: string, options: IsletErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'IsletError';
    this.status = status;
    this.errorCode = options.errorCode;
    this.retryable = options.retryable ?? (status === 429 || status === 503 || status === 504);
  }
}

export interface ErrorBody {
  code: number;
  message: string;
  error_code?: string;
}

/** The body every endpoint answers an error with. */
export function toErrorBody(error: IsletError): ErrorBody {
  const body: ErrorBody = { code: error.status, message: error.message };
  if (error.errorCode) body.error_code = error.errorCode;
  return body;
}

export function sandboxNotFound(sandboxId: string): IsletError {
  return new IsletError(404, `Sandbox "${sandboxId}" doesn't exist or you don't have access to it`);
}

export function invalidSandboxId(): IsletError {
  return new IsletError(400, 'Invalid sandbox ID');
}

export type Transition = 'killed' | 'snapshotted';

/** 409: another operation holds the sandbox. */
export function sandboxBusy(sandboxId: string, transition: Transition): IsletError {
  return new IsletError(409, `Sandbox "${sandboxId}" is being ${transition}`);
}

export function placementFailed(
  status: 500 | 503 | 504,
  detail: string,
  errorCode: ErrorCode,
  cause?: unknown,
): IsletError {
  return new IsletError(status, `Failed to place sandbox: ${detail}`, { errorCode, cause });
}

/** 503: what is asked for is on a node that does not answer. */
export function nodeUnavailable(cause?: unknown): IsletError {
  return new IsletError(503, "The sandbox's node does not answer, try again", {
    errorCode: 'sandbox_node_unavailable',
    cause,
  });
}

export interface Quota {
  /** What is counted, such as `snapshots`. */
  what: string;
  used: number;
  /** What the refused request would have added. */
  wanted: number;
  most: number;
  /** What is counted in, where it is not pieces. */
  unit?: 'MiB';
  /** How a client makes room, as a sentence without its end. */
  remedy: string;
  /** The option of `islet teams limit` that raises it. */
  flag: string;
}

/** @throws IsletError 403 where a request would pass what its team may keep */
export function assertWithin({ what, used, wanted, most, unit, remedy, flag }: Quota): void {
  if (used + wanted <= most) return;
  const amount = (count: number) => `${Math.ceil(count)}${unit ? ` ${unit}` : ''}`;
  const quota = unit ? `${amount(most)} of ${what}` : `${amount(most)} ${what}`;
  const raise = `have the operator raise it (islet teams limit <team> ${flag} <n>)`;
  throw new IsletError(
    403,
    `your team's quota is ${quota}, of which ${amount(used)} are used: ${remedy}, or ${raise}`,
    { errorCode: 'quota_exceeded' },
  );
}
