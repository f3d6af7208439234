import { Code, ConnectError } from '@connectrpc/connect';
import { fromConnectError, IsletError } from '@islet/contracts';

/** Longest wait for a node's answer on anything but a create. */
export const NODE_CALL_TIMEOUT_MS = 30_000;

/**
 * Calls a node. What it answers for clients passes through; failures of the connection or of the node itself reach
 * them without inner details.
 */
export async function callNode<T>(call: () => Promise<T>): Promise<T> {
  try {
    return await call();
  } catch (error) {
    throw nodeError(error);
  }
}

export function nodeError(error: unknown): IsletError {
  const known = fromConnectError(error);
  if (known.status < 500 || isNodesOwn(error)) return known;
  if (known.status === 503)
    return new IsletError(503, "The sandbox's node does not answer, try again", { cause: error });
  if (known.status === 504)
    return new IsletError(504, "The sandbox's node did not answer in time, try again", { cause: error });
  return new IsletError(500, 'Internal server error', { errorCode: 'internal_server_error', cause: error });
}

/** True where the node itself chose status and message; false where the way to it failed or it crashed on the call. */
export function isNodesOwn(error: unknown): boolean {
  return error instanceof IsletError || ConnectError.from(error).metadata.has('islet-status');
}

export function isDeadline(error: unknown): boolean {
  return ConnectError.from(error).code === Code.DeadlineExceeded;
}
