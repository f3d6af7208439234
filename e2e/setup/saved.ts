import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Where the saved state of a paused sandbox is. */
export async function savedDir(dataDir: string, sandboxId: string): Promise<string> {
  const text = await readFile(join(dataDir, 'sandboxes', sandboxId, 'state.json'), 'utf8');
  return join(dataDir, 'states', (JSON.parse(text) as { saved: string }).saved);
}

/** Where the saved state of a build is, of a template or a snapshot. */
export async function buildDir(dataDir: string, buildId: string): Promise<string> {
  const text = await readFile(join(dataDir, 'templates', `${buildId}.json`), 'utf8');
  return join(dataDir, 'states', (JSON.parse(text) as { snapshot: string }).snapshot);
}
