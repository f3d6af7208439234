import { type ChildProcess, execFile, fork } from 'node:child_process';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

/** A program of this folder in a process of its own, which sends its port when it listens, and ends with this one. */
export async function start(script: string, args: string[]): Promise<{ child: ChildProcess; port: number }> {
  const child = fork(fileURLToPath(new URL(script, import.meta.url)), args, { execArgv: process.execArgv });
  const [port] = await Promise.race([
    once(child, 'message'),
    once(child, 'exit').then(([code]) => Promise.reject(new Error(`${script} ended with ${code}`))),
  ]);
  return { child, port: Number(port) };
}

/** Clock ticks a second in /proc, which Linux has at 100 everywhere. */
const TICKS = 100;

/** What a process has used of processors since it began, in seconds. */
export async function cpuSeconds(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, 'latin1');
  // Behind the name, which may hold blanks: the 14th and 15th field of all.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[11]) + Number(fields[12])) / TICKS;
}

/** Keeps a process with all its threads on the last core, if there is another one for the rest. */
export async function pinToLastCore(pid: number): Promise<void> {
  const cores = cpus().length;
  if (cores > 1) await promisify(execFile)('taskset', ['-acp', String(cores - 1), String(pid)]);
}
