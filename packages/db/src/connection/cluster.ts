import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chmod, mkdir, rename, rm } from 'node:fs/promises';
import { promisify } from 'node:util';

/**
 * Lays out an empty cluster if a directory is not there yet, from an archive that the build made: initdb in WebAssembly takes
 * seconds of a CPU, this a tenth of one. Without the archive, or where it cannot be unpacked, PGlite makes the cluster itself.
 */
export async function layOutCluster(directory: string, archive: string): Promise<void> {
  if (existsSync(directory) || !existsSync(archive)) return;
  const staged = `${directory}.new`;
  await rm(staged, { recursive: true, force: true });
  await mkdir(staged, { mode: 0o700 });
  try {
    await promisify(execFile)('tar', ['-xzf', archive, '-C', staged]);
    // The archive has a mode for the directory, too, and PGlite's files in it may be written by everybody.
    await chmod(staged, 0o700);
    await rename(staged, directory);
  } catch {
    await rm(staged, { recursive: true, force: true });
  }
}
