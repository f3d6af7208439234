import { chown, mkdir } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { AccountFiles } from './accounts.ts';
import { type InsideTask, TaskError } from './task.ts';

/** Makes a working directory; the parts of the path that were missing belong to `user`. */
export async function makeWorkdir(
  { path, user }: Extract<InsideTask, { kind: 'workdir' }>,
  root: string,
): Promise<void> {
  const account = await new AccountFiles(root).find(user);
  if (!account) throw new TaskError(`there is no user '${user}'`);
  const first = await mkdir(join(root, path), { recursive: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'EEXIST' || error.code === 'ENOTDIR') {
      throw new TaskError(`'${path}' cannot be a directory: a file is in its place`, { cause: error });
    }
    throw error;
  });
  if (first === undefined) return;
  for (let dir = join(root, path); dir.length >= first.length; dir = dirname(dir)) {
    await chown(dir, account.uid, account.gid);
  }
}
