/** Values of `error_code` that clients know. */
export type ErrorCode =
  | 'sandbox_capacity_unavailable'
  | 'sandbox_placement_timeout'
  | 'sandbox_no_compatible_node'
  | 'sandbox_node_unavailable'
  | 'sandbox_create_failed'
  | 'sandbox_moving'
  | 'live_store_unavailable'
  | 'history_unavailable'
  | 'sandbox_memory_override_disabled'
  | 'quota_exceeded'
  | 'internal_server_error';

export interface IsletErrorOptions {
  /** Text for programs beside the status. */
  errorCode?: ErrorCode;
  /** When the client may ask again, in seconds from now: `Retry-After`. */
  retryAfterS?: number;
  cause?: unknown;
}

/**
 * An error whose status and message may be shown to a client as they are.
 * Everything else that is thrown reaches a client as a 500 without its text.
 *
 * The files beside this one are the catalogue: a function for each error, by subject. Nothing else makes one.
 */
export class IsletError extends Error {
  /** HTTP status; also the numeric `code` in the body. */
  readonly status: number;
  readonly errorCode: ErrorCode | undefined;
  readonly retryAfterS: number | undefined;

  constructor(status: number, message: string, options: IsletErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = 'IsletError';
    this.status = status;
    this.errorCode = options.errorCode;
    this.retryAfterS = options.retryAfterS;
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
