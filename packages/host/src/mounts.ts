import { readFile } from 'node:fs/promises';
import type { Exec } from './exec.ts';

/** What a line of /proc/self/mountinfo says of a mount. */
interface MountLine {
  point: string;
  shared: boolean;
}

/** The mount points at and below a directory, in the order they were made. */
export function mountsBelow(mountinfo: string, dir: string): MountLine[] {
  return mountinfo.split('\n').flatMap((line) => {
    // 36 35 98:0 /root /point options [shared:1 …] - type source options
    const [left = ''] = line.split(' - ');
    const fields = left.split(' ');
    const point = (fields[4] ?? '').replace(/\\([0-7]{3})/g, (_, octal) =>
      String.fromCharCode(Number.parseInt(octal, 8)),
    );
    if (point !== dir && !point.startsWith(`${dir}/`)) return [];
    return [{ point, shared: fields.slice(6).some((field) => field.startsWith('shared:')) }];
  });
}

export async function readMounts(dir: string): Promise<MountLine[]> {
  return mountsBelow(await readFile('/proc/self/mountinfo', 'utf8'), dir);
}

/**
 * Makes `point` a view of a directory from which mounts spread: what is mounted below it later appears wherever it, or a part of
 * it, is seen. One that is there already stays: running sandboxes hang on it. `readOnly` holds for the directory's own files
 * alone.
 */
export async function shareMounts(
  dir: string,
  point: string,
  exec: Exec,
  { readOnly = false }: { readOnly?: boolean } = {},
): Promise<void> {
  const [own] = (await readMounts(point)).filter((mount) => mount.point === point);
  if (!own) await exec('mount', ['--bind', dir, point]);
  // Made anew in every case: an earlier process may have ended between two of these.
  if (readOnly) await exec('mount', ['-o', 'remount,bind,ro', point]);
  if (own?.shared) return;
  // Out of the group of the mount that it was made from: what is mounted here shows up there otherwise.
  await exec('mount', ['--make-private', point]);
  await exec('mount', ['--make-shared', point]);
}
