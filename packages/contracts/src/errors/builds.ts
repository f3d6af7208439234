import { IsletError } from './error.ts';

/** @param status as the protocol has it for the call */
export function buildNotFound(status: 400 | 404, buildId: string): IsletError {
  return new IsletError(status, `Build '${buildId}' not found`);
}

export function invalidBuildId(): IsletError {
  return new IsletError(400, 'Invalid build id');
}

/** 404 of a template manager that does not work on it. */
export function buildUnknownHere(buildId: string): IsletError {
  return new IsletError(404, `build '${buildId}' is not known here`);
}

/** 404 of a node that has not stored it. */
export function buildNotOnNode(buildId: string): IsletError {
  return new IsletError(404, `build '${buildId}' is not on this node`);
}

// What is asked for

export function nameMissing(): IsletError {
  return new IsletError(400, 'Name is required');
}

export function nameTooLong(most: number): IsletError {
  return new IsletError(400, `Invalid name: a name has at most ${most} characters`);
}

export function cpuTooLow(): IsletError {
  return new IsletError(400, 'CPU count must be at least 1');
}

export function cpuTooHigh(most: number): IsletError {
  return new IsletError(400, `CPU count must be at most ${most}`);
}

export function cpuOdd(): IsletError {
  return new IsletError(400, 'CPU count must be 1 or an even number');
}

export function memoryTooLow(leastMib: number): IsletError {
  return new IsletError(400, `Memory must be at least ${leastMib} MiB`);
}

export function memoryOdd(): IsletError {
  return new IsletError(400, 'Memory must be divisible by 2');
}

export function freeDiskNegative(): IsletError {
  return new IsletError(400, 'Free disk must be at least 0 MiB');
}

/** @param what such as `Memory` @param most with its unit */
export function beyondTeamLimit(what: string, most: string): IsletError {
  return new IsletError(
    400,
    `${what} can't be higher than ${most} (the limit of your team; its operator can raise it)`,
  );
}

export function tooManyBuilds(limit: number): IsletError {
  return new IsletError(
    429,
    `you have reached the maximum number of concurrent template builds (${limit}). Wait for one to end, or ask the operator for a higher limit`,
  );
}

export function dockerBuildsNotOffered(): IsletError {
  return new IsletError(
    410,
    'Building an image with Docker and pushing it is not offered here. Build with the SDK (Template.build), ' +
      'with `e2b template create`, or on the server with `islet template build`: none of them needs Docker.',
  );
}

// The start

export function buildNotWaiting(): IsletError {
  return new IsletError(400, 'build is not in waiting state');
}

/** @param status as the protocol has it for the problem */
export function buildNotStarted(status: number, problem: string): IsletError {
  return new IsletError(status, `Error when starting template build: ${problem}`);
}

export function templateManagerUnavailable(cause: unknown): IsletError {
  return new IsletError(503, 'Error when starting template build: the template manager does not answer', {
    cause,
  });
}

// What the api sends to the template manager

export function notAnId(field: string, value: string): IsletError {
  return new IsletError(400, `${field} '${value}' is not an id`);
}

export function fieldTooLow(field: string, least: number): IsletError {
  return new IsletError(400, `${field} must be at least ${least}`);
}

export function sourceMissing(): IsletError {
  return new IsletError(400, 'source is missing: an image or a parent build');
}
