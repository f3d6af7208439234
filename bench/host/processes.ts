import { readdir, readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { onePerAddressSpace } from './address-spaces.ts';

/** The processes of one gVisor sandbox on the host. */
export interface SandboxProcesses {
  sentry: number;
  /** The sentry's command line; its flags up to `boot` are those that runsc was called with. */
  sentryArgs: string[];
  gofer: number | undefined;
  /** What runs the sandbox's threads under systrap: descendants of the sentry. */
  stubs: number[];
}

/** Finds a sandbox's processes by what runsc calls them. @throws Error if it has no sentry. */
export async function findSandboxProcesses(id: string): Promise<SandboxProcesses> {
  const named = await namedProcesses(id);
  const sentry = named.find(({ args }) => args[0] === 'runsc-sandbox');
  if (!sentry) throw new Error(`sandbox ${id} has no runsc-sandbox process`);
  return {
    sentry: sentry.pid,
    sentryArgs: sentry.args,
    gofer: named.find(({ args }) => args[0] === 'runsc-gofer')?.pid,
    stubs: await descendants(sentry.pid),
  };
}

/** Processes that have the name in a path of their command line. */
async function namedProcesses(id: string): Promise<{ pid: number; args: string[] }[]> {
  const pids = (await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(Number);
  const found = await Promise.all(pids.map(async (pid) => ({ pid, args: await commandLine(pid) })));
  return found.filter(({ args }) => args.some((arg) => arg.split('/').includes(id)));
}

async function commandLine(pid: number): Promise<string[]> {
  const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => ''); // it may have ended by now
  return text.split('\0').slice(0, -1);
}

async function descendants(root: number): Promise<number[]> {
  const threads = await readdir(`/proc/${root}/task`).catch(() => []);
  const lists = await Promise.all(
    threads.map((thread) => readFile(`/proc/${root}/task/${thread}/children`, 'utf8').catch(() => '')),
  );
  const children = lists.flatMap((list) => list.split(' ').filter(Boolean).map(Number));
  return [...children, ...(await Promise.all(children.map(descendants))).flat()];
}

/** What processes hold of the machine's memory, in bytes. */
export interface MemoryUse {
  /** Every page that is mapped, once for each address space that maps it. */
  rss: number;
  /** Every page divided by the number of address spaces that map it: what the machine would get back. */
  pss: number;
}

/** Of all processes of a sandbox together. */
export async function sandboxMemory(id: string): Promise<MemoryUse> {
  const parts = await Promise.all(onePerAddressSpace(await pidsOf(id)).map(processMemory));
  return {
    rss: parts.reduce((sum, part) => sum + part.rss, 0),
    pss: parts.reduce((sum, part) => sum + part.pss, 0),
  };
}

/** A virtual machine is one process. */
async function pidsOf(id: string): Promise<number[]> {
  const qemu = (await namedProcesses(id)).find(({ args }) => args[0]?.startsWith('qemu-system-'));
  if (qemu) return [qemu.pid];
  const { sentry, gofer, stubs } = await findSandboxProcesses(id);
  return [sentry, ...(gofer ? [gofer] : []), ...stubs];
}

async function processMemory(pid: number): Promise<MemoryUse> {
  // A thread of the sandbox may end, and its stub with it, between the list and the look.
  const text = await readFile(`/proc/${pid}/smaps_rollup`, 'utf8').catch(() => '');
  return parseSmapsRollup(text);
}

export function parseSmapsRollup(text: string): MemoryUse {
  const bytes = (name: string) =>
    Number(new RegExp(`^${name}: +(\\d+) kB$`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return { rss: bytes('Rss'), pss: bytes('Pss') };
}

/** Sends SIGKILL and waits until none of the processes runs any more. @throws Error if that takes 10 s. */
export async function killAndWait(pids: readonly number[]): Promise<void> {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
    }
  }
  await waitForEnd(pids);
}

/** Waits until none of the processes runs any more. @throws Error if that takes 10 s. */
export async function waitForEnd(pids: readonly number[]): Promise<void> {
  const deadline = performance.now() + 10_000;
  while ((await Promise.all(pids.map(isRunning))).some(Boolean)) {
    if (performance.now() > deadline) throw new Error(`processes do not end: ${pids.join(', ')}`);
    await sleep(1);
  }
}

/** False for a zombie: nothing of it runs. */
async function isRunning(pid: number): Promise<boolean> {
  const text = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  const state = text.slice(text.lastIndexOf(')') + 2, text.lastIndexOf(')') + 3);
  return state !== '' && state !== 'Z' && state !== 'X';
}
