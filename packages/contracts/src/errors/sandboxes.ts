import { IsletError } from './error.ts';

/** 404: there is none, or it is another team's. The two must look alike. */
export function sandboxNotFound(sandboxId: string): IsletError {
  return new IsletError(404, `Sandbox "${sandboxId}" doesn't exist or you don't have access to it`);
}

export function invalidSandboxId(): IsletError {
  return new IsletError(400, 'Invalid sandbox ID');
}

export function sandboxAlreadyExists(sandboxId: string): IsletError {
  return new IsletError(409, `Sandbox "${sandboxId}" already exists`);
}

/** 500: it had started and was gone before it could be given to the client. */
export function sandboxEnded(): IsletError {
  return new IsletError(500, 'the sandbox ended while it started');
}

/** 500 of a start in which the node gave no reason that a client may know. */
export function sandboxNotStarted(cause: unknown): IsletError {
  return new IsletError(500, 'the sandbox could not be started', { cause });
}

// Its state

export type Transition = 'killed' | 'snapshotted';

/** 409: another operation holds the sandbox. */
export function sandboxBusy(sandboxId: string, transition: Transition): IsletError {
  return new IsletError(409, `Sandbox "${sandboxId}" is being ${transition}`);
}

/** 409: it goes on on another node in a moment, and is asked again there. */
export function sandboxMoving(sandboxId: string): IsletError {
  return new IsletError(409, `Sandbox "${sandboxId}" is being moved to another node, try again`, {
    errorCode: 'sandbox_moving',
  });
}

/** 409 for operators: it cannot be moved. @param why such as `it mounts volumes of its node` */
export function sandboxStays(sandboxId: string, why: string, cause?: unknown): IsletError {
  return new IsletError(409, `Sandbox ${sandboxId} stays where it is: ${why}`, { cause });
}

export function sandboxAlreadyRunning(sandboxId: string): IsletError {
  return new IsletError(409, `Sandbox ${sandboxId} is already running`);
}

export function sandboxAlreadyPaused(sandboxId: string): IsletError {
  return new IsletError(409, `Error pausing sandbox - sandbox '${sandboxId}' is already paused`);
}

/** @param deed what was to be done with it, such as `forked` */
export function sandboxPaused(sandboxId: string, deed: string): IsletError {
  return new IsletError(409, `Sandbox '${sandboxId}' is paused and cannot be ${deed}; resume it first`);
}

/** It is paused on its node, and sent to the store when the store takes it. */
export function pausedNotStored(sandboxId: string, cause: unknown): IsletError {
  return new IsletError(
    503,
    `Sandbox ${sandboxId} is paused, but the store does not have it yet: its node sends it as soon as the store takes it`,
    { cause },
  );
}

/** @param why what is wrong with the saved state, such as `is damaged` */
export function savedStateUnusable(
  status: 409 | 422 | 500 | 503,
  sandboxId: string,
  why: string,
  cause?: unknown,
): IsletError {
  return new IsletError(
    status,
    `Sandbox ${sandboxId} cannot be resumed: its saved state ${why}. It stays paused; kill it if it is not needed.`,
    { cause },
  );
}

export function pausedDaemonSilent(sandboxId: string, cause: unknown): IsletError {
  return new IsletError(
    422,
    `Sandbox ${sandboxId} cannot be resumed: its daemon does not answer. Either this node is too busy, or the daemon was ended, stopped or replaced inside before the sandbox was paused. It stays paused: try again, and kill it if it is not needed.`,
    { cause },
  );
}

export function openVolumeFileGone(sandboxId: string, cause: unknown): IsletError {
  return new IsletError(
    500,
    `Sandbox ${sandboxId} cannot be resumed: a file of a volume that it had open when it was paused is gone. Put it back and try again.`,
    { cause },
  );
}

// How long it lives

export function timeoutTooLong(maxHours: number): IsletError {
  return new IsletError(400, `Timeout cannot be greater than ${maxHours} hours`);
}

export function timeoutZero(): IsletError {
  return new IsletError(400, 'Timeout must be greater than 0');
}

/** 400: it has lived as long as its team's sandboxes may. */
export function lifeTooLong(): IsletError {
  return new IsletError(400, 'Max instance length exceeded');
}

// What a create may ask for

export function autoPauseMemoryAlone(): IsletError {
  return new IsletError(400, 'autoPauseMemory=false only applies when autoPause is true.');
}

export function autoPauseMemoryWithAutoResume(): IsletError {
  return new IsletError(400, 'autoPauseMemory=false cannot be combined with autoResume.');
}

export function privateWithoutSecure(): IsletError {
  return new IsletError(
    400,
    "You cannot create a sandbox without public access unless you enable secure envd access via 'secure' flag.",
  );
}

export function templateCpuBeyondLimit(most: number, built: number): IsletError {
  return new IsletError(400, `CPU count can't be higher than ${most} (the template was built with ${built})`);
}

/** @param mostMib of the team @param builtMib of the template */
export function templateMemoryBeyondLimit(mostMib: number, builtMib: number): IsletError {
  return new IsletError(
    400,
    `Memory can't be higher than ${mostMib} MiB (the template was built with ${builtMib} MiB)`,
  );
}

export function tooManySandboxes(limit: number): IsletError {
  return new IsletError(
    429,
    `you have reached the maximum number of concurrent E2B sandboxes (${limit}). ` +
      'Kill sandboxes that are not needed, or have the limit of your team raised.',
  );
}

// Lists

export function templateFilterWithTag(text: string): IsletError {
  return new IsletError(400, `Invalid template: '${text}' must not name a tag`);
}

export function unreadableMetadata(cause?: unknown): IsletError {
  return new IsletError(400, 'Error parsing metadata', { cause });
}

export function tooManyMetadataPairs(most: number): IsletError {
  return new IsletError(400, `Error parsing metadata: at most ${most} pairs may be asked for`);
}
