import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** The name that the node gave to what runs of a sandbox: its processes and cgroups bear it. */
export async function machineOf(dataDir: string, sandboxId: string): Promise<string> {
  const text = await readFile(join(dataDir, 'sandboxes', sandboxId, 'state.json'), 'utf8');
  return (JSON.parse(text) as { run: { machine: { id: string } } }).run.machine.id;
}

/** The address at which this host reaches a running sandbox. Inside, a virtual machine has another one. */
export async function addressOnHost(dataDir: string, sandboxId: string): Promise<string> {
  const text = await readFile(join(dataDir, 'sandboxes', sandboxId, 'state.json'), 'utf8');
  return (JSON.parse(text) as { sandbox: { address: string } }).sandbox.address;
}
