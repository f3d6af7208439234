import { IsletError, volumePathRefused } from '@islet/contracts';
import type { VolumePath } from './path.ts';

type Answer = readonly [status: number, text: string];

const ANSWERS: Readonly<Record<string, Answer>> = {
  ENOENT: [404, 'not found'],
  ENOTDIR: [404, 'not found: a part of it is not a directory'],
  EEXIST: [409, 'already exists'],
  ENOTEMPTY: [409, 'was written to while it was removed'],
  EISDIR: [400, 'is a directory'],
  ENXIO: [400, 'is not a regular file'],
  EXDEV: [400, 'leads out of the volume'],
  ELOOP: [400, 'holds a symbolic link that cannot be followed'],
  ENAMETOOLONG: [400, 'is too long'],
  ENOTSUP: [400, 'is a symbolic link, which has no mode of its own'],
  ENOSPC: [507, 'does not fit: the volume is full'],
  EDQUOT: [507, 'does not fit: the volume is full'],
};

/** What a failed system call on a volume's path means to a client; other errors come back as they are. */
export function asVolumeError(error: unknown, path: VolumePath): unknown {
  if (error instanceof IsletError) return error;
  const answer = ANSWERS[(error as NodeJS.ErrnoException).code ?? ''];
  return answer ? volumePathRefused(answer[0], `${path}`, answer[1], error) : error;
}

export function hasCode(error: unknown, ...codes: string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException | undefined)?.code ?? '');
}
