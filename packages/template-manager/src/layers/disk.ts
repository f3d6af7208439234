import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { LayerDisk } from './layer-store.ts';

const run = promisify(execFile);

export interface MachineDisk extends LayerDisk {
  /** Files, folders and links of a tree. */
  fileCount(path: string): Promise<number>;
}

/** The machine's own file systems. */
export const machineDisk: MachineDisk = {
  async syncFs(path) {
    await run('sync', ['--file-system', path]);
  },
  async diskUsage(path) {
    const { stdout } = await run('du', ['-s', '--one-file-system', '--block-size=1', path]);
    return Number.parseInt(stdout, 10);
  },
  async fileCount(path) {
    const { stdout } = await run('du', ['-s', '--one-file-system', '--inodes', path]);
    return Number.parseInt(stdout, 10);
  },
};
