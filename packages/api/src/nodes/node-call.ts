import { Code, ConnectError } from '@connectrpc/connect';
import {
  type ErrorCode,
  fromConnectError,
  IsletError,
  internalError,
  nodeTimedOut,
  nodeUnavailable,
} from '@islet/contracts';

/** Longest wait for a node's answer on anything but a create. */
export const NODE_CALL_TIMEOUT_MS = 30_000;

/** What clients are told of a call that a node did not answer well. */
export function nodeError(error: unknown): IsletError {
  const known = fromConnectError(error);
  if (known.status < 500 || isNodesOwn(error)) return known;
  if (known.status === 503 || isBrokenLink(error)) return nodeUnavailable(error);
  if (known.status === 504) return nodeTimedOut(error);
  return internalError(error);
}

/** True if the node itself chose status and message; false if the way to it failed or it crashed on the call. */
export function isNodesOwn(error: unknown): boolean {
  if (error instanceof IsletError) return error.errorCode !== 'sandbox_node_unavailable';
  return ConnectError.from(error).metadata.has('islet-status');
}

/** Of connections that were never made. */
const NOT_CONNECTED = ['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'ENOTFOUND'];

/** Of connections that ended before an answer came, as they do when a node dies with a call under way. */
const BROKEN_OFF = ['ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'ERR_STREAM_PREMATURE_CLOSE'];

/** True if a call did not reach its node: nothing of it can have been done. */
export function wasNeverSent(error: unknown): boolean {
  return hasCode(error, NOT_CONNECTED);
}

function isBrokenLink(error: unknown): boolean {
  return hasCode(error, NOT_CONNECTED) || hasCode(error, BROKEN_OFF);
}

function hasCode(error: unknown, codes: readonly string[]): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    if (codes.includes((cause as NodeJS.ErrnoException).code ?? '')) return true;
  }
  return false;
}

/** True if nobody knows whether a node does what it was called for. */
export function isUnknown(error: unknown): boolean {
  if (!(error instanceof IsletError)) return true;
  // Without a cause it was not even called.
  return error.errorCode === 'sandbox_node_unavailable' && error.cause !== undefined && !wasNeverSent(error);
}

/** True if a node refused a start since it has no room for it. */
export function isWantOfRoom(error: unknown): boolean {
  const wanting: ErrorCode = 'sandbox_capacity_unavailable';
  return isNodesOwn(error) && nodeError(error).errorCode === wanting;
}

export function isDeadline(error: unknown): boolean {
  return ConnectError.from(error).code === Code.DeadlineExceeded;
}

/** True if the node does not have what it was called for. */
export function isNotFound(error: unknown): boolean {
  return ConnectError.from(error).code === Code.NotFound;
}
