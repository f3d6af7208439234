import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The name that the node gave to what runs of a sandbox: its processes and cgroups bear it. */
export async function machineOf(dataDir: string, sandboxId: string): Promise<string> {
  const text = await readFile(join(dataDir, 'sandboxes', sandboxId, 'state.json'), 'utf8');
  return (JSON.parse(text) as { run: { machine: { id: string } } }).run.machine.id;
}
