import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';

/** A process named so that a reused pid is never taken for it. */
export interface ProcessRef {
  pid: number;
  /** Start time in clock ticks since boot, from /proc/<pid>/stat. */
  startTicks: number;
}

interface ProcessStat {
  state: string;
  group: number;
  startTicks: number;
  /** Clock ticks that its threads ran, in their own code and in the kernel's. */
  ranTicks: number;
}

function readStat(pid: number): ProcessStat | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return undefined; // no such process
  }
  // The command name in parentheses may hold spaces and parentheses itself.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return {
    state: fields[0] ?? '',
    group: Number(fields[2]),
    startTicks: Number(fields[19]),
    ranTicks: Number(fields[11]) + Number(fields[12]),
  };
}

/** Names a live process, or undefined if none has this pid. */
export function refProcess(pid: number): ProcessRef | undefined {
  const stat = readStat(pid);
  return stat && stat.state !== 'Z' ? { pid, startTicks: stat.startTicks } : undefined;
}

/** How long all threads of a process ran until now, in clock ticks (10 ms); undefined if it has ended. */
export function ranTicks(ref: ProcessRef): number | undefined {
  const stat = readStat(ref.pid);
  return stat?.startTicks === ref.startTicks ? stat.ranTicks : undefined;
}

/** Says how late the kernel may fire the timers of a process's threads, ns; threads that it starts later have it, too. */
export function setTimerSlack({ pid }: ProcessRef, slackNs: number): void {
  for (const thread of threadsOf(pid)) {
    try {
      writeFileSync(`/proc/${thread}/timerslack_ns`, String(slackNs));
    } catch {
      // It ended meanwhile; the others have theirs set all the same.
    }
  }
}

/**
 * The process groups of a process that leads its own and of its children's. Empty if it has ended. Who stops the first of them keeps
 * it from making more.
 */
export function groupsOf(leader: ProcessRef): number[] {
  if (!isAlive(leader)) return [];
  const children = threadsOf(leader.pid).flatMap((thread) => childrenOf(leader.pid, thread));
  const groups = children.flatMap((pid) => readStat(pid)?.group ?? []);
  return [...new Set([leader.pid, ...groups])];
}

function childrenOf(pid: number, thread: string): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${thread}/children`, 'utf8')
      .split(' ')
      .filter(Boolean)
      .map(Number);
  } catch {
    return []; // it ended meanwhile
  }
}

/** Sends a signal to all of a process group; nothing if there is none. */
export function signalGroup(group: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-group, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
  }
}

function threadsOf(pid: number): string[] {
  try {
    return readdirSync(`/proc/${pid}/task`);
  } catch {
    return []; // no such process
  }
}

/** The live processes whose command line, by arguments, is one that is looked for. */
export function findProcesses(isWanted: (argv: readonly string[]) => boolean): ProcessRef[] {
  return readdirSync('/proc').flatMap((entry) => {
    if (!/^\d+$/.test(entry)) return [];
    let argv: string[];
    try {
      argv = readFileSync(`/proc/${entry}/cmdline`, 'utf8').split('\0');
    } catch {
      return []; // ended meanwhile
    }
    return isWanted(argv) ? (refProcess(Number(entry)) ?? []) : [];
  });
}

/** False for a zombie too: nothing of it runs any more. */
export function isAlive(ref: ProcessRef): boolean {
  const stat = readStat(ref.pid);
  return stat !== undefined && stat.startTicks === ref.startTicks && stat.state !== 'Z' && stat.state !== 'X';
}

/**
 * Sends SIGKILL and waits until the process is gone.
 * @throws Error if it still lives after `timeoutMs` (it hangs in the kernel).
 */
export async function killAndWait(ref: ProcessRef, timeoutMs = 10_000): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(ref)) {
    try {
      process.kill(ref.pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ESRCH') return;
      throw error;
    }
    await sleep(2);
    if (performance.now() > deadline) throw new Error(`process ${ref.pid} does not die after SIGKILL`);
  }
}

/** The same for the process that has a pid now; nothing if none has. Throws as `killAndWait` does. */
export async function killByPid(pid: number): Promise<void> {
  const ref = refProcess(pid);
  if (ref) await killAndWait(ref);
}

/** Waits until the process has ended by itself. @throws Error if it still lives after `timeoutMs`. */
export async function waitForExit(ref: ProcessRef, timeoutMs: number): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (isAlive(ref)) {
    if (performance.now() > deadline)
      throw new Error(`process ${ref.pid} has not ended within ${timeoutMs} ms`);
    await sleep(2);
  }
}
