import { openProgram } from '@islet/posix-spawn';
import type { Account } from '../accounts/account.ts';
import { checked, syscallNumbers } from './libc.ts';

/** Runs code on the calling thread with another user's identity. */
export interface Credentials {
  /**
   * Runs `action` with the account's real and effective ids and its groups on this thread only; the saved ids stay 0, so
   * that the thread gets root back. A program that is executed meanwhile cannot: execve copies effective to saved.
   * `action` must not return to the event loop: everything it does happens in one turn.
   */
  run<T>(account: Account, action: () => T): T;
}

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
  const setIds = (call: 'setresuid' | 'setresgid', id: number) =>
    checked(call, Number(ids(numbers[call], id, id, 0)));

  return {
    run(account, action) {
      const rootGroups = process.getgroups?.() ?? [];
      try {
        setGroups(account.groups);
        setIds('setresgid', account.gid);
        setIds('setresuid', account.uid);
        return action();
      } finally {
        try {
          setIds('setresuid', 0);
          setIds('setresgid', 0);
          setGroups(rootGroups);
        } catch (error) {
          // Going on with a half-dropped identity would serve everyone's requests with the wrong rights.
          process.stderr.write(
            `${JSON.stringify({ level: 'fatal', msg: 'cannot regain root', error: String(error) })}\n`,
          );
          process.abort();
        }
      }
    },
  };
}
