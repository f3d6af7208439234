import { chmod, lchown, lstat, mkdir, opendir, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** Everything at and below `path`, links not followed; of a folder with millions of files only those that are asked for are read. */
export async function* walk(path: string): AsyncGenerator<string> {
  yield path;
  const folders = (await lstat(path)).isDirectory() ? [path] : [];
  for (let folder = folders.pop(); folder !== undefined; folder = folders.pop()) {
    for await (const entry of await opendir(folder)) {
      const name = join(folder, entry.name);
      yield name;
      if (entry.isDirectory()) folders.push(name);
    }
  }
}

/** Gives a tree to an owner; links themselves, not what they lead to. */
export async function chownTree(path: string, uid: number, gid: number): Promise<void> {
  for await (const entry of walk(path)) {
    const stat = await lstat(entry);
    if (stat.uid !== uid || stat.gid !== gid) await lchown(entry, uid, gid);
  }
}

/** What is at a path, links not followed. */
export async function kindOf(path: string): Promise<'missing' | 'directory' | 'other'> {
  try {
    return (await lstat(path)).isDirectory() ? 'directory' : 'other';
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ENOENT' || code === 'ENOTDIR') return 'missing';
    throw error;
  }
}

/** Lets everybody do everything with a tree; what is so already is left alone, since a change copies it into its layer. */
export async function openToAll(path: string): Promise<void> {
  for await (const entry of walk(path)) {
    const stat = await lstat(entry);
    if (!stat.isSymbolicLink() && (stat.mode & 0o777) !== 0o777)
      await chmod(entry, (stat.mode & 0o7000) | 0o777);
  }
}

/** Writes a file and the directories above it if nothing is there. */
export async function writeIfMissing(path: string, text: string): Promise<void> {
  if ((await kindOf(path)) !== 'missing') return;
  await mkdir(dirname(path), { recursive: true });
  await writeFile(path, text);
}
