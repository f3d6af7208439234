import { readdirSync, writeFileSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { openScheduling, type Schedule, SystemError } from '@islet/posix-spawn';

/**
 * Of threads that answer clients: they run as soon as they wake, however busy sandboxes and the programs that Islet starts
 * keep the processors, and are interrupted by none of these. What they start has nothing of it.
 */
const PROMPT: Schedule = { nice: -5, sliceNs: 100_000, keepsItToItself: true };

/**
 * Of all processes of this session together, nine times as much as of another's: a flood that keeps one thread of Islet busy would use up
 * what they all get. Only what runs is weighed, so that others lose no more than Islet needs.
 */
const SESSION_NICE = -10;

/** Where the kernel weighs processes by session; what systemd starts has a cgroup, and its unit a weight. */
const SESSION_FILE = '/proc/self/autogroup';

/** Weighs this session's processes above others', if the kernel weighs sessions and this one may. */
export function favourSession(): void {
  try {
    writeFileSync(SESSION_FILE, String(SESSION_NICE));
  } catch {
    // An older kernel, or no right to (CAP_SYS_NICE): they are equals then.
  }
}

/** Has the calling thread answer promptly. Whoever may not favour a thread (CAP_SYS_NICE) gets the shorter wait alone. */
export function answerPromptly(): void {
  favour(0);
}

/** The same for every thread of this process, those included that read and write its files. */
export async function answerPromptlyOnAllThreads(): Promise<void> {
  // Node starts them when they have something to do.
  await stat('/proc/self/task');
  for (const thread of readdirSync('/proc/self/task')) favour(Number(thread));
}

function favour(thread: number): void {
  const scheduling = openScheduling();
  try {
    scheduling.set(thread, PROMPT);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    // It has ended.
    if (error.code === 'ESRCH') return;
    if (error.code !== 'EPERM') throw error;
    scheduling.set(thread, { ...PROMPT, nice: scheduling.get(thread).nice });
  }
}
