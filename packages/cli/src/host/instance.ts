import { createHash } from 'node:crypto';
import { mkdir, realpath } from 'node:fs/promises';

/** An Islet of this machine: what it keeps, and the name its namespaces, interfaces and cgroups bear. */
export interface Instance {
  /** Real path, so that two ways to one directory name one instance. */
  dataDir: string;
  /** Six hex digits. */
  name: string;
  runtimeDir: string;
}

/** Makes the data directory where it is missing. */
export async function openInstance(dataDir: string): Promise<Instance> {
  await mkdir(dataDir, { recursive: true, mode: 0o700 });
  return instanceAt(await realpath(dataDir));
}

export function instanceAt(realDataDir: string): Instance {
  const name = createHash('sha256').update(realDataDir).digest('hex').slice(0, 6);
  return { dataDir: realDataDir, name, runtimeDir: `/run/islet/${name}` };
}
