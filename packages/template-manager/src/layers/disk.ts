import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import type { LayerDisk } from './layer.ts';

const run = promisify(execFile);

export interface MachineDisk extends LayerDisk {
  /** Files, folders and links of a tree. */
  fileCount(path: string): Promise<number>;
}

/** Has tar write the same bytes for trees that are the same, whatever order a file system lists them in and whoever reads them. */
const AS_CONTENT = [
  ...['--create', '--sort=name', '--numeric-owner', '--one-file-system', '--xattrs', '--xattrs-include=*'],
  ...['--format=posix', '--pax-option=exthdr.name=%d/PaxHeaders/%f,delete=atime,delete=ctime'],
];

/** The machine's own file systems. */
export const machineDisk: MachineDisk = {
  async syncFs(path) {
    await run('sync', ['--file-system', path]);
  },
  async diskUsage(path) {
    const { stdout } = await run('du', ['-s', '--one-file-system', '--block-size=1', path]);
    return Number.parseInt(stdout, 10);
  },
  async contentDigest(path) {
    const script = ['-o', 'pipefail', '-c', 'tar "$@" . | sha256sum', 'bash'];
    const { stdout } = await run('bash', [...script, ...AS_CONTENT, '--directory', path]);
    return stdout.slice(0, 64);
  },
  async fileCount(path) {
    const { stdout } = await run('du', ['-s', '--one-file-system', '--inodes', path]);
    return Number.parseInt(stdout, 10);
  },
};
