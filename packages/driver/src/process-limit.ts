/** A process or thread of a sandbox takes some of its memory; under gVisor a `sleep` 0.7 MiB, a forking shell 1.2, a child of Python 3.6. */
const MIB_A_PROCESS = 1;
const FEWEST_PROCESSES = 256;
const MOST_PROCESSES = 8192;

/** Processes and threads that a sandbox may have at once; one more is refused with EAGAIN. envd sees to it. */
export function processLimit(memoryMb: number): number {
  return Math.min(MOST_PROCESSES, Math.max(FEWEST_PROCESSES, Math.floor(memoryMb / MIB_A_PROCESS)));
}
