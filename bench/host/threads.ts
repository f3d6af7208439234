import { readdir, readFile } from 'node:fs/promises';

/** What a thread got of the processors so far, ms. */
export interface ThreadTime {
  ran: number;
  /** It could have run, and others did. */
  waited: number;
}

/** Of all threads of a process, by their ids. */
export async function threadTimes(pid: number): Promise<Map<number, ThreadTime>> {
  const times = new Map<number, ThreadTime>();
  for (const thread of await readdir(`/proc/${pid}/task`)) {
    // It may have ended by now.
    const text = await readFile(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').catch(() => undefined);
    if (text !== undefined) times.set(Number(thread), parseSchedstat(text));
  }
  return times;
}

/** Two numbers of nanoseconds, and how often the thread ran. */
export function parseSchedstat(text: string): ThreadTime {
  const [ran = 0, waited = 0] = text.split(' ').map(Number);
  return { ran: ran / 1e6, waited: waited / 1e6 };
}
