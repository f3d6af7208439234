import { type ErrorCode, IsletError } from './error.ts';

/** A sandbox that no node has started. `detail` says why. */
export function placementFailed(
  status: 500 | 503 | 504,
  detail: string,
  errorCode: ErrorCode,
  cause?: unknown,
): IsletError {
  return new IsletError(status, `Failed to place sandbox: ${detail}`, { errorCode, cause });
}

const PLACEMENT_CODES: ReadonlySet<ErrorCode> = new Set([
  'sandbox_capacity_unavailable',
  'sandbox_placement_timeout',
  'sandbox_no_compatible_node',
  'sandbox_create_failed',
] as const);

/** True if it says that no node has started a sandbox, be it made here or on a node. */
export function isPlacementFailure({ errorCode }: IsletError): boolean {
  return errorCode !== undefined && PLACEMENT_CODES.has(errorCode);
}

export function noNodeAnswers(cause?: unknown): IsletError {
  return placementFailed(503, 'no node answers', 'sandbox_capacity_unavailable', cause);
}

export function noCompatibleNode(): IsletError {
  return placementFailed(
    503,
    'no node that answers can start it: its template was built for another runtime or processor',
    'sandbox_no_compatible_node',
  );
}

export function nodeStopping(): IsletError {
  return placementFailed(503, 'the node is stopping', 'sandbox_capacity_unavailable');
}

export function networkSlotsInUse(count: number): IsletError {
  return placementFailed(
    503,
    `all ${count} network slots of the node are in use`,
    'sandbox_capacity_unavailable',
  );
}

export function networkNamespacesFailed(cause: unknown): IsletError {
  return placementFailed(
    503,
    'the node cannot make network namespaces',
    'sandbox_capacity_unavailable',
    cause,
  );
}

/** @param heldMib by machines that run @param mostMib that they may hold */
export function machineMemoryInUse(heldMib: number, mostMib: number): IsletError {
  return placementFailed(
    503,
    `the node's virtual machines hold ${heldMib} of the ${mostMib} MiB that they may hold (--machine-memory)`,
    'sandbox_capacity_unavailable',
  );
}

export function rootFileSystemMissing(digest: string): IsletError {
  return placementFailed(503, `root file system ${digest} is not on this node`, 'sandbox_no_compatible_node');
}

/** What it starts from cannot be brought to this node now; another node may have it. */
export function notBrought(cause: unknown): IsletError {
  const why = cause instanceof Error ? cause.message : String(cause);
  return placementFailed(503, `it cannot be brought here: ${why}`, 'sandbox_capacity_unavailable', cause);
}

export function endedBeforeAdmission(): IsletError {
  return placementFailed(500, 'the sandbox ended while it started', 'sandbox_create_failed');
}

export function startTimedOut(cause: unknown): IsletError {
  return placementFailed(504, 'the node did not start it in time', 'sandbox_placement_timeout', cause);
}

/** 500: the node broke on the call, and chose no words for the client. */
export function nodeFailedToStart(cause: unknown): IsletError {
  return placementFailed(500, 'the node failed to start it', 'sandbox_create_failed', cause);
}

/** 503: a sandbox's snapshot, which boots nowhere, does not start here. @param obstacle such as `it is damaged` */
export function snapshotNotRestorable(buildId: string, obstacle: string): IsletError {
  return placementFailed(
    503,
    `snapshot '${buildId}' cannot be restored: ${obstacle}`,
    'sandbox_no_compatible_node',
  );
}
