import { randomUUID } from 'node:crypto';
import { link, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { DatabaseError } from './database.ts';

/** A process, told apart from a later one with the same id by the time it started. */
interface Owner {
  pid: number;
  /** Clock ticks from the machine's boot to the process's start; null where /proc is not there. */
  startTicks: string | null;
}

async function startTicksOf(pid: number): Promise<string | null> {
  try {
    const stat = await readFile(`/proc/${pid}/stat`, 'utf8');
    // The second field is the command in parentheses and may hold spaces; the start time is the 22nd of all.
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

async function isAlive(owner: Owner): Promise<boolean> {
  try {
    process.kill(owner.pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  return owner.startTicks === null || (await startTicksOf(owner.pid)) === owner.startTicks;
}

function parseOwner(text: string): Owner | undefined {
  const [pid, startTicks] = text.trim().split(' ');
  return pid && /^\d+$/.test(pid) ? { pid: Number(pid), startTicks: startTicks ?? null } : undefined;
}

export interface DirectoryLock {
  release(): Promise<void>;
}

/**
 * Claims a path for this process until release, so that two processes never write one PGlite directory (which would
 * destroy it). A lock left by a killed process is taken over.
 * @throws DatabaseError if a live process holds it.
 */
export async function lockDirectory(directory: string): Promise<DirectoryLock> {
  const path = `${directory}.lock`;
  const mine = `${process.pid} ${(await startTicksOf(process.pid)) ?? ''}`.trim();
  const draft = `${path}.${randomUUID()}`;
  await writeFile(draft, `${mine}\n`, { mode: 0o600 });
  try {
    for (;;) {
      try {
        // A link appears at once and with its content, or fails because the name is taken.
        await link(draft, path);
        return { release: () => rm(path, { force: true }) };
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
      await removeIfStale(path, directory);
    }
  } finally {
    await rm(draft, { force: true });
  }
}

function ignoreMissing(error: unknown): undefined {
  if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
  throw error;
}

async function removeIfStale(path: string, directory: string): Promise<void> {
  const text = await readFile(path, 'utf8').catch(ignoreMissing);
  if (text === undefined) return;
  const owner = parseOwner(text);
  if (owner && (await isAlive(owner))) {
    throw new DatabaseError(
      `the database in ${directory} is in use by process ${owner.pid}; stop it, or ask the running Islet through its API`,
    );
  }
  // Two processes may both find the lock stale: whoever moved away a fresh one puts it back.
  const aside = `${path}.${randomUUID()}`;
  await rename(path, aside).catch(ignoreMissing);
  const moved = await readFile(aside, 'utf8').catch(ignoreMissing);
  if (moved === undefined) return;
  if (moved !== text) await link(aside, path);
  await rm(aside, { force: true });
}
