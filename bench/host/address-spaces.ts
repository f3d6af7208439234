import { existsSync } from 'node:fs';
import { openProgram } from '@islet/posix-spawn';

/** kcmp(2) has a number in place of a function of the C library. */
const KCMP: Readonly<Record<string, number>> = { x64: 312, arm64: 272 };
const KCMP_VM = 1;

/**
 * One process, or thread, of each address space. gVisor runs the programs of a sandbox in processes that share theirs: each of
 * them shows all of its memory as its own.
 * @throws Error if this process may not compare others, or the machine's architecture is not known.
 */
export function onePerAddressSpace(pids: readonly number[]): number[] {
  const isSame = openComparison();
  const found: number[] = [];
  for (const pid of pids) if (!found.some((other) => isSame(other, pid))) found.push(pid);
  return found;
}

function openComparison(): (a: number, b: number) => boolean {
  const number = KCMP[process.arch];
  if (number === undefined) throw new Error(`the number of kcmp(2) on ${process.arch} is not known`);
  const syscall = openProgram().func('long syscall(long, long, long, long, long, long)');
  return (a, b) => {
    const order = Number(syscall(number, a, b, KCMP_VM, 0, 0));
    // One that has ended has no memory to be counted.
    if (order < 0 && [a, b].every((pid) => existsSync(`/proc/${pid}`)))
      throw new Error(`kcmp(2) refuses to compare the processes ${a} and ${b}: are you root?`);
    return order === 0;
  };
}
