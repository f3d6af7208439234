import { IsletError } from './error.ts';

/** @param limit of sandboxes of the team that run at once */
export function tooManyForks(limit: number): IsletError {
  return new IsletError(
    400,
    `count must be lower than the number of sandboxes that your team may run at once (${limit})`,
  );
}

export function mountsVolumes(sandboxId: string): IsletError {
  return new IsletError(400, `Sandbox "${sandboxId}" mounts volumes, so it cannot become a snapshot`);
}

/** @param cause for whoever runs Islet: what a runtime says is told to no client */
export function lostWhileSaved(sandboxId: string, cause: unknown): IsletError {
  return new IsletError(500, `Sandbox "${sandboxId}" was lost while it was saved: its runtime ended`, {
    cause,
  });
}

export function noRoomToSave(neededMib: number, freeMib: number): IsletError {
  return new IsletError(
    503,
    `Error saving sandbox - its memory needs ${neededMib} MiB on disk, ${freeMib} MiB are free; it still runs`,
  );
}

/** Its runtime could not write a sandbox down, for instance on a full disk; it still runs. */
export function notSaved(cause: unknown): IsletError {
  return new IsletError(503, 'Error saving sandbox - its runtime could not write it down; it still runs', {
    cause,
  });
}

/** 503: a sandbox cannot be saved for what is going on in it; it still runs as before. */
export class UnsavableError extends IsletError {
  /** @param why such as `its daemon does not answer` */
  constructor(why: string, cause?: unknown) {
    super(503, `Error saving sandbox - ${why}`, { cause });
    this.name = 'UnsavableError';
  }
}
