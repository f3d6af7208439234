import { IsletError } from './error.ts';

export function volumeNotFound(): IsletError {
  return new IsletError(404, 'Volume not found');
}

export function invalidVolumeId(): IsletError {
  return new IsletError(400, 'Invalid volume ID');
}

export function invalidVolumeName(): IsletError {
  return new IsletError(400, 'Invalid volume name');
}

export function volumeNameTaken(name: string): IsletError {
  return new IsletError(400, `Volume with name '${name}' already exists`);
}

export function volumesNotEnabled(): IsletError {
  return new IsletError(403, 'use of volumes is not enabled');
}

export function volumeTooSmall(leastMib: number): IsletError {
  return new IsletError(400, `a volume has at least ${leastMib} MiB`);
}

export function volumeInUse(): IsletError {
  return new IsletError(409, 'the volume is in use');
}

export function volumeMounted(sandboxId: string): IsletError {
  return new IsletError(409, `the volume is mounted by sandbox "${sandboxId}": kill it first`);
}

// Tokens

export function foreignVolumeToken(): IsletError {
  return new IsletError(403, 'the token is for another volume');
}

export function invalidVolumeToken(cause: unknown): IsletError {
  return new IsletError(401, 'the volume token is not valid or has expired: get the volume again', { cause });
}

// Mounts

export function mountsNotEnabled(): IsletError {
  return new IsletError(400, 'Volume mounts are not enabled.');
}

export function tooManyMounts(most: number): IsletError {
  return new IsletError(400, `invalid mounts: at most ${most} volumes may be mounted`);
}

/** 400 with all that is wrong, a line each. */
export function invalidMounts(defects: readonly string[]): IsletError {
  return new IsletError(400, `invalid mounts:${defects.map((line) => `\n\t- ${line}`).join('')}`);
}

export function mountsOnSeveralNodes(names: readonly string[]): IsletError {
  const quoted = names.map((name) => `'${name}'`).join(', ');
  return new IsletError(400, `invalid mounts: ${quoted} are on different nodes, and no sandbox is on two`);
}

// Paths and files in one

export function volumePathWithNul(): IsletError {
  return new IsletError(400, 'path must not contain a NUL character');
}

export function volumePathTooLong(mostBytes: number): IsletError {
  return new IsletError(400, `path is longer than ${mostBytes} bytes`);
}

export function volumePathWithParent(): IsletError {
  return new IsletError(400, "path must not contain '..'");
}

export function volumeNameTooLong(mostBytes: number): IsletError {
  return new IsletError(400, `path holds a name longer than ${mostBytes} bytes`);
}

/** @param what a file system's refusal means, such as `does not exist` */
export function volumePathRefused(status: number, path: string, what: string, cause: unknown): IsletError {
  return new IsletError(status, `path '${path}' ${what}`, { cause });
}

export function rootNotRemovable(): IsletError {
  return new IsletError(400, 'the root of a volume cannot be removed');
}

export function tooDeepToRemove(mostLevels: number): IsletError {
  return new IsletError(400, `more than ${mostLevels} levels: remove what is further down first`);
}

export function depthTooLow(): IsletError {
  return new IsletError(400, 'depth must be at least 1');
}

/** @param most such as `100000 entries` */
export function tooMuchToList(most: string): IsletError {
  return new IsletError(400, `there are more than ${most}: list with a smaller depth`);
}

export function fileNotNamedFirst(): IsletError {
  return new IsletError(400, 'the first message must name the file');
}

export function onlyChunksFollow(): IsletError {
  return new IsletError(400, 'only chunks may follow the first message');
}
