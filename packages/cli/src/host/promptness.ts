import { readdirSync } from 'node:fs';
import { stat } from 'node:fs/promises';
import { openScheduling, type Schedule, SystemError } from '@islet/posix-spawn';

/**
 * Of threads that answer clients: they run as soon as they wake, however busy sandboxes and the programs that Islet starts
 * keep the processors, and are interrupted by none of these. What they start has nothing of it.
 */
const PROMPT: Schedule = { nice: -5, sliceNs: 100_000, keepsItToItself: true };

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
