import { Code, ConnectError } from '@connectrpc/connect';
import { type ErrorCode, IsletError } from './error.ts';

const STATUS_HEADER = 'islet-status';
const ERROR_CODE_HEADER = 'islet-error-code';

const CODE_OF_STATUS: Record<number, Code> = {
  400: Code.InvalidArgument,
  401: Code.Unauthenticated,
  403: Code.PermissionDenied,
  404: Code.NotFound,
  409: Code.FailedPrecondition,
  429: Code.ResourceExhausted,
  501: Code.Unimplemented,
  503: Code.Unavailable,
  504: Code.DeadlineExceeded,
};

const STATUS_OF_CODE: Partial<Record<Code, number>> = {
  [Code.InvalidArgument]: 400,
  [Code.Unauthenticated]: 401,
  [Code.PermissionDenied]: 403,
  [Code.NotFound]: 404,
  [Code.FailedPrecondition]: 409,
  [Code.AlreadyExists]: 409,
  [Code.ResourceExhausted]: 429,
  [Code.Unimplemented]: 501,
  [Code.Unavailable]: 503,
  [Code.DeadlineExceeded]: 504,
};

/** Renders an error for the wire between our own services; status and error code survive the trip. */
export function toConnectError(error: unknown): ConnectError {
  if (error instanceof ConnectError) return error;
  if (!(error instanceof IsletError)) {
    return new ConnectError(
      error instanceof Error ? error.message : String(error),
      Code.Internal,
      undefined,
      undefined,
      error,
    );
  }
  const metadata: Record<string, string> = { [STATUS_HEADER]: String(error.status) };
  if (error.errorCode) metadata[ERROR_CODE_HEADER] = error.errorCode;
  return new ConnectError(
    error.message,
    CODE_OF_STATUS[error.status] ?? Code.Internal,
    metadata,
    undefined,
    error,
  );
}

/** An error that another process or thread of ours made, as it told it. */
export interface ReceivedError {
  status: number;
  message: string;
  errorCode?: string | undefined;
}

/** Makes an error again that came over a boundary on which classes are lost. */
export function receivedError({ status, message, errorCode }: ReceivedError, cause?: unknown): IsletError {
  return new IsletError(status, message, { ...(errorCode && { errorCode: errorCode as ErrorCode }), cause });
}

/** The reverse of toConnectError, for the calling service. Anything unknown becomes a 500. */
export function fromConnectError(error: unknown): IsletError {
  if (error instanceof IsletError) return error;
  const connect = ConnectError.from(error);
  const status = Number(connect.metadata.get(STATUS_HEADER)) || STATUS_OF_CODE[connect.code] || 500;
  const errorCode = connect.metadata.get(ERROR_CODE_HEADER) ?? undefined;
  return receivedError({ status, message: connect.rawMessage, errorCode }, error);
}
