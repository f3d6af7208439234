import { openProgram } from '@islet/posix-spawn';
import type { Account } from '../accounts/account.ts';
import { checked, syscallNumbers } from './libc.ts';

/**
 * Runs code on the calling thread with another user's identity, and gets root's back. `action` must not return to the event
 * loop: everything it does happens in one turn.
 */
export interface Credentials {
  /** With the account's effective ids and its groups: what it may do with files, and whose those are that it makes. */
  actAs<T>(account: Account, action: () => T): T;
  /**
   * With the account's real ids too, for a program that is started meanwhile: execve copies effective ids to saved ones, so it
   * has no way back to root. For so long processes of that user may signal envd: see decisions/0018.
   */
  become<T>(account: Account, action: () => T): T;
}

/** Leaves an id as it is. */
const UNCHANGED = -1;

/**
 * Uses raw system calls, because libc's wrappers change all threads of the process, and only the calling thread
 * may lose its rights here: the thread pool goes on serving files as root.
 */
export function createCredentials(arch: string = process.arch): Credentials {
  const numbers = syscallNumbers(arch);
  const program = openProgram();
  const ids = program.func('syscall', 'long', ['long', 'long', 'long', 'long']);
  const list = program.func('syscall', 'long', ['long', 'long', 'void *']);
  const setGroups = (groups: readonly number[]) => {
    const bytes = Buffer.alloc(Math.max(4, groups.length * 4));
    groups.forEach((gid, i) => {
      bytes.writeUInt32LE(gid, i * 4);
    });
    checked('setgroups', Number(list(numbers.setgroups, groups.length, bytes)));
  };
  const setIds = (call: 'setresuid' | 'setresgid', real: number, effective: number) =>
    checked(call, Number(ids(numbers[call], real, effective, 0)));

  const regainRoot = (rootGroups: readonly number[]) => {
    try {
      setIds('setresuid', 0, 0);
      setIds('setresgid', 0, 0);
      setGroups(rootGroups);
    } catch (error) {
      // Going on with a half-dropped identity would serve everyone's requests with the wrong rights.
      process.stderr.write(
        `${JSON.stringify({ level: 'fatal', msg: 'cannot regain root', error: String(error) })}\n`,
      );
      process.abort();
    }
  };

  const run = <T>(account: Account, real: { uid: number; gid: number }, action: () => T): T => {
    const rootGroups = process.getgroups?.() ?? [];
    try {
      setGroups(account.groups);
      setIds('setresgid', real.gid, account.gid);
      setIds('setresuid', real.uid, account.uid);
      return action();
    } finally {
      regainRoot(rootGroups);
    }
  };

  return {
    actAs: (account, action) => run(account, { uid: UNCHANGED, gid: UNCHANGED }, action),
    become: (account, action) => run(account, account, action),
  };
}
