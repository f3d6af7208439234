import { readdirSync, readFileSync } from 'node:fs';

/*
 * What Linux tells the programs of a terminal by itself and gVisor does not. It tells the foreground only; which that is
 * cannot be asked for in gVisor, so the whole session is told. A second time does no harm.
 */

/** The terminal is gone: its leader was killed. A program that was started in it would go on for ever otherwise. */
export function hangUpSession(leader: number): void {
  // A stopped process takes a signal only once it goes on.
  signalSession(leader, ['SIGHUP', 'SIGCONT']);
}

/** The terminal has another size. Programs that do not care ignore the signal. */
export function tellSessionOfResize(leader: number): void {
  signalSession(leader, ['SIGWINCH']);
}

function signalSession(leader: number, signals: readonly NodeJS.Signals[]): void {
  for (const name of readdirSync('/proc')) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || sessionOf(pid) !== leader) continue;
    try {
      for (const signal of signals) process.kill(pid, signal);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
}

/** undefined if the process is gone. */
function sessionOf(pid: number): number | undefined {
  try {
    return parseSession(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return undefined;
  }
}

/** The session of a line of /proc/<pid>/stat. The name in it, in parentheses, may hold anything. */
export function parseSession(stat: string): number {
  const [, , , session] = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return Number(session);
}
