import { readFile, rename, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';

/**
 * The name by which rows say that something is on this node. It stays with the data: a machine that is called otherwise
 * later, or is given a copy of the data directory, has the same volumes and builds.
 */
export async function loadNodeId(dataDir: string): Promise<string> {
  const path = join(dataDir, 'node-id');
  const known = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT') throw error;
  });
  if (known?.trim()) return known.trim();
  const id = hostname();
  const draft = `${path}.${process.pid}`;
  await writeFile(draft, `${id}\n`, { mode: 0o600, flush: true });
  await rename(draft, path);
  return id;
}
