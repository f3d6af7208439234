import { chmod, mkdir, writeFile } from 'node:fs/promises';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { linkerName, type MachineSpec } from '@islet/driver';
import { DISK_FOLDER, MOUNT_POINTS, ociSpec } from './oci-spec.ts';

/**
 * Writes what runsc is told of a machine that boots, into the machine's folder, and makes what it mounts there.
 * @returns the folder.
 */
export async function writeBootBundle(spec: MachineSpec, cgroupPath: string): Promise<string> {
  if (!spec.writableRoot) {
    // An image that is mounted read-only must have them: the runtime cannot make them in it.
    for (const { path, mode } of MOUNT_POINTS) await makeMissing(join(spec.rootfsDir, path), mode);
    return writeBundle(spec, cgroupPath);
  }
  const mountPoint = join(spec.dir, 'root');
  await Promise.all([mountPoint, join(spec.dir, 'disk')].map((dir) => mkdir(dir)));
  return writeBundle({ ...spec, rootfsDir: mountPoint }, cgroupPath);
}

/** Writes what runsc is told of a machine into the machine's folder. @returns the folder. */
export async function writeBundle(spec: MachineSpec, cgroupPath: string): Promise<string> {
  await mkdir(join(spec.dir, DISK_FOLDER), { recursive: true });
  const config = ociSpec(spec, {
    cgroupsPath: `/${cgroupPath}`,
    ldName: await linkerName(spec.guestDir),
    hostCpus: availableParallelism(),
  });
  await writeFile(join(spec.dir, 'config.json'), JSON.stringify(config));
  return spec.dir;
}

async function makeMissing(dir: string, mode: number): Promise<void> {
  const made = await mkdir(dir, { recursive: true });
  if (made !== undefined) await chmod(dir, mode); // mkdir's own mode is cut by the umask
}
