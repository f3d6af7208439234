import { availableParallelism } from 'node:os';
import { Cgroups } from '@islet/host';

/** Bounds of one program that reads strangers' bytes; the programs of images need some 100 MB. */
const MEMORY_BYTES = 512 * 1024 ** 2;
const CPU_PERIOD_US = 100_000;
/** Processes and threads. */
const PIDS = 256;

/** A cgroup for one program and what it starts. It must have ended when the cell is disposed. */
export interface Cell extends AsyncDisposable {
  /** A process joins by writing 0 into each; none if the machine has no cgroups. */
  joinFiles: readonly string[];
}

/** Bounds memory, processors and processes of programs, each for itself. */
export interface Cells {
  open(): Promise<Cell>;
}

/**
 * Removes the cells that a killed process left. Their programs ended with it.
 * @param instance what sets this Islet's cgroups apart from another's
 */
export async function openCells(instance: string): Promise<Cells> {
  const cgroups = new Cgroups();
  const root = `islet-${instance}/images`;
  await cgroups.remove(root);
  return {
    async open() {
      const path = `${root}/${crypto.randomUUID()}`;
      const cpuQuotaUs = CPU_PERIOD_US * Math.max(1, Math.floor(availableParallelism() / 2));
      const limits = { memoryBytes: MEMORY_BYTES, cpuQuotaUs, cpuPeriodUs: CPU_PERIOD_US, pids: PIDS };
      const joinFiles = await cgroups.create(path, limits);
      return { joinFiles, [Symbol.asyncDispose]: () => cgroups.remove(path) };
    },
  };
}
