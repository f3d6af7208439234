import { chmod, lstat, mkdir, mkdtemp, readdir, rename, rm, stat } from 'node:fs/promises';
import { dirname, join, posix } from 'node:path';
import { extract, type ReadEntry } from 'tar';
import { type Account, AccountFiles } from './accounts.ts';
import { type InsideTask, TaskError } from './task.ts';
import { chownTree, kindOf, walk } from './tree.ts';

type CopyTask = Extract<InsideTask, { kind: 'copy' }>;

/** A COPY step: unpacks the archive beside itself and moves what `source` names to its place. */
export async function copy(task: CopyTask, root: string): Promise<void> {
  const accounts = new AccountFiles(root);
  const user = await accounts.find(task.user);
  if (!user) throw new TaskError(`there is no user '${task.user}'`);
  const archive = join(root, task.archive);
  const stage = await mkdtemp(join(dirname(archive), 'stage-'));
  // It may take the place of the destination, as it is.
  await chmod(stage, 0o755);
  await unpack(archive, stage);

  const source = fixedPart(task.source);
  const from = join(stage, source);
  if ((await kindOf(from)) === 'missing') {
    throw new TaskError(`'${task.source}' is not in the uploaded files`);
  }
  const owner = await ownerOf(accounts, task.owner, user);
  await chownTree(from, owner.uid, owner.gid);
  if (task.mode !== undefined) await chmodTree(from, task.mode);

  const target = await targetOf(task, user, from, source, root);
  await mkdir(dirname(target), { recursive: true });
  await place(from, target);
  await rm(dirname(archive), { recursive: true });
}

/** @throws TaskError if the archive is no archive, or an entry would be put outside of `dir`. */
async function unpack(file: string, dir: string): Promise<void> {
  const onReadEntry = ({ path, type, linkpath = '' }: ReadEntry) => {
    if (leaves(path)) throw new TaskError(`the archive's entry '${path}' lies outside of its folder`);
    if (type === 'Link' && leaves(linkpath)) {
      throw new TaskError(`the archive's hard link '${path}' leads outside of its folder`);
    }
  };
  try {
    await extract({
      file,
      cwd: dir,
      strict: true,
      // Links keep what they lead to, absolute or not; paths are checked above.
      preservePaths: true,
      preserveOwner: false,
      processUmask: 0,
      onReadEntry,
    });
  } catch (error) {
    if (error instanceof TaskError) throw error;
    throw new TaskError(`the uploaded files cannot be unpacked: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function leaves(path: string): boolean {
  return path.startsWith('/') || path.split('/').includes('..');
}

/** The path before its first part that is a pattern: `src/*.ts` → `src`. */
function fixedPart(source: string): string {
  const parts = posix.normalize(source).split('/');
  const pattern = parts.findIndex((part) => /[*?[\]{}]/.test(part));
  const fixed = (pattern === -1 ? parts : parts.slice(0, pattern)).filter((part) => part !== '');
  if (fixed.includes('..')) throw new TaskError(`'${source}' lies outside of the uploaded files`);
  return fixed.length === 0 ? '.' : fixed.join('/');
}

async function ownerOf(
  accounts: AccountFiles,
  owner: string | undefined,
  user: Account,
): Promise<{ uid: number; gid: number }> {
  if (owner === undefined) return user;
  const [name = '', group = ''] = owner.split(':');
  const account = await accounts.find(name);
  const uid = account?.uid ?? (/^\d+$/.test(name) ? Number(name) : undefined);
  if (uid === undefined) throw new TaskError(`there is no user '${name}'`);
  const gid = group === '' ? account?.gid : await accounts.groupId(group);
  // Many users have no group of their own name, which is what an owner without a group stands for.
  const known = gid ?? (group === name ? account?.gid : undefined);
  if (known === undefined && group !== '') throw new TaskError(`there is no group '${group}'`);
  return { uid, gid: known ?? uid };
}

async function chmodTree(path: string, mode: number): Promise<void> {
  for await (const entry of walk(path)) {
    if (!(await lstat(entry)).isSymbolicLink()) await chmod(entry, mode);
  }
}

/** Where the source goes: a file into a directory if the destination is or says it is one, else to that very path. */
async function targetOf(
  { destination, workdir }: CopyTask,
  user: Account,
  from: string,
  source: string,
  root: string,
): Promise<string> {
  const target = join(root, posix.resolve('/', workdir ?? user.home, destination));
  if ((await kindOf(from)) === 'directory') return target;
  const isDirectory = await stat(target).then(
    (found) => found.isDirectory(),
    () => false,
  );
  return destination.endsWith('/') || isDirectory ? join(target, posix.basename(source)) : target;
}

/** Moves `from` to `to`; a directory that is there already takes in what the other holds, and stays what it is. */
async function place(from: string, to: string): Promise<void> {
  const into = await stat(to).catch(() => undefined);
  if ((await kindOf(from)) === 'directory' && into?.isDirectory()) {
    for (const name of await readdir(from)) await place(join(from, name), join(to, name));
    return;
  }
  const there = await kindOf(to);
  if (there === 'directory') throw new TaskError(`a file cannot take the place of the directory '${to}'`);
  if (there === 'other') await rm(to);
  await rename(from, to);
}
