import { IsletError } from './error.ts';

/** 503: what is asked for is on a node that does not answer. */
export function nodeUnavailable(cause?: unknown): IsletError {
  return new IsletError(503, "The sandbox's node does not answer, try again", {
    errorCode: 'sandbox_node_unavailable',
    cause,
  });
}

export function nodeTimedOut(cause: unknown): IsletError {
  return new IsletError(504, "The sandbox's node did not answer in time, try again", { cause });
}

/** 503: a node cannot write down what it was to do, and has taken it back. Another one may have room. */
export function nodeDiskFull(cause: unknown): IsletError {
  return new IsletError(503, "The disk of the sandbox's node is full, nothing was changed: try again", {
    errorCode: 'sandbox_capacity_unavailable',
    cause,
  });
}

export function nodeNotFound(): IsletError {
  return new IsletError(404, 'Node not found');
}

/** 409: nobody else reads what a node saves. */
export function noStore(): IsletError {
  return new IsletError(409, 'The node has no store that others share (--store)');
}

/** 409: what is being drained cannot stand by. */
export function nodeStatusRefused(from: string, to: string): IsletError {
  return new IsletError(409, `cannot change node status from ${from} to ${to}`);
}

/** 500: a status that nodes have and nobody gives them. */
export function nodeStatusUnknown(status: string): IsletError {
  return new IsletError(500, `Error when sending status change: unknown service info status: ${status}`);
}

/** 503 of an edge that cannot ask the api. */
export function controlPlaneUnavailable(cause: unknown): IsletError {
  return new IsletError(503, 'The control plane does not answer. Try again in a moment.', { cause });
}

/** 503: what keeps routes and teams' places does not answer, or what was in it is being written anew. */
export function liveStoreUnavailable(cause: unknown): IsletError {
  return new IsletError(503, 'The store of what is live (Redis) does not answer. Try again in a moment.', {
    errorCode: 'live_store_unavailable',
    cause,
  });
}

/** 503: what keeps the past of sandboxes and teams does not answer. */
export function historyUnavailable(cause: unknown): IsletError {
  return new IsletError(503, 'The store of the past (ClickHouse) does not answer. Try again in a moment.', {
    errorCode: 'history_unavailable',
    cause,
  });
}
